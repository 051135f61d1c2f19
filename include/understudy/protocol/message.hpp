// Every message of the protocol as a value. wire/ converts them to and from JSON; the state machines use only these
// values.
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
#include <understudy/peer.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/entry.hpp>
#include <understudy/protocol/entry_block.hpp>
#include <understudy/status.hpp>
#include <understudy/view.hpp>

namespace understudy::protocol {

/// The names of what a peer can do beyond version 1. A reader skips names that break these bounds, and names beyond
/// `max_features`.
using Features = std::vector<std::string>;
inline constexpr std::size_t max_features = 32;
inline constexpr std::size_t max_feature = 64;  ///< Bytes of a name: printable ASCII without blanks.
inline bool is_feature(std::string_view name) {
    return !name.empty() && name.size() <= max_feature &&
           std::ranges::all_of(name, [](char byte) { return byte > 0x20 && byte < 0x7f; });
}

// ---- replicas to the view service ------------------------------------------------------------------------

/// A server reports to the view service: that it is alive, which process it is, and what it knows (section 2).
struct Ping {
    std::string group;
    Address server;
    Incarnation incarnation = Incarnation::none;
    std::uint64_t n = 0;  ///< Grows within an incarnation. A ping that is not newer has no effect.
    ViewNumber viewnum = 0;                      ///< The highest view adopted since the process started; 0: none yet.
    std::optional<ClusterId> cluster;            ///< The cluster of its state; absent until the first view.
    std::optional<std::vector<Address>> synced;  ///< From the primary of `viewnum`: its in-sync set Q.
    std::vector<Address> unreachable;            ///< From the primary: backups that do not acknowledge (S7).
    bool stopped = false;                        ///< It has stopped serving in this view for good (R6).
    bool leaving = false;                        ///< It asks to leave the group (R6).
    std::vector<Incarnation> recovered;          ///< Incarnations whose state it continues (S9).
    int protocol = 1;
    bool lease = false;                          ///< As primary, it reads by lease.
    /// The newest view of `cluster`, sent while the view service refuses that cluster, or has a record that is behind
    /// (R7).
    std::optional<ViewInfo> known;
    Features features{};                         ///< What this process can do beyond version 1.
    ViewNumber knew = 0;                         ///< The newest view that its journal has persisted; 0: none.
    ViewNumber state_view = 0;                   ///< The newest view in which the state in its journal took part.
    bool journal = false;                        ///< It has a journal on stable storage (S9).
    friend bool operator==(const Ping&, const Ping&) = default;
};
struct PingResult {
    ViewInfo info;      ///< The view after this ping was evaluated; its number is 0 if the group has none.
    Duration lease{};   ///< D: a primary's lease lasts this long from the time when it sent the ping.
    bool stop = false;  ///< Asks the server to stop serving and then to ping `stopped` (R6).
    friend bool operator==(const PingResult&, const PingResult&) = default;
};

// ---- any node to the view service ------------------------------------------------------------------------

struct ViewGet {
    std::string group;
    int protocol = 1;
    friend bool operator==(const ViewGet&, const ViewGet&) = default;
};
/// As `ViewGet`. In addition every later view is sent as a `ViewChanged` over the same connection.
struct ViewWatch {
    std::string group;
    friend bool operator==(const ViewWatch&, const ViewWatch&) = default;
};
/// An operator request: the primary is to hand over to a synced backup (R6).
struct ViewPromote {
    std::string group;
    Address server;
    friend bool operator==(const ViewPromote&, const ViewPromote&) = default;
};
/// An operator request: makes a server primary although it may lack answered writes. The last resort.
struct ViewForce {
    std::string group;
    Address server;
    friend bool operator==(const ViewForce&, const ViewForce&) = default;
};
/// An operator request: continues a group of a former view service whose record is lost.
struct ViewAdopt {
    std::string group;
    ClusterId cluster = ClusterId::none;  ///< The cluster of the former view service.
    friend bool operator==(const ViewAdopt&, const ViewAdopt&) = default;
};
/// An operator request: removes a group whose servers will never return.
struct ViewRemove {
    std::string group;
    friend bool operator==(const ViewRemove&, const ViewRemove&) = default;
};
/// The result of `ViewGet`, `ViewWatch` and `ViewPromote`. It is also that of `ViewRemove`, with the group's last view.
struct ViewResult {
    ViewInfo info;
    std::string trouble{};  ///< A sentence that says why servers ping but there is no view, or empty.
    friend bool operator==(const ViewResult&, const ViewResult&) = default;
};
/// A notification that the view of a group has changed.
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
/// Closes a session that the client no longer needs (C4). It takes effect after everything that was sent in the session
/// before.
struct Close {
    ClusterId cluster = ClusterId::none;
    std::string group;
    SessionId session;
    friend bool operator==(const Close&, const Close&) = default;
};
struct CloseResult {
    Position at;  ///< After this position no command of the session takes effect.
    friend bool operator==(const CloseResult&, const CloseResult&) = default;
};
/// A command. With a session it takes effect once. Without a session it takes effect each time it is delivered (C5).
template <typename Text>
struct BasicExecute {
    ClusterId cluster = ClusterId::none;
    Text group{};
    SessionId session;  ///< Zero: no session.
    Sequence seq = 0;
    Sequence low = 0;  ///< The lowest sequence number that has no answer yet (C3).
    Text command{};
    friend bool operator==(const BasicExecute&, const BasicExecute&) = default;
};
using Execute = BasicExecute<std::string>;
using ExecuteView = BasicExecute<std::string_view>;
template <typename Text>
struct BasicExecuteResult {
    Position at;
    Text value{};
    friend bool operator==(const BasicExecuteResult&, const BasicExecuteResult&) = default;
};
using ExecuteResult = BasicExecuteResult<std::string>;
using ExecuteResultView = BasicExecuteResult<std::string_view>;
template <typename Text>
struct BasicQuery {
    ClusterId cluster = ClusterId::none;
    Text group{};
    Text query{};
    friend bool operator==(const BasicQuery&, const BasicQuery&) = default;
};
using Query = BasicQuery<std::string>;
using QueryView = BasicQuery<std::string_view>;
template <typename Text>
struct BasicQueryResult {
    Position at;  ///< The view in which it was answered, and the index up to which the server had applied the log.
    Text value{};
    friend bool operator==(const BasicQueryResult&, const BasicQueryResult&) = default;
};
using QueryResult = BasicQueryResult<std::string>;
using QueryResultView = BasicQueryResult<std::string_view>;
/// Exports a consistent snapshot of the store, piece by piece. The first request (without `at`) takes the snapshot by a
/// linearizable read; the following requests name it. The primary drops it when it has not been used for `dump_ttl`.
struct Dump {
    ClusterId cluster = ClusterId::none;
    std::string group;
    std::optional<Position> at;
    std::uint64_t chunk = 0;  ///< Counts from 0. The last requested piece may be requested again.
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

/// The view of the sender: its number, and the complete view until the receiver has shown that it has it.
struct ViewRef {
    ViewNumber number = 0;
    std::optional<ViewInfo> whole;
    friend bool operator==(const ViewRef&, const ViewRef&) = default;
};

/// The state of a replica's log: the position of its last entry, and the commit index as far as the replica knows it.
struct Held {
    Position last;
    Index commit = 0;
    friend bool operator==(const Held&, const Held&) = default;
};

template <typename Text, typename Entries>
struct BasicAppend {
    ClusterId cluster = ClusterId::none;
    Text group{};
    ViewRef view;
    Position prev;  ///< The position of the entry before the first of `entries`.
    Entries entries{};
    Index commit = 0;
    Round round = 0;  ///< The newest round to be confirmed, for reads that wait (protocol, Reads).
    friend bool operator==(const BasicAppend&, const BasicAppend&) = default;
};
using Append = BasicAppend<std::string, SharedEntries>;
using AppendView = BasicAppend<std::string_view, std::vector<EntryView>>;
struct AppendResult {
    ViewNumber view = 0;
    Index match = 0;
    Round round = 0;
    Features features{};  ///< As in a ping.
    friend bool operator==(const AppendResult&, const AppendResult&) = default;
};

/// Names one snapshot: by the incarnation of the primary that took it, and the position of the last entry in it.
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
/// `next` is the chunk that the backup wants next. After the last chunk it is the number of chunks.
struct InstallResult {
    ViewNumber view = 0;
    SnapshotId snapshot;
    std::uint64_t next = 0;
    friend bool operator==(const InstallResult&, const InstallResult&) = default;
};

// ---- errors ----------------------------------------------------------------------------------------------

/// A JSON-RPC error. `to` is the method of the failed request, or empty if that could not be read.
struct Failure {
    std::string to;
    error code = error::internal;
    std::string text;                      ///< What was wrong and what was expected.
    std::optional<ViewInfo> view;          ///< The view of the node that answers, if it has one.
    std::optional<Held> held;              ///< With `mismatch`: the state of the backup's log.
    std::optional<InstallResult> install;  ///< With `bad_chunk`: the snapshot and chunk that the backup wants.
    friend bool operator==(const Failure&, const Failure&) = default;
};

using Message =
    std::variant<Ping, PingResult, ViewGet, ViewWatch, ViewPromote, ViewForce, ViewAdopt, ViewResult, ViewForceResult,
                 ViewChanged, ViewStatus, ViewStatusResult, Open, OpenResult, Execute, ExecuteResult, Query,
                 QueryResult, Dump, DumpResult, ReplicaStatus, ReplicaStatusResult, Append, AppendResult, Install,
                 InstallResult, Close, CloseResult, ViewRemove, Failure>;

/// A message with the other end. `peer` is the sender of a received message and the receiver of a sent one.
struct Envelope {
    Peer peer;
    CallId id;
    Message message;
    friend bool operator==(const Envelope&, const Envelope&) = default;
};

}  // namespace understudy::protocol
