// Groups that are forgotten, by an operator's word or by rule, and the numbers that outlive them.
#include <doctest/doctest.h>

#include <tests/support/view_stage.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("core/view_remove") {
    TEST_CASE("a group is removed when nobody of it is heard and its numbers are not used again") {
        ViewStage stage;
        stage.rules.track_changes(stage.rules.record());
        stage.set_up({"a", "b"});
        auto answer = stage.call("operator", ViewRemove{"main"});
        CHECK(code_of(answer) == error::bad_request);
        CHECK(text_of(answer) == "a is heard, or was less than D ago; stop every server of the group first");
        CHECK(code_of(stage.call("operator", ViewRemove{"other"})) == error::bad_request);
        stage.call("watcher", ViewWatch{"main"});
        stage.pass(2 * dead);
        const auto last = stage.view();
        CHECK(std::get<ViewResult>(stage.call("operator", ViewRemove{"main"})).info.view == last);
        CHECK(!stage.rules.view("main"));
        REQUIRE(stage.told<GroupRemoved>().size() == 1);
        CHECK(stage.rules.changes().gone == std::vector<std::string>{"main"});
        ViewRecord stored;
        apply(stored, stage.rules.changes());
        CHECK(stored == stage.rules.record());
        CHECK(stored.removed == last.number);

        stage.ping("a", last.number, {.cluster = our_cluster});  // it has state, and leads no new group
        CHECK(stage.view().number == 0);
        stage.clear();
        stage.restart("c");
        SUBCASE("in this life of the view service") {}
        SUBCASE("after a restart") { stage.rules = ViewRules{ViewOptions{}, stored, stage.now}; }
        stage.ping("c", 0);
        CHECK(stage.view().number == last.number + 1);
        CHECK(stage.view().primary.name == "c");
        CHECK(stage.view().forced == last.number + 1);  // who holds more drops it
    }

    TEST_CASE("a group that never came to anything is removed by rule after an hour of silence") {
        for (const int came_to : {0, 1, 2}) {  // a journal, an acknowledged view
            CAPTURE(came_to);
            ViewStage stage;
            auto first = stage.make_ping("a", 0);
            first.journal = came_to == 1;
            stage.call("conn:a", first);
            if (came_to == 2) stage.ack();
            stage.gone("conn:a");
            stage.pass(59min);
            CHECK(stage.rules.view("main"));
            stage.pass(2min);
            CHECK((stage.rules.view("main") == nullptr) == (came_to == 0));
            CHECK(stage.told<GroupRemoved>().size() == (came_to == 0));
            CHECK(stage.rules.record().removed == (came_to == 0));
        }
    }

    TEST_CASE("ten thousand groups that nobody needs make room again after an hour") {
        ViewStage stage{ViewOptions{.max_groups = 100}};
        for (int i = 0; i < 150; ++i) {
            stage.group = "junk" + std::to_string(i);
            stage.ping("x", 0, {.peer = "conn" + std::to_string(i)});
        }
        CHECK(stage.rules.record().groups.size() == 100);
        stage.pass(61min);
        CHECK(stage.rules.record().groups.empty());
        stage.group = "main";
        stage.ping("a", 0);
        CHECK(stage.shown() == "view 2: primary a, no backup");
    }

    TEST_CASE("a connection founds no more groups than max_groups_of_peer and others go on") {
        ViewStage stage{ViewOptions{.max_groups_of_peer = 10}};
        for (int i = 0; i < 20; ++i) {
            stage.group = "g" + std::to_string(i);
            const auto answer = stage.call("greedy", stage.make_ping("x", 0));
            CHECK(std::holds_alternative<PingResult>(answer) == (i < 10));
            if (i >= 10) CHECK(code_of(answer) == error::overloaded);
        }
        stage.ping("y", 0);  // of the last group, over another
        CHECK(stage.view().number == 1);
        stage.group = "g0";
        CHECK(std::holds_alternative<PingResult>(stage.call("greedy", stage.make_ping("x", 1))));
    }
}
