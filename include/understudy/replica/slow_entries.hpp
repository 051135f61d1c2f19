// How long the entries that are still kept took to apply: a backup that joins has to apply them too (S7).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include <understudy/view.hpp>

namespace understudy::replica {

/// The longest of the entries after any position. Of entries that take about the same only the last one is remembered,
/// with the time of the longest: so there are a few dozen at most, and what is told is up to a quarter too much.
class SlowEntries {
public:
    void applied(Index index, Duration took) {
        if (took < least) return;
        while (!falling_.empty() && falling_.back().took <= took + took / 4) {
            took = std::max(took, falling_.back().took);
            falling_.pop_back();
        }
        falling_.push_back({index, took});
    }
    /// The log starts after `base` now.
    void trim(Index base) {
        std::erase_if(falling_, [base](const auto& one) { return one.index <= base; });
    }
    Duration longest() const { return falling_.empty() ? Duration{} : falling_.front().took; }

    /// How many are remembered.
    std::size_t count() const { return falling_.size(); }

    friend bool operator==(const SlowEntries&, const SlowEntries&) = default;

private:
    struct SlowEntry {
        Index index = 0;
        Duration took{};
        friend bool operator==(const SlowEntry&, const SlowEntry&) = default;
    };
    static constexpr Duration least = std::chrono::milliseconds{1};

    std::vector<SlowEntry> falling_;  // by index; each took clearly longer than the next one
};

}  // namespace understudy::replica
