// The transport for both `tcp://` and `unix://` addresses, for programs that get the address at run time.
#pragma once

#include <understudy/net/stream_transport.hpp>

namespace understudy::net {

/// Listens on an address of either kind, and dials both.
using AnyTransport = StreamTransport<Schemes::any>;
static_assert(Transport<AnyTransport>);

}  // namespace understudy::net
