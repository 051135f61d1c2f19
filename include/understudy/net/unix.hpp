// The transport over unix sockets: `unix:///path`.
#pragma once

#include <understudy/net/stream_transport.hpp>

namespace understudy::net {

using UnixTransport = StreamTransport<Schemes::unix_socket>;
static_assert(Transport<UnixTransport>);

}  // namespace understudy::net
