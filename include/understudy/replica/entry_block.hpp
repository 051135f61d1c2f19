// Entries in one piece of memory, for who has many of them for a short time.
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

/// A run of entries, whose commands it holds. After `begin`; one that was moved from has no room.
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
    /// As a log counts them.
    std::size_t bytes() const { return bytes_; }

    /// Empties it, and makes room for about so many bytes, but for one command of `command` bytes at least.
    void begin(std::size_t room, std::size_t command) {
        entries_.clear();
        commands_.clear();
        commands_.reserve(std::max(room, command));
        bytes_ = 0;
        room_ = room;
    }
    bool has_room(std::size_t command) const {
        return commands_.capacity() - commands_.size() >= command && bytes_ < 2 * room_;
    }
    /// There is room.
    void append(const EntryView& entry) {
        const auto start = commands_.size();
        commands_ += entry.command;  // its memory does not move, since the entries look into it
        entries_.push_back(entry);
        entries_.back().command = std::string_view{commands_}.substr(start);
        bytes_ += Log::size_of(entry.command.size());
    }
    /// The last entry goes; the room for its command does not come back.
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
