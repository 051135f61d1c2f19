// The output of the state machines of the client and of the operator's tool.
#pragma once

#include <understudy/protocol/output.hpp>

namespace understudy::client {

/// Messages and events, and nothing else. The host takes finished calls from the state machine.
using Output = CommonOutput;

}  // namespace understudy::client
