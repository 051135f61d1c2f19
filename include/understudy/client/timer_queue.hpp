// The times of many timers, the earliest first. Most are started and ended long before they are due, so ending one
// costs nothing: what is left of it is thrown out when it comes to the front, or with many others.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <understudy/view.hpp>

namespace understudy::client {

/// Each operation costs O(log n) at most, averaged over many, with n timers under way.
class TimerQueue {
public:
    /// When the first timer is due; `never` if none is.
    Time deadline() const { return heap_.empty() ? never : heap_.front().first; }
    /// Whose that is; there must be one.
    std::uint64_t first() const { return heap_.front().second; }

    /// One that is never due need not be started.
    void start(Time time, std::uint64_t key) {
        if (time == never) return;
        heap_.emplace_back(time, key);
        std::ranges::push_heap(heap_, std::greater{});
    }
    /// A timer was ended or started anew; `under_way` are left, and `is_current(time, key)` tells of each.
    template <typename IsCurrent>
    void end(Time time, std::uint64_t key, std::size_t under_way, IsCurrent is_current) {
        if (heap_.size() > 2 * under_way + few) {
            std::erase_if(heap_, [&](const Timer& timer) { return !is_current(timer.first, timer.second); });
            std::ranges::sort(heap_);  // then it is a heap, and one that was started twice stands side by side
            heap_.erase(std::unique(heap_.begin(), heap_.end()), heap_.end());
        }
        if (heap_.empty() || heap_.front() != Timer{time, key}) return;
        while (!heap_.empty() && !is_current(heap_.front().first, heap_.front().second)) {
            std::ranges::pop_heap(heap_, std::greater{});
            heap_.pop_back();
        }
    }

    /// O(n), for simulation.
    bool contains(Time time, std::uint64_t key) const {
        return time == never || std::ranges::find(heap_, Timer{time, key}) != heap_.end();
    }
    /// How many are kept, ended ones with them.
    std::size_t kept() const { return heap_.size(); }

private:
    using Timer = std::pair<Time, std::uint64_t>;
    static constexpr std::size_t few = 64;

    std::vector<Timer> heap_;
};

}  // namespace understudy::client
