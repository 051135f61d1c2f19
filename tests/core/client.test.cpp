// A client's calls from the first send to the answer or the deadline; the test plays the primary by hand.
#include <doctest/doctest.h>

#include "../support/clerk_fixture.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::client;
using namespace understudy::test;

static_assert(StateMachine<ClientStateMachine>);
static_assert(std::copyable<ClientStateMachine> && std::equality_comparable<ClientStateMachine>);

TEST_SUITE("client") {
    TEST_CASE("C2: a command without an answer is sent again as the same command") {
        Fixture fixture{{.resend_after = 1s}};
        fixture.execute(1);
        auto first = fixture.begin();
        auto again = fixture.turn(1s);
        REQUIRE(only<Execute>(again).size() == 1);
        CHECK(only<ViewWatch>(again).size() == 1);
        CHECK(command(only<Execute>(again)[0]) == command(first[0]));
        CHECK(only<Execute>(again)[0].id != first[0].id);
        fixture.answer(first[0], result(5));  // an answer to the first attempt is accepted
        fixture.answer(only<Execute>(again)[0], result(5));
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 1);
        CHECK_FALSE(ends[0].error);
        CHECK(ends[0].at == Position{1, 5});
        CHECK(ends[0].value == "\"done\"");
        CHECK(fixture.out.events.empty());
    }

    TEST_CASE("C2: while large answers come nothing is asked again") {
        Fixture fixture{{.resend_after = 1s}};
        for (CallKey key = 1; key <= 3; ++key) fixture.execute(key);
        auto sent = fixture.begin();
        REQUIRE(sent.size() == 3);
        CHECK(fixture.turn(900ms).empty());
        fixture.answer(sent[0], ExecuteResult{{1, 3}, std::string(100'000, '1')});
        CHECK(fixture.turn(900ms).empty());  // the other answers may be queued behind it on the connection
        CHECK(only<Execute>(fixture.turn(100ms)).size() == 2);
        fixture.answer(sent[1], result(4));
        CHECK(only<Execute>(fixture.turn(2s)).size() == 1);
        CHECK(fixture.finished().size() == 2);
    }

    TEST_CASE("C2: a new primary gets everything unanswered at once and in order") {
        Fixture fixture;
        for (CallKey key = 1; key <= 5; ++key) fixture.execute(key);
        auto sent = fixture.begin();
        REQUIRE(sent.size() == 5);
        fixture.answer(sent[2], result(3));
        fixture.push(view(2, "tcp://b"));
        auto again = fixture.turn();
        REQUIRE(again.size() == 4);
        std::vector<Sequence> seqs;
        for (const auto& each : again) {
            CHECK(each.peer == "tcp://b");
            seqs.push_back(command(each).seq);
        }
        CHECK(seqs == std::vector<Sequence>{1, 2, 4, 5});
    }

    TEST_CASE("C2: another life of the same primary gets everything again and the same one in a higher view does not") {
        Fixture fixture;
        fixture.execute(1);
        fixture.begin();
        fixture.push(view(2, "tcp://a", 1));
        CHECK(fixture.turn().empty());
        fixture.push(view(3, "tcp://a", 2));
        CHECK(fixture.turn().size() == 1);
    }

    TEST_CASE("C2: after a lost connection the calls go again on news of a view or after a growing wait") {
        Fixture fixture;
        fixture.execute(1);
        fixture.begin();
        auto lose = [&] { fixture.clerk.disconnected("tcp://a", fixture.now, fixture.out); };
        lose();
        auto sent = fixture.turn();
        CHECK(only<Execute>(sent).empty());
        REQUIRE(only<ViewWatch>(sent).size() == 1);
        fixture.answer(sent[0], ViewResult{view(1, "tcp://a")});
        auto before = fixture.now;
        CHECK(only<Execute>(fixture.sleep()).size() == 1);
        CHECK(fixture.now - before >= 5ms);
        CHECK(fixture.now - before <= 10ms);
        lose();
        lose();  // a second report of the same loss changes nothing
        before = fixture.now;
        while (only<Execute>(fixture.sleep()).empty()) {
        }
        CHECK(fixture.now - before >= 10ms);
        CHECK(fixture.now - before <= 20ms);
        lose();
        fixture.push(view(2, "tcp://a"));
        CHECK(only<Execute>(fixture.turn()).size() == 1);
    }

    TEST_CASE("C2: a deadline that passes after the sending is an unknown outcome and one before it is not") {
        Fixture fixture;
        fixture.execute(1, 3s);
        fixture.begin();
        fixture.execute(2, 3s);
        fixture.turn(3s);
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 2);
        CHECK(ends[0].error == error::outcome_unknown);
        CHECK(ends[1].error == error::deadline_passed);
        CHECK(ends[0].detail == "no answer from tcp://a");
        CHECK(fixture.clerk.pending() == 0);
    }

    TEST_CASE("C2: the deadline of a read says that it had no effect") {
        Fixture fixture;
        fixture.query(1, 500ms);
        fixture.answer(fixture.turn().at(0), ViewResult{view(1, "tcp://a")});
        CHECK(fixture.turn().size() == 1);
        fixture.turn(500ms);
        CHECK(fixture.finished().at(0).error == error::deadline_passed);
    }

    TEST_CASE("C2: a call without a deadline is asked for as long as it takes") {
        Fixture fixture{{.give_up_after = Duration::max()}};
        fixture.execute(1);
        auto sent = fixture.begin();
        for (int i = 0; i < 100; ++i) {
            auto next = only<Execute>(fixture.sleep());
            if (!next.empty()) sent = next;
        }
        CHECK(fixture.clerk.pending() == 1);
        fixture.answer(sent[0], result(1));
        CHECK_FALSE(fixture.finished().at(0).error);
    }

    TEST_CASE("C3: a session is opened by the first command and not by a read") {
        Fixture fixture;
        fixture.query(1);
        fixture.answer(fixture.turn().at(0), ViewResult{view(1, "tcp://a")});
        auto sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<Query>(sent[0].message) == Query{cluster, "main", "1"});
        fixture.execute(2);
        fixture.execute(3);
        sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<Open>(sent[0].message) == Open{cluster, "main", 1});
        fixture.answer(sent[0], OpenResult{{1, 9}});
        sent = fixture.turn();
        REQUIRE(sent.size() == 2);
        CHECK(command(sent[0]) == Execute{cluster, "main", {1, 9}, 1, 1, "2"});
        CHECK(command(sent[1]) == Execute{cluster, "main", {1, 9}, 2, 1, "3"});
    }

    TEST_CASE("C3: an opening without an answer is repeated and any answer to it will do once") {
        Fixture fixture;
        fixture.execute(1);
        fixture.answer(fixture.turn().at(0), ViewResult{view(1, "tcp://a")});
        auto first = fixture.turn();
        auto second = only<Open>(fixture.turn(1s));
        REQUIRE(second.size() == 1);
        fixture.answer(first[0], OpenResult{{1, 1}});
        fixture.answer(second[0], OpenResult{{1, 2}});
        auto sent = only<Execute>(fixture.turn());
        REQUIRE(sent.size() == 1);
        CHECK(command(sent[0]).session == SessionId{1, 1});
        CHECK(fixture.out.events.empty());
    }

    TEST_CASE("C3: every command tells the lowest number unanswered") {
        Fixture fixture;
        for (CallKey key = 1; key <= 4; ++key) fixture.execute(key, key == 1 ? 1s : 30s);
        auto sent = fixture.begin();
        auto low = [&](CallKey key) {
            fixture.execute(key);
            auto more = only<Execute>(fixture.turn());
            return command(more.back()).low;
        };
        CHECK(low(5) == 1);
        fixture.answer(sent[1], result(2));
        CHECK(low(6) == 1);
        fixture.answer(sent[0], result(1));
        CHECK(low(7) == 3);
        fixture.clerk.cancel(3, fixture.now);
        CHECK(low(8) == 4);
        fixture.refuse(sent[3], error::bad_request);
        CHECK(low(9) == 5);
    }

    TEST_CASE("C3: one given up counts as answered") {
        Fixture fixture;
        fixture.execute(1, 500ms);
        fixture.begin();
        fixture.execute(2);
        CHECK(command(fixture.turn().at(0)).low == 1);
        CHECK(fixture.turn(500ms).empty());
        CHECK(fixture.finished().at(0).error == error::outcome_unknown);
        fixture.execute(3);
        CHECK(command(fixture.turn().at(0)).low == 2);
    }

    TEST_CASE("C3: a cancelled call never comes out and its late answer disturbs nobody") {
        Fixture fixture;
        fixture.execute(1);
        auto sent = fixture.begin();
        fixture.clerk.cancel(1, fixture.now);
        fixture.clerk.cancel(77, fixture.now);
        fixture.answer(sent[0], result(1));
        CHECK(fixture.finished().empty());
        CHECK(fixture.out.events.empty());
        CHECK(fixture.clerk.pending() == 0);
        CHECK(fixture.turn().empty());
        CHECK(fixture.clerk.deadline() == never);
    }

    TEST_CASE("C5: without sessions commands are sent without opening one") {
        Fixture fixture{{.session = false}};
        fixture.execute(1);
        fixture.answer(fixture.turn().at(0), ViewResult{view(1, "tcp://a")});
        auto sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(command(sent[0]) == Execute{cluster, "main", {}, 0, 0, "1"});
        CHECK(only<Execute>(fixture.turn(1s)).size() == 1);
    }

    TEST_CASE("a stopped client ends its calls and every later one as closed") {
        Fixture fixture;
        fixture.execute(1);
        fixture.query(2);
        fixture.clerk.stop();
        fixture.execute(3);
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 3);
        for (const auto& end : ends) CHECK(end.error == error::closed);
        CHECK(fixture.turn().empty());
    }

    TEST_CASE("C4: a client that ends closes its session and is done when that is answered") {
        Fixture fixture;
        fixture.execute(1);
        fixture.answer(fixture.begin().at(0), result(5));
        fixture.clerk.leave(fixture.now);
        CHECK(fixture.clerk.leaving());
        fixture.execute(2);
        CHECK(fixture.finished().back().error == error::closed);
        const auto sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<Close>(sent[0].message) == Close{cluster, "main", {1, 1}});
        CHECK(only<Close>(fixture.turn(ClientOptions{}.resend_after)).size() == 1);
        fixture.answer(sent[0], CloseResult{{1, 6}});
        CHECK(!fixture.clerk.leaving());
        CHECK(fixture.turn().empty());
        CHECK(fixture.clerk.deadline() == never);
    }

    TEST_CASE("C4: a client that ends closes its session at the next primary if need be") {
        Fixture fixture;
        fixture.execute(1);
        fixture.begin();
        fixture.clerk.leave(fixture.now);
        CHECK(fixture.finished().at(0).error == error::closed);  // the call's outcome is unknown
        CHECK(only<Close>(fixture.turn()).at(0).peer == "tcp://a");
        fixture.push(view(2, "tcp://b"));
        const auto sent = only<Close>(fixture.turn());
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].peer == "tcp://b");
        fixture.refuse(sent[0], error::not_primary, view(3, "tcp://c"));
        CHECK(only<Close>(fixture.turn()).at(0).peer == "tcp://c");
        fixture.clerk.disconnected("tcp://c", fixture.now, fixture.out);
        CHECK(only<Close>(fixture.turn(ClientOptions{}.retry_last)).at(0).peer == "tcp://c");
    }

    TEST_CASE("C4: a client that ends does not wait for long and not at all without a session") {
        Fixture fixture;
        fixture.execute(1);
        fixture.begin();
        fixture.clerk.leave(fixture.now);
        for (int i = 0; i < 100 && fixture.clerk.deadline() != never; ++i) fixture.sleep();
        CHECK(!fixture.clerk.leaving());
        CHECK(fixture.now <= Fixture{}.now + 2 * ClientOptions{}.resend_after);

        Fixture idle;
        idle.query(1);
        idle.answer(idle.turn().at(0), ViewResult{view(1, "tcp://a")});
        idle.clerk.leave(idle.now);
        CHECK(!idle.clerk.leaving());

        for (auto code : {error::unknown_method, error::session_expired, error::wrong_group}) {
            Fixture refused;
            refused.execute(1);
            refused.begin();
            refused.clerk.leave(refused.now);
            refused.refuse(refused.turn().at(0), code);
            CHECK(!refused.clerk.leaving());
        }
    }

    TEST_CASE("a dump asks for the piece that it names and may be asked again") {
        Fixture fixture;
        fixture.clerk.dump(1, Position{3, 4}, 2, {}, fixture.now);
        fixture.answer(fixture.turn().at(0), ViewResult{view(1, "tcp://a")});
        auto sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<Dump>(sent[0].message) == Dump{cluster, "main", Position{3, 4}, 2});
        CHECK(only<Dump>(fixture.turn(1s)).size() == 1);
        fixture.answer(sent[0], DumpResult{{3, 4}, 2, "bytes", true});
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].at == Position{3, 4});
        CHECK(ends[0].dump == DumpResult{{3, 4}, 2, "bytes", true});
    }

    TEST_CASE("C6: a dump that cannot begin for want of room keeps those that go on from nothing") {
        ClientOptions options;
        options.window = 1;
        Fixture fixture{options};
        fixture.clerk.dump(1, {}, 0, {}, fixture.now);
        fixture.answer(fixture.turn().at(0), ViewResult{view(1, "tcp://a")});
        fixture.refuse(fixture.turn().at(0), error::overloaded);
        fixture.clerk.dump(2, {}, 0, {}, fixture.now);
        fixture.clerk.dump(3, Position{3, 4}, 2, {}, fixture.now);
        const auto sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<Dump>(sent[0].message).at == Position{3, 4});
        fixture.answer(sent[0], DumpResult{{3, 4}, 2, "bytes", true});
        CHECK(fixture.turn().empty());
        const auto later = fixture.sleep();
        REQUIRE(later.size() == 1);
        CHECK(std::get<Dump>(later[0].message).at == std::nullopt);
    }

    TEST_CASE("a dump whose snapshot is gone ends at once with bad_chunk") {
        Fixture fixture;
        fixture.clerk.dump(1, Position{3, 4}, 2, {}, fixture.now);
        fixture.answer(fixture.turn().at(0), ViewResult{view(1, "tcp://a")});
        fixture.refuse(fixture.turn().at(0), error::bad_chunk);
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].error == error::bad_chunk);
    }

    TEST_CASE("a client with wrong options is not made") {
        auto old = set_check_handler([](const char*, const char*, int) { throw 1; });
        CHECK_THROWS_AS((ClientStateMachine{ClientOptions{}, 1}), int);
        set_check_handler(old);
    }

    TEST_CASE("copies of a client go on alike") {
        Fixture fixture;
        fixture.execute(1);
        fixture.begin();
        auto copy = fixture.clerk;
        client::Output other;
        for (auto* each : {&fixture.clerk, &copy}) each->disconnected("tcp://a", fixture.now, fixture.out);
        CHECK(copy == fixture.clerk);
        fixture.turn(5s);
        CHECK_FALSE(copy == fixture.clerk);
        copy.wake(fixture.now, other);
        CHECK(copy == fixture.clerk);
    }

    TEST_CASE("thousands of calls go through the window in order and each comes out once") {
        Fixture fixture;
        constexpr CallKey many = 20'000;
        for (CallKey key = 1; key <= many; ++key) fixture.execute(key);
        auto sent = fixture.begin();
        CHECK(sent.size() == 1024);
        Sequence last = 0;
        std::vector<bool> seen(many + 1);
        while (!sent.empty()) {
            for (const auto& each : sent) {
                CHECK_MESSAGE(command(each).seq == ++last, last);
                fixture.clerk.receive({each.peer, each.id, result(last)}, fixture.now, fixture.out);
            }
            for (const auto& end : fixture.finished()) {
                REQUIRE_FALSE(seen[end.key]);
                seen[end.key] = true;
            }
            sent = fixture.turn(1ms);
        }
        CHECK(last == many);
        CHECK(fixture.clerk.pending() == 0);
    }
}
