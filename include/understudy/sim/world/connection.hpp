// What a simulated connection consists of, and what passes over it.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <understudy/sim/world/endpoint.hpp>

namespace understudy::sim {

/// One thing on its way over a connection. What TCP repeats until it arrives is never lost but to a cut; frames may be.
struct Segment {
    enum class Kind { dial, accepted, refused, frame, ended };
    Kind kind;
    EndName sender;
    std::string text{};   // the payload, or why it ended
    Duration delay{};     // beyond the link's latency
    bool repeat = false;  // a copy, which comes when nobody expects it and keeps no order
};

/// What one party knows of a connection, and what it has on the way.
struct End {
    std::string name;                 // the party, as links name it
    std::shared_ptr<Endpoint> owner;  // null: not open here, or not yet
    Address peer;                     // what the owner calls the other end
    bool paused = false;              // the owner does not read;
    bool full = false;                // nor does it while so much of its own is not taken
    std::deque<Item> unread;          // what arrives meanwhile
    Source source = std::make_shared<Source::element_type>();  // of what was read
    std::size_t outstanding = 0;      // bytes that the owner sent and the other end has not read
    Time sent_at{};                   // the last segment
    Time arrives_at{};                // the latest segment

    bool open() const { return owner && !owner->closed(); }
};

struct Connection {
    ConnectionId id;
    bool probe = false;
    bool established = false;          // as the dialler sees it
    std::array<End, 2> ends{};         // the dialler's, the acceptor's
    std::vector<std::string> queue{};  // of the dialler, until it is established
};

}  // namespace understudy::sim
