// What a refusal means to a client: what may help, and whether the refused request can still take effect.
#pragma once

#include <understudy/error.hpp>

namespace understudy::client {

/// What a refusal asks of a client.
enum class Cure {
    none,       ///< Trying again cannot help.
    wait,       ///< The same server, later.
    elsewhere,  ///< Another server is to be asked, or this one is not what the view says.
    session,    ///< Another session.
};
constexpr Cure cure_of(error code) {
    switch (code) {
        case error::overloaded:
        case error::not_enough_replicas: return Cure::wait;
        case error::session_expired: return Cure::session;
        case error::bad_chunk:  // of a dump: that snapshot is gone
        case error::bad_request:
        case error::invalid_params:
        case error::invalid_request:
        case error::parse_error:
        case error::unknown_method:
        case error::too_large:
        case error::unauthorized:
        case error::unsupported_version:
        case error::wrong_group: return Cure::none;
        default: return Cure::elsewhere;
    }
}
/// Whether a request refused like this has not been and will not be executed. `not_primary` is no such refusal: a
/// primary that steps down gives it to requests that are in its log already (S6).
constexpr bool is_definite(error code) { return cure_of(code) != Cure::elsewhere || code == error::wrong_cluster; }

}  // namespace understudy::client
