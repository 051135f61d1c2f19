// A file of a simulated disk: what processes see, what is on stable storage, and what a power cut may make of the two.
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

/// The disk writes whole sectors, in any order, at any time after they changed, and each as it was then.
class StoredFile {
public:
    explicit StoredFile(std::size_t sector_bytes) : sector_bytes_{sector_bytes} {}

    /// What processes see.
    const std::string& content() const { return seen_; }

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
    /// So much of a write that ends after `size` bytes is seen: within the file, kernels write whole pages.
    std::size_t writable_part(std::size_t offset, std::size_t size) const {
        const auto end = offset + size;
        return end >= seen_.size() ? size : std::max(end / sector_bytes_ * sector_bytes_, offset) - offset;
    }
    void truncate(std::size_t size) {
        seen_.resize(size);
        sizes_.push_back(size);
    }

    /// All that was written gets to stable storage, unless the kernel has forgotten to write it.
    void sync() {
        stable_.resize(seen_.size());
        sizes_.clear();
        std::erase_if(unsynced_, [&](const auto& entry) {
            const auto& [sector, unsynced] = entry;
            if (!unsynced.forgotten) put(sector, std::string_view{seen_}.substr(at(sector), sector_bytes_));
            return !unsynced.forgotten;
        });
    }
    /// A sync fails: what was not written yet is seen as before, but is written only if it is changed once more.
    void fail_to_sync() {
        for (auto& [sector, unsynced] : unsynced_) unsynced.forgotten = true;
    }

    /// Each unsynced sector is as it was after one of its writes, or before all of them; what it lacks is zero. The
    /// size is one that the file had since the last sync, or covers what was kept.
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

    /// Overwrites what is there, as a failing medium does.
    void corrupt(std::size_t offset, std::string_view bytes) {
        bytes.copy(seen_.data() + offset, bytes.size());
        if (offset + bytes.size() <= stable_.size()) bytes.copy(stable_.data() + offset, bytes.size());
    }

private:
    struct Unsynced {
        std::vector<std::string> versions{};  // what each write made of it, oldest first
        bool forgotten = false;               // the kernel takes it for written, as its write has failed
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
    std::vector<std::size_t> sizes_;  // what each write made of the size since the last sync
};

}  // namespace understudy::sim
