// The rules R0 to R6 through the machine, clause by clause.
#include <doctest/doctest.h>

#include <tests/support/view_stage.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("view_service/state_machine") {
    namespace {
    ViewStage with_backups(std::size_t k) { return ViewStage{ViewOptions{.backups = k}}; }
    }  // namespace

    TEST_CASE("ViewRules is a machine that can be copied and compared") {
        static_assert(Machine<ViewRules>);
        static_assert(std::copyable<ViewRules>);
        ViewStage stage;
        stage.set_up({"a", "b"});
        auto copy = stage.rules;
        CHECK(copy == stage.rules);
        stage.restart("b");
        stage.ping("b", 0);
        CHECK(copy != stage.rules);
    }

    TEST_CASE("R0: a server with state of this cluster is not the first of a group") {
        ViewStage stage;
        CHECK(stage.ping("a", 0, {.cluster = our_cluster}).info.view.number == 0);
        CHECK(stage.ping("b", 0, {.recovered = {Incarnation{77}}, .cluster = our_cluster}).info.view.number == 0);
        CHECK(stage.ping("c", 3).info.view.number == 0);
        CHECK(stage.ping("d", 0, {.leaving = true}).info.view.number == 0);
        CHECK(stage.ping("e", 0).info.view.primary.name == "e");
        CHECK(stage.why() == "R0: e is the first server");
    }

    TEST_CASE("R0: a server whose former lives were in no view can be the first of a group") {
        ViewStage stage;
        CHECK(stage.ping("a", 0, {.recovered = {Incarnation{77}}}).info.view.primary.name == "a");
    }

    TEST_CASE("R1: the first synced backup that is ok is promoted and the others stay with their flags") {
        auto stage = with_backups(3);
        stage.set_up({"a", "b", "c"});
        stage.ping("d", 0);
        CHECK(stage.shown() == "view 4: primary a, backups b (in sync), c (in sync), d (joining)");
        stage.restart("b");
        stage.gone("conn:b");
        stage.probed("b", ProbeResult::refused);
        CHECK(stage.shown() == "view 5: primary a, backups c (in sync), d (joining)");
        stage.gone("conn:a");
        stage.probed("a", ProbeResult::refused);
        CHECK(stage.shown() == "view 6: primary c, backup d (joining)");
        CHECK(stage.why() == "R1: a has died: its connection broke and its address refuses a new one, promoting c");
    }

    TEST_CASE("R1: a synced backup that died with the primary is passed over") {
        auto stage = with_backups(2);
        stage.set_up({"a", "b", "c"});
        CHECK(stage.view().synced_count() == 2);
        stage.run(2 * dead, {"c"});
        CHECK(stage.view().primary.name == "c");
    }

    TEST_CASE("R1: idle servers fill up to k in order of arrival and unsynced") {
        auto stage = with_backups(2);
        stage.set_up({"a", "b", "c", "z", "y", "x"});
        stage.run(2 * dead, {"b", "x", "y", "z"});
        CHECK(stage.view().primary.name == "b");
        REQUIRE(stage.view().backups.size() == 2);
        CHECK(stage.view().backups[0].name == "z");
        CHECK(stage.view().backups[1].name == "y");
        CHECK(stage.view().backup("y"));
        CHECK(!stage.view().backup("x"));
    }

    TEST_CASE("R2: the primary goes on without a dead backup whose place is filled without waiting for an ack") {
        ViewStage stage;
        stage.set_up({"a", "b", "c"});
        stage.restart("b");
        stage.ping("b", 0);
        CHECK(stage.shown() == "view 3: primary a, backup c (joining)");
        CHECK(stage.why() == "R2: b has restarted");
        stage.restart("c");  // a has not acked view 3
        stage.ping("c", 0);
        CHECK(stage.shown() == "view 4: primary a, backup b (joining)");
    }

    TEST_CASE("R2: a backup that the primary reports unreachable is removed though it pings") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.ping("a", 2, {.synced = {{"b"}}, .unreachable = {"b"}});
        CHECK(stage.shown() == "view 3: primary a, no backup");
        CHECK(stage.why() == "R2: b does not acknowledge to the primary");
    }

    TEST_CASE("R2: a report of an older view or of another server than the primary does not count") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.ping("a", 1, {.unreachable = {"b"}});
        stage.ping("b", 2, {.unreachable = {"a", "b"}});
        CHECK(stage.view().number == 2);
    }

    TEST_CASE("R3: one backup joins at a time and each waits for the ack of all before it") {
        auto stage = with_backups(3);
        for (auto* name : {"a", "b", "c", "d"}) stage.ping(name, 0);
        stage.ack();
        CHECK(stage.shown() == "view 2: primary a, backup b (joining)");
        stage.ping("a", 2, {.synced = std::vector<Address>{}});
        CHECK(stage.view().number == 2);
        stage.ack();
        CHECK(stage.shown() == "view 3: primary a, backups b (in sync), c (joining)");
        stage.ping("a", 3, {.synced = {{"b"}}});
        CHECK(stage.view().number == 3);
        stage.ack();
        CHECK(stage.view().backups.size() == 3);
        stage.ack();
        CHECK(stage.view().number == 4);
        CHECK(stage.status().acked);
    }

    TEST_CASE("R3: with no backups wanted an idle server stays idle") {
        auto stage = with_backups(0);
        stage.set_up({"a", "b"});
        CHECK(stage.shown() == "view 1: primary a, no backup");
        CHECK(stage.role("b") == "idle");
    }

    TEST_CASE("R3: a server that was reported unreachable is not idle for 10 D and then is") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.ping("a", 2, {.unreachable = {"b"}});
        CHECK(stage.view().backups.empty());
        auto reported = stage.now;
        while (stage.now < reported + 10 * dead - interval) {
            stage.run(interval, {"a", "b"});
            REQUIRE(stage.view().backups.empty());
        }
        stage.run(2 * interval, {"a", "b"});
        CHECK(stage.view().backup("b"));
    }

    TEST_CASE("R3: what a former primary reported unreachable is idle for its successor") {
        ViewStage stage;
        stage.set_up({"a", "b", "c"});
        stage.ping("a", 2, {.unreachable = {"b"}});
        stage.ack();
        CHECK(stage.shown() == "view 3: primary a, backup c (in sync)");
        stage.gone("conn:a");
        stage.probed("a", ProbeResult::refused);
        CHECK(stage.shown() == "view 4: primary c, backup b (joining)");
        stage.ack();
        CHECK(stage.shown() == "view 4: primary c, backup b (in sync)");
    }

    TEST_CASE("R3: a primary whose reports leave nobody to join serves alone for 10 D and is then joined one by one") {
        auto stage = with_backups(2);
        const std::vector<Address> all{"a", "b", "c", "d"};
        stage.set_up(all);
        REQUIRE(stage.view().synced_count() == 2);
        auto number = stage.view().number;
        stage.ping("a", number, {.synced = {{"b", "c"}}, .unreachable = {"b", "c"}});
        CHECK(stage.shown() == "view " + std::to_string(++number) + ": primary a, backup d (joining)");
        stage.ping("a", number, {.synced = std::vector<Address>{}, .unreachable = {"d"}});
        CHECK(stage.shown() == "view " + std::to_string(++number) + ": primary a, no backup");
        SUBCASE("and they come back") {
            stage.run(10 * dead - 2 * interval, all);
            CHECK(stage.view().number == number);
            CHECK(stage.status().waiting_for.empty());
            CHECK(stage.told<GroupWaits>().empty());
            for (int i = 0; i < 3; ++i) {
                const auto before = stage.view().number;
                stage.run(interval, all);
                CHECK(stage.view().number <= before + 1);
            }
            stage.run(interval, all);
            CHECK(stage.shown() ==
                  "view " + std::to_string(number + 2) + ": primary a, backups b (in sync), c (in sync)");
        }
        SUBCASE("and it is lost") {
            stage.restart("a");
            stage.ping("a", 0);
            stage.run(2 * dead, all);
            CHECK(stage.view().number == number);
            CHECK(stage.status().waiting_for == std::vector<Address>{"a"});
            CHECK(stage.status().waiting_why.find("had no backup in sync") != std::string::npos);
        }
    }

    TEST_CASE("R3: a new life of a server that was reported unreachable may join at once") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.ping("a", 2, {.unreachable = {"b"}});
        stage.ack();
        stage.restart("b");
        stage.ping("b", 0);
        CHECK(stage.view().backup("b"));
    }

    TEST_CASE("R3: a server that is leaving is not idle") {
        ViewStage stage;
        stage.ping("a", 0);
        stage.ping("b", 0, {.leaving = true});
        stage.ack();
        CHECK(stage.view().backups.empty());
        CHECK(stage.role("b") == "leaving");
    }

    TEST_CASE("R3: a server that was lost and comes back goes to the end of the idle ones") {
        ViewStage stage;
        stage.set_up({"a", "b", "c", "d"});
        stage.run(2 * dead, {"a", "b", "d"});
        CHECK(stage.role("c") == "dead");
        stage.run(interval, {"a", "b", "c", "d"});
        CHECK(stage.role("c") == "idle");
        stage.restart("b");
        stage.ping("b", 0);
        CHECK(stage.view().backup("d"));
    }

    TEST_CASE("R4: the view stays until the primary returns with its state") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.pass(2 * dead);
        stage.run(4 * dead, {"b"});
        CHECK(stage.view().number == 1);
        CHECK(stage.told<GroupWaits>().size() == 1);
        stage.run(2 * interval, {"a", "b"});
        CHECK(stage.view().backup("b"));
        CHECK(stage.status().waiting_for.empty());
    }

    TEST_CASE("R4: when a synced backup returns first it is promoted") {
        ViewStage stage;
        stage.set_up({"a", "b", "c"});
        stage.run(3 * dead, {"c"});
        CHECK(stage.status().waiting_for == std::vector<Address>{"a", "b"});
        stage.act("b");
        CHECK(stage.shown() == "view 3: primary b, backup c (joining)");
    }

    TEST_CASE("R4: with no synced backup the group waits whoever else is there") {
        for (std::size_t k : {0u, 1u, 2u, 3u}) {
            auto stage = with_backups(k);
            stage.ping("a", 0);
            stage.ack();
            stage.ping("b", 0);  // joins if k allows, never in sync
            stage.run(4 * dead, {"b", "c", "d"});
            CHECK(stage.view().primary.name == "a");
            CHECK(stage.status().waiting_for == std::vector<Address>{"a"});
        }
    }

    TEST_CASE("R5: a primary that restarts with its state leads the next view") {
        ViewStage stage;
        stage.set_up({"a"});
        auto old = stage.life("a");
        stage.pass(2 * dead);
        stage.run(2 * dead, {"b"});
        stage.restart("a");
        stage.ping("a", 0, {.recovered = {old}, .cluster = our_cluster});
        CHECK(stage.view().number == 2);
        CHECK(stage.view().primary == Member{"a", stage.life("a"), false});
        CHECK(stage.why() == "R5: a is back with the state of its former life");
    }

    TEST_CASE("R5: a life that recovered something else does not lead") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.restart("a");
        stage.ping("a", 0, {.recovered = {Incarnation{12345}}});
        CHECK(stage.view().number == 1);
    }

    TEST_CASE("R5: a backup that was not in sync does not lead though it restarts with its state") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.ping("b", 0);
        REQUIRE(stage.shown() == "view 2: primary a, backup b (joining)");
        const auto old = stage.life("b");
        stage.run(2 * dead, {});
        stage.restart("b");
        stage.ping("b", 0, {.recovered = {old}, .cluster = our_cluster});
        stage.run(2 * dead, {"b"});
        CHECK(stage.view().primary.name == "a");
        CHECK(stage.status().waiting_for == std::vector<Address>{"a"});
    }

    TEST_CASE("R5: a synced backup that restarts with its state leads if the primary is dead") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        auto old = stage.life("b");
        stage.run(2 * dead, {});
        stage.restart("b");
        stage.ping("b", 0, {.recovered = {old}});
        CHECK(stage.shown() == "view 3: primary b, no backup");
    }

    TEST_CASE("R6: a leaving primary is told to stop and the backup leads once it has stopped") {
        ViewStage stage;
        stage.set_up({"a", "b", "c"});
        CHECK(stage.ping("a", 2, {.synced = {{"b"}}, .leaving = true}).stop);
        CHECK(stage.view().number == 2);  // leaving alone is a wish
        auto answer = stage.ping("a", 2, {.stopped = true, .leaving = true});
        CHECK(stage.shown() == "view 3: primary b, backup c (joining)");
        CHECK(stage.why() == "R6: a has left, promoting b");
        CHECK(!answer.stop);
        CHECK(stage.role("a") == "dead");
    }

    TEST_CASE("R6: a sole primary that wants to leave is not told to stop") {
        ViewStage stage;
        stage.set_up({"a"});
        CHECK(!stage.ping("a", 1, {.leaving = true}).stop);
        stage.ping("b", 0);
        CHECK(!stage.ping("a", 2, {.leaving = true}).stop);  // b has joined but is not in sync
        CHECK(stage.ping("a", 2, {.synced = {{"b"}}, .leaving = true}).stop);
    }

    TEST_CASE("R6: only the primary is told to stop") {
        ViewStage stage;
        stage.set_up({"a", "b", "c"});
        CHECK(!stage.ping("b", 2, {.leaving = true}).stop);
        CHECK(!stage.ping("c", 0, {.leaving = true}).stop);
    }

    TEST_CASE("R6: if the backup dies after the stop a primary that is not leaving leads again") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.receive({"operator", "p1", ViewPromote{"main", "b"}});
        CHECK(stage.ping("a", 2, {.synced = {{"b"}}}).stop);
        stage.restart("b");
        stage.ping("b", 0);                                               // b is gone
        CHECK(stage.shown() == "view 3: primary a, backup b (joining)");  // R2: a has not said yet that it stopped
        stage.ping("a", 2, {.stopped = true});
        CHECK(stage.view().number == 3);  // that was about view 2
    }

    TEST_CASE("R6: a stopped primary leads the next view again when no backup in sync is left") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.ping("a", 1, {.stopped = true});
        CHECK(stage.shown() == "view 2: primary a, no backup");
        CHECK(stage.why() == "R6: a has stopped serving, as it was to, but no backup in sync is left: it leads again");
    }

    TEST_CASE("R6: a lost stop is told again with every ping") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        for (int i = 0; i < 3; ++i) CHECK(stage.ping("a", 2, {.synced = {{"b"}}, .leaving = true}).stop);
    }
}
