// A store that takes time: meanwhile no server is silent, and none is declared dead.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("replica_slices") {
    namespace {
    /// Two servers in sync.
    ReplicaGroup pair() {
        ReplicaGroup group;
        for (const auto* name : {"a", "b"}) group.start(name, static_cast<std::uint64_t>(*name));
        group.decide(group.member("a"), {group.member("b", true)});
        group.settle();
        return group;
    }

    /// Commands that are first logged on both servers and then committed all at once.
    std::vector<CallId> commit_at_once(ReplicaGroup& group, int count) {
        std::vector<CallId> calls;
        group.lost = [](auto& from, auto&, auto&) { return from == "b"; };
        for (int n = 0; n < count; ++n) calls.push_back(group.put("a", "x"));
        group.settle();
        group.lost = nullptr;
        return calls;
    }
    }  // namespace

    TEST_CASE("S7: entries that are committed all at once are applied in slices and answered in order") {
        auto group = pair();
        const auto calls = commit_at_once(group, 300);
        group.work_takes = {{"a", 1ms}, {"b", 1ms}};
        group.answers.clear();
        group.pass(2s);
        CHECK(group.longest_turn >= 20ms);
        CHECK(group.longest_turn <= 26ms);  // a quarter of the ping interval and one entry
        CHECK(group.count<BackupUnreachable>() == 0);
        REQUIRE(group.answers.size() == calls.size());
        for (std::size_t n = 0; n < calls.size(); ++n) CHECK(group.answers[n].id == calls[n]);
        CHECK(group["b"].store() == group["a"].store());
        CHECK(group.count<SlowStore>() == 0);
    }

    TEST_CASE("S7: a server pings while it applies a long tail that it inherited") {
        auto group = pair();
        for (int n = 0; n < 2000; ++n) group.put("a", "x");  // b does not know yet that they are committed
        group.settle();
        group.work_takes = {{"b", 1ms}};
        group.decide(group.member("b"), {});
        group.pings.clear();
        int pings = 0;
        const auto read = group.query("b");
        for (const auto end = group.now + 1500ms; group.now < end;) {
            group.pass(100ms);
            pings += static_cast<int>(group.pings.count("b"));
            group.pings.clear();
        }
        CHECK(pings >= 10);
        CHECK(group.outcome(read) == "none");  // S5: the read waits
        CHECK(group.count<StoreBehind>() == 1);
        group.pass(2s);
        CHECK(group.outcome(read).size() == 2 * 2000);
    }

    TEST_CASE("S2: a backup acknowledges what it holds before it has applied it") {
        auto group = pair();
        group.work_takes = {{"b", 10ms}};
        for (int n = 0; n < 100; ++n) group.put("a", "x");
        group.settle();
        CHECK(group["a"].state().commit == 100);
        group.pass(150ms);
        CHECK(group["b"].state().commit == 100);
        CHECK(group["b"].state().applied.index < 50);
        CHECK(group.count<BackupUnreachable>() == 0);
    }

    TEST_CASE("S2: a backup whose store is slower than the writes slows these and is never unreachable") {
        auto group = pair();
        group.work_takes = {{"b", 10ms}};
        Index most = 0;
        for (int n = 0; n < 8; ++n) {
            group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
            for (int k = 0; k < 500; ++k) group.put("a", "x");
            group.lost = nullptr;  // all in one append, when it is sent again
            for (int k = 0; k < 30; ++k) {
                group.pass(10ms);
                const auto& state = group["b"].state();
                most = std::max(most, state.commit - state.applied.index);
            }
        }
        CHECK(most > 100);
        CHECK(most < 1000);  // about what it applies in D, on top of what was sent before it was known to be slow
        CHECK(group["a"].state().commit < 1500);
        CHECK(group.count<BackupUnreachable>() == 0);
        group.pass(60s);
        CHECK(group["b"].store() == group["a"].store());
        CHECK(group["a"].state().commit == 4000);
        CHECK(group.count<BackupUnreachable>() == 0);
    }

    TEST_CASE("C6: what is committed and not applied counts as under way") {
        auto group = pair();
        group.options.max_call_bytes = 100 * Log::size_of(1);
        group.start("a", 7);
        group.decide(group.member("a"), {group.member("b", true)});
        group.settle();
        commit_at_once(group, 100);
        CHECK(group.outcome(group.put("a", "x")) == "overloaded");
        group.work_takes = {{"a", 1ms}};
        group.pass(40ms);  // everything is committed, but not everything is applied
        while (group["a"].state().commit < 100) group.pass(1ms);
        REQUIRE(group["a"].state().applied.index < 99);
        const auto room = 100 - (group["a"].state().log.last().index - group["a"].state().applied.index);
        for (Index n = 0; n < room; ++n) CHECK(group.outcome(group.put("a", "x")) != "overloaded");
    }

    TEST_CASE("S7: a store that takes longer than D for one command is told") {
        auto group = pair();
        group.work_takes = {{"a", 700ms}};
        group.put("a", "x");
        group.pass(1s);
        CHECK(group.count<SlowStore>() == 1);
        const auto emitted = std::ranges::find_if(
            group.events, [](const Event& event) { return std::holds_alternative<SlowStore>(event); });
        REQUIRE(emitted != group.events.end());
        CHECK(std::get<SlowStore>(*emitted).took == 700ms);
        CHECK(std::get<SlowStore>(*emitted).call == "apply");
    }

    TEST_CASE("S7: a backup that joins has the time that the primary needed for a command in its log") {
        auto group = pair();
        group.work_takes = {{"a", 400ms}};
        group.put("a", "x");
        group.settle();
        group.work_takes = {{"a", 0ms}};
        for (int n = 0; n < 1000; ++n) group.put("a", "x");
        group.settle();
        group.start("c", 3);
        group.lost = [](auto& from, auto&, auto&) { return from == "c"; };
        group.decide(group.member("a"), {group.member("c")}, {"a", "c"});
        group.pass(1100ms);
        CHECK(group.count<BackupUnreachable>() == 0);
        group.pass(200ms);
        CHECK(group.count<BackupUnreachable>() == 1);
    }

    TEST_CASE("S7: reads that wait are answered in slices and do not wait for entries that follow them") {
        auto group = pair();
        std::vector<CallId> reads;
        group.lost = [](auto& from, auto&, auto&) { return from == "b"; };
        for (int n = 0; n < 200; ++n) reads.push_back(group.query("a"));
        group.lost = nullptr;
        group.work_takes = {{"a", 1ms}};
        group.pass(1s);
        CHECK(group.longest_turn <= 26ms);
        for (const auto& read : reads) CHECK(group.outcome(read) == "");
    }
}
