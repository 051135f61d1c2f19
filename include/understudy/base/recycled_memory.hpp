// Memory for small objects of various sizes that come and go all the time, such as completion handlers. Freed blocks
// are kept and handed out again, so that the heap is asked only for more than there was before.
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace understudy {

/// Keeps freed blocks, of each size class up to a number of bytes. Not thread-safe. Blocks that are still in use when
/// it is destroyed must not be given back any more.
class RecycledMemory {
public:
    static constexpr std::size_t most_kept = 64u << 10;  ///< Bytes of each size class.
    static constexpr std::size_t largest = 512;          ///< Bytes of a block that is kept.

    RecycledMemory() = default;
    RecycledMemory(const RecycledMemory&) = delete;
    RecycledMemory& operator=(const RecycledMemory&) = delete;
    ~RecycledMemory() {
        for (auto& blocks : classes_)
            while (blocks.first) ::operator delete(blocks.take());
    }

    /// A block for an object whose alignment is not extended.
    void* allocate(std::size_t bytes) {
        if (bytes > largest) return ::operator new(bytes);
        auto& blocks = class_of(bytes);
        return blocks.first ? blocks.take() : ::operator new(rounded(bytes));
    }
    /// Gives a block back. `bytes` is what it was allocated with.
    void deallocate(void* memory, std::size_t bytes) noexcept {
        if (bytes > largest) return ::operator delete(memory);
        auto& blocks = class_of(bytes);
        if ((blocks.count + 1) * rounded(bytes) > most_kept) return ::operator delete(memory);
        blocks.first = ::new (memory) Kept{blocks.first};
        ++blocks.count;
    }

private:
    static constexpr std::size_t step = 64;

    struct Kept {
        Kept* next;
    };
    struct Blocks {
        Kept* first = nullptr;
        std::size_t count = 0;

        void* take() {
            auto* const block = first;
            first = block->next;
            --count;
            return block;
        }
    };

    static std::size_t rounded(std::size_t bytes) { return bytes == 0 ? step : (bytes + step - 1) / step * step; }
    Blocks& class_of(std::size_t bytes) { return classes_[rounded(bytes) / step - 1]; }

    std::array<Blocks, largest / step> classes_;
};

}  // namespace understudy
