// The replicated log of one server: entries numbered without holes, of which the newest are kept in memory. Backups
// that lack entries are brought up from it (S8).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <optional>
#include <utility>

#include <understudy/base/check.hpp>
#include <understudy/protocol/entry_block.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/text_store.hpp>

namespace understudy::replica {

/// The entries from `first()` to `last().index`. Earlier entries were trimmed, or are contained in a snapshot.
///
/// The entries lie in blocks of up to 64 KiB (`EntryBlock`), which copies of the log, and the runs that `share` gives,
/// share with it. A block is released when its last entry is trimmed and nobody shares it. The memory of a log that was
/// not copied is bounded all the same: a block ends because the next entry has no room in it, so what it leaves unused
/// is less than the first entry of the next block. All blocks together take less than twice `bytes()` and two blocks:
/// the newest, and the oldest, of which entries may be trimmed.
///
/// An entry is found in O(1) among the newest and the oldest, else in O(log blocks). `append` takes O(bytes of the
/// command), `trim` and `reset` O(blocks dropped), `truncate` that and O(bytes of a block), copying O(blocks), all else
/// O(1).
class Log {
public:
    /// The position of the entry before `first()`; {0, 0} if nothing was trimmed and no snapshot was installed.
    Position base() const { return base_; }
    Index first() const { return base_.index + 1; }
    /// The position of the newest entry; `base()` if the log is empty.
    Position last() const { return last_; }

    /// The position of the entry at `index`. Nothing if that entry is not in the log and is not the base.
    std::optional<Position> position(Index index) const {
        if (index == last_.index) return last_;
        if (index == base_.index) return base_;
        if (index < first() || index > last_.index) return std::nullopt;
        return (*this)[index].at;
    }
    /// Whether the log contains the entry at exactly this position (same index *and* same view), or `at` is the base.
    /// Two logs that contain the same position agree on everything before it (S3), except after `view.force`.
    bool has(Position at) const { return position(at.index) == at; }

    /// The entry at `index`, which must be in the log. It is valid until it is trimmed or the log is truncated.
    const StoredEntry& operator[](Index index) const {
        UNDERSTUDY_CHECK(index >= first() && index <= last_.index);
        return part_of(index).entry(index);
    }
    /// The entries after `after`, up to and including `through`, which must be in the log.
    SharedEntries share(Index after, Index through) const {
        SharedEntries run;
        if (after >= through) return run;
        UNDERSTUDY_CHECK(after >= base_.index && through <= last_.index);
        while (after < through) {
            const auto& part = part_of(after + 1);
            const auto end = std::min(through, part.last());
            const auto count = static_cast<std::size_t>(end - after);
            run.add(part.block, static_cast<std::size_t>(after + 1 - part.first), count);
            after = end;
        }
        return run;
    }

    /// Adds a copy of an entry. Its index must follow the last one, and its view must not be lower than the last one's.
    /// `prepared` is what the store has found out about its command, if it was asked.
    void append(const EntryView& entry, const PreparedCommand& prepared = {}) {
        UNDERSTUDY_CHECK(entry.at.index == last_.index + 1);
        UNDERSTUDY_CHECK(entry.at.view >= last_.view);
        const auto size = size_of(entry.command.size());
        if (parts_.empty() || !parts_.back().can_grow(size)) parts_.push_back({next_block(size), entry.at.index, 0});
        auto& part = parts_.back();
        part.block->append(entry, prepared, end_ += size);
        ++part.count;
        last_ = entry.at;
    }

    /// Truncates the log: removes the entries from `from` on, and returns how many it removed.
    Index truncate(Index from) {
        UNDERSTUDY_CHECK(from >= first());
        const auto before = last_.index;
        if (from > before) return 0;
        while (!parts_.empty() && parts_.back().first >= from) parts_.pop_back();
        if (from == first()) parts_.clear();  // the first block may still contain entries that were trimmed
        if (!parts_.empty()) parts_.back().cut(from);
        last_ = parts_.empty() ? base_ : parts_.back().entry(from - 1).at;
        end_ = parts_.empty() ? base_end_ : parts_.back().entry(from - 1).end;
        return before - last_.index;
    }

    /// Drops the oldest entries, up to and including `through`. The caller makes sure that these are committed and
    /// applied: otherwise this server could not apply them any more.
    void trim(Index through) {
        through = std::min(through, last_.index);
        if (through <= base_.index) return;
        const auto& newest = (*this)[through];
        base_ = newest.at;
        base_end_ = newest.end;
        while (!parts_.empty() && parts_.front().last() <= through) parts_.pop_front();
    }

    /// Empties the log; the next entry follows `base`, the last entry contained in a snapshot.
    void reset(Position base) {
        parts_.clear();
        base_ = last_ = base;
        end_ = base_end_;
    }

    /// The running byte count at the end of the entry at `index`, which must not be beyond the last one; at the base,
    /// for any index up to the base. Only differences between two counts mean something.
    std::uint64_t end_of(Index index) const {
        if (index == last_.index) return end_;
        UNDERSTUDY_CHECK(index < last_.index);
        return index <= base_.index ? base_end_ : part_of(index).entry(index).end;
    }
    /// The bytes that the entries after `after`, up to and including `through`, take in memory. Entries that were
    /// trimmed count as 0.
    std::size_t bytes(Index after, Index through) const {
        return through <= after ? 0 : static_cast<std::size_t>(end_of(through) - end_of(after));
    }
    /// The same of all entries in the log.
    std::size_t bytes() const { return static_cast<std::size_t>(end_ - base_end_); }

    /// The bytes that an entry takes in memory.
    static std::size_t size_of(const Entry& entry) { return size_of(entry.command.size()); }
    /// The same of an entry whose command has `command` bytes.
    static std::size_t size_of(std::size_t command) { return EntryBlock::size_of(command); }

    /// Whether both have the same base and the same entries. Whether a command was prepared makes no difference.
    friend bool operator==(const Log& a, const Log& b) {
        if (a.base_ != b.base_ || a.base_end_ != b.base_end_ || a.last_ != b.last_ || a.end_ != b.end_) return false;
        for (auto index = a.first(); index <= a.last_.index; ++index) {
            const auto &one = a[index], &other = b[index];
            if (&one != &other && static_cast<const EntryView&>(one) != other) return false;
        }
        return true;
    }

private:
    static constexpr std::size_t block_bytes = 64u << 10, least_block_bytes = 1u << 10;

    /// The part of the log in one block: its first `count` entries. The block may have more, which a copy of this log
    /// added. The first entries of the oldest part may be trimmed.
    struct Part {
        EntryBlock::Pointer block;
        Index first = 0;
        std::size_t count = 0;

        Index last() const { return first + count - 1; }
        const StoredEntry& entry(Index index) const { return (*block)[static_cast<std::size_t>(index - first)]; }
        bool can_grow(std::size_t size) const { return block->size() == count && block->has_room(size); }
        /// Removes the entries from `from` on. Where others share them, what is left moves into a new block: beside the
        /// old one, each truncation could leave an almost empty block in the log.
        void cut(Index from) {
            count = std::min(count, static_cast<std::size_t>(from - first));
            if (count == block->size()) return;
            if (block.unique()) return block->shrink(count);
            auto kept = EntryBlock::make(block->room());
            for (std::size_t n = 0; n < count; ++n) kept->append((*block)[n], (*block)[n].prepared, (*block)[n].end);
            block = std::move(kept);
        }
    };

    /// A block that has room for an entry of `size` bytes. The blocks of a short log are small: otherwise each of the
    /// many copies that a search of a state space makes would take a large one as soon as it is appended to.
    EntryBlock::Pointer next_block(std::size_t size) const {
        return EntryBlock::make(std::max(size, std::clamp(bytes(), least_block_bytes, block_bytes)));
    }
    /// The part with the entry at `index`, which must be in the log.
    const Part& part_of(Index index) const {
        if (const auto& newest = parts_.back(); index >= newest.first) return newest;
        if (const auto& oldest = parts_.front(); index <= oldest.last()) return oldest;
        return *std::prev(std::ranges::upper_bound(parts_, index, {}, &Part::first));
    }

    Position base_, last_;
    std::uint64_t base_end_ = 0, end_ = 0;
    std::deque<Part> parts_;  // oldest first; none is empty
};

}  // namespace understudy::replica
