#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include <understudy/client/slot_heap.hpp>
#include <understudy/view.hpp>

using namespace understudy;
using namespace understudy::client;

TEST_SUITE("slot_heap") {
    namespace {

    Time at(int seconds) { return Time{} + std::chrono::seconds{seconds}; }

    // How often two priorities were compared: what an operation costs.
    std::size_t looks = 0;
    struct Counted {
        std::uint64_t value = 0;
        friend bool operator<(const Counted& a, const Counted& b) {
            ++looks;
            return a.value < b.value;
        }
    };

    }  // namespace

    TEST_CASE("the least is first and one that is removed makes room for the next") {
        SlotHeap<Time> timers;
        CHECK(timers.empty());
        timers.set(1, at(30));
        timers.set(2, at(10));
        timers.set(3, at(20));
        CHECK(timers.least() == at(10));
        CHECK(timers.first() == 2);
        timers.remove(3);
        timers.remove(2);
        CHECK(timers.first() == 1);
        timers.remove(1);
        CHECK(timers.empty());
        timers.remove(1);
        timers.remove(100);
        CHECK(timers.empty());
    }

    TEST_CASE("one that is set anew counts with its new priority alone") {
        SlotHeap<Time> timers;
        timers.set(1, at(10));
        timers.set(2, at(20));
        timers.set(1, at(30));
        CHECK(timers.first() == 2);
        timers.remove(2);
        CHECK(timers.least() == at(30));
        timers.set(1, at(5));
        CHECK(timers.least() == at(5));
        CHECK(timers.size() == 1);
    }

    TEST_CASE("the removed leave nothing behind whatever stays") {
        SlotHeap<Counted> heap;
        heap.set(0, {1});
        for (std::uint64_t n = 1; n <= 100'000; ++n) {
            heap.set(static_cast<Slot>(1 + n % 16), {n});
            if (n >= 10) heap.remove(static_cast<Slot>(1 + (n - 9) % 16));
            REQUIRE(heap.size() <= 11);
        }
        CHECK(heap.first() == 0);
        heap.deep_invariants();
    }

    TEST_CASE("an operation among many costs a few comparisons") {
        SlotHeap<Counted> heap;
        constexpr Slot many = 1u << 14;
        looks = 0;
        for (Slot slot = 0; slot < many; ++slot) heap.set(slot, {slot});
        CHECK(looks <= 2u * many);  // what is later than all others goes to the end at once
        std::mt19937 random{5};
        looks = 0;
        for (Slot step = 0; step < many; ++step) heap.set(static_cast<Slot>(random() % many), {random()});
        for (Slot slot = 0; slot < many; ++slot) heap.remove(slot);
        CHECK(looks <= 2u * many * 30);
        CHECK(heap.empty());
    }

    TEST_CASE("equal times come in the order of the keys that stand beside them") {
        SlotHeap<std::pair<Time, std::uint64_t>> timers;
        for (Slot slot : {3u, 0u, 4u, 1u, 2u}) timers.set(slot, {at(1), 10 - slot});
        std::vector<Slot> order;
        for (; !timers.empty(); timers.remove(timers.first())) order.push_back(timers.first());
        CHECK(order == std::vector<Slot>{4, 3, 2, 1, 0});
    }

    TEST_CASE("whatever is set and removed the first is the least") {
        std::mt19937 random{11};
        SlotHeap<std::uint64_t> heap;
        std::map<Slot, std::uint64_t> model;
        for (int step = 0; step < 50'000; ++step) {
            const auto slot = static_cast<Slot>(random() % 40);
            if (random() % 3 != 0) {
                const std::uint64_t priority = random() % 50;
                heap.set(slot, priority);
                model[slot] = priority;
            } else {
                heap.remove(slot);
                model.erase(slot);
            }
            REQUIRE(heap.size() == model.size());
            if (step % 16 == 0) heap.deep_invariants();
            for (Slot each = 0; each < 41; ++each) REQUIRE(heap.contains(each) == model.contains(each));
            if (model.empty()) continue;
            auto least = model.begin()->second;
            for (const auto& [each, priority] : model) least = std::min(least, priority);
            REQUIRE(heap.least() == least);
            REQUIRE(model.at(heap.first()) == least);
        }
        const auto copy = heap;
        heap.clear();
        CHECK(heap.empty());
        CHECK(copy.size() == model.size());
    }
}
