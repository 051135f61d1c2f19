// Strings that were used and may be filled again, so that a new text needs no memory from the heap.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace understudy {

/// Keeps the memory of strings that are no longer needed, up to a number of bytes. A copy starts without any, and two
/// are always equal: what is kept is no part of the value of an object that has one.
class TextBuffers {
public:
    /// Bytes that are kept.
    static constexpr std::size_t most_kept = 256u << 10;
    /// Bytes of a text whose memory is kept. A short text would hold that of a longer one for as long as it lives.
    static constexpr std::size_t longest = 4096;

    TextBuffers() = default;
    TextBuffers(const TextBuffers&) noexcept {}
    TextBuffers(TextBuffers&&) noexcept = default;
    TextBuffers& operator=(const TextBuffers&) noexcept { return *this; }
    TextBuffers& operator=(TextBuffers&&) noexcept = default;
    ~TextBuffers() = default;

    /// An empty string, with memory if there is any.
    std::string take() {
        if (kept_.empty()) return {};
        auto text = std::move(kept_.back());
        kept_.pop_back();
        bytes_ -= text.capacity();
        return text;
    }
    /// Takes over the memory of a string.
    void give(std::string&& text) {
        if (text.capacity() < fewest || text.capacity() > longest || text.capacity() > most_kept - bytes_) return;
        text.clear();
        bytes_ += text.capacity();
        kept_.push_back(std::move(text));
    }
    /// Bytes that are kept at present.
    std::size_t bytes() const { return bytes_; }

    friend bool operator==(const TextBuffers&, const TextBuffers&) { return true; }

private:
    static constexpr std::size_t fewest = 32;  // a shorter string has its text in itself

    std::vector<std::string> kept_;
    std::size_t bytes_ = 0;
};

}  // namespace understudy
