// Frames: a 4-byte big-endian length, then a payload of that length. Bytes in, payloads out; no socket.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/base/check.hpp>
#include <understudy/error.hpp>
#include <understudy/wire/text.hpp>

namespace understudy::wire {

inline constexpr std::size_t frame_header = 4;

/// Leaves room for a frame's length at the end of `out`; append the payload, then `end_frame` with what this returns.
inline std::size_t begin_frame(std::string& out) {
    out.append(frame_header, '\0');
    return out.size();
}
/// Writes the length of what was appended since `begin_frame`, and returns it. A payload is below 4 GiB.
inline std::size_t end_frame(std::string& out, std::size_t payload_start) {
    const auto length = out.size() - payload_start;
    UNDERSTUDY_CHECK(length <= std::numeric_limits<std::uint32_t>::max());
    for (std::size_t i = 0; i < frame_header; ++i)
        out[payload_start - frame_header + i] = static_cast<char>(length >> (8 * (frame_header - 1 - i)) & 0xFF);
    return length;
}
inline void append_frame(std::string& out, std::string_view payload) {
    const auto start = begin_frame(out);
    out.append(payload);
    end_frame(out, start);
}

/// The payload of the error that a party sends before it closes a connection whose bytes are no messages.
inline std::string connection_error(error code, std::string_view text) {
    std::string out = R"({"jsonrpc":"2.0","id":null,"error":{"code":)";
    append_number(out, wire_code(code));
    out += R"(,"message":)";
    append_prose(out, text);
    out += R"(,"data":{"name":)";
    append_prose(out, to_string(code));
    out += "}}}";
    return out;
}

/// Memory to read into that many decoders share: one borrows it for a read and gives it back.
struct FrameRoom {
    explicit FrameRoom(std::size_t bytes) : size{bytes}, memory{std::make_unique_for_overwrite<char[]>(bytes)} {}
    std::size_t size;
    std::unique_ptr<char[]> memory;
};

/// Takes bytes as they come and gives out whole payloads. What it holds is bounded by the bytes that came and were
/// not taken yet, at most one frame if payloads are taken after each read: the announced length reserves nothing.
class FrameDecoder {
public:
    /// So many bytes of a frame, at most, are moved into a borrowed room; behind them is what it has for reading.
    static constexpr std::size_t most_moved = 16u << 10;

    explicit FrameDecoder(std::size_t max_frame) : max_frame_{max_frame} {}

    /// The next read goes into `room`, so that a decoder between two frames holds nothing. Not if more of a frame has
    /// come than is worth moving there.
    void borrow(FrameRoom& room) {
        if (pending() > most_moved) return;
        move_to(room.memory, room.size);
        room.memory.reset();
        borrowed_ = true;
    }
    /// Ends the validity of payloads. What is pending moves to memory of its own, of its size, unless it has such.
    void give_back(FrameRoom& room) {
        const auto held = pending();
        if (!borrowed_ && held >= capacity_ / 4) return held > 0 ? void() : release();
        auto own = held > 0 ? std::make_unique_for_overwrite<char[]>(held) : nullptr;
        if (borrowed_) room.size = capacity_;
        move_to(own, held);
        if (borrowed_) room.memory = std::move(own);
        borrowed_ = false;
    }
    /// How many bytes the next read should ask for, `most` at most. In memory of its own a frame grows by no more than
    /// what has come of it, and not beyond its end.
    std::size_t appetite(std::size_t most) const {
        const auto held = pending();
        if (borrowed_ || held < frame_header || whole() <= held) return most;
        return std::min({most, held, whole() - held});
    }

    /// Room for the next `size` bytes, to read into; ends the validity of payloads.
    std::span<char> prepare(std::size_t size) {
        make_room(size);
        return {buffer_.get() + filled_, size};
    }
    /// The first `size` bytes of what `prepare` gave are there.
    void commit(std::size_t size) { filled_ += size; }

    void feed(std::string_view bytes) {
        if (bytes.empty()) return;
        std::memcpy(prepare(bytes.size()).data(), bytes.data(), bytes.size());
        commit(bytes.size());
    }

    /// The next whole payload, valid until `prepare` or `feed`; nothing if more bytes are needed or `failed()`.
    std::optional<std::string_view> next() {
        if (failed() || pending() < frame_header) return std::nullopt;
        const char* const start = buffer_.get() + taken_;
        const auto length = announced(start);
        if (length > max_frame_)
            return fail(error::too_large, "a frame of " + std::to_string(length) + " bytes exceeds the limit of " +
                                              std::to_string(max_frame_) + " bytes");
        if (length == 0) return fail(error::parse_error, "an empty frame");
        if (pending() == frame_header) return std::nullopt;
        if (const char first = start[frame_header]; first != '{' && first != '[')
            return fail(error::parse_error, "a payload starts with byte " + std::to_string(std::uint8_t(first)) +
                                                ", not with { or [");
        if (pending() - frame_header < length) return std::nullopt;
        taken_ += frame_header + length;
        return std::string_view{start + frame_header, length};
    }

    /// The bytes are no frames; nothing more comes out.
    bool failed() const { return !what_.empty(); }
    error code() const { return code_; }
    const std::string& what() const { return what_; }

    /// Bytes that came and were not taken; after `next()` gave nothing, those of a frame that is not whole yet.
    std::size_t pending() const { return filled_ - taken_; }
    /// Bytes of memory held, without what is borrowed.
    std::size_t capacity() const { return borrowed_ ? 0 : capacity_; }

private:
    // An emptied buffer above this is given back: a connection keeps no memory for a large frame of long ago.
    static constexpr std::size_t kept_when_empty = 256u << 10;

    static std::size_t announced(const char* header) {
        std::size_t length = 0;
        for (std::size_t i = 0; i < frame_header; ++i) length = length << 8 | static_cast<unsigned char>(header[i]);
        return length;
    }

    std::optional<std::string_view> fail(error code, std::string what) {
        code_ = code;
        what_ = std::move(what);
        return std::nullopt;
    }

    /// The frame that has begun, with its header.
    std::size_t whole() const { return frame_header + announced(buffer_.get() + taken_); }

    /// Takes `memory`, puts what is pending there, and leaves the former memory in its place.
    void move_to(std::unique_ptr<char[]>& memory, std::size_t size) {
        const auto held = pending();
        if (held > 0) std::memcpy(memory.get(), buffer_.get() + taken_, held);
        std::swap(memory, buffer_);
        capacity_ = size;
        taken_ = 0;
        filled_ = held;
    }
    void release() {
        buffer_.reset();
        capacity_ = taken_ = filled_ = 0;
    }

    // What is pending moves to the front only when the room behind it is used up, and then the buffer doubles if more
    // than half of it is pending: each byte is moved a bounded number of times.
    void make_room(std::size_t size) {
        const auto held = pending();
        if (held == 0) {
            taken_ = filled_ = 0;
            if (!borrowed_ && capacity_ > std::max(kept_when_empty, size)) release();
        }
        if (capacity_ - filled_ >= size) return;
        if (held + size <= capacity_ && held <= capacity_ / 2) {
            std::memmove(buffer_.get(), buffer_.get() + taken_, held);
        } else {
            const bool one_frame = held >= frame_header && held < whole();
            capacity_ = std::max(held + size, one_frame ? std::min(held * 2, whole()) : held * 2);
            auto larger = std::make_unique_for_overwrite<char[]>(capacity_);
            if (held > 0) std::memcpy(larger.get(), buffer_.get() + taken_, held);
            buffer_ = std::move(larger);
        }
        taken_ = 0;
        filled_ = held;
    }

    std::size_t max_frame_;
    std::unique_ptr<char[]> buffer_;
    std::size_t capacity_ = 0;
    std::size_t taken_ = 0;   // bytes of the buffer given out
    std::size_t filled_ = 0;  // bytes of the buffer that came
    bool borrowed_ = false;
    error code_ = error::internal;
    std::string what_;
};

}  // namespace understudy::wire
