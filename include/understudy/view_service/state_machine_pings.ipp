// ViewStateMachine, continued: a ping. It is refused, or taken into account and answered with the view after it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include <understudy/base/config.hpp>
#include <understudy/view_service/fault_text.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

inline constexpr std::size_t max_recovered = 256;  ///< Incarnations that one ping may list in `recovered`.

inline bool has_server_names(const View& view) {
    return (view.number == 0 || is_server_name(view.primary.name)) &&
           std::ranges::all_of(view.backups, is_server_name, &Member::name);
}

/// What is wrong with the form of a ping, whatever the group: version, names, `known`, numbers that cannot be.
inline std::optional<Fault> malformation(const Ping& ping) {
    if (ping.protocol != protocol_version) return Fault{error::unsupported_version, version_text(ping.protocol)};
    if (!is_group_name(ping.group)) return Fault{error::bad_request, group_name_text()};
    if (!is_server_name(ping.server) || (ping.known && !has_server_names(ping.known->view)))
        return Fault{error::bad_request, "a server's name must have 1 to " + std::to_string(max_server_name) +
                                             " bytes and no control character"};
    if (const auto& known = ping.known;
        known && (known->group != ping.group || known->cluster != ping.cluster || known->view.number == 0))
        return Fault{error::bad_request, "`known` must be a view of the ping's group and cluster"};
    if (highest_named(ping) > max_number)
        return Fault{error::bad_request, "no view has a number above " + std::to_string(max_number)};
    return std::nullopt;
}

/// Why a ping is refused before it is taken into account: its form, cluster, view numbers, incarnation, limits. `group`
/// is null if the ping would create a new group.
UNDERSTUDY_DECL std::optional<Fault> ViewStateMachine::objection(const Ping& ping, const Address& peer,
                                                                 const Group* group) const {
    if (auto fault = malformation(ping)) return fault;
    if (const auto ours = group ? group->info.cluster : cluster_; ping.cluster && *ping.cluster != ours)
        return Fault{error::wrong_cluster, ping.server + " has state of cluster " + to_hex(*ping.cluster) +
                                               ", here the group belongs to cluster " + to_hex(ours)};
    if (const auto mine = group ? group->view().number : 0; highest_named(ping) > mine + max_ahead)
        return Fault{error::bad_request, "a view so far above view " + std::to_string(mine) + " cannot be"};
    if (ping.incarnation == Incarnation::none) return Fault{error::bad_request, "`incarnation` must not be 0"};
    if (ping.recovered.size() > max_recovered)
        return Fault{error::bad_request, "`recovered` lists more than " + std::to_string(max_recovered)};
    const auto full = [](const char* what, std::size_t limit) {
        auto text = std::string{"no further "} + what + " is let in: the limit is " + std::to_string(limit);
        return Fault{error::overloaded, std::move(text)};
    };
    if (!group && groups_.size() >= options_.max_groups) return full("group", options_.max_groups);
    const auto links = group ? links_.end() : links_.find(peer);
    if (links != links_.end() && links->second.groups() >= options_.max_groups_of_peer)
        return full("group over this connection", options_.max_groups_of_peer);
    if (group && group->detector.servers().size() >= options_.max_servers && !group->find(ping.server))
        return full("server of this group", options_.max_servers);
    return std::nullopt;
}

/// Why a ping of a process is refused whose name, at present, belongs to another process.
UNDERSTUDY_DECL Fault ViewStateMachine::incarnation_fault(const Group& group, const PingOutcome& outcome,
                                                          const Ping& ping, Time now) const {
    using Verdict = PingOutcome::Verdict;
    const auto& server = *group.find(ping.server);
    const bool shared = group.detector.is_shared(server, now);
    if (outcome.verdict == Verdict::crowded)
        return {error::overloaded, "several processes run under the name " + ping.server};
    if (outcome.verdict == Verdict::in_use)
        return {error::name_in_use,
                shared ? describe_rivals(ping.server, server) : describe_holder(ping.server, server)};
    auto text = "a later process took the name " + ping.server;
    if (shared) text += ": " + describe_rivals(ping.server, server);
    return {error::superseded, std::move(text)};
}

/// A ping that is not newer than the last one is only answered.
UNDERSTUDY_DECL void ViewStateMachine::on(const Caller& caller, Ping&& ping, Turn& turn) {
    using Verdict = PingOutcome::Verdict;
    auto* found = find_group(ping.group);
    if (auto fault = objection(ping, caller.peer, found)) {
        if (fault->code == error::wrong_cluster) foreign_servers_.hear(ping, turn.now);
        return refuse(caller, Method::view_ping, std::move(*fault), turn);
    }
    auto& group = found ? *found : add_group(ping.group);
    if (check_record(group, ping, caller.peer, turn))
        return refuse(caller, Method::view_ping, *objection_to_group(ping.group), turn);
    const auto* known = group.find(ping.server);
    const auto peer_before = known ? known->peer : Address{};
    const bool was_probed = known && known->probing;
    const auto outcome = group.hear(ping, caller.peer, turn.now);
    if (outcome.verdict == Verdict::counts) {
        if (peer_before != caller.peer) move_server(group, ping.server, peer_before, caller.peer);
        if (was_probed) probing_.erase({ping.server, ping.group});
        ping_counts(group, ping, outcome, caller, turn);
    } else if (outcome.verdict != Verdict::stale) {
        if (outcome.shared) {
            const auto& holder = group.find(ping.server)->peer;
            emit(NameShared{ping.group, ping.server, whence(holder), caller.peer}, turn);
        }
        auto fault = incarnation_fault(group, outcome, ping, turn.now);
        if (outcome.news) evaluate(group, turn);
        // The answer has the view, since a refused process is sent no other.
        return refuse(caller, Method::view_ping, std::move(fault), turn, &group.info);
    }
    // A member that counts as dead gets no lease, although its view may stay because no other primary can lead.
    const bool lives = group.find(ping.server)->loss == Loss::none;
    const auto lease = lives ? timeouts_.dead : Duration{};
    answer(caller, PingResult{group.info, lease, group.should_stop(ping.server, turn.now)}, turn);
}

/// What follows from a ping that counts: events, what must be stored, and a look at the group if there is news.
UNDERSTUDY_DECL void ViewStateMachine::ping_counts(Group& group, const Ping& ping, const PingOutcome& outcome,
                                                   const Caller& caller, Turn& turn) {
    if (outcome.new_incarnation || outcome.grew || outcome.noted) mark_unstored(group);
    if (outcome.lost != Loss::none)
        emit(ServerLost{ping.group, ping.server, std::string{describe(outcome.lost)}}, turn);
    if (outcome.new_incarnation) emit(ServerSeen{ping.group, ping.server, ping.incarnation}, turn);
    const bool blank = ping.viewnum == 0 && !ping.cluster && !ping.leaving;  // R0; no former incarnation was in a view
    std::optional<Member> newcomer;
    const bool first = blank && group.view().number == 0;
    const bool barred = first && foreign_servers_.heard(ping.group, turn.now - timeouts_.dead);
    if (barred) reached("R0: no group is founded over servers of a former view service that are heard");
    else if (blank) newcomer = Member{ping.server, ping.incarnation, false};
    if (!outcome.news && !group.request && (!first || barred)) return;
    evaluate(group, turn, caller.id.empty() ? Address{} : caller.peer.address(), outcome.grew, newcomer);
}

}  // namespace understudy::view_service
