// All errors of the library in one enum: the codes that travel in messages, and the results of calls that a host makes.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <system_error>

namespace understudy {

/// Every error of the library. An error with a number in the table below travels on the wire under that number
/// (`wire_code`). The other errors never travel: they are only the result of a call that the host made.
enum class error {
    outcome_unknown = 1,  ///< The call was sent and no answer came in time: it may have taken effect or not.
    /// The deadline passed and the call had no effect: it was a read, or a command that was never sent.
    deadline_passed,
    key_not_found,    ///< The key does not exist.
    closed,           ///< The service, client or transport was stopped.
    invalid_options,  ///< Options contradict each other or name something that cannot be used.
    internal,         ///< The peer failed, or answered, in a way that no other code describes.
    journal_failed,   ///< Stable storage failed: nothing more can be guaranteed.
    store_conflict,   ///< Another view service has written to the store of this one.
    store_failed,     ///< The host's store threw or broke its laws. This server stops taking part.
    wrong_journal,    ///< The journal was written by another server or by a server of another group.

    parse_error,      ///< Not a well-formed JSON text.
    invalid_request,  ///< JSON, but not a JSON-RPC 2.0 message.
    unknown_method,   ///< The receiver has no such method.
    invalid_params,   ///< A parameter is missing, has the wrong type, or is out of range.

    not_primary,          ///< This server is not the primary of its view.
    stale_view,           ///< The sender's view is older than the receiver's.
    wrong_cluster,        ///< The message belongs to another cluster.
    wrong_group,          ///< The server belongs to another group.
    session_expired,      ///< The session is closed, because it was unused for too long, or was never open.
    not_enough_replicas,  ///< Fewer backups in sync than `min_in_sync` asks for.
    overloaded,           ///< A bound on work in progress is reached and nothing was done. Try again later.
    unsupported_version,  ///< Another major version of the protocol.
    too_large,            ///< A frame, command or batch exceeds its limit.
    bad_request,          ///< Well-formed, but the store or the view service cannot carry it out.
    unauthorized,         ///< The peer is not allowed to do this.
    mismatch,             ///< The backup's log lacks the entry that precedes the appended ones.
    bad_chunk,            ///< The chunk does not continue the snapshot that is being installed.
    name_in_use,          ///< A second process pings under the name of a server that is alive.
    superseded,           ///< The ping is from an incarnation that was replaced, or is not newer than the last ping.
    behind,               ///< The view service's record is older than views that were announced (R7).
};

namespace detail {
struct ErrorRow {
    error value;
    int wire;  // 0: never travels on the wire
    std::string_view name;
    std::string_view text;
};
// The numbers below are part of the protocol and never change.
inline constexpr std::array error_table{
    ErrorRow{error::outcome_unknown, 0, "outcome_unknown",
             "the deadline passed; the call may or may not have taken effect"},
    ErrorRow{error::deadline_passed, 0, "deadline_passed", "the deadline passed; the call had no effect"},
    ErrorRow{error::key_not_found, 0, "key_not_found", "the key does not exist"},
    ErrorRow{error::closed, 0, "closed", "stopped"},
    ErrorRow{error::invalid_options, 0, "invalid_options", "invalid options"},
    ErrorRow{error::internal, -32603, "internal", "internal error of the peer"},
    ErrorRow{error::journal_failed, 0, "journal_failed", "stable storage failed"},
    ErrorRow{error::store_conflict, 0, "store_conflict", "another view service has written to this one's store"},
    ErrorRow{error::store_failed, 0, "store_failed", "the store failed"},
    ErrorRow{error::wrong_journal, 0, "wrong_journal", "the journal is that of another server"},
    ErrorRow{error::parse_error, -32700, "parse_error", "not a JSON text"},
    ErrorRow{error::invalid_request, -32600, "invalid_request", "not a JSON-RPC 2.0 message"},
    ErrorRow{error::unknown_method, -32601, "unknown_method", "unknown method"},
    ErrorRow{error::invalid_params, -32602, "invalid_params", "invalid parameters"},
    ErrorRow{error::not_primary, -32001, "not_primary", "this server is not the primary"},
    ErrorRow{error::stale_view, -32002, "stale_view", "the sender's view is out of date"},
    ErrorRow{error::wrong_cluster, -32003, "wrong_cluster", "the message belongs to another cluster"},
    ErrorRow{error::wrong_group, -32004, "wrong_group", "the server belongs to another group"},
    ErrorRow{error::session_expired, -32005, "session_expired", "the session is closed"},
    ErrorRow{error::not_enough_replicas, -32006, "not_enough_replicas", "fewer backups in sync than required"},
    ErrorRow{error::overloaded, -32007, "overloaded", "overloaded; try again later"},
    ErrorRow{error::unsupported_version, -32008, "unsupported_version", "unsupported protocol version"},
    ErrorRow{error::too_large, -32009, "too_large", "larger than the limit"},
    ErrorRow{error::bad_request, -32010, "bad_request", "the request cannot be carried out"},
    ErrorRow{error::unauthorized, -32011, "unauthorized", "not allowed"},
    ErrorRow{error::mismatch, -32012, "mismatch", "the log does not have the preceding entry"},
    ErrorRow{error::bad_chunk, -32013, "bad_chunk", "the chunk does not continue the snapshot"},
    ErrorRow{error::name_in_use, -32016, "name_in_use", "another live process has this name"},
    ErrorRow{error::superseded, -32014, "superseded", "a newer ping or incarnation is known"},
    ErrorRow{error::behind, -32015, "behind", "the record of the view service is behind"},
};
constexpr const ErrorRow* find_error(error value) {
    for (const auto& row : error_table)
        if (row.value == value) return &row;
    return nullptr;
}
}  // namespace detail

/// The name of the error, as documentation and events spell it.
constexpr std::string_view to_string(error value) {
    const auto* row = detail::find_error(value);
    return row ? row->name : "unknown_error";
}

/// The JSON-RPC code of an error. An error that never travels has the code of `error::internal`.
constexpr int wire_code(error value) {
    const auto* row = detail::find_error(value);
    return row && row->wire != 0 ? row->wire : -32603;
}

/// The inverse of `wire_code`. An unknown code becomes `error::internal`.
constexpr error from_wire_code(int code) {
    for (const auto& row : detail::error_table)
        if (row.wire == code && code != 0) return row.value;
    return error::internal;
}

/// The error category of `error`. Its `message()` returns a human-readable text.
inline const std::error_category& error_category() {
    struct Category final : std::error_category {
        const char* name() const noexcept override { return "understudy"; }
        std::string message(int value) const override {
            const auto* row = detail::find_error(static_cast<error>(value));
            return row ? std::string{row->text} : "unknown error " + std::to_string(value);
        }
    };
    static const Category category;
    return category;
}

inline std::error_code make_error_code(error value) { return {static_cast<int>(value), error_category()}; }

}  // namespace understudy

template <>
struct std::is_error_code_enum<understudy::error> : std::true_type {};
