// The replicated log of one server: a run of entries without holes, of which a tail is kept in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include <understudy/base/check.hpp>
#include <understudy/protocol/message.hpp>

namespace understudy::replica {

/// The log. It holds the entries from `first()` to `last().index`; those before were trimmed or are in a snapshot.
/// All operations are O(1), but `cut` and `trim`, which cost what they remove.
class Log {
public:
    /// The entry before the first that is held; {0, 0} at the beginning of time.
    Position base() const { return base_; }
    Index first() const { return base_.index + 1; }
    Position last() const { return slots_.empty() ? base_ : slots_.back().entry.at; }

    /// The position of the entry at `index`, if it is held or is the base.
    std::optional<Position> position(Index index) const {
        if (index == base_.index) return base_;
        if (index < first() || index > last().index) return std::nullopt;
        return (*this)[index].at;
    }
    bool has(Position at) const { return position(at.index) == at; }

    const Entry& operator[](Index index) const {
        UNDERSTUDY_CHECK(index >= first() && index <= last().index);
        return slots_[static_cast<std::size_t>(index - first())].entry;
    }

    void append(Entry&& entry) {
        UNDERSTUDY_CHECK(entry.at.index == last().index + 1);
        UNDERSTUDY_CHECK(entry.at.view >= last().view);
        auto end = end_of(last().index) + size_of(entry);
        slots_.emplace_back(std::move(entry), end);
    }

    /// Removes the entries from `from` on, and says how many these were.
    Index cut(Index from) {
        UNDERSTUDY_CHECK(from >= first());
        Index removed = 0;
        for (; last().index >= from && !slots_.empty(); ++removed) slots_.pop_back();
        return removed;
    }

    /// Forgets the entries up to `through`, which must be committed and applied.
    void trim(Index through) {
        while (!slots_.empty() && first() <= through) {
            base_ = slots_.front().entry.at;
            base_end_ = slots_.front().end;
            slots_.pop_front();
        }
    }

    /// Starts anew after a snapshot that ends with `base`.
    void reset(Position base) {
        slots_.clear();
        base_ = base;
    }

    /// Bytes of all entries up to and with that one, or up to the first that is held if it was trimmed.
    std::uint64_t end_of(Index index) const {
        if (index <= base_.index) return base_end_;
        return slots_[static_cast<std::size_t>(index - first())].end;
    }
    /// Bytes that the entries after `after`, through `through`, take in memory (about).
    std::size_t bytes(Index after, Index through) const {
        return through <= after ? 0 : static_cast<std::size_t>(end_of(through) - end_of(after));
    }
    std::size_t bytes() const { return bytes(base_.index, last().index); }

    static std::size_t size_of(const Entry& entry) { return size_of(entry.command.size()); }
    /// Of an entry whose command has so many bytes.
    static std::size_t size_of(std::size_t command) { return sizeof(Slot) + command; }

    friend bool operator==(const Log&, const Log&) = default;

private:
    struct Slot {
        Entry entry;
        std::uint64_t end = 0;  // running sum of sizes, so that any range is measured by one subtraction
        friend bool operator==(const Slot&, const Slot&) = default;
    };

    Position base_;
    std::uint64_t base_end_ = 0;
    std::deque<Slot> slots_;
};

}  // namespace understudy::replica
