// An allocator for the nodes of maps and sets whose entries come and go all the time. It reuses freed nodes, and asks
// the heap only when the container grows beyond its former size.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>

namespace understudy {

/// Each container has its own free list of at most `most` nodes. All allocators compare equal, because every node comes
/// from the heap and any of them may free it. A copy starts with an empty free list.
template <typename T, std::size_t most = 1024>
class RecyclingAllocator {
public:
    using value_type = T;
    using is_always_equal = std::true_type;
    template <typename U>
    struct rebind {
        using other = RecyclingAllocator<U, most>;
    };

    RecyclingAllocator() = default;
    RecyclingAllocator(const RecyclingAllocator&) noexcept {}
    template <typename U>
    RecyclingAllocator(const RecyclingAllocator<U, most>&) noexcept {}
    RecyclingAllocator& operator=(const RecyclingAllocator&) noexcept { return *this; }
    ~RecyclingAllocator() {
        while (kept_) ::operator delete(take());
    }

    T* allocate(std::size_t count) {
        if (count == 1 && kept_) return static_cast<T*>(take());
        return static_cast<T*>(::operator new(count* size));
    }
    void deallocate(T* memory, std::size_t count) noexcept {
        if (count != 1 || kept_count_ == most) return ::operator delete(memory);
        kept_ = ::new (static_cast<void*>(memory)) Kept{kept_};
        ++kept_count_;
    }

    friend bool operator==(const RecyclingAllocator&, const RecyclingAllocator&) { return true; }

private:
    struct Kept {
        Kept* next;
    };
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    static constexpr std::size_t size = sizeof(T) < sizeof(Kept) ? sizeof(Kept) : sizeof(T);

    void* take() {
        auto* node = kept_;
        kept_ = node->next;
        --kept_count_;
        return node;
    }

    Kept* kept_ = nullptr;
    std::size_t kept_count_ = 0;
};

}  // namespace understudy
