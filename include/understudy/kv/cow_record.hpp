// The records of the key/value store's map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include <understudy/base/intrusive_ptr.hpp>
#include <understudy/base/spare_buffers.hpp>

namespace understudy::kv {

/// A block of memory for a record.
struct RecordMemory {
    struct Delete {
        void operator()(void* memory) const { ::operator delete(memory); }
    };

    RecordMemory() = default;
    RecordMemory(void* memory, std::size_t bytes) : block{memory}, size{bytes} {}
    std::unique_ptr<void, Delete> block;
    std::size_t size = 0;
};
inline std::size_t heap_bytes(const RecordMemory& memory) { return memory.size; }
/// Memory of large records, for those that follow.
using SpareRecords = SpareBuffers<RecordMemory>;

/// One key with its value, in one block of memory: this header, the key's bytes, the value's bytes, and unused room for
/// the value to grow. It is changed in place only while it has one owner.
struct CowRecord {
    std::uint32_t owners = 0;
    std::uint32_t key_size = 0;
    std::uint32_t value_size = 0;
    std::uint32_t value_capacity = 0;

    using Pointer = detail::IntrusivePtr<CowRecord>;

    /// A new record with room for a value of `capacity` bytes, which must be enough for `value`.
    static Pointer make(std::string_view key, std::string_view value, std::size_t capacity) {
        return make_in({::operator new(sizeof(CowRecord) + key.size() + capacity),
                        sizeof(CowRecord) + key.size() + capacity},
                       key, value);
    }
    /// The same, in spare memory if there is some that is at most twice as large.
    static Pointer make(std::string_view key, std::string_view value, std::size_t capacity, SpareRecords& spare) {
        auto memory = spare.take(sizeof(CowRecord) + key.size() + capacity, 2);
        return memory.block ? make_in(std::move(memory), key, value) : make(key, value, capacity);
    }
    /// Gives a record up. If nobody else has it, its memory goes to `spare`.
    static void recycle(Pointer&& record, SpareRecords& spare) {
        if (!record.unique()) return;
        const auto size = sizeof(CowRecord) + record->key_size + record->value_capacity;
        spare.give({record.release(), size});
    }
    static void destroy(CowRecord* record) { ::operator delete(record); }

    std::string_view key() const { return {bytes(), key_size}; }
    std::string_view value() const { return {bytes() + key_size, value_size}; }
    /// Empties the value; its room stays.
    void clear() { value_size = 0; }
    /// Appends to the value. There must be room for it.
    void extend(std::string_view tail) {
        tail.copy(bytes() + key_size + value_size, tail.size());
        value_size += narrow(tail.size());
    }

private:
    static Pointer make_in(RecordMemory memory, std::string_view key, std::string_view value) {
        const auto capacity = memory.size - sizeof(CowRecord) - key.size();
        auto* record = new (memory.block.release()) CowRecord{0, narrow(key.size()), 0, narrow(capacity)};
        key.copy(record->bytes(), key.size());
        record->extend(value);
        return Pointer{record};
    }
    static std::uint32_t narrow(std::size_t size) { return static_cast<std::uint32_t>(size); }
    const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
};

}  // namespace understudy::kv
