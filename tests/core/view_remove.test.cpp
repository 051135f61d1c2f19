// Groups that are removed, by an operator or by rule, and the view numbers that must outlive them.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("core/view_remove") {
    TEST_CASE("a group is removed when nobody of it is heard and its numbers are not used again") {
        ViewHarness harness;
        harness.machine.track_changes(harness.machine.record());
        harness.set_up({"a", "b"});
        auto answer = harness.call("operator", ViewRemove{"main"});
        CHECK(code_of(answer) == error::bad_request);
        CHECK(text_of(answer) == "a is heard, or was less than D ago; stop every server of the group first");
        CHECK(code_of(harness.call("operator", ViewRemove{"other"})) == error::bad_request);
        harness.call("watcher", ViewWatch{"main"});
        harness.pass(2 * dead);
        const auto last = harness.view();
        CHECK(std::get<ViewResult>(harness.call("operator", ViewRemove{"main"})).info.view == last);
        CHECK(!harness.machine.view("main"));
        REQUIRE(harness.emitted<GroupRemoved>().size() == 1);
        CHECK(harness.machine.changes().gone == std::vector<std::string>{"main"});
        ViewRecord stored;
        apply(stored, harness.machine.changes());
        CHECK(stored == harness.machine.record());
        CHECK(stored.removed == last.number);

        harness.ping("a", last.number, {.cluster = our_cluster});  // it has state, and must not lead a new group
        CHECK(harness.view().number == 0);
        harness.clear();
        harness.restart("c");
        SUBCASE("in this life of the view service") {}
        SUBCASE("after a restart") { harness.machine = ViewStateMachine{ViewOptions{}, stored, harness.now}; }
        harness.ping("c", 0);
        CHECK(harness.view().number == last.number + 1);
        CHECK(harness.view().primary.name == "c");
        CHECK(harness.view().forced == last.number + 1);  // a server with more state drops it
    }

    TEST_CASE("a group that never came to anything is removed by rule after an hour of silence") {
        for (const int came_to : {0, 1, 2}) {  // 1: a journal, 2: an acknowledged view
            CAPTURE(came_to);
            ViewHarness harness;
            auto first = harness.make_ping("a", 0);
            first.journal = came_to == 1;
            harness.call("conn:a", first);
            if (came_to == 2) harness.ack();
            harness.disconnected("conn:a");
            harness.pass(59min);
            CHECK(harness.machine.view("main"));
            harness.pass(2min);
            CHECK((harness.machine.view("main") == nullptr) == (came_to == 0));
            CHECK(harness.emitted<GroupRemoved>().size() == (came_to == 0));
            CHECK(harness.machine.record().removed == (came_to == 0));
        }
    }

    TEST_CASE("ten thousand groups that nobody needs make room again after an hour") {
        ViewHarness harness{ViewOptions{.max_groups = 100}};
        for (int i = 0; i < 150; ++i) {
            harness.group = "junk" + std::to_string(i);
            harness.ping("x", 0, {.peer = "conn" + std::to_string(i)});
        }
        CHECK(harness.machine.record().groups.size() == 100);
        harness.pass(61min);
        CHECK(harness.machine.record().groups.empty());
        harness.group = "main";
        harness.ping("a", 0);
        CHECK(harness.shown() == "view 2: primary a, no backup");
    }

    TEST_CASE("a connection founds no more groups than max_groups_of_peer and others go on") {
        ViewHarness harness{ViewOptions{.max_groups_of_peer = 10}};
        for (int i = 0; i < 20; ++i) {
            harness.group = "g" + std::to_string(i);
            const auto answer = harness.call("greedy", harness.make_ping("x", 0));
            CHECK(std::holds_alternative<PingResult>(answer) == (i < 10));
            if (i >= 10) CHECK(code_of(answer) == error::overloaded);
        }
        harness.ping("y", 0);  // joins the last group, over another connection
        CHECK(harness.view().number == 1);
        harness.group = "g0";
        CHECK(std::holds_alternative<PingResult>(harness.call("greedy", harness.make_ping("x", 1))));
    }
}
