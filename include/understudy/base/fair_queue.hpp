// A queue of received messages that serves all connections fairly. Without it, one connection that sends as fast as it
// can would put tens of thousands of messages before the pings and acknowledgements of all others.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <iterator>
#include <list>
#include <memory>
#include <utility>
#include <vector>

namespace understudy::detail {

/// Items that fit into the next turn wait in one list, in the order in which they came. All others wait in a list of
/// their source. From these lists turns take items round robin, preferred sources first. The weight of an item is its
/// size in bytes and what it costs to hold it.
template <typename Item>
class FairQueue {
    struct Waiting {
        Item item;
        std::size_t weight;
    };

public:
    /// One connection, as the queue sees it. Ownership is shared: its items may be taken after the connection has
    /// ended.
    class Source {
    public:
        explicit Source(bool preferred = false) : preferred_{preferred} {}
        bool preferred() const { return preferred_; }
        /// Whether no item of this source waits beyond the next turn.
        bool empty() const { return waiting_.empty(); }

    private:
        friend class FairQueue;
        bool preferred_;
        bool barred_ = false;
        bool queued_ = false;  // is in `preferred_` or `others_`
        std::size_t weight_ = 0;
        std::list<Waiting> waiting_;
    };
    using SourcePointer = std::shared_ptr<Source>;

    explicit FairQueue(std::size_t max_turn) : max_turn_{std::max<std::size_t>(max_turn, 1)} {}

    /// Whether the next turn would be empty.
    bool empty() const { return front_.empty() && !handled_ && preferred_.empty() && others_.empty(); }

    /// Whether the source may add more items. A source that has reached its own bound must be served first. If the
    /// bound on all sources together is reached, a source without waiting items may still add one, so that other
    /// sources cannot shut it out.
    bool may_add(const Source& source) const {
        if (source.waiting_.empty()) return true;
        return source.waiting_.size() < most_of_one && source.weight_ < turns_of_one * max_turn_ &&
               weight_ < turns_of_all * max_turn_;
    }

    /// Adds an item that belongs to no source. It comes with the next turn.
    void push(Item item) { front_.push_back(std::move(item)); }
    /// For an item that need not wait at all: returns true if it may be handled at once, and then counts it to the next
    /// turn. It may if it would join that turn and be the first item there. So it comes before whatever waits, but
    /// before nothing of its own source, of which nothing waits.
    bool try_handle_now(const SourcePointer& source, std::size_t weight) {
        if (!front_.empty() || !joins_next_turn(*source, weight)) return false;
        front_weight_ += weight;
        return handled_ = true;
    }
    /// Adds an item behind all items of its source. The caller must ask `may_add` first; it is not checked here.
    void push(const SourcePointer& source, Item item, std::size_t weight) {
        if (joins_next_turn(*source, weight)) {
            front_weight_ += weight;
            return front_.push_back(std::move(item));
        }
        source->waiting_.push_back({std::move(item), weight});
        source->weight_ += weight;
        weight_ += weight;
        enqueue(source);
    }

    /// Bars a source or ends that. The waiting items of a barred source are not taken; those already in the next turn
    /// are.
    void bar(const SourcePointer& source, bool on) {
        if (std::exchange(source->barred_, on) == on) return;
        if (!on) return enqueue(source);
        if (std::exchange(source->queued_, false)) std::erase(rotation(*source), source);
    }
    /// Serves a source before the others from now on, or ends that.
    void prefer(const SourcePointer& source, bool on) {
        if (source->preferred_ == on) return;
        const bool queued = std::exchange(source->queued_, false);
        if (queued) std::erase(rotation(*source), source);
        source->preferred_ = on;
        if (queued) enqueue(source);
    }

    /// Takes the next turn if all of it was handled at once, and returns whether that was so.
    bool take_handled() {
        if (!front_.empty() || anybody_queued()) return false;
        front_weight_ = 0;
        handled_ = false;
        return true;
    }
    /// Takes the next turn: at least one item if there is any, and no more than fit. The empty vector `fresh` becomes
    /// the new list for the next turn, so that its memory is used again.
    std::vector<Item> take(std::vector<Item> fresh = {}) {
        auto turn = std::exchange(front_, std::move(fresh));
        auto taken = std::exchange(front_weight_, 0);
        const bool begun = std::exchange(handled_, false);
        if (!anybody_queued()) return turn;
        if (serve(preferred_, turn, taken, begun)) serve(others_, turn, taken, begun);
        return turn;
    }

    void clear() {
        front_.clear();
        for (auto* row : {&preferred_, &others_})
            for (const auto& source : std::exchange(*row, {})) *source = Source{source->preferred_};
        front_weight_ = weight_ = 0;
        handled_ = false;
    }

private:
    using Rotation = std::deque<SourcePointer>;

    // Bounds on items that wait beyond the next turn: for one source in items and in turns, for all sources in turns.
    static constexpr std::size_t most_of_one = 1024, turns_of_one = 8, turns_of_all = 32;
    // A source may take up to this weight of a turn, and at least one item, before the next source follows.
    std::size_t quantum() const { return max_turn_ / 16; }

    /// Whether an item may go directly into the next turn: if it fits and no item of its class waits. Otherwise it
    /// would overtake items that came before it.
    bool joins_next_turn(const Source& source, std::size_t weight) const {
        const bool in_order = source.preferred_ ? preferred_.empty() : !anybody_queued();
        const bool fits = (front_.empty() && !handled_) || front_weight_ + weight <= max_turn_;
        return source.waiting_.empty() && !source.barred_ && in_order && fits;
    }
    bool anybody_queued() const { return !preferred_.empty() || !others_.empty(); }
    Rotation& rotation(const Source& source) { return source.preferred_ ? preferred_ : others_; }
    void enqueue(const SourcePointer& source) {
        if (source->waiting_.empty() || source->barred_ || std::exchange(source->queued_, true)) return;
        rotation(*source).push_back(source);
    }

    /// Returns false when the turn is full. The source whose item did not fit stays first for the next turn. `begun`:
    /// items of the turn were handled already.
    bool serve(Rotation& row, std::vector<Item>& turn, std::size_t& taken, bool begun) {
        while (!row.empty()) {
            const auto source = row.front();
            for (std::size_t given = 0; !source->waiting_.empty() && given <= quantum();) {
                auto& first = source->waiting_.front();
                if ((begun || !turn.empty()) && taken + first.weight > max_turn_) return false;
                turn.push_back(std::move(first.item));
                taken += first.weight;
                given += first.weight;
                source->weight_ -= first.weight;
                weight_ -= first.weight;
                source->waiting_.pop_front();
            }
            row.pop_front();
            source->queued_ = false;
            enqueue(source);
        }
        return true;
    }

    std::size_t max_turn_;
    std::vector<Item> front_;
    std::size_t front_weight_ = 0;
    bool handled_ = false;         // an item of the next turn was handled at once
    Rotation preferred_, others_;  // the sources that have waiting items
    std::size_t weight_ = 0;       // of all items that wait beyond the next turn
};

}  // namespace understudy::detail
