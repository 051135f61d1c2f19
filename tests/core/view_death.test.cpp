// When a server counts as dead: silence, the service's own stalls, and proof of death.
#include <vector>

#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("core/view_death") {
    namespace {
    constexpr Duration grace = interval / 10;

    /// a leads, b is in sync, and both pinged just now.
    ViewHarness pair() {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.act("b");
        harness.act("a");
        harness.clear();
        return harness;
    }
    }  // namespace

    TEST_CASE("R1: a server is suspect after D of silence and lost a grace later") {
        auto harness = pair();
        for (int i = 0; i < 4; ++i) {
            harness.pass(interval);
            harness.act("b");
        }
        harness.pass(dead - 4 * interval);
        CHECK(harness.view().number == 2);
        CHECK(harness.emitted<ServerLost>().empty());
        harness.pass(grace - 1ms);
        CHECK(harness.view().number == 2);
        harness.pass(1ms);
        CHECK(harness.view().primary.name == "b");
        REQUIRE(harness.emitted<ServerLost>().size() == 1);
        CHECK(harness.emitted<ServerLost>()[0].why == "is silent");
    }

    TEST_CASE("R1: a suspect that pings within the grace is not lost") {
        auto harness = pair();
        harness.run(4 * interval, {"b"});
        harness.pass(dead - 4 * interval + grace / 2);
        harness.act("a");
        harness.run(4 * interval, {"b"});
        CHECK(harness.view().primary.name == "a");
    }

    TEST_CASE("R1: a backup that is overdue itself is not promoted until it pings") {
        auto harness = pair();
        harness.pass(dead);
        harness.pass(grace / 2);
        harness.disconnected("conn:a");
        harness.probed("a", ProbeResult::refused);
        CHECK(harness.view().number == 2);
        harness.act("b");
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R1: the time that the service did not run does not count") {
        auto harness = pair();
        harness.pass(4 * interval);
        harness.now += 1h;  // the service was stopped past its deadline
        harness.wake();
        harness.pass(grace / 2);
        harness.act("a");  // the pings that were waiting are read
        harness.act("b");
        harness.run(dead, {"a", "b"});
        CHECK(harness.emitted<ServerLost>().empty());
        CHECK(harness.view().number == 2);
    }

    TEST_CASE("R1: after a stall a server that is really dead is still found") {
        auto harness = pair();
        harness.run(2 * interval, {"b"});
        harness.now += 1h;
        harness.wake();
        harness.run(2 * dead, {"b"});
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R1: a suspect is not lost in a turn that began late but in the next one on time") {
        auto harness = pair();
        harness.pass(dead);  // both are suspect now
        harness.now += grace + interval;
        harness.wake();
        CHECK(harness.emitted<ServerLost>().empty());
        harness.act("b");
        harness.pass(interval);
        CHECK(harness.view().primary.name == "a");
        harness.act("b");
        harness.pass(2 * grace);
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R1: after a sleep of the whole machine nobody is lost who pings within an interval") {
        auto harness = pair();
        harness.pass(interval);
        harness.now += 1h;
        harness.wake();
        harness.pass(interval / 2);
        harness.act("b");
        harness.pass(interval / 2 - 1ms);
        harness.act("a");
        harness.run(2 * dead, {"a", "b"});
        CHECK(harness.emitted<ServerLost>().empty());
        CHECK(harness.view().number == 2);
    }

    TEST_CASE("R1: a stall saves also those who were suspects before it") {
        auto harness = pair();
        harness.pass(6ms);
        harness.act("b");
        harness.pass(dead - 6ms);  // now a is a suspect, and b would be next
        harness.now += 3s;
        harness.wake();
        harness.pass(dead);
        CHECK(harness.emitted<ServerLost>().empty());
        harness.act("a");
        harness.act("b");
        harness.run(2 * dead, {"a", "b"});
        CHECK(harness.emitted<ServerLost>().empty());
    }

    TEST_CASE("R3: the time that the service did not run does not count towards the 10 D of a report") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.ping("a", 2, {.synced = std::vector<Address>{}, .unreachable = {"b"}});
        REQUIRE(harness.view().backups.empty());
        harness.act("a");
        harness.now += 1h;
        harness.wake();
        harness.run(2 * dead, {"a", "b"});
        CHECK(harness.view().backups.empty());
        harness.run(10 * dead, {"a", "b"});
        CHECK(harness.view().backup("b"));
    }

    TEST_CASE("R1: a service that is always late still finds the dead in the end") {
        auto harness = pair();
        for (int i = 0; i < 60 && harness.view().primary.name == "a"; ++i) {
            harness.now = std::max(harness.now, harness.machine.deadline()) + 2 * grace;
            harness.act("b");
        }
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R1: the lateness of a dense row of turns does not stop the clock") {
        auto harness = pair();
        auto end = harness.now + 2 * dead;
        while (harness.now < end) {
            harness.now += grace / 2;  // always some way past a deadline but within the slack
            harness.act("b");
        }
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("Waking early changes nothing") {
        auto harness = pair();
        harness.pass(interval);
        harness.wake();
        auto before = harness.machine;
        for (int i = 0; i < 5; ++i) {
            harness.now += 1ms;
            harness.wake();
        }
        CHECK(harness.machine == before);
    }

    TEST_CASE("R1: a new incarnation under the same name is proof of death") {
        auto harness = pair();
        harness.restart("a");
        harness.ping("a", 0);
        CHECK(harness.view().primary.name == "b");
        CHECK(harness.why() == "R1: a has restarted, promoting b");
        CHECK(harness.emitted<ServerLost>().size() == 1);
        CHECK(harness.emitted<ServerSeen>().size() == 1);
    }

    TEST_CASE("R1: a member that pings 0 after more is dead and its later pings do not revive it") {
        auto harness = pair();
        CHECK(harness.ping("a", 0).info.view.primary.name == "b");
        CHECK(harness.why() == "R1: a has lost its state, promoting b");
        harness.ack();
        harness.act("a");  // now it is an ordinary server
        CHECK(harness.view().backup("a"));
    }

    TEST_CASE("R4: a sole primary that forgot its state stays dead and gets no lease") {
        ViewHarness harness;
        harness.set_up({"a"});
        CHECK(harness.ping("a", 0).lease == Duration{});
        CHECK(harness.ping("a", 1).lease == Duration{});
        CHECK(harness.view().number == 1);
        CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
        harness.run(dead, {"a", "b"});
        CHECK(harness.view().number == 1);
    }

    TEST_CASE("R2: a member that pings 0 from the start is not dead") {
        ViewHarness harness;
        harness.ping("a", 0);
        harness.ping("a", 0);
        CHECK(harness.view().number == 1);
        CHECK(harness.emitted<ServerLost>().empty());
    }

    TEST_CASE("R2: leaving and stopped in the current view is proof of death and either alone is not") {
        auto harness = pair();
        harness.ping("b", 2, {.leaving = true});
        harness.ping("b", 2, {.stopped = true});
        harness.ping("b", 1, {.stopped = true, .leaving = true});
        CHECK(harness.view().number == 2);
        harness.ping("b", 2, {.stopped = true, .leaving = true});
        CHECK(harness.shown() == "view 3: primary a, no backup");
        CHECK(harness.why() == "R2: b has left");
        harness.ping("b", 2, {.stopped = true, .leaving = true});
        CHECK(harness.emitted<ServerLost>().size() == 1);
    }

    TEST_CASE("R1: a broken connection makes a probe and a refused probe is proof of death") {
        auto harness = pair();
        harness.disconnected("conn:a");
        CHECK(harness.probes == std::vector<Address>{"a"});
        CHECK(harness.view().number == 2);
        harness.probed("a", ProbeResult::refused);
        CHECK(harness.view().primary.name == "b");
        CHECK(harness.emitted<ServerLost>().size() == 1);
    }

    TEST_CASE("R1: a probe that gets through is repeated at growing distance until D has passed") {
        auto harness = pair();
        harness.disconnected("conn:a");
        std::vector<Duration> waits;
        auto start = harness.now;
        while (harness.now < start + dead) {
            harness.clear();
            auto asked = harness.now;
            harness.probed("a", ProbeResult::alive);
            while (harness.probes.empty() && harness.now < start + dead) {
                harness.pass(1ms);
                if ((harness.now - start) % interval == Duration{}) harness.act("b");
            }
            if (!harness.probes.empty()) waits.push_back(harness.now - asked);
        }
        CHECK(waits == std::vector<Duration>{10ms, 20ms, 40ms, 80ms, 160ms});
    }

    TEST_CASE("R1: a listener that closes after the connection is found by the repeated probe") {
        auto harness = pair();
        harness.disconnected("conn:a");
        harness.probed("a", ProbeResult::alive);
        harness.pass(grace);
        harness.probed("a", ProbeResult::refused);
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R1: a probe whose outcome is unknown proves nothing and is not repeated") {
        auto harness = pair();
        harness.disconnected("conn:a");
        harness.clear();
        harness.probed("a", ProbeResult::unknown);
        harness.pass(4 * interval);
        harness.probed("a", ProbeResult::refused);  // no probe is awaited any more
        CHECK(harness.probes.empty());
        CHECK(harness.view().number == 2);
    }

    TEST_CASE("R1: a refused probe of a server that pings again over another connection means nothing") {
        auto harness = pair();
        harness.disconnected("conn:a");
        harness.ping("a", 2, {.synced = {{"b"}}, .peer = "conn:a2"});
        harness.probed("a", ProbeResult::refused);
        CHECK(harness.view().number == 2);
        harness.disconnected("conn:a");  // an old connection of a
        CHECK(harness.probes.size() == 1);
        harness.disconnected("conn:a2");
        CHECK(harness.probes.size() == 2);
    }

    TEST_CASE("A probe that nobody asked for means nothing") {
        auto harness = pair();
        harness.probed("a", ProbeResult::refused);
        harness.probed("nobody", ProbeResult::refused);
        CHECK(harness.view().number == 2);
    }

    TEST_CASE("A connection that carried many servers makes one probe for each name") {
        ViewHarness harness;
        for (auto* group : {"g1", "g2"}) {
            harness.group = group;
            harness.ping("a", 0, {.peer = "shared"});
            harness.ping("b", 0, {.peer = "shared"});
        }
        harness.disconnected("shared");
        CHECK(harness.probes == std::vector<Address>{"a", "b"});
        harness.clear();
        harness.probed("a", ProbeResult::refused);
        CHECK(harness.emitted<ServerLost>().size() == 2);  // in both groups
    }

    TEST_CASE("R4: a primary whose death was taken as proven wrongly goes on when it pings") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.disconnected("conn:a");
        harness.probed("a", ProbeResult::refused);
        CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
        harness.ack();
        CHECK(harness.status().waiting_for.empty());
        CHECK(harness.role("a") == "primary");
    }

    TEST_CASE("R1: a backup that died unheard is promoted and then replaced by the next one in sync") {
        ViewHarness harness{ViewOptions{.backups = 2}};
        harness.set_up({"a", "b", "c"});
        for (const auto* name : {"c", "b", "a"}) harness.act(name);
        REQUIRE(harness.view().synced_count() == 2);
        harness.run(2 * interval, {"a", "c"});  // b is dead already
        harness.restart("a");
        harness.ping("a", 0);
        CHECK(harness.view().primary.name == "b");
        CHECK(harness.emitted<ServerLost>().size() == 1);
        harness.run(dead, {"a", "c"});
        CHECK(harness.view().primary.name == "c");
        CHECK(harness.view().backup("a"));
        CHECK_FALSE(harness.view().member("b"));
        REQUIRE(harness.emitted<ServerLost>().size() == 2);
        CHECK(harness.emitted<ServerLost>()[1].server == "b");
        CHECK(harness.emitted<ServerLost>()[1].why == "is silent");
        CHECK(harness.emitted<GroupWaits>().empty());
    }

    TEST_CASE(
        "R4: when the backup that was promoted turns out dead the group waits for it and not for the old primary") {
        auto harness = pair();
        harness.run(2 * interval, {"a"});  // b is dead already
        harness.disconnected("conn:a");
        harness.probed("a", ProbeResult::refused);
        CHECK(harness.shown() == "view 3: primary b, no backup");
        CHECK(harness.status().waiting_for.empty());
        harness.pass(2 * dead);
        CHECK(harness.status().waiting_for == std::vector<Address>{"b"});
        CHECK(harness.status().waiting_why.starts_with("R4: b is silent"));
        harness.restart("a");
        harness.ping("a", 0);
        harness.run(2 * dead, {"a"});
        CHECK(harness.view().number == 3);
        CHECK(harness.role("a") == "idle");
        CHECK(harness.status().waiting_for == std::vector<Address>{"b"});
        CHECK(harness.emitted<GroupWaits>().size() == 1);
        harness.act("b");
        CHECK(harness.status().waiting_for.empty());
        CHECK(harness.role("b") == "primary");
        CHECK(harness.shown() == "view 4: primary b, backup a (joining)");
    }

    TEST_CASE("A loss is told once however long it lasts") {
        auto harness = pair();
        harness.run(20 * dead, {"b"});
        CHECK(harness.emitted<ServerLost>().size() == 1);
        harness.disconnected("conn:a");
        CHECK(harness.probes.empty());
        harness.restart("a");
        harness.ping("a", 0);
        CHECK(harness.emitted<ServerLost>().size() == 1);
        CHECK(harness.emitted<ServerSeen>().size() == 1);
    }
}
