// The transport over either kind of address, for programs that are told which.
#pragma once

#include <understudy/net/stream_transport.hpp>

namespace understudy::net {

using AnyTransport = StreamTransport<Schemes::any>;
static_assert(Transport<AnyTransport>);

}  // namespace understudy::net
