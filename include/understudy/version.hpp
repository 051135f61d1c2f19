// The library's version and the version of its wire protocol.
#pragma once

#define UNDERSTUDY_VERSION_MAJOR 0
#define UNDERSTUDY_VERSION_MINOR 1
#define UNDERSTUDY_VERSION_PATCH 0
#define UNDERSTUDY_VERSION_STRING "0.1.0"

namespace understudy {

/// The major version of the wire protocol. A peer with another one is refused with `unsupported_version`.
inline constexpr int protocol_version = 1;

}  // namespace understudy
