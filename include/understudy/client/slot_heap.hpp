// A heap of slots, each with a priority: that with the least is first. A client's timers are such a heap, and so are
// the calls that wait to be sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>

namespace understudy::client {

/// A place in a table whose places are used again and again (`ClientCalls`). Slots are numbered from 0.
using Slot = std::uint32_t;

/// A binary heap that knows where each slot stands, so that any slot can be changed or removed: each operation costs
/// O(log n), and nothing that was removed is left behind. The order of equal priorities is unspecified.
template <typename Priority>
class SlotHeap {
public:
    bool empty() const { return heap_.empty(); }
    std::size_t size() const { return heap_.size(); }
    bool contains(Slot slot) const { return slot < places_.size() && places_[slot] != absent; }

    /// The slot with the least priority, and that priority. Precondition: not empty.
    Slot first() const { return heap_.front().slot; }
    const Priority& least() const { return heap_.front().priority; }

    /// Adds a slot, or changes its priority.
    void set(Slot slot, Priority priority) {
        if (slot >= places_.size()) places_.resize(slot + 1, absent);
        auto place = places_[slot];
        if (place == absent) {
            place = static_cast<Place>(heap_.size());
            heap_.emplace_back();
        } else if (heap_[place].priority < priority) {
            return sink(place, {std::move(priority), slot});
        }
        rise(place, {std::move(priority), slot});
    }
    /// Removes a slot; does nothing if it is not there.
    void remove(Slot slot) {
        if (!contains(slot)) return;
        const auto gap = std::exchange(places_[slot], absent);
        auto last = std::move(heap_.back());
        heap_.pop_back();
        if (gap == heap_.size()) return;
        if (gap > 0 && last.priority < heap_[parent_of(gap)].priority) rise(gap, std::move(last));
        else sink(gap, std::move(last));
    }
    /// Removes all, and gives the memory back.
    void clear() { *this = {}; }

    /// O(n): for simulation and tests.
    void deep_invariants() const {
        std::size_t present = 0;
        for (const auto place : places_) present += place != absent;
        UNDERSTUDY_CHECK(present == heap_.size());
        for (std::size_t place = 0; place < heap_.size(); ++place) {
            UNDERSTUDY_CHECK(places_[heap_[place].slot] == place);
            UNDERSTUDY_CHECK(place == 0 || !(heap_[place].priority < heap_[(place - 1) / 2].priority));
        }
    }

private:
    using Place = std::uint32_t;
    static constexpr Place absent = UINT32_MAX;

    struct Entry {
        Priority priority{};
        Slot slot = 0;
    };

    static Place parent_of(Place place) { return (place - 1) / 2; }
    void put(Place place, Entry&& entry) {
        places_[entry.slot] = place;
        heap_[place] = std::move(entry);
    }
    // Both move other entries over a gap at `place` until `entry` fits there.
    void rise(Place place, Entry entry) {
        for (; place > 0 && entry.priority < heap_[parent_of(place)].priority; place = parent_of(place))
            put(place, std::move(heap_[parent_of(place)]));
        put(place, std::move(entry));
    }
    void sink(Place place, Entry entry) {
        const auto size = heap_.size();
        for (;;) {
            auto child = 2 * std::size_t{place} + 1;
            if (child >= size) break;
            if (child + 1 < size && heap_[child + 1].priority < heap_[child].priority) ++child;
            if (!(heap_[child].priority < entry.priority)) break;
            put(place, std::move(heap_[child]));
            place = static_cast<Place>(child);
        }
        put(place, std::move(entry));
    }

    std::vector<Entry> heap_;
    std::vector<Place> places_;  // of each slot: where it stands in the heap
};

}  // namespace understudy::client
