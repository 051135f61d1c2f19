// What view services and servers report about themselves to an operator (`view.status`, `pb.status`).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <understudy/view.hpp>

namespace understudy {

// ---- reported by a view service ---------------------------------------------------------------------------

/// The state of one server as the view service sees it.
struct ServerStatus {
    Address name;
    Incarnation incarnation = Incarnation::none;
    std::string role;        ///< `primary`, `backup` (in sync), `joining`, `idle`, `leaving` or `dead`.
    Duration last_ping{};    ///< Age of the last ping.
    ViewNumber viewnum = 0;  ///< The `viewnum` of that ping.
    std::string trouble{};   ///< A sentence about a problem (two processes use this name), or empty.
    friend bool operator==(const ServerStatus&, const ServerStatus&) = default;
};
/// The state of one group as the view service sees it.
struct GroupStatus {
    ViewInfo info;                      ///< The present view; its number is 0 if the group has none yet.
    bool acked = false;                 ///< The primary has reported that it leads this view, with all backups in sync.
    std::vector<ServerStatus> servers;  ///< Those that the view service has heard of, also the dead among them.
    std::vector<Address> waiting_for;   ///< The group waits for any of these to return (R4); empty if it does not wait.
    std::string waiting_why;            ///< A sentence that says why it waits; empty if it does not wait.
    friend bool operator==(const GroupStatus&, const GroupStatus&) = default;
};
/// A server that is refused because it has state of a former view service. `view.adopt` could continue from that state.
struct RefusedServer {
    std::string group;
    Address name;
    ClusterId cluster = ClusterId::none;
    ViewNumber viewnum = 0;  ///< The newest view that it reports.
    Duration last_ping{};    ///< Age of its last ping.
    friend bool operator==(const RefusedServer&, const RefusedServer&) = default;
};
/// A decision of the view service, for people to read.
struct PastEvent {
    Duration age{};    ///< How long ago it was made.
    std::string text;  ///< One sentence.
    friend bool operator==(const PastEvent&, const PastEvent&) = default;
};
/// The state of a view service (`view.status`).
struct ViewStatusResult {
    std::vector<GroupStatus> groups;
    std::vector<PastEvent> events;  ///< Recent decisions, oldest first.
    std::vector<RefusedServer> refused{};  ///< Those heard within the last 10 D; at most 1000.
    friend bool operator==(const ViewStatusResult&, const ViewStatusResult&) = default;
};
/// The result of `ViewForce` and of `ViewAdopt`.
struct ViewForceResult {
    ViewInfo info;            ///< The view that was made.
    std::string may_be_lost;  ///< The warning (`may_be_lost`): which answered writes may be lost.
    friend bool operator==(const ViewForceResult&, const ViewForceResult&) = default;
};
/// The warning for an operator who has made `forced` primary in place of `old`: which answered writes may be lost.
inline std::string may_be_lost(const View& old, const Member& forced) {
    const auto* member = old.member(forced.name);
    bool same = member && member->incarnation == forced.incarnation;
    auto number = std::to_string(old.number);
    auto holds = [&]() -> std::string {
        if (same && (member->synced || member == &old.primary)) return " surely holds every answered write";
        if (same) return " was a backup not in sync yet: it may hold a part of what was written";
        auto what = member ? " is another process than in view " : " had no role in view ";
        return what + number + ": it holds what it had when last in sync, or nothing";
    };
    auto text = forced.name + holds() + ". Every write answered up to view " + number + " that it lacks is lost";
    if (old.primary.name != forced.name)
        text += ". Until " + old.primary.name + " has learned of view " + std::to_string(old.number + 1) +
                ", clients that reach it may read old values there, and what it answers is lost too";
    return text + ". Servers that hold more drop it when they join";
}

// ---- reported by a server ---------------------------------------------------------------------------------

/// The state of one backup as the primary sees it.
struct BackupStatus {
    Address name;
    std::string state;       ///< `in_sync`, `log` (catching up from the log), `snapshot`, or `unreachable`.
    Index match = 0;         ///< The last index that the backup has acknowledged.
    std::uint64_t sent = 0;  ///< Bytes of the snapshot that the backup has acknowledged.
    friend bool operator==(const BackupStatus&, const BackupStatus&) = default;
};
/// The state of a server of a group, as it reports it (`pb.status`).
struct ReplicaStatusResult {
    ViewInfo info;   ///< The newest view that the server knows.
    Address server;  ///< Its own name.
    Incarnation incarnation = Incarnation::none;
    Role role = Role::idle;
    Index first = 0;    ///< The first index that is still in the log; `last + 1` if the log is empty.
    Index last = 0;     ///< The last index in the log.
    Index commit = 0;   ///< The last index that every backup in sync has.
    Index applied = 0;  ///< The last index whose command the store has executed.
    std::uint64_t sessions = 0;
    std::uint64_t log_bytes = 0;
    std::vector<BackupStatus> backups;  ///< Of a primary: its backups.
    friend bool operator==(const ReplicaStatusResult&, const ReplicaStatusResult&) = default;
};

}  // namespace understudy
