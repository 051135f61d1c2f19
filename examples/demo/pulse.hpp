// The answered writes of all clients over time: how many, how fast, and the longest time without one.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace demo {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

class Pulse {
public:
    static constexpr std::size_t tenths = 60;  // how many tenths of a second are retained

    void answered() {
        const auto now = Clock::now();
        if (total_++ != 0) note(now - last_);
        last_ = now;
        ++bins_[newest_];
    }
    /// Called after each tenth of a second.
    void tick() {
        newest_ = (newest_ + 1) % tenths;
        bins_[newest_] = 0;
    }
    /// From now on `gap()` covers the time since now; a gap that has already begun counts in full.
    void mark() { gap_ = {}; }

    std::uint64_t total() const { return total_; }
    Milliseconds gap() const { return gap_; }
    Milliseconds longest() const { return longest_; }
    Milliseconds silent() const { return total_ == 0 ? Milliseconds{} : Clock::now() - last_; }

    /// The writes in a whole tenth of a second; 0 is the newest.
    std::uint64_t tenth(std::size_t age) const { return bins_[(newest_ + 2 * tenths - 1 - age) % tenths]; }
    std::uint64_t last_second() const {
        std::uint64_t sum = 0;
        for (std::size_t age = 0; age < 10; ++age) sum += tenth(age);
        return sum;
    }

private:
    void note(Milliseconds gap) {
        gap_ = std::max(gap_, gap);
        longest_ = std::max(longest_, gap);
    }

    std::uint64_t total_ = 0;
    Clock::time_point last_;
    Milliseconds gap_{}, longest_{};
    std::array<std::uint64_t, tenths> bins_{};
    std::size_t newest_ = 0;
};

}  // namespace demo
