// Replicas whose peers violate the protocol. No message of such a peer may end the process, make it spin, or undo an
// acknowledged write. Most of these cases were found by fuzzing (tests/fuzz).
#include <doctest/doctest.h>

#include <limits>

#include "tests/support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;

TEST_SUITE("replica_hostile") {
    Entry entry(ViewNumber number, Index index, const JsonText& command) {
        return {{number, index}, EntryKind::command, {}, 0, 0, command};
    }
    Append append(ViewNumber number, Position prev, std::vector<Entry> entries, Index commit = 0) {
        return {ReplicaGroup::cluster, "main", {number, {}}, prev, std::move(entries), commit, 0};
    }
    Install install(ViewNumber number, Position at) {
        return {ReplicaGroup::cluster, "main", {number, {}}, {Incarnation{1}, at}, 0, "2 0  x;", true};
    }

    /// `b` is a backup of view 1; the test plays the primary.
    ReplicaGroup backup() {
        ReplicaGroup group;
        group.start("b", 2);
        group.decide({"a", Incarnation{1}, false}, {group.member("b", true)});
        return group;
    }
    ViewInfo led_by_b(ReplicaGroup & group, Duration ping_interval) {
        group.start("b", 2);
        group.view = View{1, group.member("b"), {{"c", Incarnation{3}, false}}};
        auto info = group.info();
        info.ping_interval = ping_interval;
        return info;
    }

    TEST_CASE("C3: a number without a session and a session without a number are refused") {
        ReplicaGroup group;
        group.start("a", 1);
        group.decide(group.member("a"), {});
        Execute stray{ReplicaGroup::cluster, "main", {}, 3, 0, "x"};
        CHECK(group.outcome(group.ask("a", stray)) == "invalid_params");
        stray.seq = 0;
        stray.low = 1;
        CHECK(group.outcome(group.ask("a", stray)) == "invalid_params");
        const Execute unnumbered{ReplicaGroup::cluster, "main", {1, 1}, 0, 0, "x"};
        CHECK(group.outcome(group.ask("a", unnumbered)) == "invalid_params");
        CHECK(group["a"].state().log.last().index == 0);
    }

    TEST_CASE("a status that is meant for another cluster or group is refused") {
        auto group = backup();
        CHECK(group.outcome(group.ask("b", ReplicaStatus{ClusterId{99}, {}})) == "wrong_cluster");
        CHECK(group.outcome(group.ask("b", ReplicaStatus{{}, "other"})) == "wrong_group");
        CHECK(group.outcome(group.ask("b", ReplicaStatus{ReplicaGroup::cluster, "main"})) == "other");
        CHECK(group.outcome(group.ask("b", ReplicaStatus{})) == "other");
    }

    TEST_CASE("S3: what was acknowledged in a view is not cut off in the same view") {
        auto group = backup();
        CHECK(group.outcome(group.ask("b", append(1, {}, {entry(1, 1, "x"), entry(1, 2, "y")}))) == "other");
        auto early = group.ask("b", append(1, {}, {entry(0, 1, "z")}));
        CHECK(group.outcome(early) == "bad_request");
        group.ask("b", append(1, {1, 2}, {}, 2));
        CHECK(group["b"].state().commit == 2);
        CHECK(group["b"].state().log.last() == Position{1, 2});
    }

    TEST_CASE("S8: a snapshot of less than what was acknowledged in the view takes nothing back") {
        auto group = backup();
        group.ask("b", append(1, {}, {entry(1, 1, "x"), entry(1, 2, "y"), entry(1, 3, "z")}));
        CHECK(group.outcome(group.ask("b", install(1, {1, 2}))) == "other");
        CHECK(group["b"].state().log.last() == Position{1, 3});
        CHECK(group["b"].state().applied == Position{1, 2});
        CHECK(group["b"].store().all == "x;");  // the state of the snapshot
        CHECK(group.outcome(group.ask("b", append(1, {1, 3}, {}, 3))) == "other");
        CHECK(group["b"].state().applied == Position{1, 3});
        CHECK(group["b"].store().all == "x;z;");
    }

    TEST_CASE("S8: a snapshot of a later view or without a next index is refused") {
        auto group = backup();
        CHECK(group.outcome(group.ask("b", install(1, {2, 5}))) == "invalid_params");
        CHECK(group.outcome(group.ask("b", install(1, {1, std::numeric_limits<Index>::max()}))) == "invalid_params");
        CHECK(group["b"].state().log.last() == Position{});
        CHECK(group.outcome(group.ask("b", install(1, {1, 5}))) == "other");
        CHECK(group["b"].state().log.last() == Position{1, 5});
    }

    TEST_CASE("S8: a snapshot that conflicts with what was acknowledged in the view is refused") {
        auto group = backup();
        group.ask("b", append(1, {}, {entry(1, 1, "x"), entry(1, 2, "y")}));
        CHECK(group.outcome(group.ask("b", install(1, {0, 1}))) == "invalid_params");
        group.ask("b", append(1, {1, 2}, {}, 2));
        CHECK(group["b"].store().all == "x;y;");
    }

    TEST_CASE("S1: a view that has the number of the one known and other members is not adopted") {
        ReplicaGroup group;
        const auto info = led_by_b(group, 100ms);
        group.give("b", ReplicaGroup::views, {}, ViewChanged{info});
        REQUIRE(group["b"].serving());
        auto lie = info;
        lie.view.primary = {"c", Incarnation{3}, false};
        lie.view.backups = {{"b", Incarnation{2}, true}};
        group.give("b", ReplicaGroup::views, {}, ViewChanged{lie});
        CHECK(group["b"].serving());
        CHECK(group["b"].view() == info);
        group.give("b", "c", make_call_id(Method::replica_append, 1), AppendResult{1, 0, 0});
        CHECK(group.pings["b"].synced == std::vector<Address>{"c"});
        auto grown = info;  // the view that a view service decides after that ping is accepted
        grown.view.backups[0].synced = true;
        group.give("b", ReplicaGroup::views, {}, ViewChanged{grown});
        CHECK(group["b"].view() == grown);
    }

    TEST_CASE("S8: a backup that answers every chunk and takes none is asked again once a ping interval") {
        ReplicaGroup group;
        group.options.log_bytes = 0;
        const auto info = led_by_b(group, 100ms);
        group.give("b", ReplicaGroup::views, {}, ViewChanged{info});
        group.give("b", "c", make_call_id(Method::replica_append, 1), AppendResult{1, 0, 0});
        group.put("b", "x");
        auto behind = info;
        behind.view.number = 2;
        behind.view.backups[0].incarnation = Incarnation{4};  // a new process without state
        group.wire.clear();
        group.give("b", ReplicaGroup::views, {}, ViewChanged{behind});
        int chunks = 0;
        std::size_t at_once = 0;  // turns in a row at the same time: at most as many as fit into the window
        for (int turn = 0; turn < 50; ++turn) {
            at_once = group["b"].deadline() > group.now ? 0 : at_once + 1;
            REQUIRE(at_once < group.options.chunk_window);
            for (auto sent = std::exchange(group.wire, {}); auto& [from, envelope] : sent) {
                if (auto* install = std::get_if<Install>(&envelope.message)) {
                    ++chunks;
                    group.give("b", "c", envelope.id, InstallResult{2, install->snapshot, 0});
                } else {
                    group.give("b", "c", envelope.id,
                               Failure{"replica.append", error::mismatch, {}, behind, Held{}, {}});
                }
            }
            group.now = std::max(group.now, group["b"].deadline());
            group.turn("b");
        }
        CHECK(chunks > 10);
    }

    TEST_CASE("a ping interval or D that cannot be worked with neither spins nor overflows") {
        for (const auto length : {Duration{}, Duration{1}, Duration::max()}) {
            ReplicaGroup group;
            const auto info = led_by_b(group, length);
            group.give("b", ReplicaGroup::views, {}, PingResult{info, length, false});
            CHECK(group["b"].deadline() > group.now);
            group.pass(20ms);
            CHECK(group["b"].deadline() > group.now);
        }
    }
}
