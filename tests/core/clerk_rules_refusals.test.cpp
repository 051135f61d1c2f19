// What a client does about refusals: expired sessions, overload, and refusals for good.
#include <doctest/doctest.h>

#include "../support/clerk_desk.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::client;
using namespace understudy::test;

TEST_SUITE("clerk_rules_refusals") {
    TEST_CASE("C2: a refusal by a primary that steps down leaves the outcome unknown") {
        Desk desk;
        desk.execute(1, 3s);
        desk.refuse(desk.begin().at(0), error::not_primary);
        desk.clerk.gone("tcp://v", desk.now, desk.out);
        desk.turn(3s);
        CHECK(desk.finished().at(0).error == error::outcome_unknown);
    }

    TEST_CASE("C4: commands that an expired session refused go into a new one") {
        Desk desk;
        for (CallKey key = 1; key <= 3; ++key) desk.execute(key);
        for (const auto& each : desk.begin()) desk.refuse(each, error::session_expired);
        auto sent = desk.sleep();
        REQUIRE(sent.size() == 1);
        desk.answer(sent[0], OpenResult{{1, 50}});
        sent = desk.turn();
        REQUIRE(sent.size() == 3);
        CHECK(command(sent[0]) == Execute{cluster, "main", {1, 50}, 1, 1, "1"});
        CHECK(command(sent[2]) == Execute{cluster, "main", {1, 50}, 3, 1, "3"});
        CHECK(desk.finished().empty());
    }

    TEST_CASE("C4: a command that was sent before its session was refused has an unknown outcome") {
        Desk desk;
        desk.execute(1);
        desk.execute(2);
        desk.begin();
        auto again = only<Execute>(desk.turn(1s));
        REQUIRE(again.size() == 2);
        desk.execute(3);
        desk.refuse(again[0], error::session_expired);
        auto ends = desk.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].key == 1);
        CHECK(ends[0].error == error::outcome_unknown);
        // The second may still be answered, but it is not sent again: the new session cannot know what it did.
        desk.push(view(2, "tcp://b"));
        auto opening = desk.turn();
        REQUIRE(opening.size() == 1);
        desk.answer(opening[0], OpenResult{{2, 60}});
        auto sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(command(sent[0]).command == "3");
        ends = desk.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].key == 2);
        CHECK(ends[0].error == error::outcome_unknown);
    }

    TEST_CASE("C4: an answer in the old session still counts after another call learned that it expired") {
        Desk desk;
        desk.execute(1);
        desk.execute(2);
        auto sent = desk.begin();
        desk.refuse(sent[1], error::session_expired);
        desk.answer(sent[0], result(7));
        auto ends = desk.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].key == 1);
        CHECK_FALSE(ends[0].error);
    }

    TEST_CASE("C4: a read that is refused for a session which it has not is asked again") {
        Desk desk;
        desk.execute(1);
        desk.begin();
        desk.query(2);
        const auto reads = only<Query>(desk.turn());
        REQUIRE(reads.size() == 1);
        desk.refuse(reads[0], error::session_expired);
        desk.turn(1ms);
        CHECK(only<Query>(desk.sleep()).size() == 1);
        CHECK(desk.finished().empty());
    }

    TEST_CASE("C6: an overloaded primary is asked again with a wait that grows") {
        Desk desk;
        desk.execute(1);
        auto sent = desk.begin();
        Duration last{};
        for (int i = 0; i < 5; ++i) {
            desk.refuse(sent[0], error::overloaded);
            CHECK(desk.turn().empty());
            auto before = desk.now;
            sent = desk.sleep();
            REQUIRE(sent.size() == 1);
            CHECK(command(sent[0]).seq == 1);
            CHECK(desk.now - before >= last);
            CHECK(desk.now - before >= 10ms * (1 << i) / 2);
            CHECK(desk.now - before <= 10ms * (1 << i));
            last = (desk.now - before) / 2;
        }
        desk.answer(sent[0], result(1));
        CHECK_FALSE(desk.finished().at(0).error);
    }

    TEST_CASE("C6: reads go on while commands wait for replicas") {
        Desk desk;
        desk.execute(1);
        auto sent = desk.begin();
        desk.refuse(sent[0], error::not_enough_replicas);
        desk.query(2);
        desk.execute(3);
        sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::holds_alternative<Query>(sent[0].message));
    }

    TEST_CASE("C6: a command that was always refused ends with that refusal and one that was not ends unknown") {
        Desk desk;
        desk.execute(1, 5s);
        desk.execute(2, 5s);
        auto sent = desk.begin();
        desk.refuse(sent[0], error::not_enough_replicas);
        auto again = only<Execute>(desk.turn(1s));  // the refused one after its wait and the unanswered one
        REQUIRE(again.size() == 2);
        desk.refuse(again[0], error::not_enough_replicas);
        desk.refuse(again[1], error::not_enough_replicas);
        desk.clerk.gone("tcp://v", desk.now, desk.out);
        while (desk.clerk.pending() > 0)
            for (const auto& each : only<Execute>(desk.sleep())) desk.refuse(each, error::not_enough_replicas);
        auto ends = desk.finished();
        REQUIRE(ends.size() == 2);
        CHECK(ends[0].error == error::not_enough_replicas);
        CHECK(ends[0].detail == "tcp://a: because");
        CHECK(ends[1].error == error::outcome_unknown);
    }

    TEST_CASE("C6: more calls than max_calls end as overloaded at once") {
        Desk desk{{.max_calls = 2}};
        for (CallKey key = 1; key <= 3; ++key) desk.execute(key);
        auto ends = desk.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].key == 3);
        CHECK(ends[0].error == error::overloaded);
        CHECK(desk.clerk.pending() == 2);
    }

    TEST_CASE("C6: the window bounds what is in flight by number and by bytes") {
        Desk desk{{.window = 3}};
        for (CallKey key = 1; key <= 10; ++key) desk.execute(key);
        auto sent = desk.begin();
        CHECK(sent.size() == 3);
        CHECK(desk.turn().empty());
        desk.answer(sent[1], result(1));
        sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(command(sent[0]).command == "4");

        Desk wide{{.window_bytes = 100}};
        for (CallKey key = 1; key <= 10; ++key) wide.clerk.execute(key, std::string(60, 'x'), {}, wide.now);
        CHECK(wide.begin().size() == 2);
    }

    TEST_CASE("C6: a command beyond max_command ends as too large at once") {
        Desk desk{{.max_command = 10}};
        desk.clerk.execute(1, std::string(11, 'x'), {}, desk.now);
        CHECK(desk.finished().at(0).error == error::too_large);
        CHECK(desk.turn().empty());
    }

    TEST_CASE("C6: a session that cannot be opened yet is asked for again and the deadline says so") {
        Desk desk;
        desk.execute(1, 100ms);
        desk.answer(desk.turn().at(0), ViewResult{view(1, "tcp://a")});
        desk.refuse(desk.turn().at(0), error::overloaded);
        CHECK(desk.turn().empty());
        CHECK(only<Open>(desk.sleep()).size() == 1);
        desk.turn(100ms);
        auto ends = desk.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].error == error::deadline_passed);
        CHECK(ends[0].detail == "no session could be opened: tcp://a: because");
    }

    TEST_CASE("a refusal that no retry can cure ends the call with its text") {
        for (auto code : {error::bad_request, error::invalid_params, error::too_large, error::unauthorized,
                          error::unsupported_version, error::wrong_group, error::unknown_method}) {
            Desk desk;
            desk.execute(1);
            desk.refuse(desk.begin().at(0), code);
            auto ends = desk.finished();
            REQUIRE(ends.size() == 1);
            CHECK(ends[0].error == code);
            CHECK(ends[0].detail == "tcp://a: because");
        }
    }

    TEST_CASE("a refusal for good of a retry does not vouch for the first sending") {
        Desk desk;
        desk.execute(1);
        desk.begin();
        desk.refuse(only<Execute>(desk.turn(1s)).at(0), error::too_large);
        CHECK(desk.finished().at(0).error == error::outcome_unknown);
    }

    TEST_CASE("a refusal for good of the opening ends the commands that wait for it and no read") {
        Desk desk;
        desk.execute(1);
        desk.execute(2);
        desk.query(3);
        desk.answer(desk.turn().at(0), ViewResult{view(1, "tcp://a")});
        auto sent = desk.turn();
        desk.refuse(only<Open>(sent).at(0), error::unauthorized);
        CHECK(desk.finished().size() == 2);
        CHECK(desk.clerk.pending() == 1);
    }

    TEST_CASE("what nobody asked for is refused with an event and changes nothing") {
        Desk desk;
        desk.execute(1);
        auto sent = desk.begin();
        auto before = desk.clerk;
        auto unknown = make_call_id(Method::pb_execute, 1000);
        desk.receive("tcp://x", unknown, result(1));
        desk.receive("tcp://x", "\"abc\"", result(1));
        desk.receive("tcp://x", sent[0].id, QueryResult{{1, 1}, "1"});
        desk.receive("tcp://x", make_call_id(Method::pb_open, 1000), OpenResult{{1, 1}});
        desk.receive("tcp://x", make_call_id(Method::view_watch, 1000), ViewResult{view(5, "tcp://x")});
        desk.receive("tcp://x", "", ViewChanged{view(5, "tcp://x")});
        desk.receive("tcp://x", "1", ReplicaStatus{});
        desk.receive("tcp://x", "", Failure{"", error::parse_error, "what", {}, {}, {}});
        desk.receive("tcp://x", unknown, Failure{"", error::bad_request, "what", {}, {}, {}});
        auto group = view(5, "tcp://x");
        group.group = "other";
        desk.push(group);
        CHECK(desk.out.events.size() == 10);
        CHECK(desk.clerk == before);
    }

    TEST_CASE("C3: a server that gives out one session twice takes nothing from the numbers of the second") {
        ClerkSession session;
        session.open({1, 1});
        for (Sequence seq = 1; seq <= 5'000; ++seq) CHECK(session.take() == seq);
        session.forget();
        session.open({1, 1});
        CHECK(session.take() == 1);
        for (Sequence seq = 2; seq <= 5'000; ++seq) session.end({1, 1}, seq);
        CHECK(session.unanswered() == 1);
        CHECK(session.low() == 1);
        session.end({1, 1}, 1);
        session.end({1, 1}, 1);
        CHECK(session.unanswered() == 0);
        CHECK(session.low() == 2);
    }
}
