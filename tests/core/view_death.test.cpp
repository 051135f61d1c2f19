// When a server counts as dead: silence, the service's own stalls, and proof of death.
#include <doctest/doctest.h>

#include <tests/support/view_stage.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("core/view_death") {
    namespace {
    constexpr Duration grace = interval / 10;

    /// a leads, b is in sync, and both pinged just now.
    ViewStage pair() {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.act("b");
        stage.act("a");
        stage.clear();
        return stage;
    }
    }  // namespace

    TEST_CASE("R1: a server is suspect after D of silence and lost a grace later") {
        auto stage = pair();
        for (int i = 0; i < 4; ++i) {
            stage.pass(interval);
            stage.act("b");
        }
        stage.pass(dead - 4 * interval);
        CHECK(stage.view().number == 2);
        CHECK(stage.told<ServerLost>().empty());
        stage.pass(grace - 1ms);
        CHECK(stage.view().number == 2);
        stage.pass(1ms);
        CHECK(stage.view().primary.name == "b");
        REQUIRE(stage.told<ServerLost>().size() == 1);
        CHECK(stage.told<ServerLost>()[0].why == "is silent");
    }

    TEST_CASE("R1: a suspect that pings within the grace is not lost") {
        auto stage = pair();
        stage.run(4 * interval, {"b"});
        stage.pass(dead - 4 * interval + grace / 2);
        stage.act("a");
        stage.run(4 * interval, {"b"});
        CHECK(stage.view().primary.name == "a");
    }

    TEST_CASE("R1: a backup that is overdue itself is not promoted until it pings") {
        auto stage = pair();
        stage.pass(dead);
        stage.pass(grace / 2);
        stage.gone("conn:a");
        stage.probed("a", ProbeResult::refused);
        CHECK(stage.view().number == 2);
        stage.act("b");
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R1: the time that the service did not run does not count") {
        auto stage = pair();
        stage.pass(4 * interval);
        stage.now += 1h;  // it was stopped past its deadline
        stage.wake();
        stage.pass(grace / 2);
        stage.act("a");  // the pings that lay there are read
        stage.act("b");
        stage.run(dead, {"a", "b"});
        CHECK(stage.told<ServerLost>().empty());
        CHECK(stage.view().number == 2);
    }

    TEST_CASE("R1: after a stall a server that is really dead is still found") {
        auto stage = pair();
        stage.run(2 * interval, {"b"});
        stage.now += 1h;
        stage.wake();
        stage.run(2 * dead, {"b"});
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R1: a suspect is not lost in a turn that began late but in the next one on time") {
        auto stage = pair();
        stage.pass(dead);  // both are suspect now
        stage.now += grace + interval;
        stage.wake();
        CHECK(stage.told<ServerLost>().empty());
        stage.act("b");
        stage.pass(interval);
        CHECK(stage.view().primary.name == "a");
        stage.act("b");
        stage.pass(2 * grace);
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R1: after a sleep of the whole machine nobody is lost who pings within an interval") {
        auto stage = pair();
        stage.pass(interval);
        stage.now += 1h;
        stage.wake();
        stage.pass(interval / 2);
        stage.act("b");
        stage.pass(interval / 2 - 1ms);
        stage.act("a");
        stage.run(2 * dead, {"a", "b"});
        CHECK(stage.told<ServerLost>().empty());
        CHECK(stage.view().number == 2);
    }

    TEST_CASE("R1: a stall saves also those who were suspects before it") {
        auto stage = pair();
        stage.pass(6ms);
        stage.act("b");
        stage.pass(dead - 6ms);  // now a is a suspect, and b would be next
        stage.now += 3s;
        stage.wake();
        stage.pass(dead);
        CHECK(stage.told<ServerLost>().empty());
        stage.act("a");
        stage.act("b");
        stage.run(2 * dead, {"a", "b"});
        CHECK(stage.told<ServerLost>().empty());
    }

    TEST_CASE("R3: the time that the service did not run does not count towards the 10 D of a report") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.ping("a", 2, {.synced = {{}}, .unreachable = {"b"}});
        REQUIRE(stage.view().backups.empty());
        stage.act("a");
        stage.now += 1h;
        stage.wake();
        stage.run(2 * dead, {"a", "b"});
        CHECK(stage.view().backups.empty());
        stage.run(10 * dead, {"a", "b"});
        CHECK(stage.view().backup("b"));
    }

    TEST_CASE("R1: a service that is always late still finds the dead in the end") {
        auto stage = pair();
        for (int i = 0; i < 60 && stage.view().primary.name == "a"; ++i) {
            stage.now = std::max(stage.now, stage.rules.deadline()) + 2 * grace;
            stage.act("b");
        }
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R1: the lateness of a dense row of turns does not stop the clock") {
        auto stage = pair();
        auto end = stage.now + 2 * dead;
        while (stage.now < end) {
            stage.now += grace / 2;  // always some way past a deadline but within the slack
            stage.act("b");
        }
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("Waking early changes nothing") {
        auto stage = pair();
        stage.pass(interval);
        stage.wake();
        auto before = stage.rules;
        for (int i = 0; i < 5; ++i) {
            stage.now += 1ms;
            stage.wake();
        }
        CHECK(stage.rules == before);
    }

    TEST_CASE("R1: a new incarnation under the same name is proof of death") {
        auto stage = pair();
        stage.restart("a");
        stage.ping("a", 0);
        CHECK(stage.view().primary.name == "b");
        CHECK(stage.why() == "R1: a has restarted, promoting b");
        CHECK(stage.told<ServerLost>().size() == 1);
        CHECK(stage.told<ServerSeen>().size() == 1);
    }

    TEST_CASE("R1: a member that pings 0 after more is dead and its later pings do not revive it") {
        auto stage = pair();
        CHECK(stage.ping("a", 0).info.view.primary.name == "b");
        CHECK(stage.why() == "R1: a has lost its state, promoting b");
        stage.ack();
        stage.act("a");  // now it is a server like another
        CHECK(stage.view().backup("a"));
    }

    TEST_CASE("R4: a sole primary that forgot its state stays dead and gets no lease") {
        ViewStage stage;
        stage.set_up({"a"});
        CHECK(stage.ping("a", 0).lease == Duration{});
        CHECK(stage.ping("a", 1).lease == Duration{});
        CHECK(stage.view().number == 1);
        CHECK(stage.status().waiting_for == std::vector<Address>{"a"});
        stage.run(dead, {"a", "b"});
        CHECK(stage.view().number == 1);
    }

    TEST_CASE("R2: a member that pings 0 from the start is not dead") {
        ViewStage stage;
        stage.ping("a", 0);
        stage.ping("a", 0);
        CHECK(stage.view().number == 1);
        CHECK(stage.told<ServerLost>().empty());
    }

    TEST_CASE("R2: leaving and stopped in the current view is proof of death and either alone is not") {
        auto stage = pair();
        stage.ping("b", 2, {.leaving = true});
        stage.ping("b", 2, {.stopped = true});
        stage.ping("b", 1, {.stopped = true, .leaving = true});
        CHECK(stage.view().number == 2);
        stage.ping("b", 2, {.stopped = true, .leaving = true});
        CHECK(stage.shown() == "view 3: primary a, no backup");
        CHECK(stage.why() == "R2: b has left");
        stage.ping("b", 2, {.stopped = true, .leaving = true});
        CHECK(stage.told<ServerLost>().size() == 1);
    }

    TEST_CASE("R1: a broken connection makes a probe and a refused probe is proof of death") {
        auto stage = pair();
        stage.gone("conn:a");
        CHECK(stage.probes == std::vector<Address>{"a"});
        CHECK(stage.view().number == 2);
        stage.probed("a", ProbeResult::refused);
        CHECK(stage.view().primary.name == "b");
        CHECK(stage.told<ServerLost>().size() == 1);
    }

    TEST_CASE("R1: a probe that gets through is repeated at growing distance until D has passed") {
        auto stage = pair();
        stage.gone("conn:a");
        std::vector<Duration> waits;
        auto start = stage.now;
        while (stage.now < start + dead) {
            stage.clear();
            auto asked = stage.now;
            stage.probed("a", ProbeResult::alive);
            while (stage.probes.empty() && stage.now < start + dead) {
                stage.pass(1ms);
                if ((stage.now - start) % interval == Duration{}) stage.act("b");
            }
            if (!stage.probes.empty()) waits.push_back(stage.now - asked);
        }
        CHECK(waits == std::vector<Duration>{10ms, 20ms, 40ms, 80ms, 160ms});
    }

    TEST_CASE("R1: a listener that closes after the connection is found by the repeated probe") {
        auto stage = pair();
        stage.gone("conn:a");
        stage.probed("a", ProbeResult::alive);
        stage.pass(grace);
        stage.probed("a", ProbeResult::refused);
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R1: a probe whose outcome is unknown proves nothing and is not repeated") {
        auto stage = pair();
        stage.gone("conn:a");
        stage.clear();
        stage.probed("a", ProbeResult::unknown);
        stage.pass(4 * interval);
        stage.probed("a", ProbeResult::refused);  // nobody asked any more
        CHECK(stage.probes.empty());
        CHECK(stage.view().number == 2);
    }

    TEST_CASE("R1: a refused probe of a server that pings again over another connection means nothing") {
        auto stage = pair();
        stage.gone("conn:a");
        stage.ping("a", 2, {.synced = {{"b"}}, .peer = "conn:a2"});
        stage.probed("a", ProbeResult::refused);
        CHECK(stage.view().number == 2);
        stage.gone("conn:a");  // an old connection of it
        CHECK(stage.probes.size() == 1);
        stage.gone("conn:a2");
        CHECK(stage.probes.size() == 2);
    }

    TEST_CASE("A probe that nobody asked for means nothing") {
        auto stage = pair();
        stage.probed("a", ProbeResult::refused);
        stage.probed("nobody", ProbeResult::refused);
        CHECK(stage.view().number == 2);
    }

    TEST_CASE("A connection that carried many servers makes one probe for each name") {
        ViewStage stage;
        for (auto* group : {"g1", "g2"}) {
            stage.group = group;
            stage.ping("a", 0, {.peer = "shared"});
            stage.ping("b", 0, {.peer = "shared"});
        }
        stage.gone("shared");
        CHECK(stage.probes == std::vector<Address>{"a", "b"});
        stage.clear();
        stage.probed("a", ProbeResult::refused);
        CHECK(stage.told<ServerLost>().size() == 2);  // in both groups
    }

    TEST_CASE("R4: a primary whose death was taken as proven wrongly goes on when it pings") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.gone("conn:a");
        stage.probed("a", ProbeResult::refused);
        CHECK(stage.status().waiting_for == std::vector<Address>{"a"});
        stage.ack();
        CHECK(stage.status().waiting_for.empty());
        CHECK(stage.role("a") == "primary");
    }

    TEST_CASE("R1: a backup that died unheard is promoted and then replaced by the next one in sync") {
        ViewStage stage{ViewOptions{.backups = 2}};
        stage.set_up({"a", "b", "c"});
        for (const auto* name : {"c", "b", "a"}) stage.act(name);
        REQUIRE(stage.view().synced_count() == 2);
        stage.run(2 * interval, {"a", "c"});  // b is dead already
        stage.restart("a");
        stage.ping("a", 0);
        CHECK(stage.view().primary.name == "b");
        CHECK(stage.told<ServerLost>().size() == 1);
        stage.run(dead, {"a", "c"});
        CHECK(stage.view().primary.name == "c");
        CHECK(stage.view().backup("a"));
        CHECK_FALSE(stage.view().member("b"));
        REQUIRE(stage.told<ServerLost>().size() == 2);
        CHECK(stage.told<ServerLost>()[1].server == "b");
        CHECK(stage.told<ServerLost>()[1].why == "is silent");
        CHECK(stage.told<GroupWaits>().empty());
    }

    TEST_CASE(
        "R4: when the backup that was promoted turns out dead the group waits for it and not for the old primary") {
        auto stage = pair();
        stage.run(2 * interval, {"a"});  // b is dead already
        stage.gone("conn:a");
        stage.probed("a", ProbeResult::refused);
        CHECK(stage.shown() == "view 3: primary b, no backup");
        CHECK(stage.status().waiting_for.empty());
        stage.pass(2 * dead);
        CHECK(stage.status().waiting_for == std::vector<Address>{"b"});
        CHECK(stage.status().waiting_why.starts_with("R4: b is silent"));
        stage.restart("a");
        stage.ping("a", 0);
        stage.run(2 * dead, {"a"});
        CHECK(stage.view().number == 3);
        CHECK(stage.role("a") == "idle");
        CHECK(stage.status().waiting_for == std::vector<Address>{"b"});
        CHECK(stage.told<GroupWaits>().size() == 1);
        stage.act("b");
        CHECK(stage.status().waiting_for.empty());
        CHECK(stage.role("b") == "primary");
        CHECK(stage.shown() == "view 4: primary b, backup a (joining)");
    }

    TEST_CASE("A loss is told once however long it lasts") {
        auto stage = pair();
        stage.run(20 * dead, {"b"});
        CHECK(stage.told<ServerLost>().size() == 1);
        stage.gone("conn:a");
        CHECK(stage.probes.empty());
        stage.restart("a");
        stage.ping("a", 0);
        CHECK(stage.told<ServerLost>().size() == 1);
        CHECK(stage.told<ServerSeen>().size() == 1);
    }
}
