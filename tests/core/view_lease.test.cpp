// The requirement for primaries that read by lease: the view service lets no other server lead before such a lease has
// run out.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("core/view_lease") {
    namespace {
    constexpr Duration grace = interval / 10;

    /// The first server leads, the second is in sync. Both have just pinged.
    ViewHarness pair(const Address& first = "a", const Address& second = "b", bool leases = true,
                   const Address& connection = "conn:") {
        ViewHarness harness;
        harness.connection = connection;
        harness.leases = leases;
        harness.set_up({first, second});
        harness.act(first);
        harness.act(second);
        return harness;
    }
    void restart(ViewHarness& harness, ViewOptions options = {}) {
        options.return_time = {};
        harness.machine = ViewStateMachine{options, harness.machine.record(), harness.now};
        harness.clear();
    }
    /// How long the primary is kept while only `other` pings.
    Duration until_replaced(ViewHarness& harness, const Address& other) {
        const auto start = harness.now;
        const auto primary = harness.view().primary;
        for (auto next = start; harness.view().primary == primary && harness.now < start + 20 * dead;
             harness.pass(1ms)) {
            if (harness.now < next) continue;
            harness.act(other);
            next = harness.now + interval;
        }
        return harness.now - start;
    }
    }  // namespace

    TEST_CASE("R1: a refusal is no proof that a primary on another machine reads by no lease any more") {
        auto harness = pair();
        harness.disconnected("conn:a");
        REQUIRE(harness.probes == std::vector<Address>{"a"});
        harness.probed("a", ProbeResult::refused);
        CHECK(harness.view().primary.name == "a");
        CHECK(harness.emitted<ServerLost>().empty());
        const auto waited = until_replaced(harness, "b");
        CHECK(waited >= dead);
        CHECK(waited <= dead + 2 * grace);
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R1: a refusal on the own machine is proof also where leases are in use") {
        for (const auto* address : {"unix:///run/a", "tcp://127.0.0.1:7001", "tcp://[::1]:7001"}) {
            CAPTURE(address);
            auto harness = pair(address, "b", true, "tcp://127.0.0.1:51234#");
            harness.disconnected("tcp://127.0.0.1:51234#" + Address{address});
            harness.probed(address, ProbeResult::refused);
            CHECK(harness.view().primary.name == "b");
        }
        for (const auto* address : {"tcp://10.0.0.1:7001", "tcp://127.example:7001", "tcp://[2001:db8::1]:7001"})
            CHECK_FALSE(view_service::is_near(address));
    }

    TEST_CASE("R1: a refusal proves nothing if a server only calls itself near") {
        auto harness = pair("tcp://127.0.0.1:7001", "b", true, "tcp://10.0.0.9:51234#");
        harness.disconnected("tcp://10.0.0.9:51234#tcp://127.0.0.1:7001");
        harness.probed("tcp://127.0.0.1:7001", ProbeResult::refused);
        CHECK(harness.view().primary.name == "tcp://127.0.0.1:7001");
    }

    TEST_CASE("R1: the lease of a primary that was replaced is waited for also after a restart") {
        auto harness = pair();
        harness.restart("a");  // or a late ping of an earlier incarnation
        harness.ping("a", 0);
        REQUIRE(harness.view().primary.name == "a");
        restart(harness);
        CHECK(until_replaced(harness, "b") >= dead);
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R6: what a later process of its name says does not end the lease of a primary") {
        auto harness = pair();
        const auto number = harness.view().number;
        harness.restart("a");
        harness.ping("a", 0);
        harness.ping("a", number, {.stopped = true, .leaving = true});
        CHECK(harness.view().primary.name == "a");
        CHECK(until_replaced(harness, "b") > dead / 2);
    }

    TEST_CASE("R4: a primary that is known to be dead does not count as alive again when its name is taken") {
        auto harness = pair();
        harness.disconnected("conn:b");
        harness.probed("b", ProbeResult::refused);
        harness.pass(2 * dead);
        REQUIRE(harness.status().waiting_for == std::vector<Address>{"a"});
        harness.restart("a");
        harness.ping("a", 0);
        CHECK_FALSE(harness.status().waiting_why.empty());
    }

    TEST_CASE("R1: a refusal is proof of the death of a backup which reads nothing by lease") {
        auto harness = pair();
        harness.disconnected("conn:b");
        harness.probed("b", ProbeResult::refused);
        CHECK(harness.view().backups.empty());
    }

    TEST_CASE("R1: a primary whose name another process has taken is replaced only when its lease has run out") {
        auto harness = pair();
        harness.pass(interval);
        harness.restart("a");
        harness.ping("a", 0);
        CHECK(harness.view().primary.name == "a");
        CHECK(harness.emitted<ServerLost>().size() == 1);  // its restart is known
        const auto waited = until_replaced(harness, "b");
        CHECK(waited >= dead - interval);
        CHECK(waited <= dead - interval + 2ms);
        CHECK(harness.view().primary.name == "b");
        CHECK(harness.status().waiting_for.empty());
    }

    TEST_CASE("R1: without leases a restarted primary is replaced at once") {
        auto harness = pair("a", "b", false);
        harness.restart("a");
        harness.ping("a", 0);
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R1: after a restart of the view service a primary may read by a lease of which nothing is known") {
        auto harness = pair("a", "b", false);
        restart(harness);
        harness.act("b");
        harness.restart("a");
        harness.ping("a", 0, {.cluster = our_cluster});
        CHECK(harness.view().primary.name == "a");
        CHECK(until_replaced(harness, "b") >= dead);
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R1: a lease of the larger D before a restart is waited for also by a primary that has pinged since") {
        auto harness = pair();
        ViewOptions shorter;
        shorter.dead_pings = 2;
        restart(harness, shorter);
        harness.pass(10ms);
        harness.act("a");  // the answer may be lost: then it goes on with the lease that it has
        harness.act("b");
        const auto waited = until_replaced(harness, "b");
        CHECK(waited >= dead - 10ms);
        CHECK(waited <= dead + 2 * grace);
    }

    TEST_CASE("R6: a primary that has stopped is replaced at once") {
        auto harness = pair();
        harness.ping("a", harness.view().number, {.synced = std::vector<Address>{"b"}, .leaving = true});
        harness.ping("a", harness.view().number, {.stopped = true, .leaving = true});
        CHECK(harness.view().primary.name == "b");
    }
}
