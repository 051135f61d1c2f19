// When a journal must sync and when it must write a checkpoint mark, for each policy.
#include <doctest/doctest.h>

#include <understudy/journal/sync_policy.hpp>

using namespace understudy;
using namespace std::chrono_literals;

TEST_SUITE("sync_policy") {
    using namespace understudy::journal;

    constexpr Time start{5s};
    constexpr Duration idle = 1s;

    TEST_CASE("only who syncs before anything counts may promise") {
        CHECK(SyncPolicy::always().promises());
        CHECK(SyncPolicy{}.promises());
        CHECK(!SyncPolicy::every(1ns).promises());
        CHECK(!SyncPolicy::never().promises());
    }

    TEST_CASE("what was written is to be synced at once or when the interval has passed or never") {
        SyncSchedule always{SyncPolicy::always(), idle, start}, every{SyncPolicy::every(300ms), idle, start},
            seldom{SyncPolicy::never(), idle, start};
        for (auto* schedule : {&always, &every, &seldom}) {
            CHECK(schedule->sync_due() == understudy::never);  // nothing was written
            schedule->wrote(start + 100ms);
        }
        CHECK(always.sync_due() <= start + 100ms);
        CHECK(every.sync_due() == start + 300ms);
        CHECK(seldom.sync_due() == understudy::never);
    }

    TEST_CASE("an interval is counted from the last sync and not from the last write") {
        SyncSchedule schedule{SyncPolicy::every(300ms), idle, start};
        for (const auto at : {10ms, 150ms, 290ms}) schedule.wrote(start + at);
        CHECK(schedule.next() == start + 300ms);
        schedule.syncs(start + 300ms);
        CHECK(schedule.sync_due() == understudy::never);
        schedule.wrote(start + 310ms);
        CHECK(schedule.next() == start + 600ms);
    }

    TEST_CASE("the log is to be sealed when nothing came for a while and once") {
        SyncSchedule schedule{SyncPolicy::every(1h), idle, start};
        schedule.wrote(start + 10ms);
        schedule.wrote(start + 20ms);
        CHECK(schedule.next() == start + 20ms + idle);
        schedule.checkpoints(start + 20ms + idle);
        CHECK(schedule.next() == understudy::never);
    }
}
