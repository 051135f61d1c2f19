// Recycles the memory of handled messages. In steady state, when as many messages arrive as are handled, receiving
// allocates no memory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/base/spare_buffers.hpp>
#include <understudy/transport.hpp>

namespace understudy::net {

/// A pool of at most `most` (512) spare messages, each with at most `largest` (1024) bytes of payload memory, so that
/// the pool holds at most about half a megabyte; and of the memory of large payloads.
class ArrivalPool {
public:
    /// A message with these contents. Uses the memory of a spare message if there is one.
    Delivered fill(const Peer& from, std::string_view payload) {
        if (payload.size() >= LargePayloads::least) {
            Delivered filled{from, large_.take(payload.size())};
            filled.payload = payload;
            return filled;
        }
        if (spare_.empty()) return {from, std::string{payload}};
        auto filled = std::move(spare_.back());
        spare_.pop_back();
        filled.from = from;
        filled.payload = payload;
        return filled;
    }
    /// An empty vector of events that has the capacity of an earlier turn, if `take_back` has returned one.
    TransportEvents empty_turn() { return std::exchange(turn_, {}); }

    /// Takes handled events and keeps the memory of those that fit the pool.
    void take_back(TransportEvents&& used) {
        for (auto& arrival : used) {
            auto* message = std::get_if<Delivered>(&arrival);
            if (!message) continue;
            if (message->payload.capacity() > largest) large_.give(std::move(message->payload));
            else if (spare_.size() < most) spare_.push_back(std::move(*message));
        }
        used.clear();
        if (used.capacity() <= most) turn_ = std::move(used);
    }

    /// Frees the memory of large payloads that was not needed since the last call.
    void age() { large_.age(); }
    /// Bytes of that memory.
    std::size_t spare() const { return large_.bytes(); }

private:
    using LargePayloads = SpareBuffers<std::string>;
    static constexpr std::size_t most = 512, largest = 1024;

    std::vector<Delivered> spare_;
    LargePayloads large_;
    TransportEvents turn_;
};

}  // namespace understudy::net
