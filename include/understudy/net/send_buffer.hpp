// What a connection has to send: frames, in blocks of memory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/buffer.hpp>

#include <understudy/base/spare_buffers.hpp>
#include <understudy/wire/frame.hpp>

namespace understudy::net {

/// The memory of send buffers that are empty.
using SpareBlocks = SpareBuffers<std::string>;

/// Bytes that were appended to send and that the kernel has not taken yet. A frame lies in one block. The next one gets
/// a block of its own once a block has `full_block` bytes: so what waits is never moved to make room for more.
class SendBuffer {
public:
    void append_frame(std::string_view payload, SpareBlocks& spare) {
        auto& block = begin_frame(spare);
        block.append(payload);
        end_frame();
    }
    /// Begins a frame. Append its payload to what this returns, and end or drop it before anything else is done.
    std::string& begin_frame(SpareBlocks& spare) {
        if (last_.size() >= full_block) {
            waiting_ += last_.size();
            full_.push_back(std::exchange(last_, {}));
        }
        if (last_.empty() && last_.capacity() < usual_) {
            last_ = spare.take(usual_);
            last_.clear();  // of what it was used for before
        }
        frame_ = wire::begin_frame(last_);
        return last_;
    }
    void end_frame() { wire::end_frame(last_, frame_); }
    /// Removes the frame that was begun or ended last, and returns its payload.
    std::string drop_frame() {
        auto payload = last_.substr(frame_);
        last_.resize(frame_ - wire::frame_header);
        return payload;
    }
    bool empty() const { return size() == 0; }
    std::size_t size() const { return waiting_ + last_.size() - sent_; }
    /// What is to be sent next: the first block that has anything.
    asio::const_buffer data() const {
        const auto& block = first_ < full_.size() ? full_[first_] : last_;
        return asio::buffer(block.data() + sent_, block.size() - sent_);
    }

    /// The first `count` bytes of `data()` were sent. Blocks that were sent go to `spare`.
    void consume(std::size_t count, SpareBlocks& spare) {
        sent_ += count;
        if (first_ < full_.size()) {
            if (sent_ < full_[first_].size()) return;
            waiting_ -= sent_;
            sent_ = 0;
            spare.give(std::move(full_[first_++]));
            if (first_ == full_.size()) full_.clear(), first_ = 0;
        }
        if (empty()) clear(spare);
    }
    /// Drops what waits. A large block goes to `spare`.
    void clear(SpareBlocks& spare) {
        for (; first_ < full_.size(); ++first_) spare.give(std::move(full_[first_]));
        usual_ = last_.size() > kept_when_empty ? last_.size() : 0;
        last_.clear();
        if (last_.capacity() > kept_when_empty) spare.give(std::exchange(last_, {}));
        full_.clear();
        first_ = waiting_ = sent_ = 0;
    }
    /// Bytes of heap memory. The bytes inside the string object itself do not count.
    std::size_t memory() const {
        std::size_t bytes = last_.capacity() > sizeof last_ ? last_.capacity() : 0;
        for (const auto& block : full_) bytes += block.capacity();
        return bytes;
    }
    /// Frees the memory and drops its content.
    void release() {
        std::string{}.swap(last_);  // by assignment a string might keep its memory
        std::vector<std::string>{}.swap(full_);
        first_ = waiting_ = sent_ = usual_ = 0;
    }

private:
    static constexpr std::size_t full_block = 64u << 10, kept_when_empty = 64u << 10;

    std::string last_;               // where the next frame goes
    std::vector<std::string> full_;  // to be sent before it
    std::size_t first_ = 0;          // the first of these that was not sent
    std::size_t waiting_ = 0;        // bytes in these
    std::size_t sent_ = 0;           // bytes of the first block that were sent
    std::size_t frame_ = 0;          // where the payload of the last frame begins that was written in place
    std::size_t usual_ = 0;          // bytes of the last block, if they were many
};

}  // namespace understudy::net
