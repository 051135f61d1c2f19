// What the view service owes to primaries that read by lease: nobody else leads before such a lease has run out.
#include <doctest/doctest.h>

#include <tests/support/view_stage.hpp>

using namespace understudy;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("core/view_lease") {
    namespace {
    constexpr Duration grace = interval / 10;

    /// The first leads, the second is in sync. Both have just pinged.
    ViewStage pair(const Address& first = "a", const Address& second = "b", bool leases = true,
                   const Address& connection = "conn:") {
        ViewStage stage;
        stage.connection = connection;
        stage.leases = leases;
        stage.set_up({first, second});
        stage.act(first);
        stage.act(second);
        return stage;
    }
    void restart(ViewStage& stage, ViewOptions options = {}) {
        options.return_time = {};
        stage.rules = ViewRules{options, stage.rules.record(), stage.now};
        stage.clear();
    }
    /// How long the primary stays while only `other` pings.
    Duration until_replaced(ViewStage& stage, const Address& other) {
        const auto start = stage.now;
        const auto primary = stage.view().primary;
        for (auto next = start; stage.view().primary == primary && stage.now < start + 20 * dead; stage.pass(1ms)) {
            if (stage.now < next) continue;
            stage.act(other);
            next = stage.now + interval;
        }
        return stage.now - start;
    }
    }  // namespace

    TEST_CASE("R1: a refusal is no proof that a primary on another machine reads by no lease any more") {
        auto stage = pair();
        stage.gone("conn:a");
        REQUIRE(stage.probes == std::vector<Address>{"a"});
        stage.probed("a", ProbeResult::refused);
        CHECK(stage.view().primary.name == "a");
        CHECK(stage.told<ServerLost>().empty());
        const auto waited = until_replaced(stage, "b");
        CHECK(waited >= dead);
        CHECK(waited <= dead + 2 * grace);
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R1: a refusal on the own machine is proof also where leases are in use") {
        for (const auto* address : {"unix:///run/a", "tcp://127.0.0.1:7001", "tcp://[::1]:7001"}) {
            CAPTURE(address);
            auto stage = pair(address, "b", true, "tcp://127.0.0.1:51234#");
            stage.gone("tcp://127.0.0.1:51234#" + Address{address});
            stage.probed(address, ProbeResult::refused);
            CHECK(stage.view().primary.name == "b");
        }
        for (const auto* address : {"tcp://10.0.0.1:7001", "tcp://127.example:7001", "tcp://[2001:db8::1]:7001"})
            CHECK_FALSE(view_service::is_near(address));
    }

    TEST_CASE("R1: a refusal proves nothing if a server only calls itself near") {
        auto stage = pair("tcp://127.0.0.1:7001", "b", true, "tcp://10.0.0.9:51234#");
        stage.gone("tcp://10.0.0.9:51234#tcp://127.0.0.1:7001");
        stage.probed("tcp://127.0.0.1:7001", ProbeResult::refused);
        CHECK(stage.view().primary.name == "tcp://127.0.0.1:7001");
    }

    TEST_CASE("R1: the lease of a primary that was replaced is waited for also after a restart") {
        auto stage = pair();
        stage.restart("a");  // or a ping of an earlier life that comes late
        stage.ping("a", 0);
        REQUIRE(stage.view().primary.name == "a");
        restart(stage);
        CHECK(until_replaced(stage, "b") >= dead);
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R6: what a later process of its name says does not end the lease of a primary") {
        auto stage = pair();
        const auto number = stage.view().number;
        stage.restart("a");
        stage.ping("a", 0);
        stage.ping("a", number, {.stopped = true, .leaving = true});
        CHECK(stage.view().primary.name == "a");
        CHECK(until_replaced(stage, "b") > dead / 2);
    }

    TEST_CASE("R4: a primary that is known to be dead does not count as alive again when its name is taken") {
        auto stage = pair();
        stage.gone("conn:b");
        stage.probed("b", ProbeResult::refused);
        stage.pass(2 * dead);
        REQUIRE(stage.status().waiting_for == std::vector<Address>{"a"});
        stage.restart("a");
        stage.ping("a", 0);
        CHECK_FALSE(stage.status().waiting_why.empty());
    }

    TEST_CASE("R1: a refusal is proof of the death of a backup which reads nothing by lease") {
        auto stage = pair();
        stage.gone("conn:b");
        stage.probed("b", ProbeResult::refused);
        CHECK(stage.view().backups.empty());
    }

    TEST_CASE("R1: a primary whose name another process has taken is replaced only when its lease has run out") {
        auto stage = pair();
        stage.pass(interval);
        stage.restart("a");
        stage.ping("a", 0);
        CHECK(stage.view().primary.name == "a");
        CHECK(stage.told<ServerLost>().size() == 1);  // that it restarted is known
        const auto waited = until_replaced(stage, "b");
        CHECK(waited >= dead - interval);
        CHECK(waited <= dead - interval + 2ms);
        CHECK(stage.view().primary.name == "b");
        CHECK(stage.status().waiting_for.empty());
    }

    TEST_CASE("R1: without leases a restarted primary is replaced at once") {
        auto stage = pair("a", "b", false);
        stage.restart("a");
        stage.ping("a", 0);
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R1: after a restart of the view service a primary may read by a lease of which nothing is known") {
        auto stage = pair("a", "b", false);
        restart(stage);
        stage.act("b");
        stage.restart("a");
        stage.ping("a", 0, {.cluster = our_cluster});
        CHECK(stage.view().primary.name == "a");
        CHECK(until_replaced(stage, "b") >= dead);
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R1: a lease of the larger D before a restart is waited for also by a primary that has pinged since") {
        auto stage = pair();
        ViewOptions shorter;
        shorter.dead_pings = 2;
        restart(stage, shorter);
        stage.pass(10ms);
        stage.act("a");  // the answer may be lost: then it goes on with the lease that it has
        stage.act("b");
        const auto waited = until_replaced(stage, "b");
        CHECK(waited >= dead - 10ms);
        CHECK(waited <= dead + 2 * grace);
    }

    TEST_CASE("R6: a primary that has stopped is replaced at once") {
        auto stage = pair();
        stage.ping("a", stage.view().number, {.synced = std::vector<Address>{"b"}, .leaving = true});
        stage.ping("a", stage.view().number, {.stopped = true, .leaving = true});
        CHECK(stage.view().primary.name == "b");
    }
}
