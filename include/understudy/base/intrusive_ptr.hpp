// A reference-counted pointer with the count in the object itself, not atomic. It takes one word and needs no control
// block. With `std::shared_ptr` these would be as large as the small records that it is used for.
#pragma once

#include <cstdint>
#include <utility>

namespace understudy::detail {

/// Shares the ownership of a `T` with its copies. `T` has a member `std::uint32_t owners`, initially 0, and a static
/// function `destroy(T*)`. Not thread-safe: all copies belong to one strand.
template <typename T>
class IntrusivePtr {
public:
    IntrusivePtr() = default;
    explicit IntrusivePtr(T* target) : target_{target} { ++target_->owners; }
    IntrusivePtr(const IntrusivePtr& other) : target_{other.target_} {
        if (target_) ++target_->owners;
    }
    IntrusivePtr(IntrusivePtr&& other) noexcept : target_{std::exchange(other.target_, nullptr)} {}
    IntrusivePtr& operator=(IntrusivePtr other) noexcept {
        std::swap(target_, other.target_);
        return *this;
    }
    ~IntrusivePtr() {
        if (target_ && --target_->owners == 0) T::destroy(target_);
    }

    explicit operator bool() const { return target_ != nullptr; }
    /// The sole owner gives the target up without destroying it.
    T* release() {
        target_->owners = 0;
        return std::exchange(target_, nullptr);
    }
    bool unique() const { return target_->owners == 1; }
    T* get() const { return target_; }
    T& operator*() const { return *target_; }
    T* operator->() const { return target_; }

private:
    T* target_ = nullptr;
};

}  // namespace understudy::detail
