// What the clients of a group observed is compared with what the group has committed: calls, exports, and the store at
// the end.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include <understudy/sim/check/client_history.hpp>

TEST_SUITE("client_history") {
    namespace {

    using namespace understudy;
using namespace understudy::client;
    using sim::Claim;
    using sim::Dumped;
    using Changes = std::vector<sim::CommitHistory::Change>;

    constexpr Index everything = ~Index{0};
    const sim::KvWorkload workload{.keys = 1, .cold_keys = 1};

    kv::Command put(std::string value) { return kv::Put{"k0", std::move(value)}; }
    kv::Query get() { return kv::Get{"k0"}; }
    Changes log(const std::vector<std::string>& values) {
        Changes changes;
        for (Index index = 1; const auto& value : values)
            changes.push_back({index++, KvStore::encode_command(put(value))});
        return changes;
    }
    /// A snapshot of the store after these values.
    std::string bytes(const std::vector<std::string>& values) {
        auto store = workload.initial();
        for (const auto& value : values) store.apply(put(value));
        return sim::snapshot_bytes(store);
    }

    struct History : sim::ClientHistory<sim::KvWorkload> {
        void then(sim::KvModel::Input input, kv::Reply reply, Claim claim) {
            history.answer(history.begin("a", std::move(input), Time{}), std::move(reply), Time{}, claim);
            newest = std::max(newest, claim.change);
        }
        void put(const std::string& value, Index index) {
            then(kv::Command{kv::Put{"k0", value}}, std::monostate{}, {index});
        }
        void read(const std::string& value, Index index) { then(get(), value, {index, true}); }
        void dump(const std::vector<std::string>& values, Index at) {
            dumps.push_back({bytes(values), at, newest, history.events()});
        }
        std::string of_calls(const Changes& changes, Index kept = everything) const {
            return sim::judge_calls(workload, *this, changes, kept, {}).wrong;
        }
        std::string of_stores(const Changes& changes, const std::string& last, Index kept = everything) const {
            return sim::judge_stores(workload, *this, changes, kept, last);
        }
    };

    }  // namespace

    TEST_CASE("calls that fit the log are good and others are told with a history") {
        History history;
        history.put("1", 1);
        history.read("1", 1);
        CHECK(history.of_calls(log({"1"})) == "");
        history.read("2", 1);
        const auto finding = sim::judge_calls(workload, history, log({"1"}), everything, {});
        CHECK(finding.wrong == "what its clients saw is not linearizable in the order of the log");
        CHECK(finding.evidence.find("get \"k0\"") != std::string::npos);
        CHECK(history.of_calls(log({})) != "");
    }

    TEST_CASE("a store at the end is what the log makes of the first one") {
        const History history;
        CHECK(history.of_stores(log({"1", "2"}), bytes({"1", "2"})) == "");
        CHECK(history.of_stores(log({"1", "2"}), bytes({"1"})) == "the store is not what the log makes of it");
    }

    TEST_CASE("a dump holds what the log makes of the store up to its place") {
        History history;
        history.dump({"1"}, 1);
        CHECK(history.of_stores(log({"1", "2"}), bytes({"1", "2"})) == "");
        history.dump({"1"}, 2);
        CHECK(history.of_stores(log({"1", "2"}), bytes({"1", "2"})) ==
              "a dump that ends with entry 2 is not what the log makes of the store");
    }

    TEST_CASE("a dump that was begun after an answer holds it") {
        History history;
        history.put("1", 1);
        history.put("2", 2);
        history.dump({"1"}, 1);
        CHECK(history.of_stores(log({"1", "2"}), bytes({"1", "2"})) ==
              "a dump that ends with entry 1 was begun after entry 2 was answered");
    }

    TEST_CASE("what an operator gave up is judged no more and what is left goes on") {
        History history;
        history.put("1", 1);
        history.put("2", 2);
        history.dump({"1", "2"}, 2);
        const auto changes = log({"1", "3"});
        CHECK(history.of_calls(changes, 1) != "");
        history.force();
        history.read("1", 1);
        history.put("3", 2);
        history.dump({"1"}, 1);
        CHECK(history.of_calls(changes, 1) == "");
        CHECK(history.of_stores(changes, bytes({"1", "3"}), 1) ==
              "a dump that ends with entry 1 was begun after entry 2 was answered");
        history.dumps.pop_back();
        CHECK(history.of_stores(changes, bytes({"1", "3"}), 1) == "");
        CHECK(history.of_stores(changes, bytes({"1", "3"}), everything) != "");
    }

    TEST_CASE("a command that was answered and lost may be left elsewhere") {
        History history;
        history.put("1", 1);
        history.put("2", 2);
        history.force();
        history.read("2", 1);
        CHECK(history.of_calls(log({"2"}), 0) == "");
        CHECK(history.of_calls(log({"2", "2"}), 0) != "");
    }
}
