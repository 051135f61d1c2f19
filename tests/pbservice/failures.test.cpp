// At most once over a lossy network, and writes that immediately follow a failure.
#include <string>

#include <tests/support/cluster.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("pbservice") {
    namespace {

    void append_a_hundred(Harness& harness, int servers) {
        Cluster group{harness};
        for (int n = 1; n <= servers; ++n) {
            group.make_unreliable(n);
            group.start(n);
        }
        REQUIRE(group.wait_ready(static_cast<std::size_t>(servers - 1), 20 * D));
        std::string expected;
        for (int n = 0; n < 100; ++n) {
            group.must_append("counter", std::to_string(n));
            expected += std::to_string(n);
        }
        CHECK(group.must_get("counter") == expected);
    }

    void put_after_failures(Harness& harness, bool primary_too) {
        Cluster group{harness};
        for (int n = 1; n <= 3; ++n) {
            group.start(n);
            REQUIRE(group.wait_ready(n == 1 ? 0 : 1));
        }
        for (auto* key : {"a", "b", "c"}) group.must_put(key, "before");

        const int dead = group.backup();
        const int third = 6 - dead - group.primary();
        group.kill(dead);
        group.must_put("a", "after backup failure");
        CHECK(group.harness().until([&] { return group.backup() == third; }, 2 * D));
        REQUIRE(group.wait_ready(1));
        CHECK(group.must_get("a") == "after backup failure");
        CHECK(group.must_get("b") == "before");
        if (!primary_too) return;

        group.kill(group.primary());
        group.must_put("b", "after primary failure");
        CHECK(group.primary() == third);
        CHECK(group.must_get("a") == "after backup failure");
        CHECK(group.must_get("b") == "after primary failure");
        CHECK(group.must_get("c") == "before");
    }

    }  // namespace

    TEST_CASE("at-most-once Append; unreliable") {
        in_every_world([](Harness& harness) {
            append_a_hundred(harness, 1);
            append_a_hundred(harness, 2);
        });
    }
    TEST_CASE("Put() immediately after backup failure") {
        in_every_world([](Harness& harness) { put_after_failures(harness, false); });
    }
    TEST_CASE("Put() immediately after primary failure") {
        in_every_world([](Harness& harness) { put_after_failures(harness, true); });
    }
}
