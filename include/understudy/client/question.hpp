// The request of an operator tool to one address, as a value that the host's side and AdminStateMachine share.
#pragma once

#include <functional>
#include <string>

#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/view.hpp>

namespace understudy::client {

/// A request to one address.
struct Question {
    Address to;
    Method method = Method::none;        ///< The method of `message`.
    Message message;
    Duration timeout = Duration::max();  ///< The longest wait for an answer, with all repetitions.
    /// Send it again when no answer comes or the connection is lost. False for a request that must not be executed
    /// twice; if its answer is lost, it ends with `outcome_unknown`.
    bool repeatable = true;

    bool only_reads() const { return repeatable; }
};

/// Called with each view of a watched group.
using Watcher = std::function<void(const ViewInfo&)>;
/// Follows the views of a group at one view service address.
struct Watch {
    Address view_service;
    std::string group;
    Watcher watcher;

    bool only_reads() const { return true; }
};

}  // namespace understudy::client
