// The events that the library emits to its host, as types, and one function that describes any of them in a line of
// text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include <understudy/base/config.hpp>
#include <understudy/error.hpp>
#include <understudy/view.hpp>

namespace understudy {

// ---- emitted by the view service -------------------------------------------------------------------------

/// The view service decided a new view. `why` names the rule and the cause.
struct ViewDecided {
    ViewInfo info;
    std::string why;
};
/// A server, or a new incarnation of a server, pinged for the first time.
struct ServerSeen {
    std::string group;
    Address server;
    Incarnation incarnation;
};
/// From now on the view service counts this server as dead.
struct ServerLost {
    std::string group;
    Address server;
    std::string why;
};
/// Two processes ping under the name of one server, and each has done so for D. One of them has the name; the other is
/// refused.
struct NameShared {
    std::string group;
    Address server;
    Address holder;   ///< The connection of the process that has the name.
    Address refused;  ///< The connection of the process that is refused.
};
/// A group was removed, at an operator's request or by a rule. `info` is its last view.
struct GroupRemoved {
    ViewInfo info;
    std::string why;
};
/// No view can follow until one of `waiting_for` returns with its state (R4). The group does not serve until then.
struct GroupWaits {
    std::string group;
    std::vector<Address> waiting_for;
    std::string why;
};
/// The record of this group is older than views that were announced (R7), or it turned out that it is not.
struct RecordBehind {
    std::string group;
    std::string what;
};
/// The store of the view service failed, or another view service has written to it. This view service ends. It
/// announces nothing that depends on a change which was not stored.
struct ViewStoreFailed {
    error code;
    std::string what;
};

// ---- emitted by a replica --------------------------------------------------------------------------------

/// The replica adopted a view, and has this role in it. Also emitted for the first view if the replica is idle there.
struct RoleChanged {
    std::string group;
    Role role;
    ViewNumber view;
};
/// The primary stopped serving, for the rest of its view (S6).
struct SteppedDown {
    std::string group;
    ViewNumber view;
    std::string why;
};
/// The primary brings a backup up to date, from its log or with a snapshot (S8).
struct BackupJoining {
    Address backup;
    ViewNumber view;
    bool by_snapshot;
};
/// A backup joined the in-sync set (S4).
struct BackupInSync {
    Address backup;
    ViewNumber view;
    Index match;
};
/// A backup does not acknowledge. The primary reports it to the view service as unreachable (S7).
struct BackupUnreachable {
    Address backup;
    ViewNumber view;
};
/// A snapshot replaced this replica's state (S8).
struct SnapshotInstalled {
    Position at;
    std::uint64_t bytes;
};
/// Entries that conflict with the primary's log were truncated (S3). After `view.force`, `committed` may be true: then
/// writes that were answered may be among them.
struct LogTruncated {
    Index from;
    Index entries;
    bool committed;
};
/// The primary closed a session that was not used for long enough (C4).
struct SessionClosed {
    SessionId session;
};
/// The host's store threw an exception. This replica stops taking part in the group.
struct StoreFailed {
    std::string what;
};
/// One call of the host's store took D or longer. A server that is silent for D may be declared dead. Emitted at most
/// once a minute, with the longest call since the last such event.
struct SlowStore {
    std::string call;  ///< `apply` or `query`.
    Duration took;
};
/// Committed entries have waited for D or longer until the store applies them. Emitted at most once a minute.
struct StoreBehind {
    Index entries;
};
/// Stable storage failed. This replica stops taking part in the group (S9).
struct JournalFailed {
    std::string what;
};
/// Stable storage waits for a condition that may pass: the process has no descriptor free to open a file with. What is
/// to be persisted waits too.
struct JournalWaits {
    std::string what;
};
/// Follows `JournalWaits`: stable storage no longer waits.
struct JournalGoesOn {};
/// The view service did not answer in time (a server waits for D, a client for `resend_after`). The next address is
/// tried. Emitted once for each address until one of them answers.
struct ViewServiceSilent {
    Address address;
};
/// The view service answers again after it was silent.
struct ViewServiceAnswers {
    Address address;
};

// ---- emitted by a client ---------------------------------------------------------------------------------

/// A call ended with an error. `why` says what is known about the cause. Emitted before the call completes.
struct CallFailed {
    error code;
    std::string why;
};

// ---- emitted by any service or client --------------------------------------------------------------------

/// A message was refused, or an answer that belongs to no pending request was dropped. The first of several
/// similar ones is emitted at once. The following ones are counted, and emitted once a minute as one event: the latest
/// of them, with their number in `more`. (An `Admin` emits every refusal, because each one ends a call.)
struct Refused {
    Address peer;
    error code;
    std::string what;
    std::uint64_t more = 0;  ///< How many similar ones, with this one, came since the last event; 0: the first.
};
/// A peer sent bytes that are no message, or its connection broke a limit. Repetitions are counted as for `Refused`.
struct Malformed {
    Address peer;
    error code;
    std::string what;
    std::uint64_t more = 0;
};

/// The transport refuses connections, or closes silent ones to make room, because too many are open. Emitted when this
/// begins, and then once a minute with the number refused so far.
struct ConnectionsRefused {
    std::size_t count;
    std::string why;
};
/// The transport has room for connections again, and has refused none for `first_message_timeout`.
struct ConnectionsAccepted {
    std::size_t refused;
};

using Event = std::variant<ViewDecided, ServerSeen, ServerLost, NameShared, GroupRemoved, GroupWaits, RecordBehind,
                           ViewStoreFailed, RoleChanged, SteppedDown, BackupJoining, BackupInSync, BackupUnreachable,
                           SnapshotInstalled, LogTruncated, SessionClosed, StoreFailed, SlowStore, StoreBehind,
                           JournalFailed, JournalWaits, JournalGoesOn, ViewServiceSilent, ViewServiceAnswers,
                           CallFailed, Refused, Malformed, ConnectionsRefused, ConnectionsAccepted>;

/// Called with each event, in order, on the service's executor, after the step that caused the event. May be empty.
using Observer = std::function<void(const Event&)>;

namespace detail {
inline std::string join(const std::vector<Address>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}
inline std::string and_more(std::uint64_t more) {
    return more == 0 ? std::string{} : " (again " + std::to_string(more) + (more == 1 ? " time)" : " times)");
}
}  // namespace detail

/// Describes a view, for example `view 3: primary tcp://a, backups tcp://b (in sync), tcp://c (joining)`.
inline std::string describe(const View& view) {
    if (view.number == 0) return "no view yet";
    auto text = "view " + std::to_string(view.number) + ": primary " + view.primary.name;
    if (view.backups.empty()) return text + ", no backup";
    text += view.backups.size() == 1 ? ", backup " : ", backups ";
    for (const auto& backup : view.backups)
        text +=
            (&backup == view.backups.data() ? "" : ", ") + backup.name + (backup.synced ? " (in sync)" : " (joining)");
    return text;
}

/// Describes an event in one line for humans, without a line end. Characters that could end a line or control a
/// terminal are escaped, whatever names the event contains.
std::string describe(const Event& event);

}  // namespace understudy

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/event.ipp>
#endif
