// How a client learns the view and which views it refuses, with the view service played by hand.
#include <doctest/doctest.h>

#include "../support/clerk_desk.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::client;
using namespace understudy::test;

TEST_SUITE("clerk_rules_view") {
    TEST_CASE("C1: the view service is asked once however many calls there are") {
        Desk desk;
        desk.execute(1);
        auto sent = desk.begin();
        CHECK(sent.size() == 1);
        CHECK(sent[0].peer == "tcp://a");
        for (CallKey key = 2; key < 200; ++key) {
            desk.execute(key);
            for (const auto& each : desk.turn(1ms)) {
                CHECK(std::holds_alternative<Execute>(each.message));
                desk.answer(each, result(key));
            }
        }
        CHECK(desk.clerk.view() == view(1, "tcp://a"));
    }

    TEST_CASE("C1: a client without calls asks nobody and one that follows does") {
        Desk desk;
        CHECK(desk.turn().empty());
        CHECK(desk.clerk.deadline() == never);
        desk.clerk.follow(desk.now);
        auto sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::get<ViewWatch>(sent[0].message).group == "main");
        desk.answer(sent[0], ViewResult{view(1, "tcp://a")});
        desk.push(view(2, "tcp://b"));
        CHECK(desk.clerk.view() == view(2, "tcp://b"));
        desk.push(view(1, "tcp://a"));
        CHECK(desk.clerk.view() == view(2, "tcp://b"));
    }

    TEST_CASE("C1: a silent view service is told once and the next address is asked") {
        Desk desk{{.view_service = {"tcp://v", "tcp://w"}}};
        desk.query(1, 60s);
        CHECK(desk.turn().at(0).peer == "tcp://v");
        CHECK(desk.sleep().at(0).peer == "tcp://w");
        CHECK(desk.sleep().at(0).peer == "tcp://v");
        CHECK(desk.sleep().at(0).peer == "tcp://w");
        CHECK(desk.out.events.size() == 2);
        CHECK(std::get<ViewServiceSilent>(desk.out.events[0]).address == "tcp://v");
    }

    TEST_CASE("C1: when the connection to the view service ends the next address is asked") {
        Desk desk{{.view_service = {"tcp://v", "tcp://w"}}};
        desk.execute(1);
        desk.begin();
        desk.clerk.gone("tcp://v", desk.now, desk.out);
        auto sent = desk.sleep();
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].peer == "tcp://w");
        CHECK(std::holds_alternative<ViewWatch>(sent[0].message));
    }

    TEST_CASE("C1: a refusal that brings a newer view spares asking for it") {
        Desk desk;
        desk.execute(1);
        auto sent = desk.begin();
        desk.refuse(sent[0], error::not_primary, view(2, "tcp://b"));
        sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].peer == "tcp://b");
        CHECK(command(sent[0]).seq == 1);
    }

    TEST_CASE("C1: a refusal without a newer view leads to the view service") {
        Desk desk;
        desk.execute(1);
        auto sent = desk.begin();
        desk.refuse(sent[0], error::not_primary, view(1, "tcp://a"));
        sent = desk.turn();
        REQUIRE(sent.size() == 1);
        CHECK(std::holds_alternative<ViewWatch>(sent[0].message));
        desk.answer(sent[0], ViewResult{view(1, "tcp://a")});
        CHECK(desk.turn().empty());  // the view explains nothing
        sent = desk.sleep();         // so the same server is tried after a wait
        REQUIRE(sent.size() == 1);
        CHECK(command(sent[0]).seq == 1);
    }

    TEST_CASE("C1: a view service without room for watchers is asked without watching") {
        Desk desk;
        desk.query(1);
        auto sent = desk.turn();
        desk.refuse(sent[0], error::overloaded);
        sent = desk.sleep();
        REQUIRE(sent.size() == 1);
        CHECK(std::holds_alternative<ViewGet>(sent[0].message));
        desk.answer(sent[0], ViewResult{view(1, "tcp://a")});
        CHECK(only<Query>(desk.turn()).size() == 1);
    }

    TEST_CASE("C1: a group without a view is waited for") {
        Desk desk;
        desk.query(1);
        auto sent = desk.turn();
        desk.answer(sent[0], ViewResult{{"main", cluster, 100ms, {}}});
        CHECK(desk.turn().empty());
        CHECK(only<ViewWatch>(desk.sleep()).size() == 1);
        desk.push(view(1, "tcp://a"));
        CHECK(only<Query>(desk.turn()).size() == 1);
    }

    TEST_CASE("C1: when all view services refuse for good the calls end with the reason") {
        Desk desk{{.view_service = {"tcp://v", "tcp://w"}}};
        desk.query(1);
        desk.refuse(desk.turn().at(0), error::unauthorized);
        CHECK(desk.finished().empty());
        desk.refuse(desk.sleep().at(0), error::unauthorized);
        auto ends = desk.finished();
        REQUIRE(ends.size() == 1);
        CHECK(ends[0].error == error::unauthorized);
        CHECK(ends[0].detail.find("because") != std::string::npos);
    }

    TEST_CASE("C7: refusals that may pass are like silence even if all view services give them") {
        Desk desk{{.view_service = {"tcp://v", "tcp://w"}, .give_up_after = Duration::max()}};
        desk.query(1);
        auto asked = desk.turn();
        for (int round = 0; round < 20; ++round) {
            REQUIRE(asked.size() == 1);
            CHECK(asked[0].peer == (round % 2 == 0 ? "tcp://v" : "tcp://w"));
            desk.refuse(asked[0], round % 2 == 0 ? error::unauthorized : error::internal);
            CHECK(desk.finished().empty());
            asked = desk.sleep();
        }
        desk.answer(asked.at(0), ViewResult{view(1, "tcp://a")});
        CHECK(only<Query>(desk.turn()).size() == 1);
    }

    TEST_CASE("C7: after an hour without a view service the next question is still no more than retry_last away") {
        Desk desk{{.give_up_after = Duration::max()}};
        desk.query(1);
        desk.execute(2);
        auto asked = desk.turn();
        const auto start = desk.now;
        while (desk.now < start + std::chrono::hours{1}) {
            REQUIRE(asked.size() == 1);
            desk.refuse(asked[0], error::internal);
            CHECK(desk.clerk.deadline() - desk.now <= 1s);
            asked = desk.sleep();
        }
    }

    TEST_CASE("C6: after an hour of overload the next try is still no more than retry_last away") {
        Desk desk{{.give_up_after = Duration::max()}};
        desk.execute(1);
        auto sent = desk.begin();
        const auto start = desk.now;
        while (desk.now < start + std::chrono::hours{1}) {
            sent = only<Execute>(sent);
            if (!sent.empty()) desk.refuse(sent[0], error::overloaded);
            CHECK(desk.clerk.deadline() - desk.now <= 1s);
            sent = desk.sleep();
        }
        CHECK(desk.finished().empty());
    }

    TEST_CASE("a server of another cluster is not believed and the view service is asked") {
        Desk desk;
        desk.execute(1);
        auto sent = desk.begin();
        auto foreign = view(9, "tcp://x");
        foreign.cluster = ClusterId{8};
        desk.refuse(sent[0], error::wrong_cluster, foreign);
        CHECK(desk.told(error::wrong_cluster));
        CHECK(desk.clerk.view() == view(1, "tcp://a"));
        sent = desk.turn();
        REQUIRE(only<ViewWatch>(sent).size() == 1);
        desk.answer(only<ViewWatch>(sent)[0], ViewResult{view(2, "tcp://b")});
        CHECK(only<Execute>(desk.turn()).size() == 1);
    }

    TEST_CASE("a client of a cluster that is no more ends with wrong_cluster") {
        Desk desk{{.window = 1}};
        desk.execute(1);
        desk.execute(2);
        desk.begin();
        auto other = view(1, "tcp://z");
        other.cluster = ClusterId{8};
        desk.push(other);
        CHECK(desk.told(error::wrong_cluster));
        desk.execute(3);
        auto ends = desk.finished();
        REQUIRE(ends.size() == 3);
        CHECK(ends[0].error == error::outcome_unknown);  // it was sent
        CHECK(ends[1].error == error::wrong_cluster);
        CHECK(ends[2].error == error::wrong_cluster);
        CHECK(desk.turn().empty());
        CHECK(desk.clerk.deadline() == never);
    }
}
