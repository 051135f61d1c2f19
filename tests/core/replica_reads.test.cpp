// Reads in confirm mode, sessions that expire (C4), admission (C6), and exports.
#include <doctest/doctest.h>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("replica_reads") {
    TEST_CASE("a read is answered once every backup in Q has said that the view stands") {
        auto group = pair_in_sync();
        group.put("a", "x");
        group.settle();
        auto read = group.query("a");
        CHECK(group.outcome(read) == "none");
        group.settle();
        CHECK(group.outcome(read) == "x;");
        CHECK(std::get<QueryResult>(*group.answer(read)).at == Position{1, 1});
    }

    TEST_CASE("a primary whose Q is empty answers a read at once") {
        auto group = alone();
        CHECK(group.outcome(group.query("a")).empty());
        CHECK(group.outcome(group.query("a", "bad")) == "bad_request");
    }

    TEST_CASE("a yes to an earlier round does not answer a later read") {
        auto group = pair_in_sync();
        auto first = group.query("a");
        auto held_back = group.wire;
        group.wire.clear();
        auto second = group.query("a");
        group.wire.clear();
        for (auto& message : held_back) group.wire.push_back(message);
        group.settle();
        CHECK(group.outcome(first).empty());
        CHECK(group.outcome(second) == "none");
        group.pass(30ms);
        CHECK(group.outcome(second).empty());
    }

    TEST_CASE("one round serves all reads that wait when it is sent") {
        auto group = pair_in_sync();
        replica::Output effects;
        for (int i = 0; i < 50; ++i)
            group["a"].receive({"client", std::to_string(i), Query{ReplicaGroup::cluster, "main", "all"}}, group.now,
                               effects);
        group["a"].wake(group.now, effects);
        CHECK(effects.outbox.size() == 1);
    }

    TEST_CASE("an old primary that is cut off does not answer a read") {
        auto group = pair_in_sync();
        group.decide(group.member("b"), {}, {"b"});
        group.put("b", "new");
        auto read = group.query("a");
        group.settle();
        CHECK(group.outcome(read) == "not_primary");
    }

    TEST_CASE(
        "C4: a session unused for session_ttl is closed by an entry and a request in it ends with session_expired") {
        auto group = pair_in_sync();
        auto session = group.open("a");
        group.put("a", "x", session, 1, 1);
        group.pass(group.options.session_ttl - 1s);
        CHECK(group["a"].state().sessions.size() == 1);
        group.pass(group.options.session_ttl / 4);
        CHECK(group["a"].state().sessions.size() == 0);
        CHECK(group["b"].state().sessions.size() == 0);
        CHECK(group.count<SessionClosed>() == 1);
        auto late = group.put("a", "y", session, 2, 2);
        group.settle();
        CHECK(group.outcome(late) == "session_expired");
        CHECK(group["a"].store().all == "x;");
    }

    TEST_CASE(
        "C4: while the closing of a session is not committed a retry has its first result and then nothing does") {
        auto group = pair_in_sync();
        const auto session = group.open("a");
        const auto first = group.put("a", "x", session, 1, 1);
        group.settle();
        group.pass(110ms);
        const Position at = std::get<ExecuteResult>(*group.answer(first)).at;
        const auto expect_first = [&](const char* server) {
            const auto retry = group.put(server, "x", session, 1, 1);
            REQUIRE(group.outcome(retry) == "2");
            CHECK(std::get<ExecuteResult>(*group.answer(retry)).at == at);
        };
        const auto last = group["a"].state().log.last().index;
        Address serving;
        CallId second;
        SUBCASE("at the primary that logged it") {
            group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
            group.now += group.options.session_ttl + group.options.session_ttl / 4;
            group.turn("a");
            REQUIRE(group["a"].state().log.last().index == last + 1);
            expect_first("a");
            second = group.put("a", "y", session, 2, 2);
            serving = "a";
        }
        SUBCASE("at one that inherited it") {
            group.lost = [](auto& from, auto&, auto&) { return from == "b"; };
            group.now += group.options.session_ttl + group.options.session_ttl / 4;
            group.turn("a");
            group.settle();
            REQUIRE(group["b"].state().log.last().index == last + 1);
            group.lost = [](auto&, auto& to, auto&) { return to == "a"; };
            group.decide(group.member("b"), {group.member("a", true)}, {"b"});
            expect_first("b");
            second = group.put("b", "y", session, 2, 2);
            serving = "b";
        }
        CHECK(group.outcome(second) == "none");
        CHECK(group.count<SessionClosed>() == 0);
        group.lost = nullptr;
        group.pass(1s);
        CHECK(group.outcome(second) == "session_expired");
        CHECK(group.count<SessionClosed>() == 1);
        const auto late = group.put(serving, "x", session, 1, 1);
        group.pass(1s);
        CHECK(group.outcome(late) == "session_expired");
        for (const auto* name : {"a", "b"}) {
            CHECK(group[name].store().all == "x;");
            CHECK(group[name].state().sessions.size() == 0);
        }
        CHECK(group.count<SessionClosed>() == 1);
    }

    TEST_CASE("C4: sessions that expire together are closed as the log has room for it") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_call_bytes = 1000;
        auto group = pair_in_sync(options);
        for (int i = 0; i < 100; ++i) group.open("a");
        const auto& state = group["a"].state();
        REQUIRE(state.sessions.size() == 100);
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        group.pass(group.options.session_ttl + group.options.session_ttl / 4);
        CHECK(state.log.bytes(state.commit, state.log.last().index) <= 1000 + Log::size_of({}));
        CHECK(state.log.last().index > state.commit);
        group.lost = nullptr;
        group.pass(3 * group.options.session_ttl);
        CHECK(state.sessions.size() == 0);
    }

    TEST_CASE("C4: a session's time counts from the takeover at the earliest") {
        auto group = pair_in_sync();
        group.open("a");
        group.pass(group.options.session_ttl - 1s);
        group.decide(group.member("b"), {});
        group.pass(group.options.session_ttl / 2);
        CHECK(group["b"].state().sessions.size() == 1);
    }

    TEST_CASE(
        "C6: beyond max_sessions and max_calls and max_call_bytes the answer is overloaded and nothing is logged") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_sessions = 2;
        options.max_calls = 3;
        options.max_call_bytes = 3000;
        auto group = pair_in_sync(options);
        group.open("a");
        group.open("a");
        auto third = group.ask("a", Open{ReplicaGroup::cluster, "main"});
        CHECK(group.outcome(third) == "overloaded");
        CHECK(group.outcome(group.put("a", std::string(4000, 'x'))) == "overloaded");
        auto last = group["a"].state().log.last().index;
        for (int i = 0; i < 3; ++i) group.put("a", "x");
        CHECK(group.outcome(group.put("a", "x")) == "overloaded");
        CHECK(group["a"].state().log.last().index == last + 3);
    }

    TEST_CASE("C6: a session keeps at most max_results and a command too far beyond its low is not logged") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_results = 2;
        auto group = pair_in_sync(options);
        const auto session = group.open("a");
        const auto put = [&](Sequence seq, Sequence low) {
            const auto id = group.put("a", std::to_string(seq), session, seq, low);
            group.settle();
            CHECK(group["a"].state().sessions.find(session)->results.size() <= 2);
            return group.outcome(id);
        };
        CHECK(put(1, 1) == "2");
        CHECK(put(2, 1) == "4");
        const auto last = group["a"].state().log.last();
        CHECK(put(3, 1) == "overloaded");
        CHECK(group["a"].state().log.last() == last);
        CHECK(put(3, 2) == "6");
        CHECK(put(2, 2) == "4");
        CHECK(put(5, 4) == "8");  // before the command with the lower number
        CHECK(put(4, 4) == "10");
        CHECK(put(5, 4) == "8");
        CHECK(group["a"].store().all == "1;2;3;5;4;");
    }

    TEST_CASE("C6: a connection with too many requests in progress is not read until half are answered") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_calls_per_peer = 4;
        auto group = pair_in_sync(options);
        replica::Output effects;
        for (int i = 0; i < 4; ++i)
            group["a"].receive({"client", std::to_string(i), Execute{ReplicaGroup::cluster, "main", {}, 0, 0, "x"}},
                               group.now, effects);
        REQUIRE(effects.holds.size() == 1);
        CHECK(effects.holds[0].on);
        group["a"].wake(group.now, effects);
        replica::Output later;
        group["a"].receive({"b", make_call_id(Method::replica_append, 2), AppendResult{1, 2, 0}}, group.now, later);
        group["a"].wake(group.now, later);
        REQUIRE(later.holds.size() == 1);
        CHECK_FALSE(later.holds[0].on);
    }

    TEST_CASE("a command that the store cannot decode or that is too large is refused before it is logged") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_command = 100;
        auto group = alone(options);
        CHECK(group.outcome(group.put("a", "bad")) == "bad_request");
        CHECK(group.outcome(group.put("a", std::string(101, 'x'))) == "too_large");
        CHECK(group["a"].state().log.last().index == 0);
    }

    TEST_CASE("a dump is a snapshot that stays as it was while writes go on") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.chunk_bytes = 3;
        auto group = alone(options);
        group.put("a", "one");
        group.put("a", "two");
        auto id = group.ask("a", Dump{ReplicaGroup::cluster, "main", {}, 0});
        auto piece = std::get<DumpResult>(*group.answer(id));
        std::string all = piece.data;
        while (!piece.last) {
            group.put("a", "more");
            id = group.ask("a", Dump{ReplicaGroup::cluster, "main", piece.at, piece.chunk + 1});
            piece = std::get<DumpResult>(*group.answer(id));
            all += piece.data;
        }
        CHECK(all == "one;two;");
        group.pass(group.options.dump_ttl + 1s);
        CHECK(group.outcome(group.ask("a", Dump{ReplicaGroup::cluster, "main", piece.at, 0})) == "bad_chunk");
    }

    namespace {

    /// A server with two values, whose exports are read three bytes at a time.
    struct Dumping {
        ReplicaGroup group = [] {
            ReplicaOptions options{.view_service = {ReplicaGroup::views}};
            options.chunk_bytes = 3;
            return alone(options);
        }();

        Dumping() {
            group.put("a", "one");
            group.put("a", "two");
        }
        CallId send(std::optional<Position> at, std::uint64_t chunk) {
            return group.ask("a", Dump{ReplicaGroup::cluster, "main", at, chunk});
        }
        DumpResult begin() { return std::get<DumpResult>(*group.answer(send({}, 0))); }
        DumpResult read(Position at, std::uint64_t chunk) {
            return std::get<DumpResult>(*group.answer(send(at, chunk)));
        }
    };

    }  // namespace

    TEST_CASE("a piece of a dump that is asked for again is the same and the next one follows it") {
        Dumping dumping;
        auto piece = dumping.begin();
        const auto at = piece.at;
        std::string all = piece.data;
        while (!piece.last) {
            const auto next = piece.chunk + 1;
            piece = dumping.read(at, next);
            CHECK(dumping.read(at, next) == piece);
            all += piece.data;
        }
        CHECK(all == "one;two;");
        CHECK(dumping.group.outcome(dumping.send(at, 0)) == "bad_chunk");
    }

    TEST_CASE("dumps that were read to their end do not count against max_dumps") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_dumps = 2;
        auto group = alone(options);
        for (int n = 0; n < 5; ++n) {
            group.put("a", "x");
            auto piece =
                std::get<DumpResult>(*group.answer(group.ask("a", Dump{ReplicaGroup::cluster, "main", {}, 0})));
            while (!piece.last) {
                auto id = group.ask("a", Dump{ReplicaGroup::cluster, "main", piece.at, piece.chunk + 1});
                piece = std::get<DumpResult>(*group.answer(id));
            }
        }
        for (int n = 0; n < 2; ++n) {
            group.put("a", "x");
            group.ask("a", Dump{ReplicaGroup::cluster, "main", {}, 0});
        }
        group.put("a", "x");
        CHECK(group.outcome(group.ask("a", Dump{ReplicaGroup::cluster, "main", {}, 0})) == "overloaded");
    }

    TEST_CASE("C6: a dump whose reader's connection has ended makes room for another") {
        ReplicaOptions options{.view_service = {ReplicaGroup::views}};
        options.max_dumps = 1;
        auto group = alone(options);
        group.put("a", "x");
        const Dump begin{ReplicaGroup::cluster, "main", {}, 0};
        const auto piece = std::get<DumpResult>(*group.answer(group.ask("a", begin)));
        group.put("a", "y");
        CHECK(group.outcome(group.ask("a", begin)) == "overloaded");
        group.lose("a", "somebody else");
        CHECK(group.outcome(group.ask("a", begin)) == "overloaded");
        group.lose("a", ReplicaGroup::client);
        CHECK(group.outcome(group.ask("a", Dump{begin.cluster, "main", piece.at, 1})) == "bad_chunk");
        CHECK(std::get<DumpResult>(*group.answer(group.ask("a", begin))).at > piece.at);
    }

    TEST_CASE("the first call of a dump that comes twice does not disturb the reading") {
        Dumping dumping;
        const auto first = dumping.begin();
        std::string all = first.data;
        for (auto piece = first; !piece.last;) {
            piece = dumping.read(first.at, piece.chunk + 1);
            all += piece.data;
            if (!piece.last) CHECK(dumping.begin() == first);
        }
        CHECK(all == "one;two;");
        CHECK(dumping.begin() == first);  // and an export can start again
        CHECK(dumping.read(first.at, 1).chunk == 1);
    }
}
