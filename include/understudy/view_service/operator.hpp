// What the view service tells people: for whom a group waits and what ends it, why a promotion cannot be done, and the
// status of a group.
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

namespace understudy::view_service {

/// R4: whose return would end the wait; empty if the group does not wait.
inline std::vector<Address> awaited(const Situation& now) {
    std::vector<Address> names;
    if (!waits(now)) return names;
    names.push_back(now.primary.member.name);
    for (const auto& seat : now.backups)
        if (seat.member.synced) names.push_back(seat.member.name);
    return names;
}

/// A server that was only silent may be heard again with its state; one whose process is gone will not.
inline bool may_return(const Seat& seat) { return seat.loss == Loss::none || seat.loss == Loss::silent; }

/// R4: for whom the group waits, why nobody else will do, and what ends it.
inline std::string why_waiting(const Situation& now) {
    auto fate = [](const Seat& seat) {
        auto text = seat.member.name + " " + std::string{describe(seat.loss)};
        if (seat.loss != Loss::restarted) return text;
        if (seat.noted == 0) return text + " without its state";
        return text + " with an older copy of its state, which ends with view " + std::to_string(seat.knew) +
               " and had noted view " + std::to_string(seat.noted) + " before; with its newest directory it would lead";
    };
    auto number = std::to_string(now.view.number);
    std::string who = fate(now.primary);
    std::string back, kept;
    const auto sort = [&](const Seat& seat) {
        const auto add = [&](std::string& names) { names += (names.empty() ? "" : " or ") + seat.member.name; };
        if (may_return(seat)) add(back);
        if (seat.journal) add(kept);
    };
    sort(now.primary);
    std::size_t holders = 1;
    for (const auto& seat : now.backups) {
        if (!seat.member.synced) continue;
        who += ", " + fate(seat);
        sort(seat);
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

/// What an operator is told who adopted `old` as `now`, whose members are `heard` if anybody is.
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

/// Why that server cannot be promoted in the present view; empty if it can.
inline std::string promotion_obstacle(const Situation& now, std::string_view name) {
    if (now.view.number == 0) return "the group has no view yet";
    for (const auto& seat : now.backups) {
        if (seat.member.name != name) continue;
        auto text = std::string{name};
        if (!seat.member.synced)
            return text + " is not in sync yet; only `force` could make it primary, and lose answered writes";
        if (seat.health == Health::dead) return text + " " + std::string{describe(seat.loss)};
        if (seat.health == Health::doubtful) return text + " is silent";
        return {};
    }
    return std::string{name} + " is no backup of " + understudy::describe(now.view);
}

/// Why that server cannot be forced; empty if it can.
inline std::string force_obstacle(const Group& group, std::string_view name, Time now, const Periods& periods) {
    if (group.view().number == 0) return "the group has no view yet: the first server without state will be primary";
    const auto* server = group.find(name);
    if (!server) return std::string{name} + " is not known in this group; it must run and ping first";
    if (server->loss != Loss::none) return std::string{name} + " " + std::string{describe(server->loss)};
    return server->health(now, periods) == Health::ok ? std::string{} : std::string{name} + " is silent";
}

inline constexpr std::size_t max_refused_listed = 1000;  ///< In one status.

/// Of servers of one group that has no view here: the command that goes on with what they hold. Empty if none are.
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

/// From where a process pings.
inline std::string whence(const Address& peer) { return peer.empty() ? "a connection that has ended" : peer; }

/// Of a name that another process than its own pings under.
inline std::string describe_rivals(std::string_view name, const Server& server) {
    return "two processes under one name " + std::string{name} + ": incarnation " + to_hex(server.incarnation) +
           " pings from " + whence(server.peer) + ", incarnation " + to_hex(server.rival->incarnation) + " from " +
           whence(server.rival->peer) + ", and that one counts only once the other is gone";
}
/// The same before it is known whether that one has just died.
inline std::string describe_holder(std::string_view name, const Server& server) {
    return "two processes under one name are not let in: incarnation " + to_hex(server.incarnation) + " pinged as " +
           std::string{name} + " from " + whence(server.peer) + " less than D ago and is not known to be gone";
}

inline std::string role_of(const Group& group, std::string_view name, const Server& server) {
    if (server.loss != Loss::none) return "dead";
    const auto* member = group.seat(name, server.incarnation);
    if (member) return member == &group.view().primary ? "primary" : member->synced ? "backup" : "joining";
    return server.leaving ? "leaving" : "idle";
}

inline GroupStatus status_of(const Group& group, const Situation& situation, Time now, const Periods& periods) {
    GroupStatus status{group.info, group.acked, {}, awaited(situation), {}};
    if (!status.waiting_for.empty()) status.waiting_why = why_waiting(situation);
    if (group.behind) {
        status.waiting_for = {group.behind->server};
        status.waiting_why = why_behind(*group.behind, group.info);
    }
    for (const auto& [name, server] : group.servers) {
        auto age = std::max(Duration{}, now - server.heard);
        auto trouble = server.is_shared(now, periods) ? describe_rivals(name, server) : std::string{};
        status.servers.push_back(
            {name, server.incarnation, role_of(group, name, server), age, server.viewnum, std::move(trouble)});
    }
    return status;
}

}  // namespace understudy::view_service
