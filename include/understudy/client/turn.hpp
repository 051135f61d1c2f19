// The context of one turn of a client or of an operator's tool.
#pragma once

#include <utility>

#include <understudy/client/output.hpp>
#include <understudy/event.hpp>
#include <understudy/protocol/fault.hpp>
#include <understudy/view.hpp>

namespace understudy::client {

/// The time and the output of one turn. It is made for each call of the state machine and not stored.
struct Turn {
    Time now;
    Output& out;

    /// The one way in which a client reports what it cannot use, and what was refused to it: an event. A client answers
    /// nobody.
    void refuse(const Address& peer, Fault fault) const {
        out.emit(Refused{peer, fault.code, std::move(fault.text)});
    }
};

}  // namespace understudy::client
