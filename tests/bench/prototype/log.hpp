// The log of a prototype server: entries by their index, and their commands in blocks of memory.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/bench/prototype/messages.hpp"

namespace understudy::bench::prototype {

/// A queue whose elements have consecutive numbers and are found by them.
template <typename T>
class NumberedQueue {
public:
    explicit NumberedQueue(std::uint64_t first = 1) : first_{first}, next_{first} {}

    std::uint64_t first() const { return first_; }
    std::uint64_t next() const { return next_; }  ///< The number of the element that is added next.
    bool empty() const { return first_ == next_; }
    bool has(std::uint64_t number) const { return first_ <= number && number < next_; }
    T& operator[](std::uint64_t number) { return elements_[number & (elements_.size() - 1)]; }

    /// Adds an element. It has the state that an earlier one was left in, so that its memory is used again.
    T& push() {
        if (next_ - first_ == elements_.size()) grow();
        return (*this)[next_++];
    }
    void pop() { ++first_; }

private:
    void grow() {
        std::vector<T> larger(2 * elements_.size());
        for (auto n = first_; n < next_; ++n) larger[n & (larger.size() - 1)] = std::move((*this)[n]);
        elements_ = std::move(larger);
    }

    std::vector<T> elements_ = std::vector<T>(1);  // a power of two, and no more than were ever needed at once
    std::uint64_t first_, next_;
};

/// Texts one behind the other. Those of the lowest numbers are freed first, a block at a time.
class TextBlocks {
public:
    /// Copies a text that belongs to entry `number`.
    const char* keep(std::string_view text, std::uint64_t number) {
        if (blocks_.empty() || blocks_.back().size - used_ < text.size()) add_block(text.size());
        char* const copy = blocks_.back().memory.get() + used_;
        std::memcpy(copy, text.data(), text.size());
        used_ += text.size();
        blocks_.back().last = number;
        return copy;
    }
    /// Frees the blocks that have nothing of `first` and what follows it.
    void free_before(std::uint64_t first) {
        for (; blocks_.size() > 1 && blocks_.front().last < first; blocks_.pop_front())
            if (blocks_.front().size == usual_size && spare_.size() < most_spare)
                spare_.push_back(std::move(blocks_.front().memory));
    }

private:
    struct Block {
        std::unique_ptr<char[]> memory;
        std::size_t size = 0;
        std::uint64_t last = 0;  // the number of the last entry in it
    };
    static constexpr std::size_t usual_size = 64u << 10, most_spare = 4;

    void add_block(std::size_t least) {
        Block block{{}, std::max(least, usual_size)};
        if (block.size == usual_size && !spare_.empty()) {
            block.memory = std::move(spare_.back());
            spare_.pop_back();
        } else {
            block.memory = std::make_unique_for_overwrite<char[]>(block.size);
        }
        blocks_.push_back(std::move(block));
        used_ = 0;
    }

    std::deque<Block> blocks_;
    std::vector<std::unique_ptr<char[]>> spare_;
    std::size_t used_ = 0;  // of the last block
};

class Log {
public:
    std::uint64_t last() const { return entries_.next() - 1; }
    std::uint64_t first() const { return entries_.first(); }
    const Entry& operator[](std::uint64_t index) { return entries_[index]; }
    /// The position of an entry that is still there, or of the beginning.
    Position position(std::uint64_t index) { return index == 0 ? Position{} : entries_[index].at; }

    /// Adds a copy of an entry, whose command may lie in a receive buffer.
    void append(const Entry& entry) {
        auto& kept = entries_.push();
        kept = entry;
        if (!entry.opens()) kept.command = entry.command.moved_to(texts_.keep(entry.command.text, entry.at.index));
        bytes_ += size_of(entry);
    }
    /// Drops the oldest entries, up to `through` at most, until the log has no more than `most` bytes.
    void trim(std::size_t most, std::uint64_t through) {
        if (bytes_ <= most) return;
        for (; bytes_ > most && entries_.first() < through; entries_.pop())
            bytes_ -= size_of(entries_[entries_.first()]);
        texts_.free_before(entries_.first());
    }

private:
    static std::size_t size_of(const Entry& entry) { return sizeof entry + entry.command.text.size(); }

    NumberedQueue<Entry> entries_;
    TextBlocks texts_;
    std::size_t bytes_ = 0;
};

}  // namespace understudy::bench::prototype
