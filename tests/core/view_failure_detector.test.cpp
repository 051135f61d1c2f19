// The failure detector by itself, without a view service: the result of each kind of evidence.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <understudy/view_service/failure_detector.hpp>

using namespace understudy;
using namespace understudy::view_service;
using namespace std::chrono_literals;

TEST_SUITE("core/view_failure_detector") {
    namespace {

    using Names = std::vector<Address>;

    /// The detector of a group in which a leads and b is a backup in sync. Both have pinged at `now`.
    struct DetectorFixture {
        Timeouts timeouts{ViewOptions{}};
        FailureDetector detector{timeouts};
        Time now{1h};
        View view{7, {"a", Incarnation{1}, false}, {{"b", Incarnation{2}, true}}, 0};

        DetectorFixture() {
            hear("a", 1, 1);
            hear("b", 2, 1);
        }
        PingOutcome hear(const Address& name, std::uint64_t incarnation, std::uint64_t n, Address peer = {}) {
            Ping ping;
            ping.server = name;
            ping.incarnation = Incarnation{incarnation};
            ping.n = n;
            ping.viewnum = 7;
            return detector.hear(ping, peer.empty() ? "conn:" + name : peer, view, now);
        }
        DueServers pass(Duration time, bool late = false, Time caught_up = {}) {
            now += time;
            return detector.pass_time(now, late, caught_up);
        }
        Health health(const Member& member) const { return detector.judge(member, view, now).health; }
        Loss loss(const Member& member) const { return detector.judge(member, view, now).loss; }
    };

    }  // namespace

    TEST_CASE_FIXTURE(DetectorFixture, "R1: silence makes a suspect and after the grace a loss and a ping ends both") {
        CHECK(health(view.primary) == Health::ok);
        CHECK(detector.next_due(view, now) == now + timeouts.dead);
        CHECK(pass(timeouts.dead).lost.empty());
        CHECK(health(view.primary) == Health::suspect);
        hear("b", 2, 2);
        CHECK(pass(timeouts.grace).lost == Names{"a"});
        CHECK(health(view.primary) == Health::dead);
        CHECK(loss(view.primary) == Loss::silent);
        CHECK(health(view.backups[0]) == Health::ok);
        CHECK(hear("a", 1, 2).news);
        CHECK(health(view.primary) == Health::ok);
    }

    TEST_CASE_FIXTURE(DetectorFixture, "R1: a turn that began late starts the grace again and not for ever") {
        pass(timeouts.dead);
        for (int turn = 1; turn < late_turns_max; ++turn) CHECK(pass(timeouts.grace, true).lost.empty());
        CHECK(pass(timeouts.grace, true).lost == Names{"a", "b"});
    }

    TEST_CASE_FIXTURE(DetectorFixture, "R1: the grace begins when what arrived during a stall has been read") {
        const auto caught_up = now + timeouts.dead + 200ms;
        pass(timeouts.dead, true, caught_up);
        CHECK(pass(timeouts.grace).lost.empty());
        CHECK(pass(200ms - 1ms).lost.empty());
        CHECK(pass(1ms).lost == Names{"a", "b"});
    }

    TEST_CASE_FIXTURE(DetectorFixture, "R1: only a refused probe after a broken connection is proof of death") {
        CHECK(detector.disconnected("a", now));
        CHECK_FALSE(detector.probed("a", ProbeResult::alive, view, now));
        CHECK(pass(timeouts.grace).to_probe == Names{"a"});
        CHECK_FALSE(detector.probed("a", ProbeResult::unknown, view, now));
        CHECK(health(view.primary) == Health::ok);
        CHECK(detector.probed("a", ProbeResult::refused, view, now));
        CHECK(loss(view.primary) == Loss::refused);
    }

    TEST_CASE_FIXTURE(DetectorFixture, "R1: a new process has the name once the former one is not seen to live") {
        CHECK(hear("a", 9, 1, "conn:other").verdict == PingOutcome::Verdict::in_use);
        CHECK(health(view.primary) == Health::ok);
        detector.disconnected("a", now);
        hear("a", 1, 2, "conn:a");  // the former process pings again: now both are known to run
        pass(timeouts.grace);
        hear("a", 1, 3, "conn:a");
        detector.disconnected("a", now);
        CHECK(hear("a", 9, 2, "conn:other").verdict == PingOutcome::Verdict::in_use);
        pass(timeouts.dead);
        const auto outcome = hear("a", 9, 3, "conn:other");
        CHECK(outcome.verdict == PingOutcome::Verdict::counts);
        CHECK(outcome.lost == Loss::restarted);
        CHECK(health(view.primary) == Health::dead);
        CHECK(loss(view.primary) == Loss::restarted);
    }

    TEST_CASE_FIXTURE(DetectorFixture, "R4: a replaced member that pings on is suspect and has its name after D") {
        detector.disconnected("a", now);
        CHECK(hear("a", 9, 1).verdict == PingOutcome::Verdict::counts);
        CHECK(health(view.primary) == Health::dead);
        const auto outcome = hear("a", 1, 2, "conn:late");
        CHECK(outcome.verdict == PingOutcome::Verdict::superseded);
        CHECK(outcome.news);
        CHECK(health(view.primary) == Health::suspect);
        std::uint64_t n = 2;
        for (Duration passed{}; passed + 100ms < timeouts.dead; passed += 100ms) {
            pass(100ms);
            CHECK(hear("a", 1, ++n, "conn:late").verdict == PingOutcome::Verdict::superseded);
        }
        pass(100ms);
        CHECK(hear("a", 1, ++n, "conn:late").verdict == PingOutcome::Verdict::counts);
        CHECK(health(view.primary) == Health::ok);
    }

    TEST_CASE_FIXTURE(DetectorFixture, "S7: a report of an unreachable backup counts for 10 D and under one primary") {
        detector.report_unreachable(Incarnation{2}, now);
        CHECK(detector.is_unreachable(Incarnation{2}));
        pass(timeouts.retention - 1ms);
        CHECK(detector.is_unreachable(Incarnation{2}));
        auto next = view;
        detector.change_view(view, next);
        CHECK(detector.is_unreachable(Incarnation{2}));
        pass(1ms);
        CHECK_FALSE(detector.is_unreachable(Incarnation{2}));
        detector.report_unreachable(Incarnation{2}, now);
        next.primary.incarnation = Incarnation{3};
        detector.change_view(view, next);
        CHECK_FALSE(detector.is_unreachable(Incarnation{2}));
    }

    TEST_CASE_FIXTURE(DetectorFixture, "R4: after a restart members are suspect and other servers are dead") {
        FailureDetector restored{timeouts};
        restored.restore(view, {{"a", {Incarnation{1}}}, {"b", {Incarnation{2}}}, {"c", {Incarnation{3}}}}, now, now);
        for (const auto* member : {&view.primary, &view.backups[0]})
            CHECK(restored.judge(*member, view, now).health == Health::suspect);
        CHECK(restored.health(*restored.find("c"), now) == Health::dead);
        CHECK(restored.is_awaited("b"));
        CHECK(restored.next_due(view, now) == now + timeouts.dead + timeouts.returning);
    }
}
