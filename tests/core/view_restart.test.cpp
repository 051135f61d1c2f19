// A view service that continues from its record: it decides no view twice, and declares no server lost because of the
// time that it was down.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("core/view_restart") {
    namespace {
    constexpr Duration grace = interval / 10;

    /// a leads, b is in sync, c is idle.
    ViewHarness trio() {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        return harness;
    }
    /// The service dies and its connections end with it; the next incarnation starts from the record.
    void restart(ViewHarness& harness, ViewOptions options = {}) {
        options.return_time = {};
        harness.machine = ViewStateMachine{options, harness.machine.record(), harness.now};
        harness.clear();
    }
    }  // namespace

    TEST_CASE("R4: after a restart the view and the cluster stand as before") {
        auto harness = trio();
        const auto before = harness.view();
        restart(harness);
        CHECK(harness.view() == before);
        harness.run(10 * dead, {"a", "b", "c"});
        CHECK(harness.view() == before);
        CHECK(harness.emitted<ServerLost>().empty());
        auto answer = harness.ping("a", before.number, {.cluster = our_cluster});
        CHECK(answer.info.cluster == our_cluster);
        CHECK(answer.lease == dead);
    }
    TEST_CASE("R1: after a restart a primary that stays silent is lost after D and not before") {
        auto harness = trio();
        harness.pass(5 * dead);  // no server could ping: the service was down
        restart(harness);
        for (int i = 0; i < 5; ++i) {
            CHECK(harness.view().primary.name == "a");
            harness.act("b");
            harness.pass(interval);
        }
        harness.act("b");
        harness.pass(grace);
        CHECK(harness.view().primary.name == "b");
    }
    TEST_CASE("R1: after a restart a member has the time to dial again and then D as ever") {
        auto harness = trio();
        harness.machine = ViewStateMachine{{.return_time = 2s}, harness.machine.record(), harness.now};
        harness.clear();
        const auto act_until = [&](Duration length) {
            for (Duration passed{}; passed < length; passed += interval) {
                harness.act("b");
                harness.pass(interval);
            }
        };
        act_until(2s + dead - interval);
        CHECK(harness.emitted<ServerLost>().empty());
        SUBCASE("it does not come") {
            act_until(2 * interval);
            CHECK(harness.view().primary.name == "b");
        }
        SUBCASE("it comes and then falls silent") {
            harness.act("a");
            act_until(dead);
            CHECK(harness.view().primary.name == "a");
            act_until(interval);
            CHECK(harness.view().primary.name == "b");
        }
    }
    TEST_CASE("R2: after a restart with a smaller k backups beyond it are removed once the primary pings") {
        ViewHarness harness{{.backups = 3}};
        harness.set_up({"a", "b", "c"});
        harness.ping("d", 0);  // joins: not in sync yet
        REQUIRE(harness.shown() == "view 4: primary a, backups b (in sync), c (in sync), d (joining)");
        SUBCASE("those in sync last") {
            restart(harness, {.backups = 2});
            for (const auto* name : {"b", "c", "d"}) harness.act(name);
            harness.ping("a", 4, {.synced = {{"b", "c"}}});
            CHECK(harness.shown() == "view 5: primary a, backups b (in sync), c (in sync)");
            CHECK(harness.why() == "R2: no more than 2 backups are wanted");
        }
        SUBCASE("the last of them first") {
            restart(harness, {.backups = 1});
            for (const auto* name : {"b", "c", "d"}) harness.act(name);
            CHECK(harness.view().number == 4);
            harness.act("a");
            CHECK(harness.shown() == "view 5: primary a, backup b (in sync)");
            harness.run(5 * dead, {"a", "b", "c", "d"});
            CHECK(harness.view().number == 5);
        }
        SUBCASE("also when another leads") {
            restart(harness, {.backups = 1});
            harness.run(2 * dead, {"b", "c", "d"});
            CHECK(harness.shown() == "view 5: primary b, backup c (in sync)");
        }
    }
    TEST_CASE("R2: no living backup is removed as too many in place of one that may be dead") {
        ViewHarness harness{{.backups = 2}};
        harness.set_up({"a", "b", "c"});
        restart(harness, {.backups = 1});
        harness.act("c");
        harness.act("a");
        CHECK(harness.view().number == 3);  // b's ping has not been received yet
        SUBCASE("it is dead") {
            harness.run(2 * dead, {"a", "c"});
            CHECK(harness.shown() == "view 4: primary a, backup c (in sync)");
        }
        SUBCASE("it lives") {
            harness.act("b");
            CHECK(harness.shown() == "view 4: primary a, backup b (in sync)");
        }
        SUBCASE("the primary dies first") {
            harness.restart("a");
            harness.ping("a", 0);
            CHECK(harness.shown() == "view 4: primary c, backup b (in sync)");
        }
    }
    TEST_CASE("R3: after a restart with a larger k idle servers fill the view up") {
        auto harness = trio();
        restart(harness, {.backups = 2});
        harness.run(dead, {"a", "b", "c"});
        CHECK(harness.view().backups.size() == 2);
    }
    TEST_CASE("R1: after a restart nobody is promoted who has not pinged since") {
        auto harness = trio();
        restart(harness);
        harness.ping("a", 0, {.leaving = false});
        harness.restart("a");
        harness.ping("a", 0);  // the primary died and came back without state
        CHECK(harness.view().primary.name == "a");
        harness.act("b");
        CHECK(harness.view().primary.name == "b");
    }
    TEST_CASE("R3: after a restart the next view has the next number and waits for a new ack") {
        auto harness = trio();
        const auto before = harness.view().number;
        restart(harness, {.backups = 2});
        harness.act("b");
        harness.act("c");
        CHECK(harness.view().number == before);
        harness.act("a");
        CHECK(harness.view().number == before + 1);
        CHECK(harness.view().backup("c"));
    }
    TEST_CASE("R1: after a restart a shorter D does not shorten the leases of before") {
        ViewOptions longer{.dead_pings = 20};
        ViewHarness harness{longer};
        harness.set_up({"a", "b"});
        restart(harness);
        restart(harness);  // a second restart does not forget it
        for (int i = 0; i < 19; ++i) {
            harness.act("b");
            harness.pass(interval);
            CHECK(harness.view().primary.name == "a");
        }
        harness.act("b");
        harness.pass(2 * interval);
        CHECK(harness.view().primary.name == "b");
    }
    TEST_CASE("R1: after a restart a replaced incarnation is still refused") {
        auto harness = trio();
        auto old = harness.make_ping("a", harness.view().number);
        harness.restart("a");
        harness.ping("a", 0);
        CHECK(harness.view().primary.name == "b");
        restart(harness);
        old.n += 100;
        CHECK(code_of(harness.call("conn:old", old)) == error::superseded);
    }
    TEST_CASE("R1: after a restart the former life of an idle server does not replace the present one") {
        auto harness = trio();
        auto old = harness.make_ping("c", harness.view().number);
        restart(harness);
        harness.restart("c");  // before it pinged the new view service
        harness.ping("c", 0);
        old.n += 100;
        CHECK(code_of(harness.call("conn:old", old)) == error::superseded);
        CHECK(!harness.ping("c", 0).info.view.primary.name.empty());
    }
    TEST_CASE("R4: a group that waits goes on waiting after a restart") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.restart("a");
        harness.ping("a", 0);
        REQUIRE(harness.status().waiting_for == std::vector<Address>{"a"});
        restart(harness);
        // the old incarnation may read by a lease that the service does not know of
        CHECK(harness.status().waiting_for.empty());
        harness.pass(dead);
        CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
        harness.ping("a", 0);
        CHECK(harness.view().number == 1);
        CHECK(harness.view().primary.incarnation != harness.incarnation("a"));
    }
    TEST_CASE("an old ping of a member that was replaced before the restart does not bring it back") {
        ViewHarness harness;
        harness.set_up({"a"});
        auto old = harness.make_ping("a", 1);
        harness.restart("a");
        harness.ping("a", 0);
        restart(harness);
        CHECK(code_of(harness.call("conn:old", old)) == error::superseded);
        harness.pass(dead);
        CHECK(!harness.status().waiting_for.empty());
    }
}
