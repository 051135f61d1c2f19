// A run of log entries in one block of memory. Code that holds many entries for a short time, such as a journal that is
// read back, avoids one allocation per entry.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/protocol/journal_batch.hpp>
#include <understudy/replica/log.hpp>

namespace understudy::replica {

/// Entries together with the bytes of their commands. Call `begin` before `append`; a block that was moved from has no
/// room.
class EntryBlock {
public:
    EntryBlock() = default;
    EntryBlock(EntryBlock&& other) noexcept
        : commands_{std::move(other.commands_)},
          entries_{std::move(other.entries_)},
          bytes_{std::exchange(other.bytes_, 0)},
          room_{std::exchange(other.room_, 0)} {}
    EntryBlock& operator=(EntryBlock&& other) noexcept {
        commands_ = std::move(other.commands_);
        entries_ = std::move(other.entries_);
        bytes_ = std::exchange(other.bytes_, 0);
        room_ = std::exchange(other.room_, 0);
        return *this;
    }

    const std::vector<EntryView>& entries() const { return entries_; }
    /// The size of the entries, as `Log` counts it.
    std::size_t bytes() const { return bytes_; }

    /// Empties the block and reserves about `room` bytes for commands, but at least `command` bytes, so that one
    /// command of this size fits.
    void begin(std::size_t room, std::size_t command) {
        entries_.clear();
        commands_.clear();
        commands_.reserve(std::max(room, command));
        bytes_ = 0;
        room_ = room;
    }
    /// Whether a command of this size can be appended. The bound on `bytes_` limits the number of entries whose
    /// commands are short: it is the entries themselves that take the memory then.
    bool has_room(std::size_t command) const {
        return commands_.capacity() - commands_.size() >= command && bytes_ < 2 * room_;
    }
    /// Appends an entry; `has_room` must be true for its command.
    void append(const EntryView& entry) {
        const auto start = commands_.size();
        commands_ += entry.command;  // never reallocates: the entries point into this buffer
        entries_.push_back(entry);
        entries_.back().command = std::string_view{commands_}.substr(start);
        bytes_ += Log::size_of(entry.command.size());
    }
    /// Removes the last entry. The bytes of its command stay used until `begin`.
    void drop_last() {
        bytes_ -= Log::size_of(entries_.back().command.size());
        entries_.pop_back();
    }

private:
    std::string commands_;
    std::vector<EntryView> entries_;
    std::size_t bytes_ = 0;
    std::size_t room_ = 0;
};

}  // namespace understudy::replica
