// What a connection has to send: frames, one after the other, in one block of memory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <asio/buffer.hpp>

#include <understudy/wire/frame.hpp>

namespace understudy::net {

/// Bytes that were appended to send and that the kernel has not taken yet.
class SendBuffer {
public:
    void append_frame(std::string_view payload) { wire::append_frame(bytes_, payload); }
    /// Begins a frame. Append its payload to what this returns, and end or drop it before anything else is done.
    std::string& begin_frame() {
        frame_ = wire::begin_frame(bytes_);
        return bytes_;
    }
    void end_frame() { wire::end_frame(bytes_, frame_); }
    /// Removes the frame that was begun or ended last, and returns its payload.
    std::string drop_frame() {
        auto payload = bytes_.substr(frame_);
        bytes_.resize(frame_ - wire::frame_header);
        return payload;
    }
    bool empty() const { return sent_ == bytes_.size(); }
    std::size_t size() const { return bytes_.size() - sent_; }
    asio::const_buffer data() const { return asio::buffer(bytes_.data() + sent_, size()); }

    void consume(std::size_t count) {
        sent_ += count;
        if (empty()) return clear();
        if (sent_ < bytes_.size() / 2) return;  // moves at most as many bytes as were sent: amortized O(1) a byte
        bytes_.erase(0, sent_);
        sent_ = 0;
    }
    void clear() {
        if (bytes_.capacity() > kept_when_empty) release();
        bytes_.clear();
        sent_ = 0;
    }
    /// Bytes of heap memory. The bytes inside the string object itself do not count.
    std::size_t memory() const { return bytes_.capacity() > sizeof bytes_ ? bytes_.capacity() : 0; }
    /// Frees the memory and drops its content.
    void release() {
        std::string{}.swap(bytes_);
        sent_ = 0;
    }

private:
    static constexpr std::size_t kept_when_empty = 256u << 10;
    std::string bytes_;
    std::size_t sent_ = 0;
    std::size_t frame_ = 0;  // where the payload of the last frame begins that was written in place
};

}  // namespace understudy::net
