// The end of a log while a journal is read. Nearly all entries of a journal are applied once and forgotten, so they are
// kept in blocks, and become a `Log` only in the end.
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

/// As `Log`, for one who reads on and on: an entry costs the copy of its command, and no memory of its own.
class LogTail {
public:
    Position base() const { return base_; }
    Position last() const { return blocks_.empty() ? base_ : blocks_.back().entries().back().at; }

    /// O(log of what is held).
    bool has(Position at) const {
        if (at.index <= base_.index || at.index > last().index) return at == base_;
        const auto block = block_of(at.index);
        return block->entries()[static_cast<std::size_t>(at.index - before(*block) - 1)].at == at;
    }

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
    /// Removes the entries from `from` on.
    void cut(Index from) {
        while (last().index >= from && !blocks_.empty()) {
            bytes_ -= Log::size_of(blocks_.back().entries().back().command.size());
            blocks_.back().drop_last();
            if (blocks_.back().entries().empty()) blocks_.pop_back();
        }
    }
    /// Starts anew after a snapshot that ends with `base`.
    void reset(Position base) {
        blocks_.clear();
        bytes_ = 0;
        base_ = base;
    }

    /// Calls `visit` with the entries after `from`, through `through`, until it returns false.
    template <typename Visit>
    void for_each(Index from, Index through, Visit visit) const {
        for (auto block = block_of(from + 1); from < through; ++block)
            for (auto n = from - before(*block); n < block->entries().size() && from < through; ++n, ++from)
                if (!visit(block->entries()[static_cast<std::size_t>(n)])) return;
    }

    /// Forgets entries through `applied`, by the block, but keeps at least `keep` bytes of them. O(what is not applied
    /// and what is forgotten), in blocks.
    void trim(std::size_t keep, Index applied) {
        auto applied_bytes = bytes_;  // of the blocks of which all is applied
        for (auto block = blocks_.rbegin(); block != blocks_.rend() && !ends_by(*block, applied); ++block)
            applied_bytes -= block->bytes();
        for (; !blocks_.empty() && ends_by(blocks_.front(), applied); blocks_.pop_front()) {
            auto& oldest = blocks_.front();
            if (applied_bytes - oldest.bytes() < keep) return;
            applied_bytes -= oldest.bytes();
            bytes_ -= oldest.bytes();
            base_ = oldest.entries().back().at;
            spare_ = std::move(oldest);
        }
    }

    Log release() && {
        Log log;
        log.reset(base_);
        for (; !blocks_.empty(); blocks_.pop_front())
            for (const auto& entry : blocks_.front().entries()) log.append(Entry(entry));
        return log;
    }

private:
    static constexpr std::size_t block_bytes = 64u << 10;

    static Index before(const EntryBlock& block) { return block.entries().front().at.index - 1; }
    static bool ends_by(const EntryBlock& block, Index index) { return block.entries().back().at.index <= index; }
    std::deque<EntryBlock>::const_iterator block_of(Index index) const {
        const auto after = std::ranges::upper_bound(blocks_, index, {}, [](const EntryBlock& block) {
            return block.entries().front().at.index;
        });
        return after == blocks_.begin() ? after : std::prev(after);
    }

    Position base_;
    std::deque<EntryBlock> blocks_;  // none is empty
    EntryBlock spare_;               // its memory is used again
    std::size_t bytes_ = 0;
};

}  // namespace understudy::replica
