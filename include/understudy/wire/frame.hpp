// Frames: a 4-byte big-endian length, then a payload of that length. This file turns the byte stream of a connection
// into payloads and back; it does not touch a socket, so it can be tested and fuzzed alone.
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

/// Appends room for a frame's length to `out` and returns where the payload starts. Append the payload next, then call
/// `end_frame` with the returned number. So a message is encoded in place and not copied into its frame.
inline std::size_t begin_frame(std::string& out) {
    out.append(frame_header, '\0');
    return out.size();
}
/// Writes the length of everything appended since `begin_frame`, and returns it. A payload must be below 4 GiB
/// (checked).
inline std::size_t end_frame(std::string& out, std::size_t payload_start) {
    const auto length = out.size() - payload_start;
    UNDERSTUDY_CHECK(length <= std::numeric_limits<std::uint32_t>::max());
    for (std::size_t i = 0; i < frame_header; ++i)
        out[payload_start - frame_header + i] = static_cast<char>(length >> (8 * (frame_header - 1 - i)) & 0xFF);
    return length;
}
/// Appends a whole frame around a copy of `payload`.
inline void append_frame(std::string& out, std::string_view payload) {
    const auto start = begin_frame(out);
    out.append(payload);
    end_frame(out, start);
}

/// The payload of the error that a node sends before it closes a connection whose bytes are no frames. Its id is
/// `null`, since it answers no request that could be read.
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

/// Receive memory that many decoders share. One decoder at a time borrows it for a read and gives it back, so that an
/// idle connection needs no memory of its own.
struct FrameRoom {
    explicit FrameRoom(std::size_t bytes) : size{bytes}, memory{std::make_unique_for_overwrite<char[]>(bytes)} {}
    std::size_t size;
    std::unique_ptr<char[]> memory;
};

/// Takes bytes as they are received and gives out whole payloads. Its pending data is bounded by the bytes that were
/// received and not taken yet. That is less than one frame if all payloads are taken after each read. The announced
/// length alone reserves no memory: otherwise a peer could make a server allocate `max_frame` bytes by sending four.
///
/// Use: `prepare`, read into it, `commit`, then `next` until it gives nothing. After a malformed frame `failed()` is
/// true for good, and the connection must be closed: the start of the next frame is unknown.
class FrameDecoder {
public:
    /// At most so many pending bytes are copied into borrowed memory; the rest of that memory is for reading. A larger
    /// pending frame stays in memory of its own, since copying it at each read would cost more than the memory saves.
    static constexpr std::size_t most_moved = 16u << 10;

    /// Refuses frames whose payload exceeds `max_frame` bytes.

    explicit FrameDecoder(std::size_t max_frame) : max_frame_{max_frame} {}

    /// Lets the next read go into `room`, and moves the pending bytes there. Does nothing if more than `most_moved`
    /// bytes are pending. `room` must have its memory, that is, no other decoder has borrowed it.
    void borrow(FrameRoom& room) {
        if (pending() > most_moved) return;
        move_to(room.memory, room.size);
        room.memory.reset();
        borrowed_ = true;
    }
    /// Returns borrowed memory. Pending bytes move to memory of their own of exactly their size. The same happens to
    /// pending bytes in memory of their own that is more than four times too large. Payloads become invalid. The room
    /// may come back larger than it was, if a read needed that.
    void give_back(FrameRoom& room) {
        const auto held = pending();
        if (!borrowed_ && held >= capacity_ / 4) return held > 0 ? void() : release();
        auto own = held > 0 ? std::make_unique_for_overwrite<char[]>(held) : nullptr;
        if (borrowed_) room.size = capacity_;
        move_to(own, held);
        if (borrowed_) room.memory = std::move(own);
        borrowed_ = false;
    }
    /// The number of bytes that the next read should ask for, at most `most`. A frame in memory of its own asks for no
    /// more than was already received of it, and not beyond its end: so its memory grows only as the peer sends.
    std::size_t appetite(std::size_t most) const {
        const auto held = pending();
        if (borrowed_ || held < frame_header || whole() <= held) return most;
        return std::min({most, held, whole() - held});
    }

    /// Room for the next `size` bytes, to read into. Payloads become invalid. Each byte is moved a bounded number of
    /// times, whatever the sizes of the reads.
    std::span<char> prepare(std::size_t size) {
        make_room(size);
        return {buffer_.get() + filled_, size};
    }
    /// Records that the first `size` bytes of the room from `prepare` were received.
    void commit(std::size_t size) { filled_ += size; }

    /// Takes a copy of received bytes. Payloads become invalid.
    void feed(std::string_view bytes) {
        if (bytes.empty()) return;
        std::memcpy(prepare(bytes.size()).data(), bytes.data(), bytes.size());
        commit(bytes.size());
    }

    /// The next whole payload, valid until `prepare`, `feed`, `borrow` or `give_back`. Nothing if more bytes are
    /// needed, or after a fault; see `failed()`. A bad length or first byte is found before the payload is complete, so
    /// that a peer which speaks another protocol is refused at once.
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

    /// True if the bytes are no frames. Then `next` gives nothing more, and `code()` and `what()` say why.
    bool failed() const { return !what_.empty(); }
    error code() const { return code_; }
    const std::string& what() const { return what_; }

    /// Bytes that were received and not taken. After `next()` gave nothing, these belong to an incomplete frame.
    std::size_t pending() const { return filled_ - taken_; }
    /// Bytes of memory that this decoder owns, without borrowed memory.
    std::size_t capacity() const { return borrowed_ ? 0 : capacity_; }

private:
    // An empty buffer larger than this is freed: a connection must not keep the memory of one large frame for good.
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

    /// The size of the pending frame with its header. Its header must have been received.
    std::size_t whole() const { return frame_header + announced(buffer_.get() + taken_); }

    /// Copies the pending bytes into `memory` (of `size` bytes), makes that the buffer, and leaves the former buffer in
    /// `memory`.
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

    // The pending bytes move to the front only when the room behind them is used up. If they fill more than half of the
    // buffer, or the new bytes would not fit, they move to a larger buffer instead: twice the pending bytes, but not
    // beyond the end of a single pending frame, and never less than is needed. So each byte is moved a bounded number
    // of times.
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
    std::size_t taken_ = 0;   // bytes at the front of the buffer that `next` has given out
    std::size_t filled_ = 0;  // bytes of the buffer that were received
    bool borrowed_ = false;
    error code_ = error::internal;
    std::string what_;  // not empty: the bytes are no frames
};

}  // namespace understudy::wire
