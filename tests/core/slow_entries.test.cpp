// How long the entries that are still in the log took.
#include <doctest/doctest.h>

#include <understudy/replica/slow_entries.hpp>

using namespace understudy;
using namespace understudy::replica;
using namespace std::chrono_literals;

TEST_SUITE("slow_entries") {
    TEST_CASE("the longest entry counts until it is no longer kept and then the longest after it") {
        SlowEntries entries;
        entries.applied(1, 10ms);
        entries.applied(2, 400ms);
        for (Index index = 3; index < 1000; ++index) entries.applied(index, 100us);
        entries.applied(1000, 50ms);
        CHECK(entries.longest() == 400ms);
        entries.trim(1);
        CHECK(entries.longest() == 400ms);
        entries.trim(2);
        CHECK(entries.longest() == 50ms);
        entries.trim(1000);
        CHECK(entries.longest() == 0ms);
    }

    TEST_CASE("a few dozen are remembered however many entries were slow") {
        SlowEntries entries;
        for (Index index = 1; index <= 100'000; ++index) entries.applied(index, 1h - index * 36ms);
        CHECK(entries.longest() <= 1h);
        CHECK(entries.count() <= 64);
        entries.applied(100'001, 2h);
        CHECK(entries.count() == 1);
    }

    TEST_CASE("of entries that take about the same time the last is remembered with the time of the longest") {
        SlowEntries entries;
        entries.applied(1, 100ms);
        entries.applied(2, 90ms);
        CHECK(entries.longest() == 100ms);
        entries.trim(1);
        CHECK(entries.longest() == 100ms);
        entries.trim(2);
        CHECK(entries.longest() == 0ms);
    }
}
