// The memory that sessions and their results take at a primary: C4, C6, S11.
#include <doctest/doctest.h>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("replica_sessions") {
    namespace {
    /// Room for 64 KiB of results, of which one session gets 8 KiB; a session is never refused its first 512 bytes.
    ReplicaGroup with_little_room() {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_result_bytes = 64u << 10;
        options.max_sessions = 32;
        return pair_in_sync(options);
    }
    std::string put(ReplicaGroup& group, const std::string& command, SessionId session, Sequence seq, Sequence low) {
        const auto id = group.put("a", command, session, seq, low);
        group.settle();
        return group.outcome(id).substr(0, 12);
    }
    std::string open(ReplicaGroup& group, const Address& peer) {
        const auto id = std::to_string(++group.next_id);
        group.give("a", peer, id, Open{ReplicaGroup::cluster, "main"});
        group.settle();
        return group.outcome(id);
    }
    }  // namespace

    TEST_CASE("C6: a session whose results take much goes on when its client has acknowledged some") {
        auto group = with_little_room();
        const auto session = group.open("a");
        CHECK(put(group, "answer 3000", session, 1, 1) == "aaaaaaaaaaaa");
        CHECK(put(group, "answer 3000", session, 2, 1) == "aaaaaaaaaaaa");
        const auto last = group["a"].state().log.last();
        CHECK(put(group, "answer 3000", session, 3, 1) == "overloaded");
        CHECK(group["a"].state().log.last() == last);
        CHECK(put(group, "answer 3000", session, 2, 1) == "aaaaaaaaaaaa");  // a repetition is not a new command
        CHECK(put(group, "answer 3000", session, 3, 3) == "aaaaaaaaaaaa");
        // larger than its share: allowed as the only result of a session
        CHECK(put(group, "answer 30000", session, 4, 4) == "aaaaaaaaaaaa");
        CHECK(put(group, "x", session, 5, 4) == "overloaded");
        CHECK(put(group, "x", session, 5, 5) == "2");
    }

    TEST_CASE("C6: the lowest command that is not answered is never refused for what those after it returned") {
        auto group = with_little_room();
        const auto session = group.open("a");
        for (Sequence seq = 2; seq <= 3; ++seq) put(group, "answer 5000", session, seq, 1);
        CHECK(put(group, "answer 3000", session, 4, 1) == "overloaded");
        CHECK(put(group, "answer 3000", session, 1, 1) == "aaaaaaaaaaaa");
    }

    TEST_CASE("C6: results that are still to come count for as much as those before them") {
        auto group = with_little_room();
        const auto session = group.open("a");
        CHECK(put(group, "answer 3000", session, 1, 1) == "aaaaaaaaaaaa");
        std::vector<CallId> calls;
        for (Sequence seq = 2; seq <= 20; ++seq) calls.push_back(group.put("a", "answer 3000", session, seq, 2));
        group.settle();
        int answered = 0;
        for (const auto& id : calls) answered += group.outcome(id) != "overloaded";
        CHECK(answered == 2);
        CHECK(group["a"].state().sessions.bytes() < 8u << 10);
    }

    TEST_CASE("C6: the results of all sessions are bounded in bytes and those of long ago make room") {
        auto group = with_little_room();
        const auto light = group.open("a");
        CHECK(put(group, "x", light, 1, 1) == "2");
        std::vector<SessionId> heavy;
        for (int i = 0; i < 20; ++i) heavy.push_back(group.open("a"));
        int taken = 0;
        for (auto session : heavy) taken += put(group, "answer 7000", session, 1, 1) != "overloaded";
        CHECK(taken == 7);
        const auto& sessions = group["a"].state().sessions;
        CHECK(sessions.bytes() > 48u << 10);
        CHECK(sessions.bytes() < 64u << 10);
        CHECK(put(group, "y", light, 2, 2) == "4");  // a session that takes little is not delayed by them
        group.pass(11s);
        CHECK(sessions.bytes() <= 32u << 10);
        CHECK(group["b"].state().sessions == sessions);
        CHECK(put(group, "answer 7000", heavy.front(), 1, 1) == "session_expi");
        CHECK(put(group, "answer 7000", heavy.back(), 1, 1) == "aaaaaaaaaaaa");
        CHECK(put(group, "z", light, 3, 3) == "6");
    }

    TEST_CASE("C6: results that nobody expected make room as soon as their clients may have them") {
        auto group = with_little_room();
        std::vector<SessionId> heavy;
        for (int i = 0; i < 20; ++i) heavy.push_back(group.open("a"));
        for (auto session : heavy) group.put("a", "answer 7000", session, 1, 1);  // before their sizes are known
        group.settle();
        const auto& sessions = group["a"].state().sessions;
        CHECK(sessions.bytes() > 100'000);
        CHECK(put(group, "answer 7000", heavy.back(), 2, 1) == "overloaded");
        group.pass(3s);
        CHECK(sessions.bytes() <= 32u << 10);
        CHECK(group["b"].state().sessions == sessions);
    }

    TEST_CASE("C6: a replica applies what it is sent whatever its own options say") {
        auto group = with_little_room();
        group.options.max_result_bytes = 64u << 20;
        group.start("b", 3);
        group.decide(group.member("b"), {});
        group.settle();
        group.start("a", 4);
        group.decide(group.member("b"), {group.member("a")});
        group.options.max_result_bytes = 64u << 10;
        group.start("a", 5);
        group.decide(group.member("b"), {group.member("a")});
        group.settle();
        const auto session = group.open("b");
        for (Sequence seq = 1; seq <= 30; ++seq) group.put("b", "answer 7000", session, seq, 1);
        group.pass(20s);
        CHECK(group["a"].state().sessions == group["b"].state().sessions);
        CHECK(group["a"].state().sessions.bytes() > 200'000);
        group.decide(group.member("a"), {group.member("b")});  // it has less room
        group.pass(20s);
        CHECK(group["a"].state().sessions.bytes() == 0);
        CHECK(group["a"].state().sessions == group["b"].state().sessions);
    }

    TEST_CASE("C6: one connection opens at most max_sessions_per_peer sessions") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_sessions_per_peer = 2;
        options.session_ttl = 30s;
        auto group = pair_in_sync(options);
        CHECK(open(group, "client") == "other");
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        CHECK(open(group, "client") == "none");
        CHECK(open(group, "client") == "overloaded");  // an opening in progress counts
        CHECK(open(group, "client 2") == "none");
        group.lost = nullptr;
        group.pass(1s);
        CHECK(open(group, "client") == "overloaded");
        group.lose("a", "client");
        CHECK(open(group, "client") == "other");
        group.pass(2 * group.options.session_ttl);
        CHECK(group["a"].state().sessions.size() == 0);
        for (int i = 0; i < 2; ++i) CHECK(open(group, "client") == "other");
        CHECK(open(group, "client") == "overloaded");
    }

    TEST_CASE("C4: a full table loses the sessions that were never used and then those that are unused for long") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_sessions = 16;
        auto group = pair_in_sync(options);
        const auto used = group.open("a");
        CHECK(put(group, "x", used, 1, 1) == "2");
        for (int i = 0; i < 15; ++i) CHECK(open(group, "client") == "other");
        CHECK(open(group, "client") == "overloaded");
        group.pass(9s);
        CHECK(open(group, "client") == "overloaded");
        group.pass(2s);
        const auto& sessions = group["a"].state().sessions;
        CHECK(sessions.size() == 14);
        CHECK(sessions.find(used));
        CHECK(group["b"].state().sessions == sessions);

        std::vector<SessionId> all;
        for (const auto& [id, session] : sessions.all()) all.push_back(id);
        for (auto id : all) put(group, "y", id, 2, 2);  // so that all have been used
        for (int i = 0; i < 2; ++i) put(group, "y", group.open("a"), 1, 1);
        CHECK(open(group, "client") == "overloaded");
        group.pass(50s);
        CHECK(put(group, "y", used, 3, 3).size() > 0);
        CHECK(open(group, "client") == "overloaded");
        group.pass(12s);
        CHECK(sessions.size() == 14);
        CHECK(sessions.find(used));
    }

    TEST_CASE("C6: sessions are closed before their time only while the log has room for that") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_sessions = 64;
        options.max_call_bytes = 3 * Log::size_of({});
        auto group = pair_in_sync(options);
        for (int i = 0; i < 64; ++i) group.open("a");
        const auto& state = group["a"].state();
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        group.pass(12s);
        CHECK(state.log.last().index - state.commit == 4);
        CHECK(state.log.bytes(state.commit, state.log.last().index) <= options.max_call_bytes + Log::size_of({}));
        group.lost = nullptr;
        group.pass(4s);
        CHECK(state.sessions.size() == 56);
        CHECK(group["b"].state().sessions == state.sessions);
    }

    TEST_CASE("C4: a table that is not full keeps unused sessions for session_ttl") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_sessions = 64;
        options.session_ttl = 70s;
        auto group = pair_in_sync(options);
        for (int i = 0; i < 50; ++i) group.open("a");
        group.pass(group.options.session_ttl - 1s);
        CHECK(group["a"].state().sessions.size() == 50);
    }

    TEST_CASE("C6: sessions that were being opened when a primary stepped down do not count when it leads again") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_sessions = 2;
        options.max_sessions_per_peer = 2;
        auto group = pair_in_sync(options);
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        for (int i = 0; i < 2; ++i) CHECK(open(group, "client") == "none");
        CHECK(open(group, "client") == "overloaded");
        group.lost = nullptr;
        group.decide(group.member("b"), {group.member("a")});
        group.put("b", "x");  // replaces the openings
        group.pass(1s);
        REQUIRE(group["a"].state().sessions.size() == 0);
        group.decide(group.member("a"), {});
        for (int i = 0; i < 2; ++i) CHECK(open(group, "client") == "other");
        CHECK(open(group, "client") == "overloaded");
    }

    TEST_CASE("S11: a command that has taken effect is not answered from the table while too few are in sync") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.min_in_sync = 1;
        auto group = pair_in_sync(options);
        const auto session = group.open("a");
        CHECK(put(group, "x", session, 1, 1) == "2");
        group.decide(group.member("a"), {});
        CHECK(put(group, "x", session, 1, 1) == "not_enough_r");
        group.decide(group.member("a"), {group.member("b")});
        group.settle();
        CHECK(put(group, "x", session, 1, 1) == "2");
        CHECK(group["a"].store().all == "x;");
    }

    TEST_CASE("S11: a repeated command is not answered if the same turn brings a view with too few in sync") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.min_in_sync = 1;
        auto group = pair_in_sync(options);
        const auto session = group.open("a");
        CHECK(put(group, "x", session, 1, 1) == "2");
        replica::Output effects;
        group["a"].receive({ReplicaGroup::client, "77", Execute{ReplicaGroup::cluster, "main", session, 1, 1, "x"}},
                           group.now, effects);
        CHECK(effects.outbox.empty());
        group.decide(group.member("a"), {});
        CHECK(group.answer({"77"}) == nullptr);
        group.decide(group.member("a"), {group.member("b")});
        group.settle();
        CHECK(group.outcome({"77"}) == "2");
    }

    TEST_CASE("S11: a result that waits for its connection does not leave once too few are in sync") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}, .max_call_bytes = 300};
        options.min_in_sync = 1;
        auto group = pair_in_sync(options);
        const auto session = group.open("a");
        group["a"].backlog(ReplicaGroup::client, true);
        const auto first = group.put("a", "x", session, 1, 1);
        group.settle();
        const auto second = group.put("a", "x", session, 1, 1);
        group.decide(group.member("a"), {});
        group["a"].backlog(ReplicaGroup::client, false);
        group.turn("a");
        CHECK(group.outcome(first) == "none");
        CHECK(group.outcome(second) == "none");
        CHECK(group["a"].deadline() > group.now);  // it does not spin
        group.decide(group.member("a"), {group.member("b")});
        group.settle();
        CHECK(group.outcome(first) == "2");
        CHECK(group.outcome(second) == "2");
    }

    TEST_CASE("S11: results that are held back end with a primary that steps down and leave nothing behind") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.min_in_sync = 1;
        auto group = pair_in_sync(options);
        const auto session = group.open("a");
        group["a"].backlog(ReplicaGroup::client, true);
        const auto first = group.put("a", "x", session, 1, 1);
        group.settle();
        group.decide(group.member("a"), {});
        group["a"].backlog(ReplicaGroup::client, false);
        group.turn("a");
        REQUIRE(group.outcome(first) == "none");
        group.decide(group.member("b"), {group.member("a")});
        CHECK(group.outcome(first) == "not_primary");
    }

    TEST_CASE("C4: a session that its client closes is closed behind the commands that are on their way") {
        auto group = pair_in_sync({.view_service = {ReplicaGroup::views}});
        const auto session = group.open("a");
        const auto before = group.put("a", "x", session, 1, 1);
        const auto closed = group.ask("a", Close{ReplicaGroup::cluster, "main", session});
        const auto after = group.put("a", "y", session, 2, 1);
        CHECK(group.outcome(closed) == "none");
        group.settle();
        CHECK(group.outcome(before) == "2");
        CHECK(std::get<CloseResult>(*group.answer(closed)).at == Position{1, 3});
        CHECK(group.outcome(after) == "session_expired");
        CHECK(put(group, "x", session, 1, 1) == "session_expi");  // and not executed again
        CHECK(group["a"].store().all == "x;");
        CHECK(group["a"].state().sessions.size() == 0);
        group.pass(200ms);
        CHECK(group["b"].state().sessions.size() == 0);
        CHECK(group.count<SessionClosed>() == 0);  // nobody needs to be notified
        const auto again = group.ask("a", Close{ReplicaGroup::cluster, "main", session});
        group.settle();
        CHECK(std::holds_alternative<CloseResult>(*group.answer(again)));
    }

    TEST_CASE("C4: a new primary closes a session whose opening it inherited") {
        auto group = pair_in_sync({.view_service = {ReplicaGroup::views}});
        group.lost = [](auto& from, auto& to, auto& message) {
            return from == "b" && to == "a" && std::holds_alternative<AppendResult>(message);
        };
        group.ask("a", Open{ReplicaGroup::cluster, "main"});
        group.settle();
        const auto session = group["b"].state().log.last();
        REQUIRE(session.index == 1);
        REQUIRE(group["b"].state().sessions.size() == 0);
        group.lost = nullptr;
        group.decide(group.member("b"), {group.member("a", true)});
        group.ask("b", Close{ReplicaGroup::cluster, "main", session});
        group.pass(1s);
        CHECK(group["b"].state().applied.index == 2);
        CHECK(group["b"].state().sessions.size() == 0);
        CHECK(group["a"].state().sessions.size() == 0);
    }

    TEST_CASE("a primary knows what all members of its view announce") {
        auto group = pair_in_sync({.view_service = {ReplicaGroup::views}});
        const auto& feature = own_features().front();
        group.pass(200ms);
        CHECK(group["a"].all_announce(feature));
        CHECK(!group["a"].all_announce("nobody-does"));
        CHECK(!group["b"].all_announce(feature));  // it does not lead
        CHECK(group.pings["b"].features == own_features());

        group.start("c", 3);
        group.lost = [](auto& from, auto&, auto& message) {  // an older version announces nothing
            return from == "c" && std::holds_alternative<AppendResult>(message);
        };
        group.decide(group.member("a"), {group.member("b", true), group.member("c")});
        CHECK(!group["a"].all_announce(feature));
        group.pass(200ms);
        CHECK(!group["a"].all_announce(feature));
        group.lost = nullptr;
        group.pass(1s);
        CHECK(group["a"].all_announce(feature));
        group.decide(group.member("a"), {group.member("b", true)});
        CHECK(group["a"].all_announce(feature));  // the same process announced it in the view before
        group.start("b", 4);
        group.decide(group.member("a"), {group.member("b")});
        CHECK(!group["a"].all_announce(feature));  // another process, perhaps of an older version
    }
}
