// How commands reach the backups and become committed: S2, S3, S4, S7, S10, S11.
#include <doctest/doctest.h>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("replica_log") {
    namespace {
    Entry entry(ViewNumber view, Index index, std::string command) {
        return {{view, index}, EntryKind::command, {}, 0, 0, std::move(command)};
    }
    Append append(ViewNumber view, Position prev, std::vector<Entry> entries, Index commit = 0) {
        return {ReplicaGroup::cluster, "main", {view, {}}, prev, std::move(entries), commit, 0};
    }
    }  // namespace

    TEST_CASE("S2: a write is answered only when the backup has it") {
        auto group = pair_in_sync();
        auto id = group.put("a", "x");
        CHECK(group.outcome(id) == "none");
        group.settle();
        CHECK(group.outcome(id) == "2");
        CHECK(group["b"].state().log.last() == Position{1, 1});
    }

    TEST_CASE("S2: a backup applies what is committed and not more than it has acknowledged in this view") {
        auto group = pair_in_sync();
        group.ask("b", append(1, {}, {entry(1, 1, "x"), entry(1, 2, "y")}, 1));
        CHECK(group["b"].store().all == "x;");
        group.decide(group.member("a"), {group.member("b", true)}, {"b"});
        group.ask("b", append(2, {}, {}, 2));
        CHECK(group["b"].store().all == "x;");
        group.ask("b", append(2, {1, 2}, {}, 2));
        CHECK(group["b"].store().all == "x;y;");
    }

    TEST_CASE("S3: an append whose preceding entry is missing is refused with what the backup has") {
        auto group = pair_in_sync();
        group.ask("b", append(1, {}, {entry(1, 1, "x")}, 1));
        auto id = group.ask("b", append(1, {1, 5}, {entry(1, 6, "y")}));
        const auto& failure = std::get<Failure>(*group.answer(id));
        CHECK(failure.code == error::mismatch);
        CHECK(failure.held == Held{{1, 1}, 1});
    }

    TEST_CASE("S3: conflicting entries are cut off and the primary's stay") {
        auto group = pair_in_sync();
        group.ask("b", append(1, {}, {entry(1, 1, "x"), entry(1, 2, "old"), entry(1, 3, "older")}));
        group.decide(group.member("a"), {group.member("b", true)}, {"b"});
        group.ask("b", append(2, {1, 1}, {entry(2, 2, "new")}));
        CHECK(group["b"].state().log.last() == Position{2, 2});
        CHECK(group["b"].state().log[2].command == "new");
        CHECK(group.count<LogTruncated>() == 1);
    }

    TEST_CASE("S3: a late append cuts nothing that agrees and acknowledges the end of what it compared") {
        auto group = pair_in_sync();
        group.ask("b", append(1, {}, {entry(1, 1, "x"), entry(1, 2, "y"), entry(1, 3, "z")}));
        auto id = group.ask("b", append(1, {}, {entry(1, 1, "x")}));
        CHECK(std::get<AppendResult>(*group.answer(id)).match == 1);
        CHECK(group["b"].state().log.last().index == 3);
        CHECK(group.count<LogTruncated>() == 0);
    }

    TEST_CASE("S3: nothing at or below the commit index is ever cut") {
        auto group = pair_in_sync();
        group.ask("b", append(1, {}, {entry(1, 1, "x")}, 1));
        group.decide(group.member("a"), {group.member("b", true)}, {"b"});
        auto id = group.ask("b", append(2, {}, {entry(2, 1, "other")}));
        CHECK(group.outcome(id) == "bad_request");
        CHECK(group["b"].state().log[1].command == "x");
    }

    TEST_CASE("S3: an append with holes or views out of order is refused") {
        auto group = pair_in_sync();
        CHECK(group.outcome(group.ask("b", append(1, {}, {entry(1, 2, "x")}))) == "invalid_params");
        CHECK(group.outcome(group.ask("b", append(1, {}, {entry(7, 1, "x")}))) == "invalid_params");
        CHECK(group["b"].state().log.last().index == 0);
    }

    TEST_CASE("S3: an append that names a trimmed entry and then goes back in views is refused") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.log_bytes = 0;
        auto group = pair_in_sync(options);
        group.decide(group.member("a"), {group.member("b", true)}, {"b"});
        group.ask("b", append(2, {}, {entry(2, 1, "x"), entry(2, 2, "y")}, 2));
        REQUIRE(group["b"].state().log.first() == 3);
        auto id = group.ask("b", append(2, {0, 1}, {entry(1, 2, "y"), entry(1, 3, "z")}));
        CHECK(group.outcome(id) == "invalid_params");
    }

    TEST_CASE("S4: a joining backup enters Q when it has caught up and the primary pings at once") {
        auto group = alone();
        group.put("a", "x");
        group.settle();
        group.start("b", 2);
        group.decide(group.member("a"), {group.member("b")});
        CHECK(group.pings["a"].synced->empty());
        group.settle();
        CHECK(group.pings["a"].synced == std::vector<Address>{"b"});
        CHECK(group.pings["a"].viewnum == 2);
        CHECK(group.count<BackupInSync>() == 1);
    }

    TEST_CASE("S4: while a backup is joining writes do not wait for it") {
        ReplicaGroup group;
        group.start("a", 1);
        group.start("b", 2);
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        group.decide(group.member("a"), {group.member("b")}, {"a"});
        CHECK(group.outcome(group.put("a", "x")) == "2");
    }

    TEST_CASE("S4: what the primary inherited must reach a joining backup before it counts") {
        ReplicaGroup group;
        for (auto [name, incarnation] : {std::pair{"a", 1}, {"b", 2}, {"c", 3}})
            group.start(name, static_cast<std::uint64_t>(incarnation));
        group.decide(group.member("a"), {group.member("b", true)}, {"a", "b"});
        group.settle();
        group.lost = [](auto& from, auto&, auto& message) {
            return from == "b" && std::holds_alternative<AppendResult>(message);
        };
        group.put("a", "x");
        group.put("a", "y");
        group.settle();
        REQUIRE(group["b"].state().log.last().index == 2);
        REQUIRE(group["b"].state().commit == 0);
        // b takes over. c is joining. d is synced but silent, so the commit index stays where it is.
        group.start("d", 4);
        group.lost = [](auto& from, auto& to, auto& message) {
            if (to == "d") return true;
            auto* append = std::get_if<Append>(&message);
            return from == "b" && append && append->entries.size() > 0;
        };
        group.decide(group.member("b"), {group.member("c"), group.member("d", true)}, {"b"});
        group.pass(20ms);
        CHECK(group.pings["b"].synced == std::vector<Address>{"d"});
        group.lost = [](auto&, auto& to, auto&) { return to == "d"; };
        group.pass(100ms);
        CHECK(group["c"].state().log.last().index == 2);
        CHECK(group.pings["b"].synced == std::vector<Address>{"c", "d"});
    }

    TEST_CASE("S4: an acknowledgement of another view does not count") {
        auto group = pair_in_sync();
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        auto id = group.put("a", "x");
        group.give("a", "b", make_call_id(Method::replica_append, 2), AppendResult{0, 1, 0});
        CHECK(group.outcome(id) == "none");
        group.give("a", "b", make_call_id(Method::replica_append, 2), AppendResult{1, 1, 0});
        CHECK(group.outcome(id) == "2");
    }

    TEST_CASE("S4: an acknowledgement that the former life of a backup sent does not count for the present one") {
        auto group = pair_in_sync();
        group.put("a", "x");
        group.settle();
        group.start("b", 3);  // it has no state
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        group.decide(group.member("a"), {group.member("b")}, {"a"});
        group.give("a", "b", make_call_id(Method::replica_append, 2), AppendResult{1, 1, 0});
        CHECK(group.pings["a"].synced == std::vector<Address>{});
    }

    TEST_CASE("S4: a match that is known carries over to the next view with the same process as backup") {
        auto group = pair_in_sync();
        group.put("a", "x");
        group.settle();
        group.start("c", 3);
        group.lost = [](auto&, auto& to, auto&) { return to != "views"; };
        group.decide(group.member("a"), {group.member("b"), group.member("c")}, {"a"});
        CHECK(group.pings["a"].synced == std::vector<Address>{"b"});
    }

    TEST_CASE("S7: a lost append is sent again after D/20 and lost ones in the middle are found by the next") {
        auto group = pair_in_sync();
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        auto first = group.put("a", "x");
        group.lost = nullptr;
        group.pass(24ms);
        CHECK(group.outcome(first) == "none");
        group.pass(2ms);
        CHECK(group.outcome(first) == "2");
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        group.put("a", "y");
        group.lost = nullptr;
        auto third = group.put("a", "z");
        group.settle();
        CHECK(group.outcome(third) == "6");
    }

    TEST_CASE("S7: a backup that acknowledges nothing for D/2 is reported unreachable and stays in Q") {
        auto group = pair_in_sync();
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        auto id = group.put("a", "x");
        group.pass(249ms);
        CHECK(group.pings["a"].unreachable.empty());
        group.pass(15ms);
        CHECK(group.pings["a"].unreachable == std::vector<Address>{"b"});
        CHECK(group.pings["a"].synced == std::vector<Address>{"b"});
        CHECK(group.outcome(id) == "none");
        CHECK(group.count<BackupUnreachable>() == 1);
        group.lost = nullptr;
        group.pass(200ms);
        CHECK(group.pings["a"].unreachable.empty());
        CHECK(group.outcome(id) == "2");
    }

    TEST_CASE("S7: with nothing outstanding an empty append each ping interval carries the commit index") {
        auto group = pair_in_sync();
        group.put("a", "x");
        group.settle();
        CHECK(group["b"].store().all.empty());
        group.pass(101ms);
        CHECK(group["b"].store().all == "x;");
    }

    TEST_CASE("S7: the time that a process did not run is not held against its backups") {
        auto group = pair_in_sync();
        group.put("a", "x");  // the answer arrives while a does not run
        group.now += 10s;
        group.turn("a");
        group.settle();
        group.turn("a");
        CHECK(group.pings["a"].unreachable.empty());
        CHECK(group.count<BackupUnreachable>() == 0);
    }

    TEST_CASE("S10: a command that is repeated has no second effect and returns the first result") {
        auto group = pair_in_sync();
        auto session = group.open("a");
        auto first = group.put("a", "x", session, 1, 1);
        auto again = group.put("a", "x", session, 1, 1);  // while the first attempt is in progress
        group.settle();
        auto later = group.put("a", "x", session, 1, 1);
        group.settle();
        CHECK(group["a"].store().all == "x;");
        for (const auto& id : {first, again, later}) CHECK(group.outcome(id) == "2");
        auto at = [&](const CallId& id) { return std::get<ExecuteResult>(*group.answer(id)).at; };
        CHECK(at(first) == at(again));
        CHECK(at(first) == at(later));
    }

    TEST_CASE("S10: the session table goes with the log and a retry at the new primary finds it") {
        auto group = pair_in_sync();
        auto session = group.open("a");
        group.put("a", "x", session, 1, 1);
        group.settle();
        group.decide(group.member("b"), {});
        auto retry = group.put("b", "x", session, 1, 1);
        group.settle();
        CHECK(group.outcome(retry) == "2");
        CHECK(group["b"].store().all == "x;");
    }

    TEST_CASE("S10: a command that is retried at two primaries while it is inherited takes effect once") {
        auto group = pair_in_sync();
        const auto session = group.open("a");
        group.pass(110ms);
        const auto at = Position{1, group["a"].state().log.last().index + 1};
        group.lost = [](auto& from, auto&, auto&) { return from == "b"; };
        const auto first = group.put("a", "x", session, 1, 1);
        group.settle();
        REQUIRE(group["b"].state().log.last() == at);
        REQUIRE(group["b"].state().commit < at.index);
        group.lost = [](auto&, auto& to, auto&) { return to == "a"; };
        group.decide(group.member("b"), {group.member("a", true)}, {"b"});
        const auto at_new = group.put("b", "x", session, 1, 1);
        const auto at_old = group.put("a", "x", session, 1, 1);
        for (const auto& id : {first, at_new, at_old}) CHECK(group.outcome(id) == "none");
        group.lost = nullptr;
        group.pass(300ms);
        REQUIRE(group.outcome(at_new) == "2");
        CHECK(std::get<ExecuteResult>(*group.answer(at_new)).at == at);
        CHECK(group.outcome(first) == "not_primary");
        CHECK(group.outcome(at_old) == "not_primary");
        for (const auto* name : {"a", "b"}) CHECK(group[name].store().all == "x;");
        CHECK(group["a"].state().log == group["b"].state().log);
        CHECK(group.count<LogTruncated>() == 1);
    }

    TEST_CASE("C3: below low nothing takes effect and results are forgotten") {
        auto group = pair_in_sync();
        auto session = group.open("a");
        group.put("a", "x", session, 1, 1);
        group.put("a", "y", session, 3, 3);
        group.settle();
        auto late = group.put("a", "never", session, 2, 2);
        auto forgotten = group.put("a", "x", session, 1, 1);
        group.settle();
        CHECK(group.outcome(late) == "bad_request");
        CHECK(group.outcome(forgotten) == "bad_request");
        CHECK(group["a"].store().all == "x;y;");
        CHECK(group["a"].state().sessions.find(session)->results.size() == 1);
    }

    TEST_CASE("C5: without a session a command takes effect each time that it is sent") {
        auto group = pair_in_sync();
        group.put("a", "x");
        group.put("a", "x");
        group.settle();
        CHECK(group["a"].store().all == "x;x;");
    }

    TEST_CASE("S11: with fewer backups in Q than min_in_sync writes are refused and reads are served") {
        ReplicaGroup group;
        group.options.min_in_sync = 1;
        group.start("a", 1);
        group.decide(group.member("a"));
        CHECK(group.outcome(group.put("a", "x")) == "not_enough_replicas");
        auto read = group.query("a");
        CHECK(group.outcome(read).empty());
    }

    TEST_CASE("S11: a write that was taken before is answered only when Q is large enough again") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.min_in_sync = 1;
        auto group = pair_in_sync(options);
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        auto id = group.put("a", "x");
        group.start("c", 3);
        group.decide(group.member("a"), {}, {"a"});
        CHECK(group.outcome(id) == "none");
        group.lost = nullptr;
        group.decide(group.member("a"), {group.member("c")});
        group.settle();
        CHECK(group.outcome(id) == "2");
    }
}
