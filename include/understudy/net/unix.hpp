// The transport over unix domain sockets, for addresses of the form `unix:///path`.
#pragma once

#include <understudy/net/stream_transport.hpp>

namespace understudy::net {

/// Listens on and dials `unix://` addresses only.
using UnixTransport = StreamTransport<Schemes::unix_socket>;
static_assert(Transport<UnixTransport>);

}  // namespace understudy::net
