#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <utility>

#include <understudy/base/number_map.hpp>

using namespace understudy;

TEST_SUITE("number_map") {
    TEST_CASE("what was added is found until it is taken") {
        NumberMap<int> map;
        CHECK(map.empty());
        CHECK(map.find(1) == nullptr);
        CHECK(map.take(1) == 0);
        map.add(1, 10);
        map.add(2, 20);
        REQUIRE(map.find(1) != nullptr);
        CHECK(*map.find(1) == 10);
        CHECK(map.contains(2));
        CHECK_FALSE(map.contains(0));
        CHECK(map.take(1) == 10);
        CHECK(map.find(1) == nullptr);
        CHECK(map.take(1) == 0);
        CHECK(map.size() == 1);
    }

    TEST_CASE("values may be such that cannot be copied") {
        NumberMap<std::unique_ptr<int>> map;
        for (int n = 1; n <= 100; ++n) map.add(static_cast<std::uint64_t>(n), std::make_unique<int>(n));
        int sum = 0;
        map.for_each([&](std::uint64_t, std::unique_ptr<int>& value) { sum += *std::exchange(value, nullptr); });
        CHECK(sum == 5050);
        CHECK(map.take(7) == nullptr);
        CHECK(map.size() == 99);
    }

    TEST_CASE("copies are independent") {
        NumberMap<int> map;
        for (std::uint64_t n = 1; n <= 20; ++n) map.add(n, 1);
        auto copy = map;
        for (std::uint64_t n = 1; n <= 20; ++n) CHECK(map.take(n) == 1);
        CHECK(map.empty());
        CHECK(copy.size() == 20);
        CHECK(copy.contains(20));
    }

    TEST_CASE("whatever comes and goes it holds what a map holds") {
        for (std::uint64_t stride : {1u, 8u, 4096u}) {
            std::mt19937_64 random{stride};
            NumberMap<std::uint64_t> map;
            std::map<std::uint64_t, std::uint64_t> model;
            std::uint64_t last = 0;
            const auto any = [&] { return (1 + random() % (last / stride + 1)) * stride; };
            for (std::uint64_t step = 0; step < 40'000; ++step) {
                // Grows and shrinks by turns, so that long runs of entries arise and end.
                const bool adds = random() % 8 < (step / 2'000 % 2 == 0 ? 5u : 3u);
                if (adds) {
                    last += stride;
                    map.add(last, step);
                    model.emplace(last, step);
                } else if (!model.empty()) {
                    // Mostly the oldest, as calls end.
                    const auto number = random() % 4 == 0 ? any() : model.begin()->first;
                    const auto found = model.find(number);
                    REQUIRE(map.take(number) == (found == model.end() ? 0 : found->second));
                    if (found != model.end()) model.erase(found);
                }
                REQUIRE(map.size() == model.size());
                const auto number = any();
                const auto* value = map.find(number);
                const auto found = model.find(number);
                REQUIRE((value != nullptr) == (found != model.end()));
                if (value) REQUIRE(*value == found->second);
            }
            std::map<std::uint64_t, std::uint64_t> all;
            map.for_each([&](std::uint64_t number, std::uint64_t value) { all.emplace(number, value); });
            CHECK(all == model);
        }
    }
}
