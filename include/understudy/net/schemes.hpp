// The address schemes that a transport supports.
#pragma once

namespace understudy::net {

/// The kinds of address on which a transport listens and which it dials; a bit set.
enum class Schemes : unsigned { tcp = 1, unix_socket = 2, any = 3 };

/// Whether `set` contains `one`.
constexpr bool allows(Schemes set, Schemes one) {
    return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}

}  // namespace understudy::net
