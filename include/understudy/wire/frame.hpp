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
#include <understudy/base/spare_buffers.hpp>
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

/// Memory to receive into. One that many decoders share is borrowed for a read by one at a time, so that an idle
/// connection needs no memory of its own.
struct FrameRoom {
    FrameRoom() = default;
    explicit FrameRoom(std::size_t bytes) : size{bytes}, memory{std::make_unique_for_overwrite<char[]>(bytes)} {}
    std::size_t size = 0;
    std::unique_ptr<char[]> memory;
};
inline std::size_t heap_bytes(const FrameRoom& room) { return room.size; }
/// Memory of large frames, for those that follow.
using SpareRooms = SpareBuffers<FrameRoom>;

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
    /// Memory of its own may be so many times as large as what is pending.
    static constexpr std::size_t most_slack = 4;

    /// Refuses frames whose payload exceeds `max_frame` bytes.
    explicit FrameDecoder(std::size_t max_frame) : max_frame_{max_frame} {}

    /// Lets the next read go into `room`, and moves the pending bytes there. Does nothing if more than `most_moved`
    /// bytes are pending. `room` must have its memory, that is, no other decoder has borrowed it. Where a large frame
    /// was the last and none has begun, a spare room of that size is used instead, if there is one: the next frame
    /// mostly is as large, and would have to be copied out of the shared room.
    void borrow(FrameRoom& room, SpareRooms& spare) {
        if (pending() > most_moved) return;
        if (pending() == 0 && usual_ > 0)
            if (auto own = spare.take(usual_, 2); own.size > 0) return spare.give(replace(std::move(own)));
        spare.give(replace(std::move(room)));
        borrowed_ = true;
    }
    /// Returns borrowed memory. Pending bytes move to memory of their own: a spare room for the whole frame if half
    /// of it is there, otherwise of exactly their size. The same happens to pending bytes in memory of their own
    /// that is more than `most_slack` times too large. Payloads become invalid. The room may come back larger than it
    /// was, if a read needed that.
    void give_back(FrameRoom& room, SpareRooms& spare) {
        const auto held = pending();
        if (!borrowed_ && held > 0 && held >= room_.size / most_slack) return;
        FrameRoom own;
        if (borrowed_ && deserves_whole()) own = spare.take(whole(), 2);
        if (own.size == 0 && held > 0) own = FrameRoom{held};
        auto former = replace(std::move(own));
        if (std::exchange(borrowed_, false)) room = std::move(former);
        else spare.give(std::move(former));
    }
    /// The number of bytes that the next read should ask for, at most `most`. A frame in memory of its own asks for
    /// what fits there, or if it is full for no more than was already received of it, and not beyond its end: so its
    /// memory grows only as the peer sends.
    std::size_t appetite(std::size_t most) const {
        const auto held = pending(), left = room_.size - filled_;
        if (borrowed_) return most;
        if (held < frame_header || whole() <= held) return left > 0 ? left : most;
        return std::min(left > 0 ? left : std::min(most, held), whole() - held);
    }

    /// Room for the next `size` bytes, to read into. Payloads become invalid. Each byte is moved a bounded number of
    /// times, whatever the sizes of the reads. `spare`, if given, is where more memory may come from.
    std::span<char> prepare(std::size_t size, SpareRooms* spare = nullptr) {
        make_room(size, spare);
        return {room_.memory.get() + filled_, size};
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
        const char* const start = room_.memory.get() + taken_;
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
        usual_ = length >= SpareRooms::least ? frame_header + length : 0;
        return std::string_view{start + frame_header, length};
    }

    /// True if the bytes are no frames. Then `next` gives nothing more, and `code()` and `what()` say why.
    bool failed() const { return !what_.empty(); }
    error code() const { return code_; }
    const std::string& what() const { return what_; }

    /// Bytes that were received and not taken. After `next()` gave nothing, these belong to an incomplete frame.
    std::size_t pending() const { return filled_ - taken_; }
    /// Bytes of memory that this decoder owns, without borrowed memory.
    std::size_t capacity() const { return borrowed_ ? 0 : room_.size; }

private:
    // Without spare rooms an empty buffer larger than this is freed: the memory of one large frame must not stay.
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
    std::size_t whole() const { return frame_header + announced(room_.memory.get() + taken_); }

    /// Whether so much of the pending frame is there that it gets memory of its whole size.
    bool deserves_whole() const {
        const auto held = pending();
        return held > most_moved && held < whole() && held >= whole() / 2;
    }
    /// Moves the pending bytes into `room`, and returns the former room.
    FrameRoom replace(FrameRoom&& room) {
        const auto held = pending();
        if (held > 0) std::memcpy(room.memory.get(), room_.memory.get() + taken_, held);
        taken_ = 0;
        filled_ = held;
        return std::exchange(room_, std::move(room));
    }

    // The pending bytes move to the front only when the room behind them is used up. If they fill more than half of the
    // buffer, or the new bytes would not fit, they move to a larger buffer instead: twice the pending bytes, but hardly
    // beyond the end of a single pending frame, and never less than is needed. So each byte is moved a bounded number
    // of times. A little more than the frame is taken, for the next one that may be a little longer.
    void make_room(std::size_t size, SpareRooms* spare) {
        const auto held = pending();
        if (held == 0) {
            taken_ = filled_ = 0;
            if (!spare && !borrowed_ && room_.size > std::max(kept_when_empty, size)) replace({});
        }
        if (room_.size - filled_ >= size) return;
        if (held + size <= room_.size && held <= room_.size / 2) {
            std::memmove(room_.memory.get(), room_.memory.get() + taken_, held);
            taken_ = 0;
            filled_ = held;
            return;
        }
        const bool one_frame = held >= frame_header && held < whole();
        FrameRoom larger;
        if (spare && deserves_whole()) larger = spare->take(std::max(held + size, whole()), 2);
        if (larger.size == 0) {
            const auto enough = one_frame ? whole() + whole() / 16 : held * 2;
            larger = FrameRoom{std::max(held + size, std::min(held * 2, enough))};
        }
        auto former = replace(std::move(larger));
        if (spare && !borrowed_) spare->give(std::move(former));
    }

    std::size_t max_frame_;
    FrameRoom room_;
    std::size_t taken_ = 0;   // bytes at the front of the buffer that `next` has given out
    std::size_t filled_ = 0;  // bytes of the buffer that were received
    std::size_t usual_ = 0;   // bytes of the last frame, if it was large
    bool borrowed_ = false;
    error code_ = error::internal;
    std::string what_;  // not empty: the bytes are no frames
};

}  // namespace understudy::wire
