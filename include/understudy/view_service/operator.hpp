// What operators read about a group, as human-readable text and as its status: which servers the group waits for and
// what ends the wait, why a promotion or a force is refused, and what may be lost.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/event.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/view_service/decision_table.hpp>
#include <understudy/view_service/group.hpp>
#include <understudy/view_service/server.hpp>

namespace understudy::view_service {

/// R4: the servers whose return with their state would end the wait; empty if the group does not wait.
inline std::vector<Address> awaited(const GroupState& now) {
    std::vector<Address> names;
    if (!waits(now)) return names;
    names.push_back(now.primary.member.name);
    for (const auto& state : now.backups)
        if (state.member.synced) names.push_back(state.member.name);
    return names;
}

/// Whether the member may ping again with its state in memory. That is possible if it is only silent, but not if its
/// process has ended or has lost its state.
inline bool may_return(const MemberState& state) { return state.loss == Loss::none || state.loss == Loss::silent; }

/// R4: which servers the group waits for, why no other server can lead, and what ends the wait. A way that loses
/// nothing comes first: to start a server again with its directory, if one keeps a journal.
inline std::string why_waiting(const GroupState& now) {
    auto fate = [](const MemberState& state) {
        auto text = state.member.name + " " + std::string{describe(state.loss)};
        if (state.loss != Loss::restarted) return text;
        if (state.noted == 0) return text + " without its state";
        return text + " with an older copy of its state, which ends with view " + std::to_string(state.knew) +
               " and had noted view " + std::to_string(state.noted) +
               " before; with its newest directory it would lead";
    };
    auto number = std::to_string(now.view.number);
    std::string who = fate(now.primary);
    std::string back, kept;
    const auto sort = [&](const MemberState& state) {
        const auto add = [&](std::string& names) { names += (names.empty() ? "" : " or ") + state.member.name; };
        if (may_return(state)) add(back);
        if (state.journal) add(kept);
    };
    sort(now.primary);
    std::size_t holders = 1;
    for (const auto& state : now.backups) {
        if (!state.member.synced) continue;
        who += ", " + fate(state);
        sort(state);
        ++holders;
    }
    auto others = "no other server surely holds every answered write";
    auto backups = holders == 1 ? "view " + number + " had no backup in sync, so " : std::string{"but for these "};
    const std::string rest = "making a live server primary with the command `force`, which may lose answered writes";
    if (!kept.empty())
        return "R4: " + who + "; " + backups + others + ". Nothing is lost if " + kept +
               " goes on: start it again with its directory (--data), if its process is gone. Only where that cannot "
               "be done: an operator can end the wait by " + rest;
    auto end =
        back.empty()
            ? ". As far as is known none of these processes is left, so only an operator can end the wait, by"
            : ". The group waits until " + back + " is heard again with its state; an operator can end the wait by";
    return "R4: " + who + "; " + backups + others + end + " " + rest;
}

/// The warning to an operator after the adoption of `old` as the view `now`. `heard` says whether any member of `now`
/// is heard.
inline std::string may_be_lost_by_adoption(const ViewInfo& old, const View& now, bool heard) {
    const auto number = std::to_string(old.view.number);
    std::string left_out;
    for (const auto& backup : old.view.backups)
        if (!now.member(backup.name)) left_out += (left_out.empty() ? "" : ", ") + backup.name;
    if (!now.member(old.view.primary.name)) left_out += (left_out.empty() ? "" : ", ") + old.view.primary.name;
    auto text = "View " + number + " of cluster " + to_hex(old.cluster) +
                " is the newest that a server has reported. If the former view service decided a later one, every "
                "write answered in that is lost; and its primary goes on answering, old values too, until it has "
                "learned of view " + std::to_string(now.number) + " or is stopped. So stop every server of the group "
                "that is not heard here, and never start the former view service again. Servers other than these "
                "drop what they hold when they join";
    if (!left_out.empty()) text += "; of view " + number + " these are " + left_out;
    if (!heard) text += ". No member that surely holds every answered write is heard: the group waits for one (R4)";
    return text;
}

/// Why this server cannot be promoted in the present view; empty if it can.
inline std::string promotion_obstacle(const GroupState& now, std::string_view name) {
    if (now.view.number == 0) return "the group has no view yet";
    for (const auto& state : now.backups) {
        if (state.member.name != name) continue;
        auto text = std::string{name};
        if (!state.member.synced)
            return text + " is not in sync yet; only `force` could make it primary, and lose answered writes";
        if (state.health == Health::dead) return text + " " + std::string{describe(state.loss)};
        if (state.health == Health::suspect) return text + " is silent";
        return {};
    }
    return std::string{name} + " is no backup of " + understudy::describe(now.view);
}

/// Why this server cannot be made primary by `force`; empty if it can.
inline std::string force_obstacle(const Group& group, std::string_view name, Time now) {
    if (group.view().number == 0) return "the group has no view yet: the first server without state will be primary";
    const auto* server = group.find(name);
    if (!server) return std::string{name} + " is not known in this group; it must run and ping first";
    if (server->loss != Loss::none) return std::string{name} + " " + std::string{describe(server->loss)};
    return group.detector.health(*server, now) == Health::ok ? std::string{} : std::string{name} + " is silent";
}

inline constexpr std::size_t max_refused_listed = 1000;  ///< Refused servers in one status.

/// For a group without a view here: the servers of a former view service that are refused, and the command with which
/// the group goes on from their state. Empty if there are none.
inline std::string describe_refused(const std::vector<RefusedServer>& refused) {
    if (refused.empty()) return {};
    const auto newest = std::ranges::max_element(refused, {}, &RefusedServer::viewnum);
    const auto cluster = to_hex(newest->cluster);
    std::string text = "servers of a former view service are refused here:";
    for (const auto& server : refused)
        text += " " + server.name + " with view " + std::to_string(server.viewnum) + " of cluster " +
                to_hex(server.cluster) + (&server == &refused.back() ? "" : ",");
    return text + ". If that view service is gone for good, `pbc VIEW_SERVICE adopt " + newest->group + " " + cluster +
           "` goes on with what they hold. Start no new server: while they are heard it founds no group";
}

/// The connection over which a process pings, as text.
inline std::string whence(const Address& peer) { return peer.empty() ? "a connection that has ended" : peer; }

/// Text for a name under which two processes ping (`FailureDetector::is_shared`). The server must have a rival.
inline std::string describe_rivals(std::string_view name, const Server& server) {
    return "two processes under one name " + std::string{name} + ": incarnation " + to_hex(server.incarnation) +
           " pings from " + whence(server.peer) + ", incarnation " + to_hex(server.rival->incarnation) + " from " +
           whence(server.rival->peer) + ", and that one counts only once the other is gone";
}
/// Text for a refused ping while it is not certain that two processes live: the one that has the name may have died
/// just now.
inline std::string describe_holder(std::string_view name, const Server& server) {
    return "two processes under one name are not let in: incarnation " + to_hex(server.incarnation) + " pinged as " +
           std::string{name} + " from " + whence(server.peer) + " less than D ago and is not known to be gone";
}

/// The role in a status (protocol, `view.status`).
inline std::string role_of(const Group& group, std::string_view name, const Server& server) {
    if (server.loss != Loss::none) return "dead";
    const auto* member = group.find_member(name, server.incarnation);
    if (member) return member == &group.view().primary ? "primary" : member->synced ? "backup" : "joining";
    return server.leaving ? "leaving" : "idle";
}

/// The status of one group. It is linear in the number of servers.
inline GroupStatus status_of(const Group& group, const GroupState& group_state, Time now) {
    GroupStatus status{group.info, group.acked, {}, awaited(group_state), {}};
    if (!status.waiting_for.empty()) status.waiting_why = why_waiting(group_state);
    if (group.behind) {
        status.waiting_for = {group.behind->server};
        status.waiting_why = why_behind(*group.behind, group.info);
    }
    for (const auto& [name, server] : group.detector.servers()) {
        auto age = std::max(Duration{}, now - server.heard);  // after a restart `heard` may lie in the future
        auto trouble = group.detector.is_shared(server, now) ? describe_rivals(name, server) : std::string{};
        status.servers.push_back(
            {name, server.incarnation, role_of(group, name, server), age, server.viewnum, std::move(trouble)});
    }
    return status;
}

}  // namespace understudy::view_service
