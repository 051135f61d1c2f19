// The transport over TCP, for addresses of the form `tcp://host:port`.
#pragma once

#include <understudy/net/stream_transport.hpp>

namespace understudy::net {

/// Listens on and dials `tcp://` addresses only.
using TcpTransport = StreamTransport<Schemes::tcp>;
static_assert(Transport<TcpTransport>);

}  // namespace understudy::net
