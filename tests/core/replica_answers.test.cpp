// Answers wait until their connection accepts them (C6): none is produced before, and turns stay short.
#include <doctest/doctest.h>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("replica_answers") {
    namespace {
    Address client() { return ReplicaGroup::client; }
    std::size_t answered(const ReplicaGroup& group, const std::vector<CallId>& ids) {
        std::size_t count = 0;
        for (const auto& id : ids) count += group.answer(id) != nullptr;
        return count;
    }
    }  // namespace

    TEST_CASE("C6: many large answers take many turns and pings go out between them") {
        auto group = alone();
        group.put("a", std::string(900'000, 'x'));
        replica::Output effects;
        for (int i = 0; i < 40; ++i)
            group["a"].receive({client(), std::to_string(1000 + i), Query{ReplicaGroup::cluster, "main", "all"}},
                               group.now, effects);
        std::size_t answers = 0, turns = 0, pings = 0;
        for (; answers < 40; ++turns, group.now += 30ms) {
            REQUIRE(turns < 100);
            group["a"].wake(group.now, effects);
            std::size_t bytes = 0;
            for (const auto& sent : effects.outbox) {
                pings += std::holds_alternative<Ping>(sent.message);
                if (const auto* read = std::get_if<QueryResult>(&sent.message)) {
                    CHECK(sent.id == CallId{std::to_string(1000 + answers++)});
                    bytes += read->value.size();
                }
            }
            CHECK(bytes <= 2 * group.options.answer_bytes);
            if (answers < 40) CHECK(group["a"].deadline() <= group.now);
            effects.clear();
        }
        CHECK(turns == 20);
        CHECK(pings >= 4);
        CHECK(group["a"].deadline() > group.now - 30ms);
    }

    TEST_CASE("C6: what a full connection asked for waits for it and others are answered") {
        auto group = alone();
        group.put("a", "x");
        group["a"].backlog(client(), true);
        const auto late = group.query("a");
        CHECK(group.outcome(late) == "none");
        CHECK(group["a"].deadline() > group.now);  // the primary does not wake up again and again
        replica::Output effects;
        group["a"].receive({"other", "1", Query{ReplicaGroup::cluster, "main", "all"}}, group.now, effects);
        group["a"].receive({"other", "2", Execute{ReplicaGroup::cluster, "main", {}, 0, 0, "y"}}, group.now, effects);
        group["a"].wake(group.now, effects);
        std::size_t to_others = 0;
        for (const auto& sent : effects.outbox) to_others += sent.peer == "other";
        CHECK(to_others == 2);
        group["a"].backlog(client(), false);
        CHECK(group["a"].deadline() <= group.now);
        group.turn("a");
        CHECK(group.outcome(late) == "x;y;");  // a later state, as its position `at` says
        CHECK(std::get<QueryResult>(*group.answer(late)).at == Position{1, 2});
    }

    TEST_CASE("C6: results of commands and pieces of snapshots wait too") {
        auto group = alone();
        const auto session = group.open("a");
        const auto begun = group.ask("a", Dump{ReplicaGroup::cluster, "main", std::nullopt, 0});
        const auto at = std::get<DumpResult>(*group.answer(begun)).at;
        group["a"].backlog(client(), true);
        std::vector<CallId> ids{group.put("a", "x", session, 1, 1), group.put("a", "y")};
        ids.push_back(group.put("a", "x", session, 1, 1));
        ids.push_back(group.ask("a", Dump{ReplicaGroup::cluster, "main", at, 0}));
        ids.push_back(group.ask("a", Dump{ReplicaGroup::cluster, "main", std::nullopt, 0}));
        CHECK(answered(group, ids) == 0);
        group["a"].backlog(client(), false);
        group.turn("a");
        CHECK(answered(group, ids) == 5);
        CHECK(group.outcome(ids[0]) == "2");
        CHECK(group.outcome(ids[1]) == "4");
        CHECK(group.outcome(ids[2]) == "2");
        CHECK(std::holds_alternative<DumpResult>(*group.answer(ids[3])));
        CHECK(std::holds_alternative<DumpResult>(*group.answer(ids[4])));
    }

    TEST_CASE("C6: a result that its session forgot meanwhile is answered all the same") {
        auto group = alone();
        const auto session = group.open("a");
        group["a"].backlog(client(), true);
        const auto first = group.put("a", "x", session, 1, 1);
        group.put("a", "y", session, 2, 2);
        group["a"].backlog(client(), false);
        group.turn("a");
        CHECK(group.outcome(first) == "2");
    }

    TEST_CASE("C6: a result that waits for its connection is answered although its session was closed meanwhile") {
        auto group = alone();
        const auto session = group.open("a");
        group["a"].backlog(client(), true);
        const auto id = group.put("a", "x", session, 1, 1);
        group.ask("a", Close{ReplicaGroup::cluster, "main", session});
        group.turn("a");
        CHECK(group["a"].state().sessions.find(session) == nullptr);
        group["a"].backlog(client(), false);
        group.turn("a");
        CHECK(group.outcome(id) == "2");
    }

    TEST_CASE("C6: a connection of which much waits is not read and one that ends leaves nothing") {
        auto group = alone({.view_service = {ReplicaGroup::views}, .max_calls = 4, .max_calls_per_peer = 3});
        const auto session = group.open("a");
        group.put("a", "x", session, 1, 1);
        group["a"].backlog(client(), true);
        replica::Output effects;
        for (int i = 0; i < 3; ++i)
            group["a"].receive({client(), std::to_string(1000 + i),
                                Execute{ReplicaGroup::cluster, "main", session, 1, 1, "x"}},
                               group.now, effects);
        REQUIRE(effects.holds.size() == 1);
        CHECK(effects.holds[0].on);
        for (int due = 3; due < 16; ++due)  // each counts as a quarter: a few slow readers must not block all others
            CHECK(group.outcome(group.put("a", "x", session, 1, 1)) == "none");
        CHECK(group.outcome(group.put("a", "x", session, 1, 1)) == "overloaded");
        group.lose("a", client());
        CHECK(group["a"].deadline() > group.now);
        for (int i = 0; i < 8; ++i) CHECK(group.outcome(group.query("a")) == "x;");
    }

    TEST_CASE("C6: bytes of answers that wait count against max_call_bytes") {
        auto group = alone({.view_service = {ReplicaGroup::views}, .max_call_bytes = 3});
        group["a"].backlog(client(), true);
        for (int i = 0; i < 3; ++i) group.put("a", "x");
        CHECK(group.outcome(group.put("a", "x")) == "overloaded");
    }

    TEST_CASE("C6: bytes of queries that wait for their connection count against max_call_bytes") {
        auto group = alone({.view_service = {ReplicaGroup::views}, .max_call_bytes = 1000});
        const auto ask = [&] {
            const Query query{ReplicaGroup::cluster, "main", std::string(400, 'q')};
            return group.outcome(group.ask("a", query));
        };
        group["a"].backlog(client(), true);
        CHECK(ask() == "none");
        CHECK(ask() == "none");
        CHECK(ask() == "overloaded");
        group["a"].backlog(client(), false);
        group.turn("a");
        CHECK(ask() != "overloaded");
    }

    TEST_CASE("S6: a primary that steps down ends what waits for its connection") {
        auto group = alone();
        group.put("a", "x");
        group["a"].backlog(client(), true);
        const auto read = group.query("a");
        group.start("b", 2);
        group.decide(group.member("b"));
        CHECK(group.outcome(read) == "not_primary");
        CHECK(group["a"].deadline() > group.now);
    }
}
