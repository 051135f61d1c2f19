// The replicated log of one server: entries numbered without holes, of which the newest are kept in memory. Backups
// that lack entries are brought up from it (S8).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include <understudy/base/check.hpp>
#include <understudy/protocol/message.hpp>

namespace understudy::replica {

/// The entries from `first()` to `last().index`. Earlier entries were trimmed, or are contained in a snapshot.
/// All operations take O(1), except `truncate`, `trim` and `reset`, which take O(entries removed).
class Log {
public:
    /// The position of the entry before `first()`; {0, 0} if nothing was trimmed and no snapshot was installed.
    Position base() const { return base_; }
    Index first() const { return base_.index + 1; }
    /// The position of the newest entry; `base()` if the log is empty.
    Position last() const { return slots_.empty() ? base_ : slots_.back().entry.at; }

    /// The position of the entry at `index`. Nothing if that entry is not in the log and is not the base.
    std::optional<Position> position(Index index) const {
        if (index == base_.index) return base_;
        if (index < first() || index > last().index) return std::nullopt;
        return (*this)[index].at;
    }
    /// Whether the log contains the entry at exactly this position (same index *and* same view), or `at` is the base.
    /// Two logs that contain the same position agree on everything before it (S3), except after `view.force`.
    bool has(Position at) const { return position(at.index) == at; }

    /// The entry at `index`, which must be in the log.
    const Entry& operator[](Index index) const {
        UNDERSTUDY_CHECK(index >= first() && index <= last().index);
        return slots_[static_cast<std::size_t>(index - first())].entry;
    }

    /// Adds an entry. Its index must follow the last one, and its view must not be lower than the last one's.
    void append(Entry&& entry) {
        UNDERSTUDY_CHECK(entry.at.index == last().index + 1);
        UNDERSTUDY_CHECK(entry.at.view >= last().view);
        auto end = end_of(last().index) + size_of(entry);
        slots_.emplace_back(std::move(entry), end);
    }

    /// Truncates the log: removes the entries from `from` on, and returns how many it removed.
    Index truncate(Index from) {
        UNDERSTUDY_CHECK(from >= first());
        Index removed = 0;
        for (; last().index >= from && !slots_.empty(); ++removed) slots_.pop_back();
        return removed;
    }

    /// Drops the oldest entries, up to and including `through`. The caller makes sure that these are committed and
    /// applied: otherwise this server could not apply them any more.
    void trim(Index through) {
        while (!slots_.empty() && first() <= through) {
            base_ = slots_.front().entry.at;
            base_end_ = slots_.front().end;
            slots_.pop_front();
        }
    }

    /// Empties the log; the next entry follows `base`, the last entry contained in a snapshot.
    void reset(Position base) {
        slots_.clear();
        base_ = base;
    }

    /// The running byte count at the end of the entry at `index`; at the base, for any index up to the base. Only
    /// differences between two counts mean something.
    std::uint64_t end_of(Index index) const {
        if (index <= base_.index) return base_end_;
        return slots_[static_cast<std::size_t>(index - first())].end;
    }
    /// About how many bytes the entries after `after`, up to and including `through`, take in memory. Entries that were
    /// trimmed count as 0.
    std::size_t bytes(Index after, Index through) const {
        return through <= after ? 0 : static_cast<std::size_t>(end_of(through) - end_of(after));
    }
    /// The same of all entries in the log.
    std::size_t bytes() const { return bytes(base_.index, last().index); }

    /// About how many bytes an entry takes in memory.
    static std::size_t size_of(const Entry& entry) { return size_of(entry.command.size()); }
    /// The same of an entry whose command has `command` bytes.
    static std::size_t size_of(std::size_t command) { return sizeof(Slot) + command; }

    friend bool operator==(const Log&, const Log&) = default;

private:
    struct Slot {
        Entry entry;
        std::uint64_t end = 0;  // running sum of sizes: the size of any range is one subtraction
        friend bool operator==(const Slot&, const Slot&) = default;
    };

    Position base_;
    std::uint64_t base_end_ = 0;
    std::deque<Slot> slots_;
};

}  // namespace understudy::replica
