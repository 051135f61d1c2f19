// Basic failures: one scenario in five parts; each test case runs it up to its own part.
#include <string>

#include <tests/support/cluster.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("pbservice") {
    namespace {

    struct Scenario {
        explicit Scenario(Harness& harness) : group{harness} {}
        Cluster group;

        void play(int through) {
            single();
            if (through >= 2) add_backup();
            if (through >= 3) count_requests();
            if (through >= 4) primary_failure();
            if (through >= 5) kill_last();
        }

        void single() {
            group.start(1);
            REQUIRE(group.wait_ready(0));
            CHECK(group.primary() == 1);
            group.must_put("111", "v1");
            group.must_put("2", "v2");
            CHECK(group.must_get("111") == "v1");
            CHECK(group.must_get("2") == "v2");
            group.must_append("new", "made");
            CHECK(group.must_get("new") == "made");
            group.must_put("key", "one");
            group.must_append("key", "two");
            CHECK(group.must_get("key") == "onetwo");
        }
        void add_backup() {
            group.start(2);
            CHECK(group.harness().until([&] { return group.backup() == 2; }, 2 * D));
            REQUIRE(group.wait_ready(1));
            group.must_put("3", "33");
            CHECK(group.must_get("3") == "33");
            CHECK(group.must_get("2") == "v2");
        }
        void count_requests() {
            auto requests = group.view_faults().received;
            auto pings = group.view_faults().pings;
            for (int n = 0; n < 100; ++n) group.must_put("xk" + std::to_string(n), std::to_string(n));
            requests = group.view_faults().received - requests;
            pings = group.view_faults().pings - pings;
            CHECK(requests <= pings + 20);
        }
        void primary_failure() {
            group.kill(1);
            CHECK(group.harness().until([&] { return group.primary() == 2; }, 2 * D));
            CHECK(group.must_get("111") == "v1");
            CHECK(group.must_get("2") == "v2");
            CHECK(group.must_get("3") == "33");
            CHECK(group.must_get("key") == "onetwo");
            for (int n = 0; n < 100; ++n) CHECK(group.must_get("xk" + std::to_string(n)) == std::to_string(n));
        }
        void kill_last() {
            group.kill(2);
            group.start(3);
            auto read = group.get("2");
            for (Duration passed{}; passed < 2500ms; passed += I) {
                group.harness().pass(I);
                CHECK_FALSE(read->done);
                CHECK_FALSE(group.serves(3));
            }
            CHECK(group.primary() == 2);
        }
    };

    void play(int through) {
        in_every_world([through](Harness& harness) { Scenario{harness}.play(through); });
    }

    }  // namespace

    TEST_CASE("Single primary, no backup") { play(1); }
    TEST_CASE("Add a backup") { play(2); }
    TEST_CASE("Count RPCs to viewserver") { play(3); }
    TEST_CASE("Primary failure") { play(4); }
    TEST_CASE("Kill last server, new one should not be active") { play(5); }
}
