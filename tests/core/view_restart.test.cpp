// A view service that goes on from its record: no view twice, nobody lost for the time without it.
#include <doctest/doctest.h>

#include <tests/support/view_stage.hpp>

using namespace understudy;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("core/view_restart") {
    namespace {
    constexpr Duration grace = interval / 10;

    /// a leads, b is in sync, c is idle.
    ViewStage trio() {
        ViewStage stage;
        stage.set_up({"a", "b", "c"});
        return stage;
    }
    /// The service dies; its connections end with it, and the next life begins with what the record says.
    void restart(ViewStage& stage, ViewOptions options = {}) {
        options.return_time = {};
        stage.rules = ViewRules{options, stage.rules.record(), stage.now};
        stage.clear();
    }
    }  // namespace

    TEST_CASE("R4: after a restart the view and the cluster stand as before") {
        auto stage = trio();
        const auto before = stage.view();
        restart(stage);
        CHECK(stage.view() == before);
        stage.run(10 * dead, {"a", "b", "c"});
        CHECK(stage.view() == before);
        CHECK(stage.told<ServerLost>().empty());
        auto answer = stage.ping("a", before.number, {.cluster = our_cluster});
        CHECK(answer.info.cluster == our_cluster);
        CHECK(answer.lease == dead);
    }
    TEST_CASE("R1: after a restart a primary that stays silent is lost after D and not before") {
        auto stage = trio();
        stage.pass(5 * dead);  // nobody could ping: the service was down
        restart(stage);
        for (int i = 0; i < 5; ++i) {
            CHECK(stage.view().primary.name == "a");
            stage.act("b");
            stage.pass(interval);
        }
        stage.act("b");
        stage.pass(grace);
        CHECK(stage.view().primary.name == "b");
    }
    TEST_CASE("R1: after a restart a member has the time to dial again and then D as ever") {
        auto stage = trio();
        stage.rules = ViewRules{{.return_time = 2s}, stage.rules.record(), stage.now};
        stage.clear();
        const auto act_until = [&](Duration length) {
            for (Duration passed{}; passed < length; passed += interval) {
                stage.act("b");
                stage.pass(interval);
            }
        };
        act_until(2s + dead - interval);
        CHECK(stage.told<ServerLost>().empty());
        SUBCASE("it does not come") {
            act_until(2 * interval);
            CHECK(stage.view().primary.name == "b");
        }
        SUBCASE("it comes and then falls silent") {
            stage.act("a");
            act_until(dead);
            CHECK(stage.view().primary.name == "a");
            act_until(interval);
            CHECK(stage.view().primary.name == "b");
        }
    }
    TEST_CASE("R2: after a restart with a smaller k backups beyond it are removed once the primary pings") {
        ViewStage stage{{.backups = 3}};
        stage.set_up({"a", "b", "c"});
        stage.ping("d", 0);  // joins: not in sync yet
        REQUIRE(stage.shown() == "view 4: primary a, backups b (in sync), c (in sync), d (joining)");
        SUBCASE("those in sync last") {
            restart(stage, {.backups = 2});
            for (const auto* name : {"b", "c", "d"}) stage.act(name);
            stage.ping("a", 4, {.synced = {{"b", "c"}}});
            CHECK(stage.shown() == "view 5: primary a, backups b (in sync), c (in sync)");
            CHECK(stage.why() == "R2: no more than 2 backups are wanted");
        }
        SUBCASE("the last of them first") {
            restart(stage, {.backups = 1});
            for (const auto* name : {"b", "c", "d"}) stage.act(name);
            CHECK(stage.view().number == 4);
            stage.act("a");
            CHECK(stage.shown() == "view 5: primary a, backup b (in sync)");
            stage.run(5 * dead, {"a", "b", "c", "d"});
            CHECK(stage.view().number == 5);
        }
        SUBCASE("also when another leads") {
            restart(stage, {.backups = 1});
            stage.run(2 * dead, {"b", "c", "d"});
            CHECK(stage.shown() == "view 5: primary b, backup c (in sync)");
        }
    }
    TEST_CASE("R2: no living backup is removed as too many in place of one that may be dead") {
        ViewStage stage{{.backups = 2}};
        stage.set_up({"a", "b", "c"});
        restart(stage, {.backups = 1});
        stage.act("c");
        stage.act("a");
        CHECK(stage.view().number == 3);  // b has not been heard yet
        SUBCASE("it is dead") {
            stage.run(2 * dead, {"a", "c"});
            CHECK(stage.shown() == "view 4: primary a, backup c (in sync)");
        }
        SUBCASE("it lives") {
            stage.act("b");
            CHECK(stage.shown() == "view 4: primary a, backup b (in sync)");
        }
        SUBCASE("the primary dies first") {
            stage.restart("a");
            stage.ping("a", 0);
            CHECK(stage.shown() == "view 4: primary c, backup b (in sync)");
        }
    }
    TEST_CASE("R3: after a restart with a larger k idle servers fill the view up") {
        auto stage = trio();
        restart(stage, {.backups = 2});
        stage.run(dead, {"a", "b", "c"});
        CHECK(stage.view().backups.size() == 2);
    }
    TEST_CASE("R1: after a restart nobody is promoted who has not pinged since") {
        auto stage = trio();
        restart(stage);
        stage.ping("a", 0, {.leaving = false});
        stage.restart("a");
        stage.ping("a", 0);  // the primary died and came back with nothing
        CHECK(stage.view().primary.name == "a");
        stage.act("b");
        CHECK(stage.view().primary.name == "b");
    }
    TEST_CASE("R3: after a restart the next view has the next number and waits for a new ack") {
        auto stage = trio();
        const auto before = stage.view().number;
        restart(stage, {.backups = 2});
        stage.act("b");
        stage.act("c");
        CHECK(stage.view().number == before);
        stage.act("a");
        CHECK(stage.view().number == before + 1);
        CHECK(stage.view().backup("c"));
    }
    TEST_CASE("R1: after a restart a shorter D does not shorten the leases of before") {
        ViewOptions longer{.dead_pings = 20};
        ViewStage stage{longer};
        stage.set_up({"a", "b"});
        restart(stage);
        restart(stage);  // a second one does not forget it
        for (int i = 0; i < 19; ++i) {
            stage.act("b");
            stage.pass(interval);
            CHECK(stage.view().primary.name == "a");
        }
        stage.act("b");
        stage.pass(2 * interval);
        CHECK(stage.view().primary.name == "b");
    }
    TEST_CASE("R1: after a restart a replaced incarnation is still refused") {
        auto stage = trio();
        auto old = stage.make_ping("a", stage.view().number);
        stage.restart("a");
        stage.ping("a", 0);
        CHECK(stage.view().primary.name == "b");
        restart(stage);
        old.n += 100;
        CHECK(code_of(stage.call("conn:old", old)) == error::superseded);
    }
    TEST_CASE("R1: after a restart the former life of an idle server does not replace the present one") {
        auto stage = trio();
        auto old = stage.make_ping("c", stage.view().number);
        restart(stage);
        stage.restart("c");  // before it pinged the new view service
        stage.ping("c", 0);
        old.n += 100;
        CHECK(code_of(stage.call("conn:old", old)) == error::superseded);
        CHECK(!stage.ping("c", 0).info.view.primary.name.empty());
    }
    TEST_CASE("R4: a group that waits goes on waiting after a restart") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.restart("a");
        stage.ping("a", 0);
        REQUIRE(stage.status().waiting_for == std::vector<Address>{"a"});
        restart(stage);
        CHECK(stage.status().waiting_for.empty());  // the old life may read by a lease of which nothing is known
        stage.pass(dead);
        CHECK(stage.status().waiting_for == std::vector<Address>{"a"});
        stage.ping("a", 0);
        CHECK(stage.view().number == 1);
        CHECK(stage.view().primary.incarnation != stage.life("a"));
    }
    TEST_CASE("an old ping of a member that was replaced before the restart does not bring it back") {
        ViewStage stage;
        stage.set_up({"a"});
        auto old = stage.make_ping("a", 1);
        stage.restart("a");
        stage.ping("a", 0);
        restart(stage);
        CHECK(code_of(stage.call("conn:old", old)) == error::superseded);
        stage.pass(dead);
        CHECK(!stage.status().waiting_for.empty());
    }
}
