// Messages that were read and taken, kept for their memory: where as many come as went, none is allocated.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/transport.hpp>

namespace understudy::net {

/// Holds at most `most` messages of at most `largest` bytes each.
class ArrivalPool {
public:
    Delivered fill(const Address& from, std::string_view payload) {
        if (spare_.empty()) return {from, std::string{payload}};
        auto filled = std::move(spare_.back());
        spare_.pop_back();
        filled.from = from;
        filled.payload = payload;
        return filled;
    }
    /// An empty turn, with the room of a former one.
    Arrivals empty_turn() { return std::exchange(turn_, {}); }

    void take_back(Arrivals&& used) {
        for (auto& arrival : used) {
            auto* message = std::get_if<Delivered>(&arrival);
            if (!message || message->payload.capacity() > largest || spare_.size() == most) continue;
            spare_.push_back(std::move(*message));
        }
        used.clear();
        if (used.capacity() <= most) turn_ = std::move(used);
    }

private:
    static constexpr std::size_t most = 512, largest = 1024;

    std::vector<Delivered> spare_;
    Arrivals turn_;
};

}  // namespace understudy::net
