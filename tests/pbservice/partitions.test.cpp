// A primary that is cut off from the view service, and a get that reaches it too late. Two servers of which one does
// not receive from the other, although all other nodes receive from both.
#include <memory>
#include <string>
#include <string_view>

#include <tests/support/cluster.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("pbservice") {
    namespace {

    /// One clerk receives nothing from the view service any more, so it knows only the old primary.
    constexpr int deaf = 7;

    struct Scene {
        explicit Scene(Harness& harness, Reads reads = Reads::confirm) : group{harness, reads} {
            group.start(1);
            REQUIRE(group.wait_ready(0));
            group.start(2);
            REQUIRE(group.wait_ready(1));
            group.must_put("a", "1");
            CHECK(group.must_get("a", deaf) == "1");
        }

        /// Cuts the primary off from the view service and holds back a get that is sent to it, until the backup took
        /// over. `alone`: cuts it off from its backup too, which otherwise reports the newer view to it.
        void cut_and_read(bool alone = false) {
            old_primary = group.primary();
            successor = group.backup();
            auto& faults = group.faults(old_primary);
            faults.hold_incoming = [](const Address&, std::string_view payload) {
                return payload.find("\"pb.query\"") != std::string_view::npos;
            };
            group.cut_from_views(faults);
            group.cut_from_views(group.clerk_faults(deaf));
            const auto cut = alone ? group.harness().address("server" + std::to_string(successor)) : Address{};
            faults.lose_outgoing = [this, cut, lost = faults.lose_outgoing](const Address& peer,
                                                                            std::string_view payload) {
                stale_answers += payload.find("\"value\":\"1\"") != std::string_view::npos;
                return peer == cut || lost(peer, payload);
            };
            get = group.get("a", deaf);
            REQUIRE(group.harness().until([&] { return !faults.held.empty(); }, D));
            REQUIRE(group.harness().until([&] { return group.primary() == successor; }, 4 * D));
        }
        void release() {
            CHECK_FALSE(get->done);
            group.faults(old_primary).release();
            group.harness().pass(D);
            CHECK(stale_answers == 0);
        }
        /// Reconnects the clerk with the view service; its get must then succeed.
        void finish(const std::string& value) {
            group.clerk_faults(deaf).lose_incoming = nullptr;
            group.clerk_faults(deaf).lose_outgoing = nullptr;
            REQUIRE(group.finish(get));
            CHECK(get->value == value);
            CHECK(group.must_get("a") == value);
        }

        Cluster group;
        int old_primary = 0;
        int successor = 0;
        int stale_answers = 0;
        std::shared_ptr<Ended> get;
    };

    void old_primary_does_not_serve(Harness& harness) {
        Scene scene{harness};
        scene.cut_and_read();
        scene.group.must_put("a", "2");
        scene.release();
        scene.finish("2");
    }

    /// The old primary still reads by itself while its lease lasts, although its pings are not answered any more.
    void old_primary_reads_by_lease_and_then_not(Harness& harness) {
        Scene scene{harness, Reads::lease};
        auto& group = scene.group;
        const auto old_primary = group.primary();
        int rounds = 0;
        auto& faults = group.faults(old_primary);
        faults.lose_outgoing = [&](const Address&, std::string_view payload) {
            rounds += payload.find("\"round\":") != std::string_view::npos;
            return false;
        };
        bool leased = false;
        for (int tries = 0; !leased && tries < 1000; ++tries) {
            rounds = 0;
            CHECK(group.must_get("a") == "1");
            leased = rounds == 0;
        }
        REQUIRE(leased);
        scene.cut_and_read(true);
        group.must_put("a", "2");
        scene.release();
        scene.finish("2");
    }

    void old_primary_does_not_complete(Harness& harness) {
        Scene scene{harness};
        auto& group = scene.group;
        scene.cut_and_read();
        group.start(3);
        REQUIRE(harness.until([&] { return group.backup() == 3 && group.ready(1); }, 4 * D));
        group.must_put("a", "111");
        group.kill(scene.successor);
        REQUIRE(harness.until([&] { return group.primary() == 3; }, 4 * D));
        scene.release();
        CHECK_FALSE(scene.get->done);
        scene.finish("111");
    }

    /// For 30 s all messages from the primary to its backup are lost, or all in the other direction; messages of the
    /// view service and of clients get through.
    void half_a_line(Harness& harness, int servers, bool back) {
        Cluster group{harness};
        for (int n = 1; n <= servers; ++n) {
            group.start(n);
            REQUIRE(group.wait_ready(n == 1 ? 0 : 1));
        }
        harness.pass(D);
        REQUIRE(group.primary() == 1);
        REQUIRE(group.backup() == 2);
        const auto before = group.view().number;
        const auto lost = [name = harness.address("server2")](const Address& peer, std::string_view) {
            return peer == name;
        };
        auto& faults = group.faults(1);
        (back ? faults.lose_incoming : faults.lose_outgoing) = lost;
        const auto end = harness.now() + 30s;
        while (harness.now() < end) {
            const auto next = harness.now() + 100ms;
            REQUIRE(group.finish(group.put("a", "1"), 2 * D));
            if (harness.now() < next) harness.pass(next - harness.now());
        }
        CHECK(group.primary() == 1);
        const auto grown = group.view().number - before;
        CHECK(grown >= 1);
        CHECK(grown <= (servers == 2 ? 2 * (30s / (10 * D)) + 3 : 2));
        (back ? faults.lose_incoming : faults.lose_outgoing) = nullptr;
        CHECK(group.wait_ready(1, 12 * D));
        group.must_put("a", "2");
        CHECK(group.must_get("a") == "2");
    }

    }  // namespace

    TEST_CASE("S7: a line that is dead in one direction holds up no write for long and does not churn views") {
        for (const int servers : {2, 3}) {
            for (const bool back : {false, true}) {
                CAPTURE(servers);
                CAPTURE(back);
                in_simulation([&](Harness& harness) { half_a_line(harness, servers, back); });
            }
        }
    }

    TEST_CASE("S5: a primary that reads by lease serves no gets once another leads") {
        in_every_world([](Harness& harness) { old_primary_reads_by_lease_and_then_not(harness); });
    }
    TEST_CASE("Old primary does not serve Gets") {
        in_every_world([](Harness& harness) { old_primary_does_not_serve(harness); });
    }
    TEST_CASE("Partitioned old primary does not complete Gets") {
        in_every_world([](Harness& harness) { old_primary_does_not_complete(harness); });
    }
}
