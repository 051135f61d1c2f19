// The keys of a tree's node in brief. Looking at whole keys costs a cache miss for each, since every key lies in memory
// of its own; the numbers here lie side by side.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace understudy::kv {

/// For keys in ascending order: the bytes that all of them begin with, and of each key the next eight bytes as a
/// number. Keys compare as these numbers do, unless the numbers are equal.
class KeyIndex {
public:
    /// Which keys may equal `key`, as the first and behind the last of them: those before the first are below `key`,
    /// and those from the second on are above it.
    std::pair<std::size_t, std::size_t> range(std::string_view key) const {
        if (!key.starts_with(prefix_)) {
            const auto all = key < prefix_ ? 0 : heads_.size();
            return {all, all};
        }
        const auto head = head_of(key.substr(prefix_.size()));
        const auto first = below(head);
        auto last = first;
        if (last < heads_.size() && heads_[last] == head) ++last;
        if (last < heads_.size() && heads_[last] == head)
            last = static_cast<std::size_t>(std::upper_bound(heads_.begin(), heads_.end(), head) - heads_.begin());
        return {first, last};
    }

    /// A key was inserted at index `at`. Returns false if it does not begin as the others do; then `build` must follow.
    bool insert(std::size_t at, std::string_view key) {
        if (!key.starts_with(prefix_)) return false;
        heads_.insert(heads_.begin() + static_cast<std::ptrdiff_t>(at), head_of(key.substr(prefix_.size())));
        return true;
    }
    /// The key at index `at` was erased.
    void erase(std::size_t at) { heads_.erase(heads_.begin() + static_cast<std::ptrdiff_t>(at)); }
    /// Starts anew with `count` keys, of which `key(n)` gives one. Room is kept for `room` of them.
    template <typename Key>
    void build(std::size_t count, std::size_t room, Key key) {
        heads_.clear();
        heads_.reserve(room);
        prefix_ = count == 0 ? std::string_view{} : common(key(0), key(count - 1));
        for (std::size_t n = 0; n < count; ++n)
            heads_.push_back(head_of(std::string_view{key(n)}.substr(prefix_.size())));
    }
    /// Makes room for so many keys.
    void reserve(std::size_t room) { heads_.reserve(room); }

private:
    /// The first eight bytes, the first of them highest; bytes that are missing count as 0.
    static std::uint64_t head_of(std::string_view key) {
        const auto size = std::min<std::size_t>(key.size(), 8);
        if (size >= 4) return four(key, 0) << 32 | four(key, size - 4) << 8 * (8 - size);  // these two may overlap
        std::uint64_t head = 0;
        for (std::size_t n = 0; n < size; ++n) head |= byte(key, n) << (56 - 8 * n);
        return head;
    }
    static std::uint64_t byte(std::string_view key, std::size_t at) { return static_cast<unsigned char>(key[at]); }
    static std::uint64_t four(std::string_view key, std::size_t at) {
        return byte(key, at) << 24 | byte(key, at + 1) << 16 | byte(key, at + 2) << 8 | byte(key, at + 3);
    }
    /// What the lowest and the highest key begin with, and hence all between them.
    static std::string_view common(std::string_view low, std::string_view high) {
        const auto end = std::mismatch(low.begin(), low.end(), high.begin(), high.end()).first;
        return low.substr(0, static_cast<std::size_t>(end - low.begin()));
    }
    /// How many numbers are below `head`. Without branches, which would be mispredicted half of the time.
    std::size_t below(std::uint64_t head) const {
        const auto* at = heads_.data();
        auto left = heads_.size();
        for (; left > 1; left -= left / 2) at += at[left / 2 - 1] < head ? left / 2 : 0;
        return static_cast<std::size_t>(at - heads_.data()) + (left == 1 && *at < head ? 1 : 0);
    }

    std::string prefix_;
    std::vector<std::uint64_t> heads_;
};

}  // namespace understudy::kv
