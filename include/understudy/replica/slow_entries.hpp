// How long the entries that are still in the log took to apply. A backup that joins has to apply them too, and needs
// about as long: a primary that did not know this would report it as unreachable (S7).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include <understudy/view.hpp>

namespace understudy::replica {

/// Gives the longest time of the entries after any position, without storing each entry. Of entries that took about the
/// same time only the last one is stored, with the longest of their times. So a few dozen are stored at most, and the
/// time given is at most a quarter too long. Entries that took less than 1 ms are ignored.
class SlowEntries {
public:
    /// The entry at `index` took this long to apply. Indices must ascend. Amortized O(1).
    void applied(Index index, Duration took) {
        if (took < least) return;
        while (!falling_.empty() && falling_.back().took <= took + took / 4) {
            took = std::max(took, falling_.back().took);
            falling_.pop_back();
        }
        falling_.push_back({index, took});
    }
    /// The log was trimmed: it starts after `base` now, and earlier entries do not count any more.
    void trim(Index base) {
        std::erase_if(falling_, [base](const auto& one) { return one.index <= base; });
    }
    /// The longest time of all entries after the position last trimmed to; 0 if none was slow.
    Duration longest() const { return falling_.empty() ? Duration{} : falling_.front().took; }

    /// How many entries are stored.
    std::size_t count() const { return falling_.size(); }

    friend bool operator==(const SlowEntries&, const SlowEntries&) = default;

private:
    struct SlowEntry {
        Index index = 0;
        Duration took{};
        friend bool operator==(const SlowEntry&, const SlowEntry&) = default;
    };
    static constexpr Duration least = std::chrono::milliseconds{1};

    std::vector<SlowEntry> falling_;  // by index; each took longer than the next one by more than a quarter
};

}  // namespace understudy::replica
