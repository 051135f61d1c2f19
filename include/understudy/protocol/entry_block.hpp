// Log entries in shared blocks of memory. A log, an append that is under way and a journal that is read back all hold
// many entries; in a block an entry costs no allocation of its own, and sharing it costs a count.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/base/intrusive_ptr.hpp>
#include <understudy/protocol/entry.hpp>
#include <understudy/text_store.hpp>

namespace understudy::protocol {

/// An entry as a block keeps it. Its command lies in the same block.
struct StoredEntry : EntryView {
    PreparedCommand prepared;  ///< Of the command, if the owner had it prepared.
    std::uint64_t end = 0;     ///< The sum of the sizes of this entry and of all before it, as the owner counts them.
};

/// Entries with their commands, in one block of memory: the entries from the front, the commands from the back. A block
/// only grows at its end, so what was read of it stays valid while anyone owns the block. Only a sole owner may remove
/// entries. Owners are counted without atomics: they belong to one strand, or hand the block over as a whole.
class EntryBlock {
public:
    using Pointer = understudy::detail::IntrusivePtr<EntryBlock>;
    std::uint32_t owners = 0;

    /// The bytes that an entry takes of a block.
    static constexpr std::size_t size_of(std::size_t command) { return sizeof(StoredEntry) + command; }

    /// An empty block with room for `room` bytes, as `size_of` counts them.
    static Pointer make(std::size_t room) {
        return Pointer{new (::operator new(sizeof(EntryBlock) + room)) EntryBlock{room}};
    }
    static void destroy(EntryBlock* block) { ::operator delete(block); }

    std::size_t size() const { return size_; }
    const StoredEntry& operator[](std::size_t n) const { return entries()[n]; }
    /// Whether entries of `bytes` together fit.
    bool has_room(std::size_t bytes) const { return text_ - size_ * sizeof(StoredEntry) >= bytes; }
    /// The bytes for entries in all.
    std::size_t room() const { return room_; }
    /// The bytes that its entries take.
    std::size_t bytes() const { return size_ * sizeof(StoredEntry) + room_ - text_; }

    /// Adds a copy of an entry. There must be room for it.
    const StoredEntry& append(const EntryView& entry, const PreparedCommand& prepared, std::uint64_t end) {
        UNDERSTUDY_CHECK(has_room(size_of(entry.command.size())));
        text_ -= entry.command.size();
        char* const text = memory() + text_;
        entry.command.copy(text, entry.command.size());
        auto* stored = new (memory() + size_++ * sizeof(StoredEntry)) StoredEntry{entry, prepared, end};
        stored->command = {text, entry.command.size()};
        return *stored;
    }
    /// Keeps the first `size` entries. No one else may own the block.
    void shrink(std::size_t size) {
        size_ = std::min(size_, size);
        text_ = size_ == 0 ? room_ : static_cast<std::size_t>(entries()[size_ - 1].command.data() - memory());
    }

private:
    explicit EntryBlock(std::size_t room) : room_{room}, text_{room} {}

    char* memory() { return reinterpret_cast<char*>(this + 1); }
    const char* memory() const { return reinterpret_cast<const char*>(this + 1); }
    const StoredEntry* entries() const { return std::launder(reinterpret_cast<const StoredEntry*>(memory())); }

    std::size_t room_;
    std::size_t text_;  // where the commands begin: the offset of the newest one
    std::size_t size_ = 0;
};
static_assert(std::is_trivially_destructible_v<StoredEntry> && sizeof(EntryBlock) % alignof(StoredEntry) == 0);

/// A run of entries that shares the ownership of their blocks. A copy is cheap, and its entries stay as they are
/// whatever the log that they were taken of does. As long as it lives it keeps the whole blocks alive.
class SharedEntries {
    struct Piece {
        EntryBlock::Pointer block;
        std::size_t first = 0, count = 0;

        bool can_grow(std::size_t size) const {
            return block.unique() && block->size() == first + count && block->has_room(size);
        }
    };
    static constexpr std::size_t most_of_block = 64u << 10;

public:
    SharedEntries() = default;
    SharedEntries(const SharedEntries&) = default;
    SharedEntries(SharedEntries&& other) noexcept { swap(other); }  // what was moved from is empty
    SharedEntries& operator=(SharedEntries other) noexcept {
        swap(other);
        return *this;
    }
    void swap(SharedEntries& other) noexcept {
        std::swap(first_, other.first_);
        others_.swap(other.others_);
        std::swap(size_, other.size_);
        std::swap(bytes_, other.bytes_);
    }
    /// Copies of these entries, in blocks of their own.
    SharedEntries(const std::vector<Entry>& entries) {
        for (const auto& entry : entries) push_back(entry);
    }
    SharedEntries(std::initializer_list<Entry> entries) : SharedEntries{std::vector<Entry>{entries}} {}

    /// Adds a copy of an entry.
    void push_back(const EntryView& entry) {
        const auto size = EntryBlock::size_of(entry.command.size());
        auto* last = empty() ? nullptr : others_.empty() ? &first_ : &others_.back();
        if (!last || !last->can_grow(size)) {
            bytes_ = std::min(2 * bytes_ + size, std::max(size, most_of_block));
            add(EntryBlock::make(bytes_), 0, 0);
            last = others_.empty() ? &first_ : &others_.back();
        }
        last->block->append(entry, {}, 0);
        ++last->count;
        ++size_;
    }
    /// The next entries: `count` of `block`, from its entry `first` on. `count` must not be 0.
    void add(EntryBlock::Pointer block, std::size_t first, std::size_t count) {
        size_ += count;
        Piece piece{std::move(block), first, count};
        if (!first_.block)
            first_ = std::move(piece);
        else
            others_.push_back(std::move(piece));
    }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    /// Goes through the entries in their order.
    class Iterator {
    public:
        using difference_type = std::ptrdiff_t;
        using value_type = StoredEntry;

        Iterator() = default;
        const StoredEntry& operator*() const { return (*piece().block)[piece().first + n_]; }
        const StoredEntry* operator->() const { return &**this; }
        Iterator& operator++() {
            if (++n_ == piece().count) n_ = 0, ++piece_;
            return *this;
        }
        Iterator operator++(int) {
            auto before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const Iterator& a, const Iterator& b) { return a.piece_ == b.piece_ && a.n_ == b.n_; }

    private:
        friend class SharedEntries;
        Iterator(const SharedEntries& of, std::size_t piece) : of_{&of}, piece_{piece} {}
        const Piece& piece() const { return piece_ == 0 ? of_->first_ : of_->others_[piece_ - 1]; }

        const SharedEntries* of_ = nullptr;
        std::size_t piece_ = 0, n_ = 0;
    };
    Iterator begin() const { return {*this, 0}; }
    Iterator end() const { return {*this, empty() ? 0 : others_.size() + 1}; }

    const StoredEntry& back() const {
        const auto& last = others_.empty() ? first_ : others_.back();
        return (*last.block)[last.first + last.count - 1];
    }
    friend bool operator==(const SharedEntries& a, const SharedEntries& b) {
        const auto same = [](const EntryView& one, const EntryView& other) { return one == other; };
        return a.size_ == b.size_ && std::equal(a.begin(), a.end(), b.begin(), same);
    }

private:
    Piece first_;  // mostly the only one; it needs no allocation
    std::vector<Piece> others_;
    std::size_t size_ = 0;
    std::size_t bytes_ = 0;  // the room of the block that `push_back` has made last
};

}  // namespace understudy::protocol
