// The rules R0 to R6 through the state machine, clause by clause.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("view_service/state_machine") {
    namespace {
    ViewHarness with_backups(std::size_t k) { return ViewHarness{ViewOptions{.backups = k}}; }
    }  // namespace

    TEST_CASE("ViewStateMachine is a machine that can be copied and compared") {
        static_assert(StateMachine<ViewStateMachine>);
        static_assert(std::copyable<ViewStateMachine>);
        ViewHarness harness;
        harness.set_up({"a", "b"});
        auto copy = harness.machine;
        CHECK(copy == harness.machine);
        harness.restart("b");
        harness.ping("b", 0);
        CHECK(copy != harness.machine);
    }

    TEST_CASE("R0: a server with state of this cluster is not the first of a group") {
        ViewHarness harness;
        CHECK(harness.ping("a", 0, {.cluster = our_cluster}).info.view.number == 0);
        CHECK(harness.ping("b", 0, {.recovered = {Incarnation{77}}, .cluster = our_cluster}).info.view.number == 0);
        CHECK(harness.ping("c", 3).info.view.number == 0);
        CHECK(harness.ping("d", 0, {.leaving = true}).info.view.number == 0);
        CHECK(harness.ping("e", 0).info.view.primary.name == "e");
        CHECK(harness.why() == "R0: e is the first server");
    }

    TEST_CASE("R0: a server whose former lives were in no view can be the first of a group") {
        ViewHarness harness;
        CHECK(harness.ping("a", 0, {.recovered = {Incarnation{77}}}).info.view.primary.name == "a");
    }

    TEST_CASE("R1: the first synced backup that is ok is promoted and the others stay with their flags") {
        auto harness = with_backups(3);
        harness.set_up({"a", "b", "c"});
        harness.ping("d", 0);
        CHECK(harness.shown() == "view 4: primary a, backups b (in sync), c (in sync), d (joining)");
        harness.restart("b");
        harness.disconnected("conn:b");
        harness.probed("b", ProbeResult::refused);
        CHECK(harness.shown() == "view 5: primary a, backups c (in sync), d (joining)");
        harness.disconnected("conn:a");
        harness.probed("a", ProbeResult::refused);
        CHECK(harness.shown() == "view 6: primary c, backup d (joining)");
        CHECK(harness.why() == "R1: a has died: its connection broke and its address refuses a new one, promoting c");
    }

    TEST_CASE("R1: a synced backup that died with the primary is passed over") {
        auto harness = with_backups(2);
        harness.set_up({"a", "b", "c"});
        CHECK(harness.view().synced_count() == 2);
        harness.run(2 * dead, {"c"});
        CHECK(harness.view().primary.name == "c");
    }

    TEST_CASE("R1: idle servers fill up to k in order of arrival and unsynced") {
        auto harness = with_backups(2);
        harness.set_up({"a", "b", "c", "z", "y", "x"});
        harness.run(2 * dead, {"b", "x", "y", "z"});
        CHECK(harness.view().primary.name == "b");
        REQUIRE(harness.view().backups.size() == 2);
        CHECK(harness.view().backups[0].name == "z");
        CHECK(harness.view().backups[1].name == "y");
        CHECK(harness.view().backup("y"));
        CHECK(!harness.view().backup("x"));
    }

    TEST_CASE("R2: the primary goes on without a dead backup whose place is filled without waiting for an ack") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        harness.restart("b");
        harness.ping("b", 0);
        CHECK(harness.shown() == "view 3: primary a, backup c (joining)");
        CHECK(harness.why() == "R2: b has restarted");
        harness.restart("c");  // a has not acked view 3
        harness.ping("c", 0);
        CHECK(harness.shown() == "view 4: primary a, backup b (joining)");
    }

    TEST_CASE("R2: a backup that the primary reports unreachable is removed though it pings") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.ping("a", 2, {.synced = {{"b"}}, .unreachable = {"b"}});
        CHECK(harness.shown() == "view 3: primary a, no backup");
        CHECK(harness.why() == "R2: b does not acknowledge to the primary");
    }

    TEST_CASE("R2: a report of an older view or of another server than the primary does not count") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.ping("a", 1, {.unreachable = {"b"}});
        harness.ping("b", 2, {.unreachable = {"a", "b"}});
        CHECK(harness.view().number == 2);
    }

    TEST_CASE("R3: one backup joins at a time and each waits for the ack of all before it") {
        auto harness = with_backups(3);
        for (auto* name : {"a", "b", "c", "d"}) harness.ping(name, 0);
        harness.ack();
        CHECK(harness.shown() == "view 2: primary a, backup b (joining)");
        harness.ping("a", 2, {.synced = std::vector<Address>{}});
        CHECK(harness.view().number == 2);
        harness.ack();
        CHECK(harness.shown() == "view 3: primary a, backups b (in sync), c (joining)");
        harness.ping("a", 3, {.synced = {{"b"}}});
        CHECK(harness.view().number == 3);
        harness.ack();
        CHECK(harness.view().backups.size() == 3);
        harness.ack();
        CHECK(harness.view().number == 4);
        CHECK(harness.status().acked);
    }

    TEST_CASE("R3: with no backups wanted an idle server stays idle") {
        auto harness = with_backups(0);
        harness.set_up({"a", "b"});
        CHECK(harness.shown() == "view 1: primary a, no backup");
        CHECK(harness.role("b") == "idle");
    }

    TEST_CASE("R3: a server that was reported unreachable is not idle for 10 D and then is") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.ping("a", 2, {.unreachable = {"b"}});
        CHECK(harness.view().backups.empty());
        auto reported = harness.now;
        while (harness.now < reported + 10 * dead - interval) {
            harness.run(interval, {"a", "b"});
            REQUIRE(harness.view().backups.empty());
        }
        harness.run(2 * interval, {"a", "b"});
        CHECK(harness.view().backup("b"));
    }

    TEST_CASE("R3: what a former primary reported unreachable is idle for its successor") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        harness.ping("a", 2, {.unreachable = {"b"}});
        harness.ack();
        CHECK(harness.shown() == "view 3: primary a, backup c (in sync)");
        harness.disconnected("conn:a");
        harness.probed("a", ProbeResult::refused);
        CHECK(harness.shown() == "view 4: primary c, backup b (joining)");
        harness.ack();
        CHECK(harness.shown() == "view 4: primary c, backup b (in sync)");
    }

    TEST_CASE("R3: a primary whose reports leave nobody to join serves alone for 10 D and is then joined one by one") {
        auto harness = with_backups(2);
        const std::vector<Address> all{"a", "b", "c", "d"};
        harness.set_up(all);
        REQUIRE(harness.view().synced_count() == 2);
        auto number = harness.view().number;
        harness.ping("a", number, {.synced = {{"b", "c"}}, .unreachable = {"b", "c"}});
        CHECK(harness.shown() == "view " + std::to_string(++number) + ": primary a, backup d (joining)");
        harness.ping("a", number, {.synced = std::vector<Address>{}, .unreachable = {"d"}});
        CHECK(harness.shown() == "view " + std::to_string(++number) + ": primary a, no backup");
        SUBCASE("and they come back") {
            harness.run(10 * dead - 2 * interval, all);
            CHECK(harness.view().number == number);
            CHECK(harness.status().waiting_for.empty());
            CHECK(harness.emitted<GroupWaits>().empty());
            for (int i = 0; i < 3; ++i) {
                const auto before = harness.view().number;
                harness.run(interval, all);
                CHECK(harness.view().number <= before + 1);
            }
            harness.run(interval, all);
            CHECK(harness.shown() ==
                  "view " + std::to_string(number + 2) + ": primary a, backups b (in sync), c (in sync)");
        }
        SUBCASE("and it is lost") {
            harness.restart("a");
            harness.ping("a", 0);
            harness.run(2 * dead, all);
            CHECK(harness.view().number == number);
            CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
            CHECK(harness.status().waiting_why.find("had no backup in sync") != std::string::npos);
        }
    }

    TEST_CASE("R3: a new life of a server that was reported unreachable may join at once") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.ping("a", 2, {.unreachable = {"b"}});
        harness.ack();
        harness.restart("b");
        harness.ping("b", 0);
        CHECK(harness.view().backup("b"));
    }

    TEST_CASE("R3: a server that is leaving is not idle") {
        ViewHarness harness;
        harness.ping("a", 0);
        harness.ping("b", 0, {.leaving = true});
        harness.ack();
        CHECK(harness.view().backups.empty());
        CHECK(harness.role("b") == "leaving");
    }

    TEST_CASE("R3: a server that was lost and comes back goes to the end of the idle ones") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c", "d"});
        harness.run(2 * dead, {"a", "b", "d"});
        CHECK(harness.role("c") == "dead");
        harness.run(interval, {"a", "b", "c", "d"});
        CHECK(harness.role("c") == "idle");
        harness.restart("b");
        harness.ping("b", 0);
        CHECK(harness.view().backup("d"));
    }

    TEST_CASE("R4: the view stays until the primary returns with its state") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.pass(2 * dead);
        harness.run(4 * dead, {"b"});
        CHECK(harness.view().number == 1);
        CHECK(harness.emitted<GroupWaits>().size() == 1);
        harness.run(2 * interval, {"a", "b"});
        CHECK(harness.view().backup("b"));
        CHECK(harness.status().waiting_for.empty());
    }

    TEST_CASE("R4: when a synced backup returns first it is promoted") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        harness.run(3 * dead, {"c"});
        CHECK(harness.status().waiting_for == std::vector<Address>{"a", "b"});
        harness.act("b");
        CHECK(harness.shown() == "view 3: primary b, backup c (joining)");
    }

    TEST_CASE("R4: with no synced backup the group waits whoever else is there") {
        for (std::size_t k : {0u, 1u, 2u, 3u}) {
            auto harness = with_backups(k);
            harness.ping("a", 0);
            harness.ack();
            harness.ping("b", 0);  // joins if k allows, never in sync
            harness.run(4 * dead, {"b", "c", "d"});
            CHECK(harness.view().primary.name == "a");
            CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
        }
    }

    TEST_CASE("R5: a primary that restarts with its state leads the next view") {
        ViewHarness harness;
        harness.set_up({"a"});
        auto old = harness.incarnation("a");
        harness.pass(2 * dead);
        harness.run(2 * dead, {"b"});
        harness.restart("a");
        harness.ping("a", 0, {.recovered = {old}, .cluster = our_cluster});
        CHECK(harness.view().number == 2);
        CHECK(harness.view().primary == Member{"a", harness.incarnation("a"), false});
        CHECK(harness.why() == "R5: a is back with the state of its former incarnation");
    }

    TEST_CASE("R5: a life that recovered something else does not lead") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.restart("a");
        harness.ping("a", 0, {.recovered = {Incarnation{12345}}});
        CHECK(harness.view().number == 1);
    }

    TEST_CASE("R5: a backup that was not in sync does not lead though it restarts with its state") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.ping("b", 0);
        REQUIRE(harness.shown() == "view 2: primary a, backup b (joining)");
        const auto old = harness.incarnation("b");
        harness.run(2 * dead, {});
        harness.restart("b");
        harness.ping("b", 0, {.recovered = {old}, .cluster = our_cluster});
        harness.run(2 * dead, {"b"});
        CHECK(harness.view().primary.name == "a");
        CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
    }

    TEST_CASE("R5: a synced backup that restarts with its state leads if the primary is dead") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        auto old = harness.incarnation("b");
        harness.run(2 * dead, {});
        harness.restart("b");
        harness.ping("b", 0, {.recovered = {old}});
        CHECK(harness.shown() == "view 3: primary b, no backup");
    }

    TEST_CASE("R6: a leaving primary is told to stop and the backup leads once it has stopped") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        CHECK(harness.ping("a", 2, {.synced = {{"b"}}, .leaving = true}).stop);
        CHECK(harness.view().number == 2);  // `leaving` alone is only a request
        auto answer = harness.ping("a", 2, {.stopped = true, .leaving = true});
        CHECK(harness.shown() == "view 3: primary b, backup c (joining)");
        CHECK(harness.why() == "R6: a has left, promoting b");
        CHECK(!answer.stop);
        CHECK(harness.role("a") == "dead");
    }

    TEST_CASE("R6: a sole primary that wants to leave is not told to stop") {
        ViewHarness harness;
        harness.set_up({"a"});
        CHECK(!harness.ping("a", 1, {.leaving = true}).stop);
        harness.ping("b", 0);
        CHECK(!harness.ping("a", 2, {.leaving = true}).stop);  // b has joined but is not in sync
        CHECK(harness.ping("a", 2, {.synced = {{"b"}}, .leaving = true}).stop);
    }

    TEST_CASE("R6: only the primary is told to stop") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        CHECK(!harness.ping("b", 2, {.leaving = true}).stop);
        CHECK(!harness.ping("c", 0, {.leaving = true}).stop);
    }

    TEST_CASE("R6: if the backup dies after the stop a primary that is not leaving leads again") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.receive({"operator", "p1", ViewPromote{"main", "b"}});
        CHECK(harness.ping("a", 2, {.synced = {{"b"}}}).stop);
        harness.restart("b");
        harness.ping("b", 0);                                               // the old process of b is dead
        CHECK(harness.shown() == "view 3: primary a, backup b (joining)");  // R2: a has not said yet that it stopped
        harness.ping("a", 2, {.stopped = true});
        CHECK(harness.view().number == 3);  // the ping was about view 2
    }

    TEST_CASE("R6: a stopped primary leads the next view again when no backup in sync is left") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.ping("a", 1, {.stopped = true});
        CHECK(harness.shown() == "view 2: primary a, no backup");
        CHECK(harness.why() ==
              "R6: a has stopped serving, as it was to, but no backup in sync is left: it leads again");
    }

    TEST_CASE("R6: a lost stop is told again with every ping") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        for (int i = 0; i < 3; ++i) CHECK(harness.ping("a", 2, {.synced = {{"b"}}, .leaving = true}).stop);
    }
}
