// An ordered map of byte strings whose copy costs nothing: what a store needs to be snapshotted while it moves on.
// A copy-on-write B+tree: copies share all nodes, and a change clones only the shared ones on its path.
// Insertion splits and erasure merges on the way down, so nothing here recurses over the content.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/base/shared.hpp>

namespace understudy::kv {

/// One key with its value, in one block of memory. Changed in place only while it has one owner.
struct CowRecord {
    std::uint32_t owners = 0;
    std::uint32_t key_size = 0;
    std::uint32_t value_size = 0;
    std::uint32_t value_capacity = 0;

    static detail::Shared<CowRecord> make(std::string_view key, std::string_view value, std::size_t capacity) {
        auto* memory = ::operator new(sizeof(CowRecord) + key.size() + capacity);
        auto* record = new (memory) CowRecord{0, narrow(key.size()), 0, narrow(capacity)};
        key.copy(record->bytes(), key.size());
        record->extend(value);
        return detail::Shared<CowRecord>{record};
    }
    static void destroy(CowRecord* record) { ::operator delete(record); }

    std::string_view key() const { return {bytes(), key_size}; }
    std::string_view value() const { return {bytes() + key_size, value_size}; }
    void clear() { value_size = 0; }
    /// There must be room for it.
    void extend(std::string_view tail) {
        tail.copy(bytes() + key_size + value_size, tail.size());
        value_size += narrow(tail.size());
    }

private:
    static std::uint32_t narrow(std::size_t size) { return static_cast<std::uint32_t>(size); }
    const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
};

/// A leaf holds records; any other node holds children, and between each two of them a bound:
/// all keys left of it are smaller, all keys right of it are not.
struct CowNode {
    static constexpr std::size_t most = 64;         ///< Records or children of a node.
    static constexpr std::size_t least = most / 4;  ///< The same, but for the root.

    std::uint32_t owners = 0;
    std::vector<detail::Shared<CowRecord>> records;
    std::vector<detail::Shared<CowNode>> children;
    std::vector<std::string> bounds;

    static void destroy(CowNode* node) { delete node; }  // as deep as the tree is high

    bool leaf() const { return children.empty(); }
    std::size_t size() const { return leaf() ? records.size() : children.size(); }
    /// Of the first record that is not below `key`.
    std::size_t place(std::string_view key) const {
        auto below = [](const auto& record, std::string_view wanted) { return record->key() < wanted; };
        return static_cast<std::size_t>(std::lower_bound(records.begin(), records.end(), key, below) - records.begin());
    }
    /// Of the child in whose range `key` lies.
    std::size_t branch(std::string_view key) const {
        return static_cast<std::size_t>(std::upper_bound(bounds.begin(), bounds.end(), key) - bounds.begin());
    }
};

/// Maps byte strings to byte strings, both below 4 GiB, in the order of their unsigned bytes.
/// Copying is O(1), and the copies are independent. Not thread-safe, not even distinct copies of one map: the nodes
/// that they share are counted without atomics. Arguments must not be views into the map that is changed.
class CowMap {
public:
    class Cursor;

    std::size_t size() const { return size_; }
    /// Of all keys and values together.
    std::size_t payload_bytes() const { return payload_bytes_; }

    /// The value, valid until the map is changed; nothing if there is no such key.
    std::optional<std::string_view> find(std::string_view key) const {
        if (!root_) return std::nullopt;
        const CowNode* node = root_.get();
        while (!node->leaf()) node = node->children[node->branch(key)].get();
        auto at = node->place(key);
        if (at == node->records.size() || node->records[at]->key() != key) return std::nullopt;
        return node->records[at]->value();
    }

    void assign(std::string_view key, std::string_view value) {
        auto* found = slot(key);
        if (!found) return insert(key, value);
        auto& record = *found;
        payload_bytes_ = payload_bytes_ - record->value_size + value.size();
        auto capacity = record->value_capacity;
        if (record.unique() && capacity >= value.size() && capacity / 2 <= value.size()) {
            record->clear();
            record->extend(value);
        } else {
            record = CowRecord::make(key, value, value.size());
        }
    }

    /// Adds a key above all others. False, and nothing is changed, if it is not above them.
    bool push_back(std::string_view key, std::string_view value) {
        if (size_ == 0) return insert(key, value), true;
        auto* node = &own(root_);
        while (!node->leaf()) node = &own(node->children.back());
        auto& records = node->records;
        if (records.back()->key() >= key) return false;
        if (records.size() == CowNode::most) return insert(key, value), true;
        records.reserve(CowNode::most);
        records.push_back(CowRecord::make(key, value, value.size()));
        payload_bytes_ += key.size() + value.size();
        ++size_;
        return true;
    }

    /// Appends to the value, or inserts it; returns the new length. In place where there is room, which grows
    /// by halves, so that many small appends cost what they add.
    std::size_t append(std::string_view key, std::string_view tail) {
        auto* found = slot(key);
        if (!found) {
            insert(key, tail);
            return tail.size();
        }
        auto& record = *found;
        auto length = record->value_size + tail.size();
        payload_bytes_ += tail.size();
        if (!record.unique() || record->value_capacity < length)
            record = CowRecord::make(key, record->value(), length + length / 2);
        record->extend(tail);
        return length;
    }

    /// Whether the key was there.
    bool erase(std::string_view key) {
        auto value = find(key);
        if (!value) return false;
        payload_bytes_ -= key.size() + value->size();
        --size_;
        auto* node = &own(root_);
        while (!node->leaf()) {
            auto at = node->branch(key);
            if (node->children[at]->size() <= CowNode::least) {
                join(*node, at == 0 ? 0 : at - 1);
                at = node->branch(key);
            }
            node = &own(node->children[at]);
        }
        node->records.erase(node->records.begin() + static_cast<std::ptrdiff_t>(node->place(key)));
        while (!root_->leaf() && root_->children.size() == 1) root_ = detail::Shared{root_->children.front()};
        return true;
    }

    Cursor begin() const;
    /// At the first key that is not below `key`.
    Cursor lower_bound(std::string_view key) const;

    /// Lets go of what lies before the cursor, as far as nobody else holds it; this copy is then good for that cursor
    /// alone. What others have changed since is so given back bit by bit, and not all at the end.
    void release_before(const Cursor& at);

    friend bool operator==(const CowMap& left, const CowMap& right);

private:
    /// The node, made this map's alone.
    static CowNode& own(detail::Shared<CowNode>& node) {
        if (!node.unique()) {
            auto* clone = new CowNode{*node};
            clone->owners = 0;
            node = detail::Shared{clone};
        }
        return *node;
    }

    /// Where the record of the key hangs, or null if there is none. The path to it becomes this map's alone.
    detail::Shared<CowRecord>* slot(std::string_view key) {
        if (!root_) return nullptr;
        auto* node = &own(root_);
        while (!node->leaf()) node = &own(node->children[node->branch(key)]);
        const auto at = node->place(key);
        return at < node->records.size() && node->records[at]->key() == key ? &node->records[at] : nullptr;
    }

    /// A key that does not exist.
    void insert(std::string_view key, std::string_view value) {
        if (!root_) root_ = detail::Shared{new CowNode};
        if (root_->size() == CowNode::most) {
            auto* above = new CowNode;
            above->children.push_back(std::move(root_));
            root_ = detail::Shared{above};
            split(*above, 0, key);
        }
        auto* node = &own(root_);
        while (!node->leaf()) {
            auto at = node->branch(key);
            if (node->children[at]->size() == CowNode::most) {
                split(*node, at, key);
                at = node->branch(key);
            }
            node = &own(node->children[at]);
        }
        auto at = static_cast<std::ptrdiff_t>(node->place(key));
        make_room(node->records);
        node->records.insert(node->records.begin() + at, CowRecord::make(key, value, value.size()));
        payload_bytes_ += key.size() + value.size();
        ++size_;
    }

    /// Room for one more, growing by halves to no more than a full node.
    template <typename T>
    static void make_room(std::vector<T>& vector) {
        auto size = vector.size();
        if (size < vector.capacity()) return;
        vector.reserve(std::max(size + 1, std::min(CowNode::most, size + size / 2 + 4)));
    }

    /// Moves what `left` has from `cut` on to a new node to its right.
    template <typename T>
    static std::vector<T> tail(std::vector<T>& left, std::size_t cut) {
        auto first = left.begin() + static_cast<std::ptrdiff_t>(cut);
        std::vector<T> right{std::make_move_iterator(first), std::make_move_iterator(left.end())};
        left.erase(first, left.end());
        return right;
    }

    /// Cuts `left` in two and returns the right part and the bound between them.
    static std::pair<detail::Shared<CowNode>, std::string> cut_off(CowNode& left, std::size_t cut) {
        detail::Shared<CowNode> right{new CowNode};
        if (left.leaf()) {
            right->records = tail(left.records, cut);
            return {right, bound_between(left.records.back()->key(), right->records.front()->key())};
        }
        right->children = tail(left.children, cut);
        right->bounds = tail(left.bounds, cut);
        auto bound = std::move(left.bounds.back());
        left.bounds.pop_back();
        return {right, std::move(bound)};
    }

    /// The shortest string above `low` that begins `high`.
    static std::string bound_between(std::string_view low, std::string_view high) {
        auto differ = std::mismatch(low.begin(), low.end(), high.begin(), high.end()).second;
        return std::string{high.begin(), differ + 1};
    }

    /// Splits the full child `at` of `parent`, both of which become this map's alone. Keys that arrive in order leave
    /// full leaves behind: a leaf that is about to grow at its end keeps all it has.
    static void split(CowNode& parent, std::size_t at, std::string_view key) {
        auto& left = own(parent.children[at]);
        std::pair<detail::Shared<CowNode>, std::string> cut;
        if (left.leaf() && left.records.back()->key() < key)
            cut = {detail::Shared{new CowNode}, bound_between(left.records.back()->key(), key)};
        else
            cut = cut_off(left, left.size() / 2);
        hang(parent, at, std::move(cut));
    }

    static void hang(CowNode& parent, std::size_t at, std::pair<detail::Shared<CowNode>, std::string> cut) {
        auto offset = static_cast<std::ptrdiff_t>(at);
        make_room(parent.children);
        make_room(parent.bounds);
        parent.children.insert(parent.children.begin() + offset + 1, std::move(cut.first));
        parent.bounds.insert(parent.bounds.begin() + offset, std::move(cut.second));
    }

    /// Makes one child of `at` and the one after it, or two of equal size where that would be too large.
    static void join(CowNode& parent, std::size_t at) {
        auto offset = static_cast<std::ptrdiff_t>(at);
        auto& left = own(parent.children[at]);
        auto right = std::move(parent.children[at + 1]);
        auto bound = std::move(parent.bounds[at]);
        parent.children.erase(parent.children.begin() + offset + 1);
        parent.bounds.erase(parent.bounds.begin() + offset);

        own(right);
        if (!left.leaf()) left.bounds.push_back(std::move(bound));
        move_to_end(left.records, right->records);
        move_to_end(left.children, right->children);
        move_to_end(left.bounds, right->bounds);
        if (left.size() > CowNode::most * 3 / 4) hang(parent, at, cut_off(left, left.size() / 2));
    }

    template <typename T>
    static void move_to_end(std::vector<T>& to, std::vector<T>& from) {
        to.reserve(to.size() + from.size());
        std::move(from.begin(), from.end(), std::back_inserter(to));
    }

    detail::Shared<CowNode> root_;
    std::size_t size_ = 0;
    std::size_t payload_bytes_ = 0;
};

/// A place in a map, valid until that map is changed; changing a copy of the map does not touch it.
class CowMap::Cursor {
public:
    bool at_end() const { return depth_ == 0; }
    /// At the first record of a leaf.
    bool in_new_leaf() const { return depth_ > 0 && path_[depth_ - 1].at == 0; }
    std::string_view key() const { return record().key(); }
    std::string_view value() const { return record().value(); }
    void next() {
        ++path_[depth_ - 1].at;
        settle();
    }

private:
    friend class CowMap;
    struct Step {
        const CowNode* node;
        std::size_t at;
    };

    Cursor(const CowNode* node, std::string_view key) {
        for (; node; node = node->children[path_[depth_ - 1].at].get()) {
            path_[depth_++] = {node, node->leaf() ? node->place(key) : node->branch(key)};
            if (node->leaf()) break;
        }
        settle();
    }
    const CowRecord& record() const { return *path_[depth_ - 1].node->records[path_[depth_ - 1].at]; }

    /// Goes up from what is exhausted, and down again to the next leaf.
    void settle() {
        while (depth_ > 0 && path_[depth_ - 1].at == path_[depth_ - 1].node->size())
            if (--depth_ > 0) ++path_[depth_ - 1].at;
        while (depth_ > 0 && !path_[depth_ - 1].node->leaf()) {
            const auto& above = path_[depth_ - 1];
            path_[depth_++] = {above.node->children[above.at].get(), 0};
        }
    }

    std::array<Step, 16> path_{};  // 16 levels of at least 16 children each are more than memory can hold
    std::size_t depth_ = 0;
};

inline CowMap::Cursor CowMap::begin() const { return lower_bound({}); }
inline CowMap::Cursor CowMap::lower_bound(std::string_view key) const { return {root_.get(), key}; }

inline void CowMap::release_before(const Cursor& at) {
    auto* node = &root_;
    for (std::size_t depth = 0; depth + 1 < at.depth_ && node->unique(); ++depth) {
        auto& children = (*node)->children;
        const auto here = at.path_[depth].at;
        for (auto n = here; n > 0 && children[n - 1]; --n) children[n - 1] = {};
        node = &children[here];
    }
}

inline bool operator==(const CowMap& left, const CowMap& right) {
    if (left.root_.get() == right.root_.get()) return true;
    if (left.size() != right.size() || left.payload_bytes() != right.payload_bytes()) return false;
    auto one = left.begin(), other = right.begin();
    while (!one.at_end() && one.key() == other.key() && one.value() == other.value()) one.next(), other.next();
    return one.at_end();
}

}  // namespace understudy::kv
