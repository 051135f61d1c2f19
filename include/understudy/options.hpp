// The options that a host may set. They are aggregates with defaults. `validate()` says what is wrong with them, or
// returns an empty string.
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

/// Options of a transport. Sizes are in bytes.
struct TransportOptions {
    Address listen;                          ///< The address to listen at. Empty: dial only. Port 0: any free port.
    Address advertise;                       ///< The name that peers dial. Empty: `listen` with its actual port.
    std::size_t max_frame = 16u << 20;       ///< A larger frame closes the connection.
    std::size_t max_send_queue = 64u << 20;  ///< A connection is closed if more than this would wait to be sent.
    /// If this much waits to be sent over an accepted connection, the connection is not read, and further answers to it
    /// are deferred. Both continue once no more than half of it waits.
    std::size_t full_send_queue = 1u << 20;
    Duration write_timeout = 10s;  ///< An accepted connection is closed if its peer takes no data for this long.
    /// Bound on half-received frames, all connections together; see `frame_timeout`.
    std::size_t max_receive_bytes = 256u << 20;
    /// Accepted connections. For a further one, the connection that has been open longest without a message is closed.
    /// If there is none, the new connection is closed.
    std::size_t max_connections = 20000;
    /// So many descriptors of the process are left free: accepted connections do not use them.
    std::size_t reserved_descriptors = 32;
    std::size_t max_turn = 32u << 10;  ///< Received bytes that one turn handles; the rest waits for the next turn.
    Duration connect_timeout = 2s;  ///< For dialling, including the resolution of the name.
    /// An accepted connection is closed if it sends no message for this long, unless a frame is being received.
    Duration first_message_timeout = 10s;
    /// A connection is closed if a half-received frame takes this long to be complete or to grow by 1 KiB. If
    /// `max_receive_bytes` is exceeded, the connections whose frames began earliest are closed first.
    Duration frame_timeout = 30s;
    Duration redial_first = 10ms;  ///< The wait after a failed dial. It doubles, with jitter, up to `redial_last`.
    Duration redial_last = 1s;     ///< The longest such wait.

    std::string validate() const;
    friend bool operator==(const TransportOptions&, const TransportOptions&) = default;
};

/// Options of the view service.
struct ViewOptions {
    Duration ping_interval = 100ms;
    int dead_pings = 5;       ///< D is `ping_interval * dead_pings`: the silence after which a server is declared dead.
    std::size_t backups = 1;  ///< k, the number of backups wanted in each group.
    std::size_t max_groups = 10'000;  ///< A further group is refused with `overloaded`.
    /// A connection whose servers are in this many groups cannot create another group.
    std::size_t max_groups_of_peer = 1'000;
    std::size_t max_servers = 1'000;         ///< Servers in one group.
    std::size_t max_watchers = 100'000;  ///< Watchers of all groups. A further one is refused with `overloaded`.
    std::size_t max_events = 100;  ///< Retained for `view.status`.
    /// After the view service restarts from a record, a member may be silent for this much longer than D. It must
    /// exceed the `redial_last` of the members' transports. Otherwise a member that is only waiting to redial may be
    /// declared dead.
    Duration return_time = 2s;

    Duration dead_after() const { return ping_interval * dead_pings; }
    std::string validate() const;
    friend bool operator==(const ViewOptions&, const ViewOptions&) = default;
};

/// How a primary makes sure that a read is not stale. Both ways are linearizable (protocol, section "Reads").
enum class Reads {
    confirm,  ///< The in-sync backups confirm that the view is current. One round confirms all reads that wait.
    /// No round is needed while the lease lasts: until then the view service promotes no other server. After it, as
    /// `confirm`.
    lease,
};

/// Options of a replica. Sizes are in bytes.
struct ReplicaOptions {
    std::vector<Address> view_service;  ///< Addresses of the view service, tried in turn (S12).
    std::string group = "main";
    std::size_t min_in_sync = 0;                  ///< Writes are refused while fewer backups are in sync (S11).
    std::size_t log_bytes = 64u << 20;  ///< Applied entries retained so that backups can catch up from the log.
    /// Retained log while a backup catches up, from the log or by snapshot. Beyond it the log is trimmed to
    /// `log_bytes`, and the backup needs a new snapshot.
    std::size_t transfer_log_bytes = 256u << 20;
    std::size_t max_command = 1u << 20;  ///< A larger command is refused with `too_large`.
    std::size_t append_bytes = 256u << 10;    ///< Commands in one append; at least one command.
    std::size_t window_bytes = 8u << 20;      ///< Sent to one backup and not yet acknowledged.
    std::size_t chunk_bytes = 256u << 10;     ///< Snapshot data in one chunk.
    /// Chunks sent and not yet acknowledged; for a backup: received and not yet persisted (S8).
    std::size_t chunk_window = 4;
    std::size_t max_calls = 65536;            ///< Requests in progress. Beyond it: `overloaded` (C6).
    /// Bytes of commands not yet applied and of queries. Beyond it: `overloaded` (C6).
    std::size_t max_call_bytes = 256u << 20;
    /// Requests in progress of one connection. Beyond it the connection is not read (C6).
    std::size_t max_calls_per_peer = 1024;
    std::size_t answer_bytes = 1u << 20;      ///< Bytes of values in the answers of one turn; at least one answer.
    std::size_t max_sessions = 65536;
    std::size_t max_sessions_per_peer = 1024;    ///< Opened over one connection. Beyond it: `overloaded` (C6).
    std::size_t max_results = 65536;             ///< Results retained for one session.
    /// Results of all sessions together; one session may use an eighth (C6).
    std::size_t max_result_bytes = 64u << 20;
    std::size_t max_dumps = 4;        ///< Snapshots open for clients that export them.
    /// Written to the journal since its last snapshot. Beyond it a new snapshot is written (S9).
    std::size_t journal_bytes = 64u << 20;
    Duration session_ttl = 10min;  ///< A session that is unused for this long is closed (C4).
    Duration transfer_ttl = 60s;  ///< How long a half-transferred snapshot is retained.
    Duration dump_ttl = 60s;       ///< An exported snapshot that is unused for this long is dropped.
    Reads reads = Reads::confirm;  ///< Must be the same on all servers of a group.
    unsigned lease_margin = 10;    ///< By how many percent the clock here may be slower than that of the view service.

    std::string validate() const;
    friend bool operator==(const ReplicaOptions&, const ReplicaOptions&) = default;
};

/// Options of a client.
struct ClientOptions {
    std::vector<Address> view_service{};  ///< Addresses of the view service, tried in turn (C7).
    std::string group = "main";
    /// Deadline of a call, which then ends with `outcome_unknown` or `deadline_passed`. `Duration::max()`: none.
    Duration give_up_after = 30s;
    /// The wait before a retry while no newer view is known. It doubles up to `retry_last`.
    Duration retry_first = 10ms;
    Duration retry_last = 1s;              ///< The longest such wait.
    Duration resend_after = 1s;            ///< A request without an answer is sent again after this time.
    std::size_t max_calls = 65536;         ///< Pending calls. A further one ends with `overloaded`.
    bool session = true;                   ///< True: commands take effect at most once. False: at least once (C5).
    /// Calls sent and not yet answered; the others wait in order. A window larger than the primary's
    /// `max_calls_per_peer` has no use: the primary would leave the excess unread in the connection.
    std::size_t window = 1024;
    /// The same in bytes; at least one call is sent. Keep it well below `max_send_queue`.
    std::size_t window_bytes = 16u << 20;
    /// A larger command or query ends with `too_large`. Keep it well below `max_frame`.
    std::size_t max_command = 8u << 20;

    std::string validate() const;
    friend bool operator==(const ClientOptions&, const ClientOptions&) = default;
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
inline std::string ClientOptions::validate() const {
    if (view_service.empty()) return "view_service names no address";
    if (!is_group_name(group)) return "group must have 1 to 255 bytes and no control character";
    if (give_up_after <= 0s || retry_first <= 0s || retry_last < retry_first || resend_after <= 0s)
        return "durations must be positive, and retry_last at least retry_first";
    if (max_calls == 0 || window == 0 || window_bytes == 0 || max_command == 0)
        return "max_calls, window, window_bytes and max_command must be positive";
    return {};
}

}  // namespace understudy
