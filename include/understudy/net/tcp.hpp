// The transport over TCP: `tcp://host:port`.
#pragma once

#include <understudy/net/stream_transport.hpp>

namespace understudy::net {

using TcpTransport = StreamTransport<Schemes::tcp>;
static_assert(Transport<TcpTransport>);

}  // namespace understudy::net
