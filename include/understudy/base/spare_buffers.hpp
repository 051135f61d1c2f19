// Large buffers that were used and may be filled again. The heap gives a large block back to the system when it is
// freed; to map it anew, page by page, takes longer than to fill it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace understudy {

/// The bytes that a buffer takes of the heap.
inline std::size_t heap_bytes(const std::string& text) { return text.capacity(); }

/// Keeps buffers that are no longer needed, up to a number of bytes. Where that is many, its owner calls `age` at
/// intervals: so a time of large values leaves nothing behind. A copy starts without any: what is kept is no part of
/// the value of an object that has one.
template <typename Buffer>
class SpareBuffers {
public:
    static constexpr std::size_t usual_most = 8u << 20;
    static constexpr std::size_t least = 32u << 10;  ///< Bytes of a buffer that is kept: the heap keeps smaller ones.

    /// Keeps up to `most` bytes.
    explicit SpareBuffers(std::size_t most = usual_most) : most_{most} {}
    SpareBuffers(const SpareBuffers& other) : most_{other.most_} {}
    SpareBuffers(SpareBuffers&& other) noexcept
        : kept_{std::move(other.kept_)},
          most_{other.most_},
          bytes_{std::exchange(other.bytes_, 0)},
          unused_{std::exchange(other.unused_, 0)} {}
    SpareBuffers& operator=(const SpareBuffers&) noexcept { return *this; }
    SpareBuffers& operator=(SpareBuffers&& other) noexcept {
        kept_.swap(other.kept_);
        std::swap(most_, other.most_);
        std::swap(bytes_, other.bytes_);
        std::swap(unused_, other.unused_);
        return *this;
    }
    ~SpareBuffers() = default;

    /// A buffer of at least `wanted` bytes and at most `times` as many; an empty one if none is kept.
    Buffer take(std::size_t wanted, std::size_t times = 8) {
        auto best = kept_.end();
        for (auto at = kept_.begin(); at != kept_.end(); ++at)
            if (const auto size = heap_bytes(*at); size >= wanted && size / times <= wanted)
                if (best == kept_.end() || size < heap_bytes(*best)) best = at;
        if (best == kept_.end()) return Buffer{};
        auto buffer = std::move(*best);
        kept_.erase(best);
        bytes_ -= heap_bytes(buffer);
        unused_ = std::min(unused_, bytes_);
        return buffer;
    }
    /// Takes over a buffer, and frees it if it is small or there is no room for it.
    void give(Buffer&& buffer) {
        auto freed = std::move(buffer);
        const auto size = heap_bytes(freed);
        if (size < least || size > most_ - bytes_) return;
        bytes_ += size;
        kept_.push_back(std::move(freed));
    }
    /// Frees what was not needed since the last call, oldest first.
    void age() {
        auto at = kept_.begin();
        for (; at != kept_.end() && heap_bytes(*at) <= unused_; ++at) {
            unused_ -= heap_bytes(*at);
            bytes_ -= heap_bytes(*at);
        }
        kept_.erase(kept_.begin(), at);
        unused_ = bytes_;
    }
    /// Bytes that are kept at present.
    std::size_t bytes() const { return bytes_; }

private:
    std::vector<Buffer> kept_;
    std::size_t most_;
    std::size_t bytes_ = 0;
    std::size_t unused_ = 0;  // the fewest bytes that were kept since the last `age`
};

}  // namespace understudy
