// The bytes of one connection: frames that were received, as views into the buffer that the kernel filled; and frames
// that are to be sent. Buffers grow and are kept, and nothing clears them first, as a string would.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/buffer.hpp>

#include <understudy/view.hpp>
#include <understudy/wire/frame.hpp>
#include <understudy/wire/utf8.hpp>

namespace understudy::bench::prototype {

/// Writes JSON to memory in which there is room enough.
class TextWriter {
public:
    explicit TextWriter(char* at) : at_{at} {}
    char* end() const { return at_; }

    TextWriter& operator<<(std::string_view text) {
        std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
        return *this;
    }
    TextWriter& operator<<(std::uint64_t number) {
        at_ = std::to_chars(at_, at_ + 20, number).ptr;
        return *this;
    }
    TextWriter& operator<<(Position it) { return *this << "[" << it.view << "," << it.index << "]"; }

    /// Writes a string in quotes. It needs `slack` bytes more than it writes.
    TextWriter& quote(std::string_view text) {
        const char* from = text.data();
        const char* const end = from + text.size();
        *at_++ = '"';
        at_ = wire::copy_plain(at_, from, end);
        if (from != end) throw std::runtime_error{"the prototype has no escapes"};
        *at_++ = '"';
        return *this;
    }
    static constexpr std::size_t slack = 24;

private:
    char* at_;
};

/// Memory that grows at its end.
class Bytes {
public:
    char* data() const { return data_.get(); }
    std::size_t size() const { return size_; }
    std::size_t capacity() const { return capacity_; }
    void resize(std::size_t size) { size_ = size; }
    /// Makes room for `more` bytes behind the end, and returns the end.
    char* room(std::size_t more) {
        if (capacity_ - size_ < more) grow(std::max(size_ + more, 2 * capacity_));
        return data() + size_;
    }
    void grow(std::size_t capacity) {
        if (capacity <= capacity_) return;
        auto larger = std::make_unique_for_overwrite<char[]>(capacity);
        if (size_ > 0) std::memcpy(larger.get(), data(), size_);
        data_ = std::move(larger);
        capacity_ = capacity;
    }

private:
    std::unique_ptr<char[]> data_;
    std::size_t size_ = 0, capacity_ = 0;
};

/// Frames that wait to be sent. A long text is not copied but lent: it is sent from where it lies, and must stay there
/// until the peer has answered.
class SendBuffer {
public:
    void begin_frame() {
        own_.room(wire::frame_header);
        own_.resize(own_.size() + wire::frame_header);
        frame_ = own_.size();
        lent_in_frame_ = 0;
    }
    void end_frame() {
        const auto length = own_.size() - frame_ + lent_in_frame_;
        for (std::size_t i = 0; i < wire::frame_header; ++i)
            own_.data()[frame_ - 1 - i] = static_cast<char>(length >> (8 * i) & 0xFF);
    }
    /// A writer at the end, with room for `size` bytes; `wrote` says where it has come to.
    TextWriter room(std::size_t size) { return TextWriter{own_.room(size)}; }
    void wrote(const TextWriter& to) { own_.resize(static_cast<std::size_t>(to.end() - own_.data())); }
    /// Adds a text that stays where it is.
    void add(std::string_view text) {
        if (text.size() < lent_from) return wrote(room(text.size()) << text);
        lent_.push_back({own_.size(), text});
        lent_in_frame_ += text.size();
    }

    bool empty() const { return own_sent_ == own_.size() && lent_sent_ == lent_.size(); }
    /// The pieces that come next, as many as fit into `to`.
    template <std::size_t most>
    std::span<const asio::const_buffer> pieces(std::array<asio::const_buffer, most>& to) const {
        std::size_t count = 0, own = own_sent_, part = lent_part_, next = lent_sent_;
        for (; next < lent_.size() && count + 2 <= most; ++next, part = 0) {
            const auto& lent = lent_[next];
            if (lent.at > own) to[count++] = {own_.data() + own, lent.at - own};
            own = lent.at;
            to[count++] = {lent.text.data() + part, lent.text.size() - part};
        }
        if (next == lent_.size() && own < own_.size() && count < most)
            to[count++] = {own_.data() + own, own_.size() - own};
        return {to.data(), count};
    }
    /// The first `count` bytes were sent.
    void sent(std::size_t count) {
        while (count > 0) {
            const bool all_lent = lent_sent_ == lent_.size();
            const auto own = (all_lent ? own_.size() : lent_[lent_sent_].at) - own_sent_;
            if (const auto taken = std::min(own, count); taken > 0) {
                own_sent_ += taken;
                count -= taken;
                continue;
            }
            const auto left = lent_[lent_sent_].text.size() - lent_part_;
            const auto taken = std::min(left, count);
            lent_part_ = taken == left ? 0 : lent_part_ + taken;
            lent_sent_ += taken == left ? 1 : 0;
            count -= taken;
        }
        if (empty()) return clear();
        if (own_sent_ > own_.size() / 2) drop_sent();
    }
    void clear() {
        own_.resize(0);
        lent_.clear();
        own_sent_ = lent_sent_ = lent_part_ = 0;
    }
    void release() { *this = {}; }

private:
    struct Lent {
        std::size_t at;  // what was written before it
        std::string_view text;
    };
    // Shorter texts cost less to copy than the kernel takes for one more piece.
    static constexpr std::size_t lent_from = 8u << 10;

    // A buffer that is never empty must not grow for ever.
    void drop_sent() {
        lent_.erase(lent_.begin(), lent_.begin() + static_cast<std::ptrdiff_t>(std::exchange(lent_sent_, 0)));
        for (auto& lent : lent_) lent.at -= own_sent_;
        const auto left = own_.size() - std::exchange(own_sent_, 0);
        std::memmove(own_.data(), own_.data() + own_.size() - left, left);
        own_.resize(left);
    }

    Bytes own_;
    std::vector<Lent> lent_;
    std::size_t frame_ = 0, lent_in_frame_ = 0;                 // of the frame that was begun last
    std::size_t own_sent_ = 0, lent_sent_ = 0, lent_part_ = 0;  // bytes; whole texts, and bytes of the next one
};

/// A connection within a process. No number is used again.
using PeerNumber = std::uint32_t;

/// The send buffers of all peers, and which of them were written to in this turn.
class Outbox {
public:
    void add_peer() { links_.emplace_back(); }
    /// What is sent to this peer at the end of the turn.
    SendBuffer& to(PeerNumber peer) {
        auto& link = links_[peer];
        if (!std::exchange(link.due, true)) due_.push_back(peer);
        return link.buffer;
    }
    /// Calls `flush(peer, buffer)` for each that was written to.
    void flush(auto&& flush) {
        for (const auto peer : due_) {
            links_[peer].due = false;
            flush(peer, links_[peer].buffer);
        }
        due_.clear();
    }
    SendBuffer& buffer(PeerNumber peer) { return links_[peer].buffer; }

private:
    struct Link {
        SendBuffer buffer;
        bool due = false;
    };
    std::deque<Link> links_;
    std::vector<PeerNumber> due_;
};

/// Bytes that were received. Whole frames are handled where they lie.
class ReceiveBuffer {
public:
    /// Where to read to.
    asio::mutable_buffer room() {
        bytes_.grow(wanted_);
        return {bytes_.data() + bytes_.size(), bytes_.capacity() - bytes_.size()};
    }
    /// `count` bytes more were read: calls `each(payload)` for every frame that is whole.
    void received(std::size_t count, auto&& each) {
        const bool full = bytes_.size() + count == bytes_.capacity();
        if (full) wanted_ = std::max(wanted_, std::min(4 * bytes_.capacity(), most_of_small));
        bytes_.resize(bytes_.size() + count);
        const char* at = bytes_.data();
        for (std::size_t left = bytes_.size(), frame = 0;; at += frame, left -= frame) {
            frame = left < wire::frame_header ? left + 1 : wire::frame_header + announced(at);
            if (left >= frame) {
                each(std::string_view{at + wire::frame_header, frame - wire::frame_header});
                continue;
            }
            wanted_ = std::max(wanted_, frame);
            std::memmove(bytes_.data(), at, left);
            return bytes_.resize(left);
        }
    }
    void release() { bytes_ = {}; }

private:
    // A turn of about 32 KiB lets three processes work at once; a single frame may be larger.
    static constexpr std::size_t most_of_small = 32u << 10, most_of_frame = 64u << 20;

    static std::size_t announced(const char* header) {
        std::size_t length = 0;
        for (std::size_t i = 0; i < wire::frame_header; ++i)
            length = length << 8 | static_cast<unsigned char>(header[i]);
        if (length > most_of_frame) throw std::runtime_error{"the prototype received a frame that is too large"};
        return length;
    }

    Bytes bytes_;
    std::size_t wanted_ = 4u << 10;  // of the capacity
};

}  // namespace understudy::bench::prototype
