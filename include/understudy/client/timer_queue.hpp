// A heap of timers, the earliest first. Most timers of calls end long before they are due. So ending one leaves its
// entry in the heap; the entry is dropped when it reaches the front, or together with many others.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <understudy/view.hpp>

namespace understudy::client {

/// `start` and `end` cost O(log n), averaged over many, with n timers under way. The owner stores the time of each
/// timer and so decides which entries still count.
class TimerQueue {
public:
    /// When the first timer is due; `never` if none is.
    Time deadline() const { return heap_.empty() ? never : heap_.front().first; }
    /// The key of the first timer. Precondition: there is one.
    std::uint64_t first() const { return heap_.front().second; }

    /// Starts a timer. A timer that is never due needs no entry.
    void start(Time time, std::uint64_t key) {
        if (time == never) return;
        heap_.emplace_back(time, key);
        std::ranges::push_heap(heap_, std::greater{});
    }
    /// Records that the timer was ended or started anew. `under_way` timers are left, and `is_current(time, key)` is
    /// true for an entry of one of them. After this call the front of the heap is current.
    template <typename IsCurrent>
    void end(Time time, std::uint64_t key, std::size_t under_way, IsCurrent is_current) {
        if (heap_.size() > 2 * under_way + few) {
            std::erase_if(heap_, [&](const Timer& timer) { return !is_current(timer.first, timer.second); });
            // A sorted vector is a heap. Sorting also puts equal entries side by side: a timer that was set to a time,
            // away from it and back to it has two, and both are current.
            std::ranges::sort(heap_);
            heap_.erase(std::unique(heap_.begin(), heap_.end()), heap_.end());
        }
        if (heap_.empty() || heap_.front() != Timer{time, key}) return;
        while (!heap_.empty() && !is_current(heap_.front().first, heap_.front().second)) {
            std::ranges::pop_heap(heap_, std::greater{});
            heap_.pop_back();
        }
    }

    /// True if there is an entry for the timer, or it is never due. O(n): for simulation and tests.
    bool contains(Time time, std::uint64_t key) const {
        return time == never || std::ranges::find(heap_, Timer{time, key}) != heap_.end();
    }
    /// Number of entries, including those of ended timers.
    std::size_t kept() const { return heap_.size(); }

private:
    using Timer = std::pair<Time, std::uint64_t>;
    static constexpr std::size_t few = 64;  // ended entries that are not worth a cleanup

    std::vector<Timer> heap_;
};

}  // namespace understudy::client
