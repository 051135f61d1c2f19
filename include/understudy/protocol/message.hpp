// Every message of the protocol as a value. The wire layer gives each its JSON form; machines see only these.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/base/namespaces.hpp>
#include <understudy/error.hpp>
#include <understudy/status.hpp>
#include <understudy/view.hpp>

namespace understudy::protocol {

/// JSON text that nobody parses on its way: a command, a query, or what a store returned.
using JsonText = std::string;

/// The JSON-RPC id as the JSON text it had (`17`, `"abc"`), echoed to the letter; empty for a notification.
using CallId = std::string;

/// Names of what a peer can do beyond version 1. Names and numbers beyond these bounds are not read.
using Features = std::vector<std::string>;
inline constexpr std::size_t max_features = 32;
inline constexpr std::size_t max_feature = 64;  ///< Bytes of a name: printable ASCII without blanks.
inline bool is_feature(std::string_view name) {
    return !name.empty() && name.size() <= max_feature &&
           std::ranges::all_of(name, [](char byte) { return byte > 0x20 && byte < 0x7f; });
}

// ---- replicas to the view service ------------------------------------------------------------------------

/// I am alive, this is who I am, and this is what I know (section 2).
struct Ping {
    std::string group;
    Address server;
    Incarnation incarnation = Incarnation::none;
    std::uint64_t n = 0;                         ///< Grows within an incarnation; one that is not newer does not count.
    ViewNumber viewnum = 0;                      ///< The highest view adopted since the process started; 0: none yet.
    std::optional<ClusterId> cluster;            ///< Learned with the first view.
    std::optional<std::vector<Address>> synced;  ///< Of the primary of `viewnum`: its required set Q.
    std::vector<Address> unreachable;            ///< Of the primary: backups that do not acknowledge (S7).
    bool stopped = false;                        ///< Serves no more in this view, and never will again (R6).
    bool leaving = false;                        ///< Wants to leave (R6).
    std::vector<Incarnation> recovered;          ///< Incarnations whose state it continues (S9).
    int protocol = 1;
    bool lease = false;                          ///< As primary it reads by lease.
    std::optional<ViewInfo> known;               ///< Of `cluster`, whole, while that is refused as another one.
    Features features{};                         ///< What this process can do beyond version 1.
    ViewNumber knew = 0;                         ///< The newest view in the journal that it went on from; 0: none.
    ViewNumber state_view = 0;                   ///< The newest view that the state in that journal takes part in.
    bool journal = false;                        ///< Keeps a journal on stable storage (S9).
    friend bool operator==(const Ping&, const Ping&) = default;
};
struct PingResult {
    ViewInfo info;      ///< The view after the ping was taken into account; number 0 if the group has none.
    Duration lease{};   ///< D, the time that a primary's lease lasts from the ping's sending.
    bool stop = false;  ///< Stop serving, and say `stopped` (R6).
    friend bool operator==(const PingResult&, const PingResult&) = default;
};

// ---- anyone to the view service --------------------------------------------------------------------------

struct ViewGet {
    std::string group;
    int protocol = 1;
    friend bool operator==(const ViewGet&, const ViewGet&) = default;
};
/// As `ViewGet`, and every later view comes as a `ViewChanged` over the same connection.
struct ViewWatch {
    std::string group;
    friend bool operator==(const ViewWatch&, const ViewWatch&) = default;
};
/// Asks the primary to hand over to a synced backup (R6).
struct ViewPromote {
    std::string group;
    Address server;
    friend bool operator==(const ViewPromote&, const ViewPromote&) = default;
};
/// Makes a server primary that may lack answered writes: the operator's last resort.
struct ViewForce {
    std::string group;
    Address server;
    friend bool operator==(const ViewForce&, const ViewForce&) = default;
};
/// Goes on with a group of a former view service whose record is lost.
struct ViewAdopt {
    std::string group;
    ClusterId cluster = ClusterId::none;  ///< Of the former one.
    friend bool operator==(const ViewAdopt&, const ViewAdopt&) = default;
};
/// Forgets a group whose servers are all gone for good.
struct ViewRemove {
    std::string group;
    friend bool operator==(const ViewRemove&, const ViewRemove&) = default;
};
/// The answer to `ViewGet`, `ViewWatch`, `ViewPromote` and, with the last view, to `ViewRemove`.
struct ViewResult {
    ViewInfo info;
    std::string trouble{};  ///< Why there is no view although servers are heard: a sentence, or empty.
    friend bool operator==(const ViewResult&, const ViewResult&) = default;
};
/// A notification: the group's view has changed.
struct ViewChanged {
    ViewInfo info;
    friend bool operator==(const ViewChanged&, const ViewChanged&) = default;
};

struct ViewStatus {
    std::optional<std::string> group;  ///< All groups if absent.
    friend bool operator==(const ViewStatus&, const ViewStatus&) = default;
};

// ---- clients to replicas ---------------------------------------------------------------------------------

/// Opens a session (C3).
struct Open {
    ClusterId cluster = ClusterId::none;
    std::string group;
    int protocol = 1;
    friend bool operator==(const Open&, const Open&) = default;
};
struct OpenResult {
    SessionId session;
    friend bool operator==(const OpenResult&, const OpenResult&) = default;
};
/// Closes a session whose client needs it no more (C4). It takes effect after what was sent in it before.
struct Close {
    ClusterId cluster = ClusterId::none;
    std::string group;
    SessionId session;
    friend bool operator==(const Close&, const Close&) = default;
};
struct CloseResult {
    Position at;  ///< From there on no command of the session takes effect.
    friend bool operator==(const CloseResult&, const CloseResult&) = default;
};
/// A command. With a session it takes effect once; without one, once per delivery (C5).
struct Execute {
    ClusterId cluster = ClusterId::none;
    std::string group;
    SessionId session;  ///< Zero: no session.
    Sequence seq = 0;
    Sequence low = 0;  ///< The lowest sequence number still unanswered (C3).
    JsonText command;
    friend bool operator==(const Execute&, const Execute&) = default;
};
struct ExecuteResult {
    Position at;
    JsonText value;
    friend bool operator==(const ExecuteResult&, const ExecuteResult&) = default;
};
struct Query {
    ClusterId cluster = ClusterId::none;
    std::string group;
    JsonText query;
    friend bool operator==(const Query&, const Query&) = default;
};
struct QueryResult {
    Position at;  ///< The view that answered, and the index up to which it had applied.
    JsonText value;
    friend bool operator==(const QueryResult&, const QueryResult&) = default;
};
/// Reads a consistent snapshot of the store piece by piece. The first call (`at` absent) takes it, linearizably;
/// the following name it. The primary forgets it when it has been unused for `dump_ttl`.
struct Dump {
    ClusterId cluster = ClusterId::none;
    std::string group;
    std::optional<Position> at;
    std::uint64_t chunk = 0;  ///< Counts from 0; the piece asked for last may be asked for again.
    friend bool operator==(const Dump&, const Dump&) = default;
};
struct DumpResult {
    Position at;
    std::uint64_t chunk = 0;
    std::string data;
    bool last = false;
    friend bool operator==(const DumpResult&, const DumpResult&) = default;
};

struct ReplicaStatus {
    std::optional<ClusterId> cluster;
    std::optional<std::string> group;
    friend bool operator==(const ReplicaStatus&, const ReplicaStatus&) = default;
};

// ---- primary to backup -----------------------------------------------------------------------------------

/// The sender's view: its number, and the whole of it for a receiver that has not shown yet that it has it.
struct ViewRef {
    ViewNumber number = 0;
    std::optional<ViewInfo> whole;
    friend bool operator==(const ViewRef&, const ViewRef&) = default;
};

enum class EntryKind : std::uint8_t { command, open, close };

/// One entry of the replicated log. `open` opens the session named by its own position; `close` closes `session`.
struct Entry {
    Position at;
    EntryKind kind = EntryKind::command;
    SessionId session;
    Sequence seq = 0;
    Sequence low = 0;
    JsonText command;
    friend bool operator==(const Entry&, const Entry&) = default;
};

/// What a replica's log holds: the position of its last entry and how far it knows it to be committed.
struct Held {
    Position last;
    Index commit = 0;
    friend bool operator==(const Held&, const Held&) = default;
};

struct Append {
    ClusterId cluster = ClusterId::none;
    std::string group;
    ViewRef view;
    Position prev;  ///< The entry before the first of `entries`.
    std::vector<Entry> entries;
    Index commit = 0;
    Round round = 0;  ///< The newest read round that this append asks about (Reads, confirm).
    friend bool operator==(const Append&, const Append&) = default;
};
struct AppendResult {
    ViewNumber view = 0;
    Index match = 0;
    Round round = 0;
    Features features{};  ///< As in a ping.
    friend bool operator==(const AppendResult&, const AppendResult&) = default;
};

/// Names one snapshot: the primary that took it and the last entry that it contains.
struct SnapshotId {
    Incarnation by = Incarnation::none;
    Position at;
    friend auto operator<=>(const SnapshotId&, const SnapshotId&) = default;
};
struct Install {
    ClusterId cluster = ClusterId::none;
    std::string group;
    ViewRef view;
    SnapshotId snapshot;
    std::uint64_t chunk = 0;  ///< Counts from 0.
    std::string data;
    bool last = false;
    int protocol = 1;
    friend bool operator==(const Install&, const Install&) = default;
};
/// `next` is the chunk that the backup wants now; after the last one it is that chunk's number plus one.
struct InstallResult {
    ViewNumber view = 0;
    SnapshotId snapshot;
    std::uint64_t next = 0;
    friend bool operator==(const InstallResult&, const InstallResult&) = default;
};

// ---- errors ----------------------------------------------------------------------------------------------

/// A JSON-RPC error. `to` is the method that it answers (empty if that could not be read).
struct Failure {
    std::string to;
    error code = error::internal;
    std::string text;                      ///< What was wrong and what was expected.
    std::optional<ViewInfo> view;          ///< The answering party's view, where there is one.
    std::optional<Held> held;              ///< With `mismatch`: what the backup has.
    std::optional<InstallResult> install;  ///< With `bad_chunk`: which chunk of which snapshot the backup wants.
    friend bool operator==(const Failure&, const Failure&) = default;
};

using Message =
    std::variant<Ping, PingResult, ViewGet, ViewWatch, ViewPromote, ViewForce, ViewAdopt, ViewResult, ViewForceResult,
                 ViewChanged, ViewStatus, ViewStatusResult, Open, OpenResult, Execute, ExecuteResult, Query,
                 QueryResult, Dump, DumpResult, ReplicaStatus, ReplicaStatusResult, Append, AppendResult, Install,
                 InstallResult, Close, CloseResult, ViewRemove, Failure>;

/// A message with its other end: whom it came from when it is received, whom it goes to when it is sent.
struct Envelope {
    Address peer;
    CallId id;
    Message message;
    friend bool operator==(const Envelope&, const Envelope&) = default;
};

}  // namespace understudy::protocol
