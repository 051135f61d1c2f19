// The end of a log while a journal is read. Nearly all entries of a journal are applied once and forgotten, so they are
// kept in blocks, and become a `Log` only in the end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/core/check.hpp>
#include <understudy/core/journal_batch.hpp>
#include <understudy/core/log.hpp>

namespace understudy {

/// As `Log`, for one who reads on and on: an entry costs the copy of its command and nothing else.
class LogTail {
public:
    Position base() const { return base_; }
    Position last() const { return blocks_.empty() ? base_ : blocks_.back().slots.back().entry.at; }

    /// O(log of what is held).
    bool has(Position at) const {
        if (at.index <= base_.index || at.index > last().index) return at == base_;
        return slot(at.index).entry.at == at;
    }

    void append(const EntryView& entry) {
        UNDERSTUDY_CHECK(entry.at.index == last().index + 1);
        end_ += Log::size_of(entry.command.size());
        if (blocks_.empty() || !blocks_.back().has_room(entry.command.size())) begin_block(entry.command.size());
        blocks_.back().append(entry, end_);
    }
    /// Removes the entries from `from` on.
    void cut(Index from) {
        while (last().index >= from && !blocks_.empty()) {
            end_ -= Log::size_of(blocks_.back().slots.back().entry.command.size());
            blocks_.back().slots.pop_back();
            if (blocks_.back().slots.empty()) blocks_.pop_back();
        }
    }
    /// Starts anew after a snapshot that ends with `base`.
    void reset(Position base) {
        blocks_.clear();
        base_ = base;
    }

    /// Calls `visit` with the entries after `from`, through `through`, until it returns false.
    template <typename Visit>
    void for_each(Index from, Index through, Visit visit) const {
        for (auto block = block_of(from + 1); from < through; ++block)
            for (auto n = from - block->before(); n < block->slots.size() && from < through; ++n, ++from)
                if (!visit(block->slots[static_cast<std::size_t>(n)].entry)) return;
    }

    /// Forgets entries through `applied`, by the block, but keeps at least `keep` bytes of them.
    void trim(std::size_t keep, Index applied) {
        if (applied <= base_.index) return;
        const auto end = slot(applied).end;
        for (; !blocks_.empty(); blocks_.pop_front()) {
            const auto& [entry, block_end] = blocks_.front().slots.back();
            if (entry.at.index > applied || end - block_end < keep) return;
            base_ = entry.at;
            spare_ = std::move(blocks_.front());
        }
    }

    Log release() && {
        Log log;
        log.reset(base_);
        for (; !blocks_.empty(); blocks_.pop_front())
            for (const auto& held : blocks_.front().slots) log.append(Entry(held.entry));
        return log;
    }

private:
    static constexpr std::size_t block_bytes = 64u << 10;

    struct Slot {
        EntryView entry;
        std::uint64_t end = 0;  // running sum of sizes
    };
    struct Block {
        std::string commands;  // its memory does not move, since the entries look into it
        std::vector<Slot> slots;

        Index before() const { return slots.front().entry.at.index - 1; }
        bool has_room(std::size_t bytes) const {
            return commands.capacity() - commands.size() >= bytes && slots.size() * sizeof(Slot) < block_bytes;
        }
        void append(const EntryView& entry, std::uint64_t end) {
            const auto start = commands.size();
            commands += entry.command;
            auto& added = slots.emplace_back(Slot{entry, end});
            added.entry.command = std::string_view{commands}.substr(start);
        }
    };

    void begin_block(std::size_t bytes) {
        blocks_.push_back(std::exchange(spare_, {}));
        auto& [commands, slots] = blocks_.back();
        commands.clear();
        commands.reserve(std::max(bytes, block_bytes));
        slots.clear();
    }
    std::deque<Block>::const_iterator block_of(Index index) const {
        const auto after = std::ranges::upper_bound(blocks_, index, {}, [](const Block& block) {
            return block.slots.front().entry.at.index;
        });
        return after == blocks_.begin() ? after : std::prev(after);
    }
    const Slot& slot(Index index) const {
        const auto block = block_of(index);
        return block->slots[static_cast<std::size_t>(index - block->before() - 1)];
    }

    Position base_;
    std::uint64_t end_ = 0;
    std::deque<Block> blocks_;  // none is empty
    Block spare_;               // its memory is used again
};

}  // namespace understudy
