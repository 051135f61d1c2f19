// Kinds of address.
#pragma once

namespace understudy::net {

/// Which kinds of address a transport listens on and dials; a bit set.
enum class Schemes : unsigned { tcp = 1, unix_socket = 2, any = 3 };

constexpr bool allows(Schemes set, Schemes one) {
    return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}

}  // namespace understudy::net
