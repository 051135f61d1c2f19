// How a client learns the view and which views it refuses; the test plays the view service by hand.
#include <doctest/doctest.h>

#include "../support/clerk_fixture.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::client;
using namespace understudy::test;

TEST_SUITE("client_view") {
    TEST_CASE("C1: the view service is asked once however many calls there are") {
        Fixture fixture;
        fixture.execute(1);
        auto sent = fixture.begin();
        CHECK(sent.size() == 1);
        CHECK(sent[0].peer == "tcp://a");
        for (CallKey key = 2; key < 200; ++key) {
            fixture.execute(key);
            for (const auto& each : fixture.turn(1ms)) {
                CHECK(std::holds_alternative<Execute>(each.message));
                fixture.answer(each, result(key));
            }
        }
        CHECK(fixture.clerk.view() == view(1, "tcp://a"));
    }

    TEST_CASE("C1: a client without calls asks nobody and one that follows does") {
        Fixture fixture;
        CHECK(fixture.turn().empty());
        CHECK(fixture.clerk.deadline() == never);
        fixture.clerk.follow(fixture.now);
        auto sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<ViewWatch>(sent[0].message).group == "main");
        fixture.answer(sent[0], ViewResult{view(1, "tcp://a")});
        fixture.push(view(2, "tcp://b"));
        CHECK(fixture.clerk.view() == view(2, "tcp://b"));
        fixture.push(view(1, "tcp://a"));
        CHECK(fixture.clerk.view() == view(2, "tcp://b"));
    }

    TEST_CASE("C1: a silent view service is told once and the next address is asked") {
        Fixture fixture{{.view_service = {"tcp://v", "tcp://w"}}};
        fixture.query(1, 60s);
        CHECK(fixture.turn().at(0).peer == "tcp://v");
        CHECK(fixture.sleep().at(0).peer == "tcp://w");
        CHECK(fixture.sleep().at(0).peer == "tcp://v");
        CHECK(fixture.sleep().at(0).peer == "tcp://w");
        CHECK(fixture.out.events.size() == 2);
        CHECK(std::get<ViewServiceSilent>(fixture.out.events[0]).address == "tcp://v");
    }

    TEST_CASE("C1: when the connection to the view service ends the next address is asked") {
        Fixture fixture{{.view_service = {"tcp://v", "tcp://w"}}};
        fixture.execute(1);
        fixture.begin();
        fixture.clerk.disconnected("tcp://v", fixture.now, fixture.out);
        auto sent = fixture.sleep();
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].peer == "tcp://w");
        CHECK(std::holds_alternative<ViewWatch>(sent[0].message));
    }

    TEST_CASE("C1: a refusal that brings a newer view spares asking for it") {
        Fixture fixture;
        fixture.execute(1);
        auto sent = fixture.begin();
        fixture.refuse(sent[0], error::not_primary, view(2, "tcp://b"));
        sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].peer == "tcp://b");
        CHECK(command(sent[0]).seq == 1);
    }

    TEST_CASE("C1: a refusal without a newer view leads to the view service") {
        Fixture fixture;
        fixture.execute(1);
        auto sent = fixture.begin();
        fixture.refuse(sent[0], error::not_primary, view(1, "tcp://a"));
        sent = fixture.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::holds_alternative<ViewWatch>(sent[0].message));
        fixture.answer(sent[0], ViewResult{view(1, "tcp://a")});
        CHECK(fixture.turn().empty());  // the view does not explain the refusal
        sent = fixture.sleep();         // so the client retries the same server after a wait
        REQUIRE(sent.size() == 1);
        CHECK(command(sent[0]).seq == 1);
    }

    TEST_CASE("C1: a view service without room for watchers is asked without watching") {
        Fixture fixture;
        fixture.query(1);
        auto sent = fixture.turn();
        fixture.refuse(sent[0], error::overloaded);
        sent = fixture.sleep();
        REQUIRE(sent.size() == 1);
        CHECK(std::holds_alternative<ViewGet>(sent[0].message));
        fixture.answer(sent[0], ViewResult{view(1, "tcp://a")});
        CHECK(only<Query>(fixture.turn()).size() == 1);
    }

    TEST_CASE("C1: a group without a view is waited for") {
        Fixture fixture;
        fixture.query(1);
        auto sent = fixture.turn();
        fixture.answer(sent[0], ViewResult{{"main", cluster, 100ms, {}}});
        CHECK(fixture.turn().empty());
        CHECK(only<ViewWatch>(fixture.sleep()).size() == 1);
        fixture.push(view(1, "tcp://a"));
        CHECK(only<Query>(fixture.turn()).size() == 1);
    }

    TEST_CASE("C1: when all view services refuse for good the calls end with the reason") {
        Fixture fixture{{.view_service = {"tcp://v", "tcp://w"}}};
        fixture.query(1);
        fixture.refuse(fixture.turn().at(0), error::unauthorized);
        CHECK(fixture.finished().empty());
        fixture.refuse(fixture.sleep().at(0), error::unauthorized);
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].error == error::unauthorized);
        CHECK(ends[0].detail.find("because") != std::string::npos);
    }

    TEST_CASE("C7: calls go on while one view service refuses for good and the other one is silent") {
        Fixture fixture{{.view_service = {"tcp://v", "tcp://w"}, .give_up_after = Duration::max()}};
        fixture.query(1);
        auto asked = fixture.turn();
        for (int round = 0; round < 6; ++round) {
            REQUIRE(asked.size() == 1);
            if (round % 2 == 0) fixture.refuse(asked[0], error::unauthorized);
            CHECK(fixture.finished().empty());
            asked = fixture.sleep();
        }
        fixture.answer(asked.at(0), ViewResult{view(1, "tcp://a")});
        CHECK(only<Query>(fixture.turn()).size() == 1);
    }

    TEST_CASE("C7: refusals that may pass are like silence even if all view services give them") {
        Fixture fixture{{.view_service = {"tcp://v", "tcp://w"}, .give_up_after = Duration::max()}};
        fixture.query(1);
        auto asked = fixture.turn();
        for (int round = 0; round < 20; ++round) {
            REQUIRE(asked.size() == 1);
            CHECK(asked[0].peer == (round % 2 == 0 ? "tcp://v" : "tcp://w"));
            fixture.refuse(asked[0], round % 2 == 0 ? error::unauthorized : error::internal);
            CHECK(fixture.finished().empty());
            asked = fixture.sleep();
        }
        fixture.answer(asked.at(0), ViewResult{view(1, "tcp://a")});
        CHECK(only<Query>(fixture.turn()).size() == 1);
    }

    TEST_CASE("C7: after an hour without a view service the next question is still no more than retry_last away") {
        Fixture fixture{{.give_up_after = Duration::max()}};
        fixture.query(1);
        fixture.execute(2);
        auto asked = fixture.turn();
        const auto start = fixture.now;
        while (fixture.now < start + std::chrono::hours{1}) {
            REQUIRE(asked.size() == 1);
            fixture.refuse(asked[0], error::internal);
            CHECK(fixture.clerk.deadline() - fixture.now <= 1s);
            asked = fixture.sleep();
        }
    }

    TEST_CASE("C6: after an hour of overload the next try is still no more than retry_last away") {
        Fixture fixture{{.give_up_after = Duration::max()}};
        fixture.execute(1);
        auto sent = fixture.begin();
        const auto start = fixture.now;
        while (fixture.now < start + std::chrono::hours{1}) {
            sent = only<Execute>(sent);
            if (!sent.empty()) fixture.refuse(sent[0], error::overloaded);
            CHECK(fixture.clerk.deadline() - fixture.now <= 1s);
            sent = fixture.sleep();
        }
        CHECK(fixture.finished().empty());
    }

    TEST_CASE("a server of another cluster is not believed and the view service is asked") {
        Fixture fixture;
        fixture.execute(1);
        auto sent = fixture.begin();
        auto foreign = view(9, "tcp://x");
        foreign.cluster = ClusterId{8};
        fixture.refuse(sent[0], error::wrong_cluster, foreign);
        CHECK(fixture.emitted(error::wrong_cluster));
        CHECK(fixture.clerk.view() == view(1, "tcp://a"));
        sent = fixture.turn();
        REQUIRE(only<ViewWatch>(sent).size() == 1);
        fixture.answer(only<ViewWatch>(sent)[0], ViewResult{view(2, "tcp://b")});
        CHECK(only<Execute>(fixture.turn()).size() == 1);
    }

    TEST_CASE("a client of a cluster that is no more ends with wrong_cluster") {
        Fixture fixture{{.window = 1}};
        fixture.execute(1);
        fixture.execute(2);
        fixture.begin();
        auto other = view(1, "tcp://z");
        other.cluster = ClusterId{8};
        fixture.push(other);
        CHECK(fixture.emitted(error::wrong_cluster));
        fixture.execute(3);
        auto ends = fixture.finished();
        REQUIRE(ends.size() == 3);
        CHECK(ends[0].error == error::outcome_unknown);  // the command had been sent
        CHECK(ends[1].error == error::wrong_cluster);
        CHECK(ends[2].error == error::wrong_cluster);
        CHECK(fixture.turn().empty());
        CHECK(fixture.clerk.deadline() == never);
    }
}
