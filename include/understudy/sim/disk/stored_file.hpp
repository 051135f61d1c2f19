// A file of a simulated disk: its content in the page cache, which processes see, its content on stable storage, and
// what remains of both after a power cut. The journal's recovery is tested against it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/sim/world/random.hpp>

namespace understudy::sim {

/// A file with a page cache. The disk may write each changed sector at any time after a change, in any order, and as it
/// was at that time. Only `sync` guarantees that a sector is stable.
class StoredFile {
public:
    explicit StoredFile(std::size_t sector_bytes) : sector_bytes_{sector_bytes} {}

    /// The content that processes see.
    const std::string& content() const { return seen_; }

    /// Writes into the page cache, and records the new version of each sector for `crash_power`.
    void write(std::size_t offset, std::string_view bytes) {
        if (bytes.empty()) return;
        seen_.resize(std::max(seen_.size(), offset + bytes.size()));
        bytes.copy(seen_.data() + offset, bytes.size());
        sizes_.push_back(seen_.size());
        const auto end = offset + bytes.size();
        for (auto sector = offset / sector_bytes_; sector * sector_bytes_ < end; ++sector) {
            auto& unsynced = unsynced_[sector];
            unsynced.versions.push_back(seen_.substr(sector * sector_bytes_, sector_bytes_));
            unsynced.forgotten = false;
        }
    }
    /// How many bytes of a write are visible if it fails after `size` bytes. Inside the file a kernel writes whole
    /// pages (here: sectors), so the partial last one is left out; at the end of the file all `size` bytes are visible.
    std::size_t writable_part(std::size_t offset, std::size_t size) const {
        const auto end = offset + size;
        return end >= seen_.size() ? size : std::max(end / sector_bytes_ * sector_bytes_, offset) - offset;
    }
    void truncate(std::size_t size) {
        seen_.resize(size);
        sizes_.push_back(size);
    }

    /// Brings all written sectors to stable storage, except those that a failed sync has marked as written
    /// (`fail_to_sync`).
    void sync() {
        stable_.resize(seen_.size());
        sizes_.clear();
        std::erase_if(unsynced_, [&](const auto& entry) {
            const auto& [sector, unsynced] = entry;
            if (!unsynced.forgotten) put(sector, std::string_view{seen_}.substr(at(sector), sector_bytes_));
            return !unsynced.forgotten;
        });
    }
    /// A sync fails. As on Linux, the kernel then marks the unwritten sectors as clean: processes still see them, but a
    /// later sync does not write them unless they change again. A journal that retries the sync would lose data.
    void fail_to_sync() {
        for (auto& [sector, unsynced] : unsynced_) unsynced.forgotten = true;
    }

    /// A power cut. Each unsynced sector gets, at random, one of its versions since the last sync, or keeps the stable
    /// one; missing bytes are zero. The size is one that the file had since the last sync, or the stable size, extended
    /// if needed to cover the sectors that were written. O(bytes).
    void crash_power(Random& random) {
        const auto size = std::exchange(sizes_, {});
        const auto chosen_size = random.below(size.size() + 1);
        for (const auto& [sector, unsynced] : unsynced_)
            if (const auto chosen = random.below(unsynced.versions.size() + 1); chosen > 0)
                put(sector, unsynced.versions[chosen - 1]);
        if (chosen_size > 0) stable_.resize(size[chosen_size - 1]);
        unsynced_.clear();
        seen_ = stable_;
    }

    /// Overwrites existing bytes in both contents, like a failing medium.
    void corrupt(std::size_t offset, std::string_view bytes) {
        bytes.copy(seen_.data() + offset, bytes.size());
        if (offset + bytes.size() <= stable_.size()) bytes.copy(stable_.data() + offset, bytes.size());
    }

private:
    struct Unsynced {
        std::vector<std::string> versions{};  // its content after each write, oldest first
        bool forgotten = false;               // marked as written although its write failed
    };

    std::size_t at(std::size_t sector) const { return std::min(sector * sector_bytes_, seen_.size()); }
    void put(std::size_t sector, std::string_view bytes) {
        const auto offset = sector * sector_bytes_;
        if (stable_.size() < offset + bytes.size()) stable_.resize(offset + bytes.size());
        bytes.copy(stable_.data() + offset, bytes.size());
    }

    std::size_t sector_bytes_;
    std::string seen_;
    std::string stable_;
    std::map<std::size_t, Unsynced> unsynced_;
    std::vector<std::size_t> sizes_;  // the size after each change since the last sync
};

}  // namespace understudy::sim
