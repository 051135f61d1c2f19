// Waits between retries: how they grow, where they end, and that two nodes do not retry in step.
#include <doctest/doctest.h>

#include <chrono>
#include <set>

#include <understudy/client/backoff.hpp>

using namespace understudy;
using namespace understudy::client;
using namespace std::chrono_literals;

TEST_SUITE("backoff") {
    TEST_CASE("each wait is between half and all of a length that doubles up to the last one and begins anew") {
        Prng chance{7};
        Backoff backoff{10ms, 70ms};
        for (int round = 0; round < 50; ++round) {
            for (const Duration length : {10ms, 20ms, 40ms, 70ms, 70ms, 70ms}) {
                const auto wait = backoff.next(chance);
                CHECK(wait >= length / 2);
                CHECK(wait <= length);
            }
            backoff.reset();
        }
    }

    TEST_CASE("a wait never exceeds the last one however often it is lengthened") {
        Prng chance{7};
        Backoff backoff{3ms, never - Time{}};
        for (int n = 0; n < 200; ++n) {
            const auto wait = backoff.next(chance);
            CHECK(wait > Duration{});
            CHECK(wait <= never - Time{});
        }
    }

    TEST_CASE("waits of one party differ and those of two do not keep step") {
        Prng one{1}, other{2};
        std::set<Duration> waits;
        int same = 0;
        for (int n = 0; n < 100; ++n) {
            Backoff a{1s, 1s}, b{1s, 1s};
            const auto wait = a.next(one);
            waits.insert(wait);
            same += wait == b.next(other);
        }
        CHECK(waits.size() > 90);
        CHECK(same < 5);
    }
}
