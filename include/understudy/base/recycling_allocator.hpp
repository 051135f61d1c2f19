// An allocator for the nodes of maps and sets in which entries come and go all the time: it hands out again what was
// given back, and asks the heap only when a container grows beyond what it was before.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>

namespace understudy {

/// Of each container by itself; at most `most` nodes are kept. All of these allocators are equal, as every node comes
/// from the heap in the end. A copy begins with nothing kept.
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
