// A pointer that counts its owners in the object itself, without atomics.
// One word per pointer and no control block: what `std::shared_ptr` would add is as large as a small record.
#pragma once

#include <cstdint>
#include <utility>

namespace understudy::detail {

/// Owns a `T` together with its other copies. `T` has a member `std::uint32_t owners`, 0 at first, and a static
/// `destroy(T*)`. Not thread-safe: all copies belong to one strand.
template <typename T>
class Shared {
public:
    Shared() = default;
    explicit Shared(T* target) : target_{target} { ++target_->owners; }
    Shared(const Shared& other) : target_{other.target_} {
        if (target_) ++target_->owners;
    }
    Shared(Shared&& other) noexcept : target_{std::exchange(other.target_, nullptr)} {}
    Shared& operator=(Shared other) noexcept {
        std::swap(target_, other.target_);
        return *this;
    }
    ~Shared() {
        if (target_ && --target_->owners == 0) T::destroy(target_);
    }

    explicit operator bool() const { return target_ != nullptr; }
    bool unique() const { return target_->owners == 1; }
    T* get() const { return target_; }
    T& operator*() const { return *target_; }
    T* operator->() const { return target_; }

private:
    T* target_ = nullptr;
};

}  // namespace understudy::detail
