// What a refusal means to a client: which action may help, and whether the refused request can still take effect.
#pragma once

#include <understudy/error.hpp>

namespace understudy::client {

/// The action of a client after a refusal.
enum class RetryAction {
    none,       ///< Report the error: repeating cannot help.
    wait,       ///< Repeat at the same server, later.
    elsewhere,  ///< Get a newer view and repeat at its primary: the refusing server is not what the client's view says.
    session,    ///< Open another session.
};
/// The table of section 4 of docs/protocol.md. An error that is not listed (`not_primary`, `stale_view`,
/// `wrong_cluster`, `internal` …) may be cured by another server or view.
constexpr RetryAction retry_action_of(error code) {
    switch (code) {
        case error::overloaded:
        case error::not_enough_replicas: return RetryAction::wait;
        case error::session_expired: return RetryAction::session;
        case error::bad_chunk:  // of a dump: the server no longer retains that snapshot
        case error::bad_request:
        case error::invalid_params:
        case error::invalid_request:
        case error::parse_error:
        case error::unknown_method:
        case error::too_large:
        case error::unauthorized:
        case error::unsupported_version:
        case error::wrong_group: return RetryAction::none;
        default: return RetryAction::elsewhere;
    }
}
/// True if a request that was refused with this error has not been executed and will not be. `not_primary` is not
/// definite: a primary that steps down answers with it requests that are already in its log, and the next primary may
/// commit these (S6).
constexpr bool is_definite(error code) {
    return retry_action_of(code) != RetryAction::elsewhere || code == error::wrong_cluster;
}

}  // namespace understudy::client
