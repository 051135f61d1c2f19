// The state machines of all nodes together with random events: no transport, no real time, every fault that the
// protocol allows.
#include <doctest/doctest.h>

#include <tests/support/group_world.hpp>
#include <tests/support/setting.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("core/group_random") {
    TEST_CASE("S1 to S11: whatever fails no answered write is lost or doubled and the group heals") {
        const auto from = setting("UNDERSTUDY_FROM", 1);
        const auto count = setting("UNDERSTUDY_SEEDS", 50);
        std::size_t answered = 0, waits = 0, snapshots = 0, cuts = 0;
        ViewNumber views = 0;
        for (auto seed = from; seed < from + count; ++seed) {
            CAPTURE(seed);
            GroupWorld world{seed};
            world.chaos(400);
            world.heal();
            bool serves = world.settle();
            waits += !serves;
            if (!serves) {
                world.force();
                serves = world.settle();
            }
            REQUIRE(serves);
            world.check_the_end();
            answered += world.oracle().answered();
            snapshots += world.oracle().snapshots();
            cuts += world.oracle().cuts();
            views += world.views();
        }
        CHECK(answered > 100 * count);  // otherwise the runs tested nothing
        CHECK(views > 5 * count);
        if (count < 20) return;
        CHECK(waits > 0);
        CHECK(snapshots > 0);
        CHECK(cuts > 0);
    }
}
