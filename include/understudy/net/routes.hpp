// From a peer to its connection without a look-up by name.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include <understudy/net/connection.hpp>
#include <understudy/peer.hpp>

namespace understudy::net {

/// Notes in the peer of each connection of one transport where that is found (`PeerRoute`). A route of a connection
/// that was removed is known by its generation: the slot may have another connection by then. All operations are O(1).
class Routes {
public:
    void add(Connection& connection) {
        if (free_.empty()) {
            free_.push_back(static_cast<std::uint32_t>(slots_.size()));
            slots_.emplace_back();
        }
        const auto slot = free_.back();
        free_.pop_back();
        slots_[slot].connection = &connection;
        connection.route = {number_, slot, slots_[slot].generation};
        connection.peer().route() = connection.route;
    }
    void remove(const Connection& connection) {
        const auto& route = connection.route;  // not that of the peer, which another transport may have replaced
        if (find(route) != &connection) return;
        slots_[route.slot] = {nullptr, route.generation + 1};
        free_.push_back(route.slot);
    }
    /// From now on no route leads anywhere.
    void clear() {
        slots_.clear();
        free_.clear();
    }
    /// The connection to which the route leads; null if there is none any more, or it is one of another transport.
    Connection* find(const PeerRoute& route) const {
        if (route.transport != number_ || route.slot >= slots_.size()) return nullptr;
        const auto& slot = slots_[route.slot];
        return slot.generation == route.generation ? slot.connection : nullptr;
    }

private:
    struct Slot {
        Connection* connection = nullptr;
        std::uint32_t generation = 0;
    };

    static inline std::atomic<std::uint64_t> last_number_{0};

    std::uint64_t number_ = ++last_number_;
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
};

}  // namespace understudy::net
