// The data of a simulated connection: its two ends, and the segments under way. The logic is in network.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <understudy/sim/world/endpoint.hpp>

namespace understudy::sim {

/// One segment under way over a connection. Loss affects frames only. The other kinds stand for packets that TCP
/// repeats until they arrive; they are lost only by a cut or a power cut.
struct Segment {
    enum class Kind { dial, accepted, refused, frame, ended };
    Kind kind;
    EndName sender;
    std::string text{};   // the payload, or why it ended
    Duration delay{};     // beyond the link's latency
    bool repeat = false;  // a late copy, which keeps no order
};

/// One end of a connection: the state of the node there, and of what it has sent.
struct End {
    std::string name;                 // the node, as links name it
    std::shared_ptr<Endpoint> owner;  // null: this end is not open, or not yet
    Address peer;                     // the address by which the owner knows the other end
    bool paused = false;              // the owner called `pause`: it does not read
    bool full = false;                // too much of its output waits: it does not read
    std::deque<Item> unread;          // frames that arrived while it does not read
    Source source = std::make_shared<Source::element_type>();  // the entry in the owner's fair receive queue
    std::size_t outstanding = 0;      // bytes sent by the owner and not taken by the other end
    Time sent_at{};                   // when the last segment was sent
    Time arrives_at{};                // when the latest segment arrives

    bool open() const { return owner && !owner->closed(); }
};

/// A connection, or a probe of an address (`probe`), which ends when it is accepted.
struct Connection {
    ConnectionId id;
    bool probe = false;
    bool established = false;          // the dialler has got the acceptance
    std::array<End, 2> ends{};         // 0: the dialler, 1: the acceptor
    std::vector<std::string> queue{};  // payloads of the dialler that wait for the acceptance
};

}  // namespace understudy::sim
