// The log decides which open calls took effect; the log and the client history must not contradict each other.
#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <understudy/kv_store.hpp>
#include <understudy/sim/check/commit_history.hpp>
#include <understudy/sim/check/kv_model.hpp>
#include <understudy/sim/check/linearizability.hpp>
#include <understudy/sim/check/log_oracle.hpp>

TEST_SUITE("log witness") {
    namespace {

    using namespace understudy;
using namespace understudy::protocol;
    using sim::CommitHistory;
    using sim::Claim;
    using sim::KvModel;
    using sim::Verdict;

    KvModel::Input put(std::string value) { return kv::Command{kv::Put{"k", std::move(value)}}; }
    KvModel::Input erase() { return kv::Command{kv::Erase{"k"}}; }
    KvModel::Input get() { return kv::Query{kv::Get{"k"}}; }
    const kv::Reply nothing = std::monostate{};

    bool has(const std::string& whole, const std::string& part) { return whole.find(part) != std::string::npos; }

    std::string text(const KvModel::Input& input) {
        return input.index() == 0 ? KvStore::encode_command(std::get<0>(input)) : std::string{};
    }

    struct Scenario {
        sim::HistoryOf<KvModel> history{};
        std::vector<CommitHistory::Change> log{};
        std::string wrong{};

        std::size_t begin(KvModel::Input input) { return history.begin("a", std::move(input), Time{}); }
        Scenario& then(KvModel::Input input, kv::Reply reply, Claim claim) {
            history.answer(begin(std::move(input)), std::move(reply), Time{}, claim);
            return *this;
        }
        Scenario& logged(Index index, const KvModel::Input& input) {
            log.push_back({index, text(input)});
            return *this;
        }
        std::vector<sim::OperationOf<KvModel>> placed() {
            auto operations = history.operations();
            wrong = sim::place_open(operations, log, text);
            return operations;
        }
        Verdict verdict() { return sim::judge(KvModel{}, placed()).verdict; }
    };

    Entry entry(Index index, std::string command, ViewNumber view = 1) {
        Entry entry;
        entry.at = {view, index};
        entry.command = std::move(command);
        return entry;
    }

    }  // namespace

    TEST_CASE("an open command has had its effect where its entry stands") {
        Scenario scenario;
        scenario.begin(put("1"));
        scenario.then(put("2"), nothing, {2});
        SUBCASE("before what is read") {
            scenario.logged(2, put("2")).logged(3, put("1"));
            CHECK(scenario.then(get(), "1", {3, true}).verdict() == Verdict::linearizable);
        }
        SUBCASE("and not elsewhere, though that would explain as much") {
            scenario.logged(1, put("1")).logged(2, put("2"));
            CHECK(scenario.then(get(), "1", {2, true}).verdict() == Verdict::violated);
        }
        CHECK(scenario.wrong == "");
    }

    TEST_CASE("an open command without an entry has had none") {
        Scenario scenario;
        scenario.begin(put("1"));
        CHECK(scenario.logged(1, put("2")).then(put("2"), nothing, {1}).placed().size() == 1);
        CHECK(scenario.wrong == "");
    }

    TEST_CASE("equal open commands are given their entries in the order of their calls") {
        Scenario scenario;
        scenario.begin(erase());
        scenario.then(put("1"), nothing, {2}).begin(erase());
        const auto operations = scenario.logged(1, erase()).logged(2, put("1")).logged(5, erase()).placed();
        REQUIRE(operations.size() == 3);
        CHECK(operations[0].claim == Claim{1});
        CHECK(operations[2].claim == Claim{5});
        CHECK(sim::judge(KvModel{}, operations).verdict == Verdict::linearizable);
    }

    TEST_CASE("an open command cannot take effect before it was called") {
        Scenario scenario;
        scenario.then(put("1"), nothing, {2}).begin(put("2"));
        scenario.logged(1, put("2")).logged(2, put("1"));
        CHECK(scenario.verdict() == Verdict::violated);
        CHECK(scenario.wrong == "");
    }

    TEST_CASE("answers and log that are not of one piece are told apart") {
        Scenario scenario;
        scenario.then(put("1"), nothing, {1});
        SUBCASE("an entry that nobody asked for") {
            scenario.logged(1, put("1")).logged(2, put("3")).placed();
            CHECK(has(scenario.wrong, "entry 2 of the log, " + text(put("3")) + ", is nobody's call"));
        }
        SUBCASE("an entry that took effect twice") {
            scenario.begin(put("2"));
            scenario.logged(1, put("1")).logged(2, put("2")).logged(3, put("2")).placed();
            CHECK(has(scenario.wrong, "entry 3 of the log, " + text(put("2")) + ", is nobody's call, or one too many"));
        }
        SUBCASE("an answer for another entry") {
            scenario.logged(1, put("2")).placed();
            CHECK(has(scenario.wrong, text(put("2")) + ", was answered as " + text(put("1"))));
        }
        SUBCASE("an answer without an entry") {
            scenario.placed();
            CHECK(has(scenario.wrong, "was answered as entry 1 of the log, which does not have it"));
        }
        SUBCASE("a refusal that had an effect") {
            scenario.history.no_effect(scenario.begin(put("9")));
            scenario.logged(1, put("1")).logged(2, put("9")).placed();
            CHECK(has(scenario.wrong, text(put("9")) + ", is nobody's call"));
        }
    }

    TEST_CASE("replicas that apply different entries are told apart") {
        CommitHistory commit_history;
        CHECK(commit_history.applied("a", "g", 0, entry(1, "x"), true) == "");
        CHECK(commit_history.applied("b", "g", 0, entry(1, "x"), true) == "");
        CHECK(commit_history.applied("b", "other", 0, entry(1, "y"), true) == "");
        CHECK(commit_history.applied("b", "g", 0, entry(1, "y"), true) ==
              "b has applied (1, 1) where another has (1, 1), but otherwise");
        CHECK(commit_history.applied("b", "g", 0, entry(1, "x", 2), true) ==
              "b has applied (2, 1) where another has (1, 1)");
        CHECK(has(commit_history.applied("b", "g", 0, entry(1, "x"), false), "but not with that effect"));
    }

    TEST_CASE("a chronicle goes on where a forced view began") {
        CommitHistory commit_history;
        for (Index index = 1; index <= 5; ++index)
            CHECK(commit_history.applied("a", "g", 0, entry(index, "old" + std::to_string(index)), index != 2) == "");
        CHECK(commit_history.kept("g", 7) == std::nullopt);
        CHECK(commit_history.applied("b", "g", 7, entry(4, "new4", 7), true) == "");
        CHECK(commit_history.applied("b", "g", 7, entry(5, "new5", 7), true) == "");
        CHECK(commit_history.kept("g", 7) == std::optional<Index>{3});
        std::string commands;
        for (const auto& change : commit_history.changes("g")) commands += change.command + " ";
        CHECK(commands == "old1 old3 new4 new5 ");
        CHECK(commit_history.changes("unknown").empty());
    }
    TEST_CASE("a chronicle keeps what lies between old entries that are told again and new ones") {
        CommitHistory commit_history;
        for (Index index = 1; index <= 5; ++index)
            commit_history.applied("a", "g", 0, entry(index, std::to_string(index)), true);
        commit_history.applied("late", "g", 7, entry(2, "2"), true);
        commit_history.applied("a", "g", 7, entry(6, "6", 7), true);
        CHECK(commit_history.kept("g", 7) == std::optional<Index>{5});
        std::string commands;
        for (const auto& change : commit_history.changes("g")) commands += change.command;
        CHECK(commands == "123456");
    }
}
