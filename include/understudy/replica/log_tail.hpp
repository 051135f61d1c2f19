// The log during recovery from a journal. Nearly all entries of a journal are applied once and then dropped. This class
// stores them in large blocks, without an allocation for each, and makes a `Log` of what is left at the end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include <understudy/base/check.hpp>
#include <understudy/replica/entry_block.hpp>
#include <understudy/replica/log.hpp>

namespace understudy::replica {

/// The operations of `Log` that recovery needs. An entry costs a copy of its command into a block, but no allocation of
/// its own. The entries have no holes, as in `Log`.
class LogTail {
public:
    /// The position before the first entry that is stored.
    Position base() const { return base_; }
    /// The position of the newest entry; `base()` if there is none.
    Position last() const { return blocks_.empty() ? base_ : blocks_.back().entries().back().at; }

    /// As `Log::has`. O(log blocks).
    bool has(Position at) const {
        if (at.index <= base_.index || at.index > last().index) return at == base_;
        const auto block = block_of(at.index);
        return block->entries()[static_cast<std::size_t>(at.index - before(*block) - 1)].at == at;
    }

    /// Adds a copy of an entry, whose index must follow the last one. Amortized O(bytes of its command).
    void append(const EntryView& entry) {
        UNDERSTUDY_CHECK(entry.at.index == last().index + 1);
        const auto command = entry.command.size();
        if (blocks_.empty() || !blocks_.back().has_room(command)) {
            blocks_.push_back(std::exchange(spare_, {}));
            blocks_.back().begin(block_bytes, command);
        }
        blocks_.back().append(entry);
        bytes_ += Log::size_of(command);
    }
    /// Truncates: removes the entries from `from` on. O(entries removed).
    void truncate(Index from) {
        while (last().index >= from && !blocks_.empty()) {
            bytes_ -= Log::size_of(blocks_.back().entries().back().command.size());
            blocks_.back().drop_last();
            if (blocks_.back().entries().empty()) blocks_.pop_back();
        }
    }
    /// Removes everything; the next entry follows `base`, the last entry contained in a snapshot.
    void reset(Position base) {
        blocks_.clear();
        bytes_ = 0;
        base_ = base;
    }

    /// Calls `visit` with each entry after `from`, up to and including `through`, in order, until it returns false.
    /// These entries must be stored here.
    template <typename Visit>
    void for_each(Index from, Index through, Visit visit) const {
        for (auto block = block_of(from + 1); from < through; ++block)
            for (auto n = from - before(*block); n < block->entries().size() && from < through; ++n, ++from)
                if (!visit(block->entries()[static_cast<std::size_t>(n)])) return;
    }

    /// Drops the oldest blocks whose entries are all applied, that is, have an index up to `applied`. At least
    /// `least_bytes` bytes of such blocks stay, if there are so many. O(blocks not applied + blocks dropped).
    void trim(std::size_t least_bytes, Index applied) {
        auto applied_bytes = bytes_;  // bytes of the blocks whose entries are all applied
        for (auto block = blocks_.rbegin(); block != blocks_.rend() && !ends_by(*block, applied); ++block)
            applied_bytes -= block->bytes();
        for (; !blocks_.empty() && ends_by(blocks_.front(), applied); blocks_.pop_front()) {
            auto& oldest = blocks_.front();
            if (applied_bytes - oldest.bytes() < least_bytes) return;
            applied_bytes -= oldest.bytes();
            bytes_ -= oldest.bytes();
            base_ = oldest.entries().back().at;
            spare_ = std::move(oldest);
        }
    }

    /// Moves everything that is stored into a `Log`. O(bytes).
    Log release() && {
        Log log;
        log.reset(base_);
        for (; !blocks_.empty(); blocks_.pop_front())
            for (const auto& entry : blocks_.front().entries()) log.append(Entry(entry));
        return log;
    }

private:
    static constexpr std::size_t block_bytes = 64u << 10;

    /// The index before the block's first entry.
    static Index before(const EntryBlock& block) { return block.entries().front().at.index - 1; }
    static bool ends_by(const EntryBlock& block, Index index) { return block.entries().back().at.index <= index; }
    /// The block in which `index` lies; the first block for an index before it.
    std::deque<EntryBlock>::const_iterator block_of(Index index) const {
        const auto after = std::ranges::upper_bound(blocks_, index, {}, [](const EntryBlock& block) {
            return block.entries().front().at.index;
        });
        return after == blocks_.begin() ? after : std::prev(after);
    }

    Position base_;
    std::deque<EntryBlock> blocks_;  // oldest first; none is empty
    EntryBlock spare_;               // the block dropped last: its memory is reused
    std::size_t bytes_ = 0;
};

}  // namespace understudy::replica
