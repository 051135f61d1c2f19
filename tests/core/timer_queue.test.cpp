#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>

#include <understudy/client/timer_queue.hpp>

using namespace understudy;
using namespace understudy::client;

TEST_SUITE("timer_queue") {
    namespace {

    Time at(int seconds) { return Time{} + std::chrono::seconds{seconds}; }

    // The expected times of the running timers, by key.
    struct Timers {
        TimerQueue queue;
        std::map<std::uint64_t, Time> times;
        std::size_t looks = 0;  // how often a timer was checked for whether it is running

        void start(std::uint64_t key, Time time) {
            const auto former = times.find(key);
            const bool anew = former != times.end();
            const auto before = anew ? former->second : never;
            times[key] = time;
            queue.start(time, key);
            if (anew && before != time) ended(before, key);
        }
        void end(std::uint64_t key) {
            const auto time = times.at(key);
            times.erase(key);
            ended(time, key);
        }
        void ended(Time time, std::uint64_t key) {
            queue.end(time, key, times.size(), [this](Time one, std::uint64_t of) {
                ++looks;
                const auto found = times.find(of);
                return found != times.end() && found->second == one;
            });
        }
        Time earliest() const {
            Time time = never;
            for (const auto& [key, one] : times) time = std::min(time, one);
            return time;
        }
    };

    }  // namespace

    TEST_CASE("the earliest is first and one that ends makes room for the next") {
        Timers timers;
        CHECK(timers.queue.deadline() == never);
        timers.start(1, at(30));
        timers.start(2, at(10));
        timers.start(3, at(20));
        CHECK(timers.queue.deadline() == at(10));
        CHECK(timers.queue.first() == 2);
        timers.end(3);
        timers.end(2);
        CHECK(timers.queue.first() == 1);
        timers.end(1);
        CHECK(timers.queue.deadline() == never);
    }

    TEST_CASE("one that is started anew counts with its new time alone") {
        Timers timers;
        timers.start(1, at(10));
        timers.start(2, at(20));
        timers.start(1, at(30));
        CHECK(timers.queue.first() == 2);
        timers.start(2, never);
        CHECK(timers.queue.deadline() == at(30));
        timers.start(1, at(5));
        CHECK(timers.queue.deadline() == at(5));
    }

    TEST_CASE("what many ended ones left behind is bounded by what is under way") {
        Timers timers;
        timers.start(0, at(1));
        for (std::uint64_t key = 1; key <= 100'000; ++key) {
            timers.start(key, at(60));
            if (key > 10) timers.end(key - 10);
            REQUIRE(timers.queue.kept() <= 2 * timers.times.size() + 65);
        }
        CHECK(timers.queue.first() == 0);
    }

    TEST_CASE("timers that come back to the same time are kept once and cost a few looks") {
        Timers timers;
        for (std::uint64_t key = 0; key < 1'000; ++key) timers.start(key, at(60));
        timers.looks = 0;
        for (int round = 0; round < 20; ++round)
            for (std::uint64_t key = 0; key < 1'000; ++key) {
                timers.start(key, at(1'000 + static_cast<int>(key)));
                timers.start(key, at(60));
            }
        CHECK(timers.looks < 40'000u * 10);
        CHECK(timers.queue.kept() <= 2 * timers.times.size() + 65);
        CHECK(timers.queue.deadline() == at(60));
    }

    TEST_CASE("whatever is started and ended the first is the earliest under way") {
        std::mt19937 random{11};
        Timers timers;
        for (int step = 0; step < 50'000; ++step) {
            const auto key = random() % 40;
            if (random() % 3 != 0)
                timers.start(key, random() % 8 == 0 ? never : at(static_cast<int>(random() % 50)));
            else if (timers.times.contains(key))
                timers.end(key);
            REQUIRE(timers.queue.deadline() == timers.earliest());
            if (timers.earliest() != never) REQUIRE(timers.times.at(timers.queue.first()) == timers.earliest());
        }
    }
}
