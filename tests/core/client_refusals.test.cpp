// How a client handles refusals: expired sessions, overload, and permanent refusals.
#include <doctest/doctest.h>

#include "../support/clerk_fixture.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::client;
using namespace understudy::test;

TEST_SUITE("client_refusals") {
    TEST_CASE("C2: a refusal by a primary that steps down leaves the outcome unknown") {
        Fixture fixture;
        fixture.execute(1, 3s);
        fixture.refuse(fixture.begin().at(0), error::not_primary);
        fixture.clerk.disconnected("tcp://v", fixture.now, fixture.out);
        fixture.turn(3s);
        CHECK(fixture.finished().at(0).error == error::outcome_unknown);
    }

    TEST_CASE("C4: commands that an expired session refused go into a new one") {
        Fixture fixture;
        for (CallKey key = 1; key <= 3; ++key) fixture.execute(key);
        for (const auto& each : fixture.begin()) fixture.refuse(each, error::session_expired);
        auto sent = fixture.sleep();
        REQUIRE(sent.size() == 1);
        fixture.answer(sent[0], OpenResult{{1, 50}});
        sent = fixture.turn();
        REQUIRE(sent.size() == 3);
        CHECK(command(sent[0]) == Execute{cluster, "main", {1, 50}, 1, 1, "1"});
        CHECK(command(sent[2]) == Execute{cluster, "main", {1, 50}, 3, 1, "3"});
        CHECK(fixture.finished().empty());
    }

    TEST_CASE("C4: a command that was sent before its session was refused has an unknown outcome") {
        Fixture fixture;
        fixture.execute(1);
        fixture.execute(2);
        fixture.begin();
        auto again = only<Execute>(fixture.turn(1s));
        REQUIRE(again.size() == 2);
        fixture.execute(3);
        fixture.refuse(again[0], error::session_expired);
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].key == 1);
        CHECK(ends[0].error == error::outcome_unknown);
        // The second command may still be answered, but it is not sent again: the new session cannot know whether the
        // old one executed it.
        fixture.push(view(2, "tcp://b"));
        auto opening = fixture.turn();
        REQUIRE(opening.size() == 1);
        fixture.answer(opening[0], OpenResult{{2, 60}});
        auto sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(command(sent[0]).command == "3");
        ends = fixture.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].key == 2);
        CHECK(ends[0].error == error::outcome_unknown);
    }

    TEST_CASE("C4: an answer in the old session still counts after another call learned that it expired") {
        Fixture fixture;
        fixture.execute(1);
        fixture.execute(2);
        auto sent = fixture.begin();
        fixture.refuse(sent[1], error::session_expired);
        fixture.answer(sent[0], result(7));
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].key == 1);
        CHECK_FALSE(ends[0].error);
    }

    TEST_CASE("C4: a read that is refused for a session which it has not is asked again") {
        Fixture fixture;
        fixture.execute(1);
        fixture.begin();
        fixture.query(2);
        const auto reads = only<Query>(fixture.turn());
        REQUIRE(reads.size() == 1);
        fixture.refuse(reads[0], error::session_expired);
        fixture.turn(1ms);
        CHECK(only<Query>(fixture.sleep()).size() == 1);
        CHECK(fixture.finished().empty());
    }

    TEST_CASE("C6: an overloaded primary is asked again with a wait that grows") {
        Fixture fixture;
        fixture.execute(1);
        auto sent = fixture.begin();
        Duration last{};
        for (int i = 0; i < 5; ++i) {
            fixture.refuse(sent[0], error::overloaded);
            CHECK(fixture.turn().empty());
            auto before = fixture.now;
            sent = fixture.sleep();
            REQUIRE(sent.size() == 1);
            CHECK(command(sent[0]).seq == 1);
            CHECK(fixture.now - before >= last);
            CHECK(fixture.now - before >= 10ms * (1 << i) / 2);
            CHECK(fixture.now - before <= 10ms * (1 << i));
            last = (fixture.now - before) / 2;
        }
        fixture.answer(sent[0], result(1));
        CHECK_FALSE(fixture.finished().at(0).error);
    }

    TEST_CASE("C6: reads go on while commands wait for replicas") {
        Fixture fixture;
        fixture.execute(1);
        auto sent = fixture.begin();
        fixture.refuse(sent[0], error::not_enough_replicas);
        fixture.query(2);
        fixture.execute(3);
        sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::holds_alternative<Query>(sent[0].message));
    }

    TEST_CASE("C6: a command that was always refused ends with that refusal and one that was not ends unknown") {
        Fixture fixture;
        fixture.execute(1, 5s);
        fixture.execute(2, 5s);
        auto sent = fixture.begin();
        fixture.refuse(sent[0], error::not_enough_replicas);
        auto again = only<Execute>(fixture.turn(1s));  // the refused one after its wait, and the unanswered one
        REQUIRE(again.size() == 2);
        fixture.refuse(again[0], error::not_enough_replicas);
        fixture.refuse(again[1], error::not_enough_replicas);
        fixture.clerk.disconnected("tcp://v", fixture.now, fixture.out);
        while (fixture.clerk.pending() > 0)
            for (const auto& each : only<Execute>(fixture.sleep())) fixture.refuse(each, error::not_enough_replicas);
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 2);
        CHECK(ends[0].error == error::not_enough_replicas);
        CHECK(ends[0].detail == "tcp://a: because");
        CHECK(ends[1].error == error::outcome_unknown);
    }

    TEST_CASE("C6: more calls than max_calls end as overloaded at once") {
        Fixture fixture{{.max_calls = 2}};
        for (CallKey key = 1; key <= 3; ++key) fixture.execute(key);
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].key == 3);
        CHECK(ends[0].error == error::overloaded);
        CHECK(fixture.clerk.pending() == 2);
    }

    TEST_CASE("a window that admits no call is refused") {
        ClientOptions options{.view_service = {"views"}};
        CHECK(options.validate().empty());
        options.window_bytes = 0;
        CHECK(options.validate() == "max_calls, window, window_bytes and max_command must be positive");
    }

    TEST_CASE("C6: the window bounds what is in flight by number and by bytes") {
        Fixture fixture{{.window = 3}};
        for (CallKey key = 1; key <= 10; ++key) fixture.execute(key);
        auto sent = fixture.begin();
        CHECK(sent.size() == 3);
        CHECK(fixture.turn().empty());
        fixture.answer(sent[1], result(1));
        sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(command(sent[0]).command == "4");

        Fixture wide{{.window_bytes = 100}};
        for (CallKey key = 1; key <= 10; ++key) wide.clerk.execute(key, std::string(60, 'x'), {}, wide.now);
        CHECK(wide.begin().size() == 2);
    }

    TEST_CASE("C6: a command beyond max_command ends as too large at once") {
        Fixture fixture{{.max_command = 10}};
        fixture.clerk.execute(1, std::string(11, 'x'), {}, fixture.now);
        CHECK(fixture.finished().at(0).error == error::too_large);
        CHECK(fixture.turn().empty());
    }

    TEST_CASE("C6: a session that cannot be opened yet is asked for again and the deadline says so") {
        Fixture fixture;
        fixture.execute(1, 100ms);
        fixture.answer(fixture.turn().at(0), ViewResult{view(1, "tcp://a")});
        fixture.refuse(fixture.turn().at(0), error::overloaded);
        CHECK(fixture.turn().empty());
        CHECK(only<Open>(fixture.sleep()).size() == 1);
        fixture.turn(100ms);
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].error == error::deadline_passed);
        CHECK(ends[0].detail == "no session could be opened: tcp://a: because");
    }

    TEST_CASE("a refusal that no retry can cure ends the call with its text") {
        for (auto code : {error::bad_request, error::invalid_params, error::too_large, error::unauthorized,
                          error::unsupported_version, error::wrong_group, error::unknown_method}) {
            Fixture fixture;
            fixture.execute(1);
            fixture.refuse(fixture.begin().at(0), code);
            auto ends = fixture.finished();
            REQUIRE(ends.size() == 1);
            CHECK(ends[0].error == code);
            CHECK(ends[0].detail == "tcp://a: because");
        }
    }

    TEST_CASE("a refusal for good of a retry does not vouch for the first sending") {
        Fixture fixture;
        fixture.execute(1);
        fixture.begin();
        fixture.refuse(only<Execute>(fixture.turn(1s)).at(0), error::too_large);
        CHECK(fixture.finished().at(0).error == error::outcome_unknown);
    }

    TEST_CASE("a refusal for good of the opening ends the commands that wait for it and no read") {
        Fixture fixture;
        fixture.execute(1);
        fixture.execute(2);
        fixture.query(3);
        fixture.answer(fixture.turn().at(0), ViewResult{view(1, "tcp://a")});
        auto sent = fixture.turn();
        fixture.refuse(only<Open>(sent).at(0), error::unauthorized);
        CHECK(fixture.finished().size() == 2);
        CHECK(fixture.clerk.pending() == 1);
    }

    TEST_CASE("what nobody asked for is refused with an event and changes nothing") {
        Fixture fixture;
        fixture.execute(1);
        auto sent = fixture.begin();
        auto before = fixture.clerk;
        auto unknown = make_call_id(Method::pb_execute, 1000);
        fixture.receive("tcp://x", unknown, result(1));
        fixture.receive("tcp://x", "\"abc\"", result(1));
        fixture.receive("tcp://x", sent[0].id, QueryResult{{1, 1}, "1"});
        fixture.receive("tcp://x", make_call_id(Method::pb_open, 1000), OpenResult{{1, 1}});
        fixture.receive("tcp://x", make_call_id(Method::view_watch, 1000), ViewResult{view(5, "tcp://x")});
        fixture.receive("tcp://x", "", ViewChanged{view(5, "tcp://x")});
        fixture.receive("tcp://x", "1", ReplicaStatus{});
        fixture.receive("tcp://x", "", Failure{"", error::parse_error, "what", {}, {}, {}});
        fixture.receive("tcp://x", unknown, Failure{"", error::bad_request, "what", {}, {}, {}});
        auto group = view(5, "tcp://x");
        group.group = "other";
        fixture.push(group);
        CHECK(fixture.out.events.size() == 10);
        CHECK(fixture.clerk == before);
    }

    TEST_CASE("C3: a server that gives out one session twice takes nothing from the numbers of the second") {
        ClientSession session;
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
