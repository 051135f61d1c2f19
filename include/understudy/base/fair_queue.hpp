// What has arrived and was not handled yet, taken in turns that are fair to all connections. Without it one connection
// that sends as fast as it can puts tens of thousands of messages before everybody's pings and acknowledgements.
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

/// What fits into the next turn waits in one row, in the order in which it came. What is more waits per source and is
/// taken round robin, preferred sources first. An item weighs its bytes and what it costs to hold.
template <typename Item>
class FairQueue {
    struct Waiting {
        Item item;
        std::size_t weight;
    };

public:
    /// One connection, as the queue sees it. Shared, since what it sent is taken after it has ended, too.
    class Source {
    public:
        explicit Source(bool preferred = false) : preferred_{preferred} {}
        bool preferred() const { return preferred_; }
        /// Whether nothing of it waits beyond the next turn.
        bool empty() const { return waiting_.empty(); }

    private:
        friend class FairQueue;
        bool preferred_;
        bool barred_ = false;
        bool queued_ = false;  // stands in the rotation
        std::size_t weight_ = 0;
        std::list<Waiting> waiting_;
    };
    using SourcePointer = std::shared_ptr<Source>;

    explicit FairQueue(std::size_t max_turn) : max_turn_{std::max<std::size_t>(max_turn, 1)} {}

    /// Whether a turn would be empty.
    bool empty() const { return front_.empty() && preferred_.empty() && others_.empty(); }

    /// Whether more of this source may come: one over its bound has to be served first. While much waits over all, a
    /// source of which nothing waits may still add one item, so that nobody is shut out by others.
    bool may_add(const Source& source) const {
        if (source.waiting_.empty()) return true;
        return source.waiting_.size() < most_of_one && source.weight_ < turns_of_one * max_turn_ &&
               weight_ < turns_of_all * max_turn_;
    }

    /// Of nobody: it comes with the next turn.
    void push(Item item) { front_.push_back(std::move(item)); }
    /// Behind all that the source has added. It is for the caller to heed `may_add`.
    void push(const SourcePointer& source, Item item, std::size_t weight) {
        const bool overtakes = source->preferred_ ? preferred_.empty() : !anybody_queued();
        const bool fits = front_.empty() || front_weight_ + weight <= max_turn_;
        if (source->waiting_.empty() && !source->barred_ && overtakes && fits) {
            front_weight_ += weight;
            return front_.push_back(std::move(item));
        }
        source->waiting_.push_back({std::move(item), weight});
        source->weight_ += weight;
        weight_ += weight;
        enqueue(source);
    }

    /// Nothing of a barred source is taken from those that wait.
    void bar(const SourcePointer& source, bool on) {
        if (std::exchange(source->barred_, on) == on) return;
        if (!on) return enqueue(source);
        if (std::exchange(source->queued_, false)) std::erase(rotation(*source), source);
    }
    /// From now on it is served before others, or no longer.
    void prefer(const SourcePointer& source, bool on) {
        if (source->preferred_ == on) return;
        const bool queued = std::exchange(source->queued_, false);
        if (queued) std::erase(rotation(*source), source);
        source->preferred_ = on;
        if (queued) enqueue(source);
    }

    /// The next turn: at least one item if there is any, and no more than fit. `fresh` is empty and may have room.
    std::vector<Item> take(std::vector<Item> fresh = {}) {
        auto turn = std::exchange(front_, std::move(fresh));
        auto taken = std::exchange(front_weight_, 0);
        if (!anybody_queued()) return turn;
        if (serve(preferred_, turn, taken)) serve(others_, turn, taken);
        return turn;
    }

    void clear() {
        front_.clear();
        for (auto* row : {&preferred_, &others_})
            for (const auto& source : std::exchange(*row, {})) *source = Source{source->preferred_};
        front_weight_ = weight_ = 0;
    }

private:
    using Rotation = std::deque<SourcePointer>;

    // Bounds of what waits beyond the next turn: of one source in items and in turns, and of all in turns.
    static constexpr std::size_t most_of_one = 1024, turns_of_one = 8, turns_of_all = 32;
    // A source gives so much at a time, at least one item, before it is the next one's turn.
    std::size_t quantum() const { return max_turn_ / 16; }

    bool anybody_queued() const { return !preferred_.empty() || !others_.empty(); }
    Rotation& rotation(const Source& source) { return source.preferred_ ? preferred_ : others_; }
    void enqueue(const SourcePointer& source) {
        if (source->waiting_.empty() || source->barred_ || std::exchange(source->queued_, true)) return;
        rotation(*source).push_back(source);
    }

    /// False when the turn is full: what did not fit is the first of the next one.
    bool serve(Rotation& row, std::vector<Item>& turn, std::size_t& taken) {
        while (!row.empty()) {
            const auto source = row.front();
            for (std::size_t given = 0; !source->waiting_.empty() && given <= quantum();) {
                auto& first = source->waiting_.front();
                if (!turn.empty() && taken + first.weight > max_turn_) return false;
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
    Rotation preferred_, others_;  // of sources of which something waits
    std::size_t weight_ = 0;       // of all that waits beyond the next turn
};

}  // namespace understudy::detail
