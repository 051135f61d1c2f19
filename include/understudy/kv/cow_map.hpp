// An ordered map of byte strings that is copied in O(1). A store needs that to take a snapshot while it goes on
// changing. It is a copy-on-write B+tree: copies share all nodes, and a change clones only the shared nodes on its
// path. Insertion splits full nodes, and erasure merges small ones, on the way down from the root. So no change has to
// go back up, and nothing here recurses over the content.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/base/intrusive_ptr.hpp>
#include <understudy/kv/cow_record.hpp>
#include <understudy/kv/key_index.hpp>

namespace understudy::kv {

/// A node of the tree. A leaf holds records, in the order of their keys. Any other node holds children, and a bound
/// between each two of them: all keys to the left of a bound are smaller than it, and all keys to the right are not.
struct CowNode {
    static constexpr std::size_t most = 64;         ///< The most records or children of a node.
    static constexpr std::size_t least = most / 4;  ///< A child with no more than this is merged when erasing.

    std::uint32_t owners = 0;
    std::vector<detail::IntrusivePtr<CowRecord>> records;
    std::vector<detail::IntrusivePtr<CowNode>> children;
    std::vector<std::string> bounds;
    KeyIndex index;  ///< Of the keys of a leaf, or of the bounds.

    static void destroy(CowNode* node) { delete node; }  // recurses, but only as deep as the tree is high

    bool leaf() const { return children.empty(); }
    std::size_t size() const { return leaf() ? records.size() : children.size(); }
    /// The index of the first record whose key is not below `key`, `records.size()` if there is none; and whether its
    /// key is that key.
    std::pair<std::size_t, bool> place(std::string_view key) const {
        auto [first, last] = index.range(key);
        while (first < last) {
            const auto middle = (first + last) / 2;
            const int order = records[middle]->key().compare(key);
            if (order == 0) return {middle, true};
            order < 0 ? first = middle + 1 : last = middle;
        }
        return {first, false};
    }
    /// The index of the child in whose range `key` lies.
    std::size_t branch(std::string_view key) const {
        auto [first, last] = index.range(key);
        while (first < last) {
            const auto middle = (first + last) / 2;
            bounds[middle] <= key ? first = middle + 1 : last = middle;
        }
        return first;
    }

    void insert_record(std::size_t at, detail::IntrusivePtr<CowRecord> record) {
        make_room(records);
        const auto inserted = records.insert(records.begin() + static_cast<std::ptrdiff_t>(at), std::move(record));
        index_new(at, (*inserted)->key());
    }
    /// Inserts a bound, and the child to the right of it.
    void insert_bound(std::size_t at, std::string bound, detail::IntrusivePtr<CowNode> right) {
        make_room(children);
        make_room(bounds);
        children.insert(children.begin() + static_cast<std::ptrdiff_t>(at) + 1, std::move(right));
        index_new(at, *bounds.insert(bounds.begin() + static_cast<std::ptrdiff_t>(at), std::move(bound)));
    }
    /// Makes the index anew after several keys or bounds came or went.
    void build_index() {
        const auto bound = [this](std::size_t n) { return std::string_view{bounds[n]}; };
        if (leaf())
            index.build(records.size(), records.capacity(), [this](std::size_t n) { return records[n]->key(); });
        else
            index.build(bounds.size(), bounds.capacity(), bound);
    }

private:
    /// Makes room for one more element. The room grows by halves, up to that of a full node.
    template <typename T>
    static void make_room(std::vector<T>& vector) {
        auto size = vector.size();
        if (size < vector.capacity()) return;
        vector.reserve(std::max(size + 1, std::min(most, size + size / 2 + 4)));
    }
    void index_new(std::size_t at, std::string_view key) {
        index.reserve(leaf() ? records.capacity() : bounds.capacity());
        if (!index.insert(at, key)) build_index();
    }
};

/// Maps byte strings to byte strings, both below 4 GiB, in the order of their unsigned bytes.
///
/// Copying takes O(1), and the copies are independent. All other operations take O(log n), if nothing else is said, and
/// what they copy of keys and values; the first change of a shared node also copies that node, but no record. Not
/// thread-safe, not even distinct copies of one map: the owners of shared nodes are counted without atomics, so all
/// copies belong to one strand. Arguments must not be views into the map that is changed.
class CowMap {
public:
    class Cursor;

    /// How many keys there are. O(1).
    std::size_t size() const { return size_; }
    /// The bytes of all keys and values together. O(1).
    std::size_t payload_bytes() const { return payload_bytes_; }

    /// The value of a key; nothing if there is no such key. The view is valid until the map is changed.
    std::optional<std::string_view> find(std::string_view key) const {
        if (!root_) return std::nullopt;
        const CowNode* node = root_.get();
        while (!node->leaf()) node = node->children[node->branch(key)].get();
        const auto [at, found] = node->place(key);
        if (!found) return std::nullopt;
        return node->records[at]->value();
    }

    /// Sets the value of a key, and inserts the key if it is missing. The record is reused if this map is its only
    /// owner, the value fits, and it does not leave more than half of the record's room unused.
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
            replace(record, key, value, value.size());
        }
    }

    /// Adds a key that is above all others. Returns false, and changes nothing, if it is not. Loading a snapshot uses
    /// it: mostly it compares one key, where `assign` would search.
    bool push_back(std::string_view key, std::string_view value) {
        if (size_ == 0) return insert(key, value), true;
        auto* node = &own(root_);
        while (!node->leaf()) node = &own(node->children.back());
        auto& records = node->records;
        if (records.back()->key() >= key) return false;
        if (records.size() == CowNode::most) return insert(key, value), true;
        records.reserve(CowNode::most);  // keys in ascending order fill each leaf
        node->insert_record(records.size(), CowRecord::make(key, value, value.size()));
        payload_bytes_ += key.size() + value.size();
        ++size_;
        return true;
    }

    /// Appends to the value of a key, or inserts the key; returns the new length in bytes. The value is extended in
    /// place while its record is not shared and has room. A new record gets half as much room again as it needs, so
    /// that many small appends cost amortized O(bytes appended).
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
            replace(record, key, record->value(), length + length / 2);
        record->extend(tail);
        return length;
    }

    /// Removes a key; returns whether it was there.
    bool erase(std::string_view key) {
        auto value = find(key);
        if (!value) return false;
        payload_bytes_ -= key.size() + value->size();
        --size_;
        auto* node = &own(root_);
        while (!node->leaf()) {
            auto at = node->branch(key);
            // Merging before going down makes sure that the child can lose a record, or a child of its own.
            if (node->children[at]->size() <= CowNode::least) {
                join(*node, at == 0 ? 0 : at - 1);
                at = node->branch(key);
            }
            node = &own(node->children[at]);
        }
        const auto at = node->place(key).first;
        node->records.erase(node->records.begin() + static_cast<std::ptrdiff_t>(at));
        node->index.erase(at);
        while (!root_->leaf() && root_->children.size() == 1) root_ = detail::IntrusivePtr{root_->children.front()};
        return true;
    }

    /// A cursor at the first key.
    Cursor begin() const;
    /// A cursor at the first key that is not below `key`.
    Cursor lower_bound(std::string_view key) const;

    /// Releases the nodes of this copy that lie before the cursor's leaf. Afterwards this copy may be used only through
    /// that cursor. Nodes that other copies share stay alive there; the path is followed only while its nodes belong to
    /// this copy alone. Without this, all the memory that a snapshot keeps alive, because the store has changed since,
    /// would be released at once at the end.
    void release_before(const Cursor& at);

    /// Whether both have the same keys and values. O(1) if they share everything, else O(content).
    friend bool operator==(const CowMap& left, const CowMap& right);

private:
    /// Bytes of large records that are kept for others: a value that grows needs a larger one again and again.
    static constexpr std::size_t most_spare = 2u << 20;

    /// Makes the record anew, with room for a value of `capacity` bytes. `value` may be that of the old one.
    void replace(detail::IntrusivePtr<CowRecord>& record, std::string_view key, std::string_view value,
                 std::size_t capacity) {
        CowRecord::recycle(std::exchange(record, CowRecord::make(key, value, capacity, spare_)), spare_);
    }

    /// The node for a change: replaced by a clone first, if another owner shares it. The clone shares all children and
    /// records.
    static CowNode& own(detail::IntrusivePtr<CowNode>& node) {
        if (!node.unique()) {
            auto* clone = new CowNode{*node};
            clone->owners = 0;
            node = detail::IntrusivePtr{clone};
        }
        return *node;
    }

    /// The pointer to the key's record in its leaf, or null if there is none. The nodes on the path are cloned where
    /// they are shared, but the record itself may still be shared.
    detail::IntrusivePtr<CowRecord>* slot(std::string_view key) {
        if (!root_) return nullptr;
        auto* node = &own(root_);
        while (!node->leaf()) node = &own(node->children[node->branch(key)]);
        const auto [at, found] = node->place(key);
        return found ? &node->records[at] : nullptr;
    }

    /// Inserts a key that does not exist. Full nodes are split on the way down, so that a parent always has room for
    /// the second half of its child.
    void insert(std::string_view key, std::string_view value) {
        if (!root_) root_ = detail::IntrusivePtr{new CowNode};
        if (root_->size() == CowNode::most) {
            auto* above = new CowNode;
            above->children.push_back(std::move(root_));
            root_ = detail::IntrusivePtr{above};
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
        node->insert_record(node->place(key).first, CowRecord::make(key, value, value.size()));
        payload_bytes_ += key.size() + value.size();
        ++size_;
    }

    /// Moves the elements of `left` from index `cut` on into a new vector.
    template <typename T>
    static std::vector<T> tail(std::vector<T>& left, std::size_t cut) {
        auto first = left.begin() + static_cast<std::ptrdiff_t>(cut);
        std::vector<T> right{std::make_move_iterator(first), std::make_move_iterator(left.end())};
        left.erase(first, left.end());
        return right;
    }

    /// Divides `left` at index `cut`; returns a new node with the right part, and the bound between the two.
    static std::pair<detail::IntrusivePtr<CowNode>, std::string> cut_off(CowNode& left, std::size_t cut) {
        detail::IntrusivePtr<CowNode> right{new CowNode};
        if (left.leaf()) {
            right->records = tail(left.records, cut);
            left.build_index();
            right->build_index();
            return {right, bound_between(left.records.back()->key(), right->records.front()->key())};
        }
        right->children = tail(left.children, cut);
        right->bounds = tail(left.bounds, cut);
        auto bound = std::move(left.bounds.back());  // the bound between the two parts belongs to neither
        left.bounds.pop_back();
        left.build_index();
        right->build_index();
        return {right, std::move(bound)};
    }

    /// The shortest prefix of `high` that is above `low`, where `low` is below `high`. A short bound costs less memory,
    /// and is compared faster, than a whole key.
    static std::string bound_between(std::string_view low, std::string_view high) {
        auto differ = std::mismatch(low.begin(), low.end(), high.begin(), high.end()).second;
        return std::string{high.begin(), differ + 1};
    }

    /// Splits the full child at index `at` of `parent`, before `key` is inserted into it. `parent` must not be shared;
    /// the child is cloned if it is. A leaf whose last key is below `key` keeps all its records, and the new leaf to
    /// its right starts empty. So keys that arrive in ascending order fill the leaves, where halves would leave them
    /// half empty.
    static void split(CowNode& parent, std::size_t at, std::string_view key) {
        auto& left = own(parent.children[at]);
        std::pair<detail::IntrusivePtr<CowNode>, std::string> cut;
        if (left.leaf() && left.records.back()->key() < key) {
            cut = {detail::IntrusivePtr{new CowNode}, bound_between(left.records.back()->key(), key)};
            left.build_index();  // the leaf was empty when it began: now it is known what its keys have in common
        } else
            cut = cut_off(left, left.size() / 2);
        hang(parent, at, std::move(cut));
    }

    /// Inserts a new node with its bound to the right of child `at`.
    static void hang(CowNode& parent, std::size_t at, std::pair<detail::IntrusivePtr<CowNode>, std::string> cut) {
        parent.insert_bound(at, std::move(cut.second), std::move(cut.first));
    }

    /// Merges child `at` and the one after it into one. If that has more than three quarters of `most`, it is divided
    /// again into two of equal size, so that the next insertion does not have to split it.
    static void join(CowNode& parent, std::size_t at) {
        auto offset = static_cast<std::ptrdiff_t>(at);
        auto& left = own(parent.children[at]);
        auto right = std::move(parent.children[at + 1]);
        auto bound = std::move(parent.bounds[at]);
        parent.children.erase(parent.children.begin() + offset + 1);
        parent.bounds.erase(parent.bounds.begin() + offset);
        parent.index.erase(at);

        own(right);
        if (!left.leaf()) left.bounds.push_back(std::move(bound));
        move_to_end(left.records, right->records);
        move_to_end(left.children, right->children);
        move_to_end(left.bounds, right->bounds);
        if (left.size() > CowNode::most * 3 / 4) hang(parent, at, cut_off(left, left.size() / 2));
        else left.build_index();
    }

    template <typename T>
    static void move_to_end(std::vector<T>& to, std::vector<T>& from) {
        to.reserve(to.size() + from.size());
        std::move(from.begin(), from.end(), std::back_inserter(to));
    }

    detail::IntrusivePtr<CowNode> root_;
    std::size_t size_ = 0;
    std::size_t payload_bytes_ = 0;
    SpareRecords spare_{most_spare};
};

/// A position in a map. It is valid until that map is changed or destroyed; changing a copy of the map does not matter.
class CowMap::Cursor {
public:
    /// Whether it is behind the last key. Then only `at_end` and `in_new_leaf` may be called.
    bool at_end() const { return depth_ == 0; }
    /// Whether it is at the first record of a leaf.
    bool in_new_leaf() const { return depth_ > 0 && path_[depth_ - 1].at == 0; }
    std::string_view key() const { return record().key(); }
    std::string_view value() const { return record().value(); }
    /// Goes to the next key. Amortized O(1).
    void next() {
        ++path_[depth_ - 1].at;
        settle();
    }

private:
    friend class CowMap;
    /// A node on the path from the root, and the index of the child or record taken in it.
    struct Step {
        const CowNode* node;
        std::size_t at;
    };

    Cursor(const CowNode* node, std::string_view key) {
        for (; node; node = node->children[path_[depth_ - 1].at].get()) {
            path_[depth_++] = {node, node->leaf() ? node->place(key).first : node->branch(key)};
            if (node->leaf()) break;
        }
        settle();
    }
    const CowRecord& record() const { return *path_[depth_ - 1].node->records[path_[depth_ - 1].at]; }

    /// Goes up from nodes that are exhausted, and down again to the first record of the next leaf.
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

// The loop stops at the first child that is released already: all before it are, too. So calling this for each leaf
// costs O(log n) and what it releases.
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
