// What a machine has to tell its host: typed events, and one function that prints any of them.
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

// ---- of the view service ---------------------------------------------------------------------------------

/// A new view was decided. `why` names the rule and the cause.
struct ViewDecided {
    ViewInfo info;
    std::string why;
};
/// A server, or a new incarnation of one, was heard for the first time.
struct ServerSeen {
    std::string group;
    Address server;
    Incarnation incarnation;
};
/// A server counts as dead from now on.
struct ServerLost {
    std::string group;
    Address server;
    std::string why;
};
/// Two processes ping under the name of one server, both for D already. One has the name; the other is refused.
struct NameShared {
    std::string group;
    Address server;
    Address holder;   ///< The connection of the one that has the name,
    Address refused;  ///< and that of the other.
};
/// A group is forgotten, at an operator's word or by rule; `info` is its last view.
struct GroupRemoved {
    ViewInfo info;
    std::string why;
};
/// No view can follow until one of `waiting_for` returns with its state (R4).
struct GroupWaits {
    std::string group;
    std::vector<Address> waiting_for;
    std::string why;
};
/// The record of this group is behind what was announced (R7), or it turned out that it is not.
struct RecordBehind {
    std::string group;
    std::string what;
};
/// The store of the view service failed, or is used by another one. The service ends, and announces nothing that
/// depends on what was not stored.
struct ViewStoreFailed {
    error code;
    std::string what;
};

// ---- of a replica ----------------------------------------------------------------------------------------

/// The replica adopted a view and with it this role; told of the first view too, if it is idle there.
struct RoleChanged {
    std::string group;
    Role role;
    ViewNumber view;
};
/// The primary stopped serving for the rest of its view (S6).
struct SteppedDown {
    std::string group;
    ViewNumber view;
    std::string why;
};
/// A backup is being brought up: from the log, or by a snapshot.
struct BackupJoining {
    Address backup;
    ViewNumber view;
    bool by_snapshot;
};
/// A backup entered the required set (S4).
struct BackupInSync {
    Address backup;
    ViewNumber view;
    Index match;
};
/// A backup does not acknowledge; it is reported to the view service (S7).
struct BackupUnreachable {
    Address backup;
    ViewNumber view;
};
/// A snapshot replaced this replica's state (S8).
struct SnapshotInstalled {
    Position at;
    std::uint64_t bytes;
};
/// Entries that conflict with the primary's log were cut off (S3); after `view.force` they may have been answered.
struct LogCut {
    Index from;
    Index entries;
    bool committed;
};
/// A session was closed for want of use (C4).
struct SessionClosed {
    SessionId session;
};
/// The host's store threw; this replica takes no further part.
struct StoreFailed {
    std::string what;
};
/// One call of the host's store took D or longer, within which a server has to be heard: it may be taken for dead. Told
/// once a minute at most, with the longest since.
struct SlowStore {
    std::string call;  ///< `apply` or `query`.
    Duration took;
};
/// Committed entries have waited for D or longer for the store to apply them; told once a minute at most.
struct StoreBehind {
    Index entries;
};
/// Stable storage failed; this replica takes no further part (S9).
struct JournalFailed {
    std::string what;
};
/// Stable storage waits for something that may pass: descriptors to open a file with. What it was to keep waits too.
struct JournalWaits {
    std::string what;
};
/// It has got what it waited for.
struct JournalGoesOn {};
/// The view service has not answered for D; the next address is tried. Told once for each address until one answers.
struct ViewServiceSilent {
    Address address;
};
/// The view service answers a server again after it was silent.
struct ViewServiceAnswers {
    Address address;
};

// ---- of a client -----------------------------------------------------------------------------------------

/// A call ended with an error, and this is what is known about the cause. Told before the call completes.
struct CallFailed {
    error code;
    std::string why;
};

// ---- of anyone -------------------------------------------------------------------------------------------

/// A message was refused, or an answer that nobody asked for was dropped. What repeats is told once, and then once a
/// minute: the last one, and how many more there were. (An `Admin` tells each, since each is the end of a call.)
struct Refused {
    Address peer;
    error code;
    std::string what;
    std::uint64_t more = 0;  ///< Like it since it was last told; 0 if it is told for the first time.
};
/// Bytes that are no message, or a connection that broke a limit. Told as `Refused` is.
struct Malformed {
    Address peer;
    error code;
    std::string what;
    std::uint64_t more = 0;
};

/// A transport turns connections away, or closes silent ones for others: too many are open. Told when it begins, and
/// then once a minute with how many there were until then.
struct ConnectionsRefused {
    std::size_t count;
    std::string why;
};
/// There is room for connections again, and none was turned away for `first_message_timeout`.
struct ConnectionsAccepted {
    std::size_t refused;
};

using Event = std::variant<ViewDecided, ServerSeen, ServerLost, NameShared, GroupRemoved, GroupWaits, RecordBehind,
                           ViewStoreFailed, RoleChanged, SteppedDown, BackupJoining, BackupInSync, BackupUnreachable,
                           SnapshotInstalled, LogCut, SessionClosed, StoreFailed, SlowStore, StoreBehind, JournalFailed,
                           JournalWaits, JournalGoesOn, ViewServiceSilent, ViewServiceAnswers, CallFailed, Refused,
                           Malformed, ConnectionsRefused, ConnectionsAccepted>;

/// Called with each event, in order, on the service's executor, after the step that caused it. May be empty.
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

/// `view 3: primary tcp://a, backups tcp://b (in sync), tcp://c (joining)`.
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

/// One line for people, without a line end, and with nothing in it that is no part of a line, whatever names say.
std::string describe(const Event& event);

}  // namespace understudy

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/event.ipp>
#endif
