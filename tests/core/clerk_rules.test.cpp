// A client's calls from the first sending to the answer or the deadline, with the primary played by hand.
#include <doctest/doctest.h>

#include "../support/clerk_desk.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::client;
using namespace understudy::test;

static_assert(Machine<ClerkRules>);
static_assert(std::copyable<ClerkRules> && std::equality_comparable<ClerkRules>);

TEST_SUITE("clerk_rules") {
    TEST_CASE("C2: a command without an answer is sent again as the same command") {
        Desk desk{{.resend_after = 1s}};
        desk.execute(1);
        auto first = desk.begin();
        auto again = desk.turn(1s);
        REQUIRE(only<Execute>(again).size() == 1);
        CHECK(only<ViewWatch>(again).size() == 1);
        CHECK(command(only<Execute>(again)[0]) == command(first[0]));
        CHECK(only<Execute>(again)[0].id != first[0].id);
        desk.answer(first[0], result(5));  // the answer to the first sending will do
        desk.answer(only<Execute>(again)[0], result(5));
        auto ends = desk.finished();
        REQUIRE(ends.size() == 1);
        CHECK_FALSE(ends[0].error);
        CHECK(ends[0].at == Position{1, 5});
        CHECK(ends[0].value == "\"done\"");
        CHECK(desk.out.events.empty());
    }

    TEST_CASE("C2: while large answers come nothing is asked again") {
        Desk desk{{.resend_after = 1s}};
        for (CallKey key = 1; key <= 3; ++key) desk.execute(key);
        auto sent = desk.begin();
        REQUIRE(sent.size() == 3);
        CHECK(desk.turn(900ms).empty());
        desk.answer(sent[0], ExecuteResult{{1, 3}, std::string(100'000, '1')});
        CHECK(desk.turn(900ms).empty());  // the others may be behind it in the connection
        CHECK(only<Execute>(desk.turn(100ms)).size() == 2);
        desk.answer(sent[1], result(4));
        CHECK(only<Execute>(desk.turn(2s)).size() == 1);
        CHECK(desk.finished().size() == 2);
    }

    TEST_CASE("C2: a new primary gets everything unanswered at once and in order") {
        Desk desk;
        for (CallKey key = 1; key <= 5; ++key) desk.execute(key);
        auto sent = desk.begin();
        REQUIRE(sent.size() == 5);
        desk.answer(sent[2], result(3));
        desk.push(view(2, "tcp://b"));
        auto again = desk.turn();
        REQUIRE(again.size() == 4);
        std::vector<Sequence> seqs;
        for (const auto& each : again) {
            CHECK(each.peer == "tcp://b");
            seqs.push_back(command(each).seq);
        }
        CHECK(seqs == std::vector<Sequence>{1, 2, 4, 5});
    }

    TEST_CASE("C2: another life of the same primary gets everything again and the same one in a higher view does not") {
        Desk desk;
        desk.execute(1);
        desk.begin();
        desk.push(view(2, "tcp://a", 1));
        CHECK(desk.turn().empty());
        desk.push(view(3, "tcp://a", 2));
        CHECK(desk.turn().size() == 1);
    }

    TEST_CASE("C2: after a lost connection the calls go again on news of a view or after a growing wait") {
        Desk desk;
        desk.execute(1);
        desk.begin();
        auto lose = [&] { desk.clerk.gone("tcp://a", desk.now, desk.out); };
        lose();
        auto sent = desk.turn();
        CHECK(only<Execute>(sent).empty());
        REQUIRE(only<ViewWatch>(sent).size() == 1);
        desk.answer(sent[0], ViewResult{view(1, "tcp://a")});
        auto before = desk.now;
        CHECK(only<Execute>(desk.sleep()).size() == 1);
        CHECK(desk.now - before >= 5ms);
        CHECK(desk.now - before <= 10ms);
        lose();
        lose();  // a second word of the same changes nothing
        before = desk.now;
        while (only<Execute>(desk.sleep()).empty()) {
        }
        CHECK(desk.now - before >= 10ms);
        CHECK(desk.now - before <= 20ms);
        lose();
        desk.push(view(2, "tcp://a"));
        CHECK(only<Execute>(desk.turn()).size() == 1);
    }

    TEST_CASE("C2: a deadline that passes after the sending is an unknown outcome and one before it is not") {
        Desk desk;
        desk.execute(1, 3s);
        desk.begin();
        desk.execute(2, 3s);
        desk.turn(3s);
        auto ends = desk.finished();
        REQUIRE(ends.size() == 2);
        CHECK(ends[0].error == error::outcome_unknown);
        CHECK(ends[1].error == error::deadline_passed);
        CHECK(ends[0].detail == "no answer from tcp://a");
        CHECK(desk.clerk.pending() == 0);
    }

    TEST_CASE("C2: the deadline of a read says that it had no effect") {
        Desk desk;
        desk.query(1, 500ms);
        desk.answer(desk.turn().at(0), ViewResult{view(1, "tcp://a")});
        CHECK(desk.turn().size() == 1);
        desk.turn(500ms);
        CHECK(desk.finished().at(0).error == error::deadline_passed);
    }

    TEST_CASE("C2: a call without a deadline is asked for as long as it takes") {
        Desk desk{{.give_up_after = Duration::max()}};
        desk.execute(1);
        auto sent = desk.begin();
        for (int i = 0; i < 100; ++i) {
            auto next = only<Execute>(desk.sleep());
            if (!next.empty()) sent = next;
        }
        CHECK(desk.clerk.pending() == 1);
        desk.answer(sent[0], result(1));
        CHECK_FALSE(desk.finished().at(0).error);
    }

    TEST_CASE("C3: a session is opened by the first command and not by a read") {
        Desk desk;
        desk.query(1);
        desk.answer(desk.turn().at(0), ViewResult{view(1, "tcp://a")});
        auto sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<Query>(sent[0].message) == Query{cluster, "main", "1"});
        desk.execute(2);
        desk.execute(3);
        sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<Open>(sent[0].message) == Open{cluster, "main", 1});
        desk.answer(sent[0], OpenResult{{1, 9}});
        sent = desk.turn();
        REQUIRE(sent.size() == 2);
        CHECK(command(sent[0]) == Execute{cluster, "main", {1, 9}, 1, 1, "2"});
        CHECK(command(sent[1]) == Execute{cluster, "main", {1, 9}, 2, 1, "3"});
    }

    TEST_CASE("C3: an opening without an answer is repeated and any answer to it will do once") {
        Desk desk;
        desk.execute(1);
        desk.answer(desk.turn().at(0), ViewResult{view(1, "tcp://a")});
        auto first = desk.turn();
        auto second = only<Open>(desk.turn(1s));
        REQUIRE(second.size() == 1);
        desk.answer(first[0], OpenResult{{1, 1}});
        desk.answer(second[0], OpenResult{{1, 2}});
        auto sent = only<Execute>(desk.turn());
        REQUIRE(sent.size() == 1);
        CHECK(command(sent[0]).session == SessionId{1, 1});
        CHECK(desk.out.events.empty());
    }

    TEST_CASE("C3: every command tells the lowest number unanswered") {
        Desk desk;
        for (CallKey key = 1; key <= 4; ++key) desk.execute(key, key == 1 ? 1s : 30s);
        auto sent = desk.begin();
        auto low = [&](CallKey key) {
            desk.execute(key);
            auto more = only<Execute>(desk.turn());
            return command(more.back()).low;
        };
        CHECK(low(5) == 1);
        desk.answer(sent[1], result(2));
        CHECK(low(6) == 1);
        desk.answer(sent[0], result(1));
        CHECK(low(7) == 3);
        desk.clerk.cancel(3, desk.now);
        CHECK(low(8) == 4);
        desk.refuse(sent[3], error::bad_request);
        CHECK(low(9) == 5);
    }

    TEST_CASE("C3: one given up counts as answered") {
        Desk desk;
        desk.execute(1, 500ms);
        desk.begin();
        desk.execute(2);
        CHECK(command(desk.turn().at(0)).low == 1);
        CHECK(desk.turn(500ms).empty());
        CHECK(desk.finished().at(0).error == error::outcome_unknown);
        desk.execute(3);
        CHECK(command(desk.turn().at(0)).low == 2);
    }

    TEST_CASE("C3: a cancelled call never comes out and its late answer disturbs nobody") {
        Desk desk;
        desk.execute(1);
        auto sent = desk.begin();
        desk.clerk.cancel(1, desk.now);
        desk.clerk.cancel(77, desk.now);
        desk.answer(sent[0], result(1));
        CHECK(desk.finished().empty());
        CHECK(desk.out.events.empty());
        CHECK(desk.clerk.pending() == 0);
        CHECK(desk.turn().empty());
        CHECK(desk.clerk.deadline() == never);
    }

    TEST_CASE("C5: without sessions commands are sent without opening one") {
        Desk desk{{.session = false}};
        desk.execute(1);
        desk.answer(desk.turn().at(0), ViewResult{view(1, "tcp://a")});
        auto sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(command(sent[0]) == Execute{cluster, "main", {}, 0, 0, "1"});
        CHECK(only<Execute>(desk.turn(1s)).size() == 1);
    }

    TEST_CASE("a stopped client ends its calls and every later one as closed") {
        Desk desk;
        desk.execute(1);
        desk.query(2);
        desk.clerk.stop();
        desk.execute(3);
        auto ends = desk.finished();
        REQUIRE(ends.size() == 3);
        for (const auto& end : ends) CHECK(end.error == error::closed);
        CHECK(desk.turn().empty());
    }

    TEST_CASE("C4: a client that ends closes its session and is done when that is answered") {
        Desk desk;
        desk.execute(1);
        desk.answer(desk.begin().at(0), result(5));
        desk.clerk.leave(desk.now);
        CHECK(desk.clerk.leaving());
        desk.execute(2);
        CHECK(desk.finished().back().error == error::closed);
        const auto sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<Close>(sent[0].message) == Close{cluster, "main", {1, 1}});
        CHECK(only<Close>(desk.turn(ClerkOptions{}.resend_after)).size() == 1);
        desk.answer(sent[0], CloseResult{{1, 6}});
        CHECK(!desk.clerk.leaving());
        CHECK(desk.turn().empty());
        CHECK(desk.clerk.deadline() == never);
    }

    TEST_CASE("C4: a client that ends closes its session at the next primary if need be") {
        Desk desk;
        desk.execute(1);
        desk.begin();
        desk.clerk.leave(desk.now);
        CHECK(desk.finished().at(0).error == error::closed);  // its outcome is unknown
        CHECK(only<Close>(desk.turn()).at(0).peer == "tcp://a");
        desk.push(view(2, "tcp://b"));
        const auto sent = only<Close>(desk.turn());
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].peer == "tcp://b");
        desk.refuse(sent[0], error::not_primary, view(3, "tcp://c"));
        CHECK(only<Close>(desk.turn()).at(0).peer == "tcp://c");
        desk.clerk.gone("tcp://c", desk.now, desk.out);
        CHECK(only<Close>(desk.turn(ClerkOptions{}.retry_last)).at(0).peer == "tcp://c");
    }

    TEST_CASE("C4: a client that ends does not wait for long and not at all without a session") {
        Desk desk;
        desk.execute(1);
        desk.begin();
        desk.clerk.leave(desk.now);
        for (int i = 0; i < 100 && desk.clerk.deadline() != never; ++i) desk.sleep();
        CHECK(!desk.clerk.leaving());
        CHECK(desk.now <= Desk{}.now + 2 * ClerkOptions{}.resend_after);

        Desk idle;
        idle.query(1);
        idle.answer(idle.turn().at(0), ViewResult{view(1, "tcp://a")});
        idle.clerk.leave(idle.now);
        CHECK(!idle.clerk.leaving());

        for (auto code : {error::unknown_method, error::session_expired, error::wrong_group}) {
            Desk refused;
            refused.execute(1);
            refused.begin();
            refused.clerk.leave(refused.now);
            refused.refuse(refused.turn().at(0), code);
            CHECK(!refused.clerk.leaving());
        }
    }

    TEST_CASE("a dump asks for the piece that it names and may be asked again") {
        Desk desk;
        desk.clerk.dump(1, Position{3, 4}, 2, {}, desk.now);
        desk.answer(desk.turn().at(0), ViewResult{view(1, "tcp://a")});
        auto sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<Dump>(sent[0].message) == Dump{cluster, "main", Position{3, 4}, 2});
        CHECK(only<Dump>(desk.turn(1s)).size() == 1);
        desk.answer(sent[0], DumpResult{{3, 4}, 2, "bytes", true});
        auto ends = desk.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].at == Position{3, 4});
        CHECK(ends[0].dump == DumpResult{{3, 4}, 2, "bytes", true});
    }

    TEST_CASE("C6: a dump that cannot begin for want of room keeps those that go on from nothing") {
        ClerkOptions options;
        options.window = 1;
        Desk desk{options};
        desk.clerk.dump(1, {}, 0, {}, desk.now);
        desk.answer(desk.turn().at(0), ViewResult{view(1, "tcp://a")});
        desk.refuse(desk.turn().at(0), error::overloaded);
        desk.clerk.dump(2, {}, 0, {}, desk.now);
        desk.clerk.dump(3, Position{3, 4}, 2, {}, desk.now);
        const auto sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<Dump>(sent[0].message).at == Position{3, 4});
        desk.answer(sent[0], DumpResult{{3, 4}, 2, "bytes", true});
        CHECK(desk.turn().empty());
        const auto later = desk.sleep();
        REQUIRE(later.size() == 1);
        CHECK(std::get<Dump>(later[0].message).at == std::nullopt);
    }

    TEST_CASE("a dump whose snapshot is gone ends at once with bad_chunk") {
        Desk desk;
        desk.clerk.dump(1, Position{3, 4}, 2, {}, desk.now);
        desk.answer(desk.turn().at(0), ViewResult{view(1, "tcp://a")});
        desk.refuse(desk.turn().at(0), error::bad_chunk);
        auto ends = desk.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].error == error::bad_chunk);
    }

    TEST_CASE("a client with wrong options is not made") {
        auto old = set_check_handler([](const char*, const char*, int) { throw 1; });
        CHECK_THROWS_AS((ClerkRules{ClerkOptions{}, 1}), int);
        set_check_handler(old);
    }

    TEST_CASE("copies of a client go on alike") {
        Desk desk;
        desk.execute(1);
        desk.begin();
        auto copy = desk.clerk;
        Effects other;
        for (auto* each : {&desk.clerk, &copy}) each->gone("tcp://a", desk.now, desk.out);
        CHECK(copy == desk.clerk);
        desk.turn(5s);
        CHECK_FALSE(copy == desk.clerk);
        copy.wake(desk.now, other);
        CHECK(copy == desk.clerk);
    }

    TEST_CASE("thousands of calls go through the window in order and each comes out once") {
        Desk desk;
        constexpr CallKey many = 20'000;
        for (CallKey key = 1; key <= many; ++key) desk.execute(key);
        auto sent = desk.begin();
        CHECK(sent.size() == 1024);
        Sequence last = 0;
        std::vector<bool> seen(many + 1);
        while (!sent.empty()) {
            for (const auto& each : sent) {
                CHECK_MESSAGE(command(each).seq == ++last, last);
                desk.clerk.receive({each.peer, each.id, result(last)}, desk.now, desk.out);
            }
            for (const auto& end : desk.finished()) {
                REQUIRE_FALSE(seen[end.key]);
                seen[end.key] = true;
            }
            sent = desk.turn(1ms);
        }
        CHECK(last == many);
        CHECK(desk.clerk.pending() == 0);
    }
}
