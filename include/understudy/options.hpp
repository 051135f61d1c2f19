// What a host may set. Aggregates with defaults; `validate()` returns what is wrong, or an empty string.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <understudy/base/printable.hpp>
#include <understudy/view.hpp>

namespace understudy {

using namespace std::chrono_literals;

/// Of a transport. Sizes are in bytes.
struct TransportOptions {
    Address listen;                          ///< Where to listen; empty: dial only. Port 0 takes a free one.
    Address advertise;                       ///< The name that peers dial; empty: `listen`, its port resolved.
    std::size_t max_frame = 16u << 20;       ///< A larger frame closes the connection.
    std::size_t max_send_queue = 64u << 20;  ///< A connection for whose peer more than this would wait is closed.
    /// An accepted connection is not read while so much waits to be sent to its peer, and answers to it wait elsewhere;
    /// at half of it that goes on.
    std::size_t full_send_queue = 1u << 20;
    Duration write_timeout = 10s;  ///< An accepted connection whose peer takes nothing for this long is closed.
    std::size_t max_receive_bytes = 256u << 20;  ///< Of half-received frames of all connections; see `frame_timeout`.
    std::size_t max_connections = 20000;  ///< Accepted ones. For a further one a silent one goes, or it is closed.
    std::size_t reserved_descriptors = 32;   ///< Of what the process may open: accepted connections leave so many free.
    std::size_t max_turn = 32u << 10;        ///< Arrived bytes handed over in one turn; more wait for the next.
    Duration connect_timeout = 2s;  ///< Of a dial, and of resolving the name in it.
    /// An accepted connection that has sent no message for so long is closed, unless a frame is under way.
    Duration first_message_timeout = 10s;
    /// So long a half-received frame may take to be whole, or to grow by 1 KiB; then its connection is closed. Under
    /// `max_receive_bytes` those go first whose frame began earliest.
    Duration frame_timeout = 30s;
    Duration redial_first = 10ms;  ///< The wait after a failed dial; doubles, with jitter, up to
    Duration redial_last = 1s;     ///< this.

    std::string validate() const;
    friend bool operator==(const TransportOptions&, const TransportOptions&) = default;
};

/// Of the view service.
struct ViewOptions {
    Duration ping_interval = 100ms;
    int dead_pings = 5;       ///< D is `ping_interval * dead_pings`.
    std::size_t backups = 1;  ///< k, the number of backups wanted.
    std::size_t max_groups = 10'000;
    std::size_t max_groups_of_peer = 1'000;  ///< A connection with so many servers founds no further group.
    std::size_t max_servers = 1'000;         ///< In one group.
    std::size_t max_watchers = 100'000;
    std::size_t max_events = 100;  ///< Kept for `view.status`.
    /// When it goes on from a record, its members may take so much longer than D until they are heard again. Above the
    /// `redial_last` of their transports, or its restart may be taken for their death.
    Duration return_time = 2s;

    Duration dead_after() const { return ping_interval * dead_pings; }
    std::string validate() const;
    friend bool operator==(const ViewOptions&, const ViewOptions&) = default;
};

/// How a primary makes sure that a read is not stale. Both are linearizable (protocol, Reads).
enum class Reads {
    confirm,  ///< It asks its backups whether the view still stands; one round serves all reads that wait for it.
    lease,    ///< It asks nobody while the view service has promised to promote nobody; if that runs out, as above.
};

/// Of a replica. Sizes are in bytes.
struct ReplicaOptions {
    std::vector<Address> view_service;  ///< Tried in turn.
    std::string group = "main";
    std::size_t min_in_sync = 0;                  ///< Refuse writes with fewer backups in sync (S11).
    std::size_t log_bytes = 64u << 20;            ///< Of applied entries retained for catch-up.
    std::size_t transfer_log_bytes = 256u << 20;  ///< Retained while a backup receives a snapshot; then it starts anew.
    std::size_t max_command = 1u << 20;
    std::size_t append_bytes = 256u << 10;    ///< Of commands in one append (at least one command).
    std::size_t window_bytes = 8u << 20;      ///< Sent to one backup and not acknowledged yet.
    std::size_t chunk_bytes = 256u << 10;     ///< Of a snapshot in one chunk.
    std::size_t chunk_window = 4;             ///< Chunks sent and not acknowledged yet; received and not on disk yet.
    std::size_t max_calls = 65536;            ///< Requests in progress; beyond it: `overloaded` (C6).
    std::size_t max_call_bytes = 256u << 20;  ///< The same, in bytes of commands not applied, and of queries.
    std::size_t max_calls_per_peer = 1024;    ///< Beyond it the connection is not read (C6).
    std::size_t answer_bytes = 1u << 20;      ///< Of values, in the answers of one turn (at least one answer).
    std::size_t max_sessions = 65536;
    std::size_t max_sessions_per_peer = 1024;    ///< Opened over one connection: beyond it `overloaded` (C6).
    std::size_t max_results = 65536;             ///< Results kept for one session.
    std::size_t max_result_bytes = 64u << 20;    ///< Of the results of all sessions; an eighth of it of one (C6).
    std::size_t max_dumps = 4;        ///< Snapshots open for clients.
    std::size_t journal_bytes = 64u << 20;  ///< Written since its last snapshot: then a journal gets another (S9).
    Duration session_ttl = 10min;
    Duration transfer_ttl = 60s;  ///< A half-received snapshot is kept this long.
    Duration dump_ttl = 60s;
    Reads reads = Reads::confirm;  ///< The same on all servers of a group.
    unsigned lease_margin = 10;    ///< By how many percent this clock may be slower than the view service's.

    std::string validate() const;
    friend bool operator==(const ReplicaOptions&, const ReplicaOptions&) = default;
};

/// Of a client.
struct ClerkOptions {
    std::vector<Address> view_service{};  ///< Tried in turn.
    std::string group = "main";
    Duration give_up_after = 30s;          ///< Then `outcome_unknown` or `deadline_passed`; `Duration::max()`: never.
    Duration retry_first = 10ms;           ///< The wait before a retry without news of a view; doubles up to
    Duration retry_last = 1s;              ///< this.
    Duration resend_after = 1s;            ///< An answer that does not come for this long is asked for again.
    std::size_t max_calls = 65536;         ///< Under way at once; a further one ends with `overloaded`.
    bool session = true;                   ///< Exactly once; without: at least once (C5).
    std::size_t window = 1024;             ///< Calls sent and not answered yet; the others wait in order. More than
                                           ///< the primary's `max_calls_per_peer` would only wait in the connection.
    std::size_t window_bytes = 16u << 20;  ///< The same in bytes; at least one call goes. Well below `max_send_queue`.
    std::size_t max_command = 8u << 20;    ///< A larger command or query ends with `too_large`. Well below `max_frame`.

    std::string validate() const;
    friend bool operator==(const ClerkOptions&, const ClerkOptions&) = default;
};

inline std::string TransportOptions::validate() const {
    if (max_frame < 1024) return "max_frame is below 1024 bytes";
    if (max_send_queue < max_frame)
        return "max_send_queue is smaller than max_frame: a largest frame could not be sent";
    if (full_send_queue == 0 || write_timeout <= 0s) return "full_send_queue and write_timeout must be positive";
    if (max_receive_bytes < max_frame)
        return "max_receive_bytes is smaller than max_frame: a largest frame could not be received";
    if (first_message_timeout <= 0s || frame_timeout <= 0s)
        return "first_message_timeout and frame_timeout must be positive";
    if (connect_timeout <= 0s || redial_first <= 0s || redial_last < redial_first)
        return "connect_timeout and redial_first must be positive, redial_last at least redial_first";
    return {};
}
inline std::string ViewOptions::validate() const {
    if (ping_interval < 1ms) return "ping_interval is below 1 ms";
    if (dead_pings < 2) return "dead_pings is below 2: one late ping would be a death";
    if (return_time < 0s) return "return_time is negative";
    if (max_groups == 0 || max_servers == 0) return "max_groups and max_servers must be positive";
    return {};
}
inline std::string ReplicaOptions::validate() const {
    if (view_service.empty()) return "view_service names no address";
    if (!is_group_name(group)) return "group must have 1 to 255 bytes and no control character";
    if (max_command == 0 || append_bytes == 0 || chunk_bytes == 0 || answer_bytes == 0)
        return "max_command, append_bytes, chunk_bytes and answer_bytes must be positive";
    if (window_bytes < append_bytes) return "window_bytes is smaller than append_bytes";
    if (max_calls == 0 || max_calls_per_peer == 0 || max_sessions == 0 || max_results == 0 || chunk_window == 0)
        return "max_calls, max_calls_per_peer, max_sessions, max_results and chunk_window must be positive";
    if (max_sessions_per_peer == 0) return "max_sessions_per_peer must be positive";
    if (max_result_bytes < 64u << 10) return "max_result_bytes is below 64 KiB";
    if (lease_margin == 0 || lease_margin >= 100) return "lease_margin must be 1 to 99 percent";
    return {};
}
inline std::string ClerkOptions::validate() const {
    if (view_service.empty()) return "view_service names no address";
    if (!is_group_name(group)) return "group must have 1 to 255 bytes and no control character";
    if (give_up_after <= 0s || retry_first <= 0s || retry_last < retry_first || resend_after <= 0s)
        return "durations must be positive, and retry_last at least retry_first";
    if (max_calls == 0 || window == 0 || max_command == 0) return "max_calls, window and max_command must be positive";
    return {};
}

}  // namespace understudy
