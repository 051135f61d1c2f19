// Where a message came from, and where its answer goes.
#pragma once

#include <understudy/protocol/call_id.hpp>
#include <understudy/peer.hpp>

namespace understudy::protocol {

/// The peer that sent a message, and the id of its request. An answer goes to that peer and repeats the id. The id is
/// empty for a message that wants no answer. Of a message that is an answer, the id is that of the request it answers.
struct Caller {
    Peer peer;
    CallId id;
    friend bool operator==(const Caller&, const Caller&) = default;
};

}  // namespace understudy::protocol
