// A whole group, exhaustively within bounds: two and three servers, two commands and a read, any order of messages,
// losses, repeats, deaths and silences. Further tests show that the search can fail: it finds deliberate errors, in few
// steps.
#include <doctest/doctest.h>

#include "bounds.hpp"
#include "explored_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;

TEST_SUITE("explore/group") {
    namespace {

    sim::Exploration explore_group(const std::string& what, GroupPlan plan, const sim::ExploreBounds& bounds) {
        ExploredGroup model{std::move(plan)};
        auto found = sim::explore(model, model.start(), bounds);
        MESSAGE(what << ": " << describe(found) << "; " << model.sizes() << ", " << model.overflows()
                     << " lost for want of room");
        return found;
    }

    /// One or two commands that may be in flight at once, and a read.
    std::vector<Operation> calls(int commands, std::uint8_t arrivals = 1) {
        std::vector<Operation> all{{.text = "x", .seq = 1, .low = 1}};
        if (commands == 2) all.push_back({.text = "y", .seq = 2, .low = 1});
        all.push_back({});
        for (auto& one : all) one.arrivals = arrivals;
        return all;
    }

    /// Expects that a group that follows the protocol shows no violation within so many states.
    void expect_right(const std::string& what, GroupPlan plan, std::size_t states) {
        auto found = explore_group(what, std::move(plan), explore_bounds(states));
        CHECK_MESSAGE(found.ok(), describe(found));
    }
    /// The same, and expects in addition that the search visits all reachable states.
    void expect_right_in_all(const std::string& what, GroupPlan plan, std::size_t states) {
        auto found = explore_group(what, std::move(plan), explore_bounds(states));
        CHECK_MESSAGE(found.ok(), describe(found));
        if (explores_fully()) CHECK(found.end == sim::ExploreEnd::exhausted);
    }

    /// Expects that a group with a deliberate error shows this violation, after so many steps.
    void expect_wrong(const std::string& what, GroupPlan plan, const std::string& violation, std::size_t steps) {
        auto found = explore_group(what, std::move(plan), {.states = 300'000});
        CHECK(found.end == sim::ExploreEnd::violated);
        CHECK_MESSAGE(found.violation.find(violation) != std::string::npos, found.violation);
        CHECK(found.trace.size() == steps);
    }

    constexpr GroupBudget nothing{0, 0, 0, 0, 0}, death{1, 0, 0, 0, 0}, suspicion{0, 1, 1, 0, 0}, repeat{0, 0, 1, 0, 1};

    }  // namespace

    TEST_CASE("S1 to S10: two servers lose nothing in any order of events within bounds") {
        expect_right_in_all("one of two dies", {.operations = calls(1), .budget = death}, 400'000);
        expect_right_in_all("one of two is given up", {.operations = calls(2), .budget = suspicion}, 300'000);
        expect_right("anything, sent twice", {.operations = calls(2, 2), .budget = {1, 1, 2, 1, 1}}, 100'000);
    }
    TEST_CASE("S4 and S8: a server that joins counts only when it holds everything") {
        GroupPlan plan{.members = 1, .spares = 1, .operations = calls(2)};
        plan.budget = nothing;
        expect_right_in_all("b joins while commands come", plan, 300'000);
        plan.operations = calls(1);
        plan.answered = 1;
        plan.budget = repeat;
        expect_right_in_all("b joins late from the log", plan, 100'000);
        plan.options.log_bytes = plan.options.transfer_log_bytes = 0;
        plan.options.chunk_bytes = 64;
        expect_right("b joins late by a snapshot", plan, 100'000);
        plan.budget = death;
        expect_right("one dies while b joins", plan, 100'000);
    }
    TEST_CASE("S3: three servers agree on every entry") {
        GroupPlan plan{.members = 3, .backups = 2, .operations = calls(1), .budget = suspicion};
        expect_right_in_all("one of three in sync is given up", plan, 300'000);
        plan = {.spares = 1, .operations = calls(1), .budget = suspicion};
        expect_right("a third takes the place", plan, 80'000);
    }
    TEST_CASE("S4: a new primary counts on nobody who lacks what the old one may have answered") {
        GroupPlan plan{.members = 3, .spares = 1, .backups = 2, .operations = calls(1), .answered = 1, .budget = death};
        plan.options.append_bytes = 1;  // one entry at a time
        expect_right("a dies and d joins b and c", plan, 150'000);
    }
    TEST_CASE("S6: two servers that both believe to lead contradict each other in nothing") {
        GroupPlan plan{.operations = calls(2), .promoted = true, .budget = {0, 0, 0, 0, 1}};
        expect_right_in_all("a does not know of b", plan, 300'000);
        plan = {.spares = 1, .operations = calls(1), .promoted = true, .budget = nothing};
        expect_right_in_all("a does not know of b and c joins", plan, 100'000);
        plan = {.operations = calls(1, 2), .promoted = true, .budget = {0, 0, 0, 0, 1}};
        expect_right("a does not know of b and both are asked the same", plan, 600'000);
    }
    TEST_CASE("S7: a backup that does not acknowledge is given up without a loss") {
        expect_right("D/2 passes", {.spares = 1, .operations = calls(1), .budget = {0, 0, 0, 1, 0}}, 100'000);
    }

    TEST_CASE("S3: a refusal that becomes an acknowledgement loses an answered write") {
        GroupPlan plan{.members = 1, .spares = 1, .answered = 1};
        plan.tamper = [](const Message* asked, Message& sent) {
            const auto* append = asked ? std::get_if<Append>(asked) : nullptr;
            if (append && std::holds_alternative<Failure>(sent))
                sent = AppendResult{append->view.number, append->prev.index + append->entries.size(), append->round};
        };
        expect_wrong("refusals acknowledge", plan, "lacks the answered command x", 5);
    }
    TEST_CASE("R1: a view service that promotes who is not in sync loses an answered write") {
        GroupPlan plan{.members = 1, .spares = 1, .answered = 1};
        plan.tamper = [](const Message*, Message& sent) {
            if (auto* ping = std::get_if<Ping>(&sent); ping && ping->synced) ping->synced = {"b"};
        };
        expect_wrong("everybody counts as in sync", plan, "lacks the answered command x", 3);
    }
    TEST_CASE("S10: a command that is repeated without a session is done twice") {
        expect_wrong("no session", {.operations = {{.text = "x", .session = false}}, .budget = death},
                     "took effect twice", 5);
    }
    TEST_CASE("S1: an old view that is not refused loses an answered write") {
        GroupPlan plan{.operations = calls(2), .budget = suspicion};
        plan.tamper = [](const Message* asked, Message& sent) {
            const auto* append = asked ? std::get_if<Append>(asked) : nullptr;
            const auto* failure = std::get_if<Failure>(&sent);
            if (append && failure && failure->code == error::stale_view)
                sent = AppendResult{append->view.number, append->prev.index + append->entries.size(), append->round};
        };
        expect_wrong("stale views acknowledge", plan, "lacks the answered command", 7);
    }
    TEST_CASE("a read that takes an old yes for its round misses an answered write") {
        GroupPlan plan{.operations = calls(2), .budget = suspicion};
        plan.tamper = [](const Message*, Message& sent) {
            if (auto* result = std::get_if<AppendResult>(&sent)) result->round = ~Round{0};
        };
        expect_wrong("every yes confirms every round", plan, "a read of", 9);
    }
}
