// What an operator's tool asks of one address.
#pragma once

#include <functional>
#include <string>

#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/view.hpp>

namespace understudy::client {

/// A question. One that may be repeated is asked again when no answer comes, or the connection ends.
struct Question {
    Address to;
    Method method = Method::none;
    Message message;
    Duration timeout = Duration::max();
    bool repeatable = true;
};

using Watcher = std::function<void(const ViewInfo&)>;
struct Watch {
    Address view_service;
    std::string group;
    Watcher watcher;
};

}  // namespace understudy::client
