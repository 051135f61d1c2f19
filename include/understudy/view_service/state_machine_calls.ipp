// ViewStateMachine, continued: the handler of each message.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <understudy/base/config.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

inline constexpr std::size_t max_recovered = 256;  ///< Incarnations that one ping may list in `recovered`.
inline constexpr std::size_t max_listed = 10'000;  ///< Groups and servers in one status; see `on(ViewStatus)`.

/// The method of a request that is for a server and not for a view service; `none` for a message that is no request.
template <typename M>
constexpr Method foreign_method() {
    if constexpr (std::is_same_v<M, Open>) return Method::pb_open;
    if constexpr (std::is_same_v<M, Close>) return Method::pb_close;
    if constexpr (std::is_same_v<M, Execute>) return Method::pb_execute;
    if constexpr (std::is_same_v<M, Query>) return Method::pb_query;
    if constexpr (std::is_same_v<M, Dump>) return Method::pb_dump;
    if constexpr (std::is_same_v<M, ReplicaStatus>) return Method::pb_status;
    if constexpr (std::is_same_v<M, Append>) return Method::replica_append;
    if constexpr (std::is_same_v<M, Install>) return Method::replica_install;
    return Method::none;
}

inline bool has_server_names(const View& view) {
    return (view.number == 0 || is_server_name(view.primary.name)) &&
           std::ranges::all_of(view.backups, is_server_name, &Member::name);
}

inline std::string version_text(int version) {
    return "protocol version " + std::to_string(version) + " was asked for, this view service speaks version " +
           std::to_string(protocol_version);
}
UNDERSTUDY_DECL void ViewStateMachine::receive(Envelope envelope, Time now, Output& output) {
    Step step{now, clock_.read(now), output};
    std::visit([&](const auto& message) { on(message, envelope, step); }, envelope.message);
    invariants();
}

/// A request for another kind of node is refused with `unknown_method`. A response is never answered: a view service
/// sends no requests, so there is only an event.
template <typename Other>
void ViewStateMachine::on(const Other&, const Envelope& call, Step& step) {
    constexpr auto method = foreign_method<Other>();
    if constexpr (method == Method::none) {
        step.output.emit(Refused{call.peer, error::invalid_request, "a view service asks nothing: no answer fits"});
    } else {
        auto text = "this is a view service; " + std::string{to_string(method)} + " is for a server";
        refuse(call, method, error::unknown_method, std::move(text), step);
    }
}

/// Why a ping is refused before it is taken into account: version, names, cluster, view numbers, incarnation, limits.
/// `group` is null if the ping would create a new group.
UNDERSTUDY_DECL std::optional<Failure> ViewStateMachine::objection(const Ping& ping, const Address& peer,
                                                            const Group* group) const {
    auto because = [](error code, std::string text) {
        return Failure{std::string{to_string(Method::view_ping)}, code, std::move(text), {}, {}, {}};
    };
    if (ping.protocol != protocol_version)
        return because(error::unsupported_version, version_text(ping.protocol));
    if (!is_group_name(ping.group)) return because(error::bad_request, group_name_text());
    if (!is_server_name(ping.server) || (ping.known && !has_server_names(ping.known->view)))
        return because(error::bad_request, "a server's name must have 1 to " + std::to_string(max_server_name) +
                                               " bytes and no control character");
    if (const auto& known = ping.known;
        known && (known->group != ping.group || known->cluster != ping.cluster || known->view.number == 0))
        return because(error::bad_request, "`known` must be a view of the ping's group and cluster");
    if (highest_named(ping) > max_number)
        return because(error::bad_request, "no view has a number above " + std::to_string(max_number));
    if (const auto ours = group ? group->info.cluster : cluster_; ping.cluster && *ping.cluster != ours)
        return because(error::wrong_cluster, ping.server + " has state of cluster " + to_hex(*ping.cluster) +
                                                 ", here the group belongs to cluster " + to_hex(ours));
    if (const auto mine = group ? group->view().number : 0; highest_named(ping) > mine + max_ahead)
        return because(error::bad_request, "a view so far above view " + std::to_string(mine) + " cannot be");
    if (ping.incarnation == Incarnation::none) return because(error::bad_request, "`incarnation` must not be 0");
    if (ping.recovered.size() > max_recovered)
        return because(error::bad_request, "`recovered` lists more than " + std::to_string(max_recovered));
    auto limit = [](const char* what, std::size_t value) {
        return std::string{"no further "} + what + " is let in: the limit is " + std::to_string(value);
    };
    if (!group && groups_.size() >= options_.max_groups)
        return because(error::overloaded, limit("group", options_.max_groups));
    const auto links = group ? links_.end() : links_.find(peer);
    if (links != links_.end() && links->second.groups() >= options_.max_groups_of_peer)
        return because(error::overloaded, limit("group over this connection", options_.max_groups_of_peer));
    if (group && group->detector.servers().size() >= options_.max_servers && !group->find(ping.server))
        return because(error::overloaded, limit("server of this group", options_.max_servers));
    return std::nullopt;
}

/// Refuses a ping of a process whose name, at present, belongs to another process. The answer has the view, since a
/// refused process is sent no other.
UNDERSTUDY_DECL void ViewStateMachine::refuse_incarnation(Group& group, const PingOutcome& heard, const Ping& ping,
                                            const Envelope& call, Step& step) {
    using Verdict = PingOutcome::Verdict;
    const auto& server = *group.find(ping.server);
    if (heard.shared)
        emit(NameShared{ping.group, ping.server, whence(server.peer), call.peer}, step);
    if (heard.news) settle(group, step, {}, false);
    Failure failure{std::string{to_string(Method::view_ping)}, error::superseded, {}, group.info, {}, {}};
    if (heard.verdict == Verdict::crowded) {
        failure.code = error::overloaded;
        failure.text = "several processes run under the name " + ping.server;
    } else if (heard.verdict == Verdict::in_use) {
        failure.code = error::name_in_use;
        const bool sure = group.detector.is_shared(server, step.now);
        failure.text = sure ? describe_rivals(ping.server, server) : describe_holder(ping.server, server);
    } else {
        failure.text = "a later process took the name " + ping.server;
        if (group.detector.is_shared(server, step.now)) failure.text += ": " + describe_rivals(ping.server, server);
    }
    refuse(call, std::move(failure), step);
}

/// A ping: refused, or taken into account and answered with the view after it. One that is not newer than the last is
/// only answered.
UNDERSTUDY_DECL void ViewStateMachine::on(const Ping& ping, const Envelope& call, Step& step) {
    auto* found = find_group(ping.group);
    if (auto failure = objection(ping, call.peer, found)) {
        if (failure->code == error::wrong_cluster) strangers_.note(ping, step.now);
        return refuse(call, std::move(*failure), step);
    }
    auto& group = found ? *found : add_group(ping.group);
    if (refuse_behind(group, ping, call, step)) return;
    const auto* known = group.find(ping.server);
    bool moves = !known || known->peer != call.peer;
    auto peer_before = known && moves ? known->peer : Address{};
    bool probing_before = known && known->probing;

    auto heard = group.hear(ping, call.peer, step.now);
    using Verdict = PingOutcome::Verdict;
    if (heard.verdict != Verdict::counts && heard.verdict != Verdict::stale)
        return refuse_incarnation(group, heard, ping, call, step);
    if (heard.verdict == Verdict::counts) {
        if (heard.seen || heard.grew || heard.noted) note_change(group);
        if (moves) move_server(group, ping.server, peer_before, call.peer);
        if (probing_before) probing_.erase({ping.server, ping.group});
        if (heard.lost != Loss::none)
            emit(ServerLost{ping.group, ping.server, std::string{describe(heard.lost)}}, step);
        if (heard.seen) emit(ServerSeen{ping.group, ping.server, ping.incarnation}, step);
        bool blank = ping.viewnum == 0 && !ping.cluster && !ping.leaving;  // R0; no former incarnation was in a view
        std::optional<Member> newcomer;
        const bool first = blank && group.view().number == 0;
        const bool barred = first && strangers_.heard(ping.group, step.now - timeouts_.dead);
        if (barred) reached("R0: no group is founded over servers of a former view service that are heard");
        else if (blank) newcomer = Member{ping.server, ping.incarnation, false};
        const bool answered = !call.id.empty();
        const bool due = heard.news || group.request || (first && !barred);
        if (due) settle(group, step, answered ? call.peer : Address{}, heard.grew, newcomer);
    }
    const auto& server = *group.find(ping.server);
    // A member that counts as dead gets no lease, although its view may stay because no other primary can lead.
    auto lease = server.loss == Loss::none ? timeouts_.dead : Duration{};
    answer(call, PingResult{group.info, lease, group.should_stop(ping.server, step.now)}, step);
}

/// The view, and if there is none, which servers of a former view service are refused: the first three of them.
UNDERSTUDY_DECL ViewResult ViewStateMachine::view_result(const std::string& group, const Step& step) const {
    ViewResult result{info_of(group), {}};
    if (result.info.view.number == 0)
        result.trouble = describe_refused(strangers_.list(group, step.now - timeouts_.retention, step.now, 3));
    return result;
}

UNDERSTUDY_DECL void ViewStateMachine::on(const ViewGet& get, const Envelope& call, Step& step) {
    if (get.protocol != protocol_version)
        return refuse(call, Method::view_get, error::unsupported_version, version_text(get.protocol), step);
    if (refuse_behind(get.group, Method::view_get, call, step)) return;
    answer(call, view_result(get.group, step), step);
}

/// Answers with the view, and pushes every later one over this connection until it ends. A second watch of the same
/// group over it changes nothing.
UNDERSTUDY_DECL void ViewStateMachine::on(const ViewWatch& watch, const Envelope& call, Step& step) {
    constexpr auto method = Method::view_watch;
    if (!is_group_name(watch.group))
        return refuse(call, method, error::bad_request, group_name_text(), step);
    if (refuse_behind(watch.group, method, call, step)) return;
    bool known = links_[call.peer].watches.contains(watch.group);
    if (!known && watcher_count_ >= options_.max_watchers) {
        drop_if_empty(call.peer);
        auto text = "no further watcher: max_watchers is " + std::to_string(options_.max_watchers);
        return refuse(call, method, error::overloaded, std::move(text), step);
    }
    if (!known) {
        links_[call.peer].watches.insert(watch.group);
        watchers_[watch.group].insert(call.peer);
        ++watcher_count_;
    }
    answer(call, view_result(watch.group, step), step);
}

// R6
/// Hands over to a backup in sync; see `take_wish`.
UNDERSTUDY_DECL void ViewStateMachine::on(const ViewPromote& promote, const Envelope& call, Step& step) {
    take_wish(promote.group, promote.server, false, call, step);
}

/// Makes a server primary that may lack answered writes. This is only for a group that waits (R4), or that will wait
/// once its members are found to be dead. Refused while one of them is heard.
UNDERSTUDY_DECL void ViewStateMachine::on(const ViewForce& force, const Envelope& call, Step& step) {
    take_wish(force.group, force.server, true, call, step);
}

/// Accepts an operator request, one at a time for each group. The call is answered when the request is done or cannot
/// be done any more, after `Timeouts::operator_timeout` at the latest.
UNDERSTUDY_DECL void ViewStateMachine::take_wish(const std::string& name, const Address& server, bool force,
                                          const Envelope& call, Step& step) {
    auto method = force ? Method::view_force : Method::view_promote;
    auto* group = find_group(name);
    if (!group) return refuse(call, method, error::bad_request, "no server of group `" + name + "` was heard", step);
    if (refuse_behind(name, method, call, step)) return;
    if (group->request)
        return refuse(call, method, error::overloaded, "another promotion or force is under way in this group", step);
    if (!force && group->view().number != 0 && group->view().primary.name == server)
        return refuse(call, method, error::bad_request,
                      server + " is the primary already, so nothing changes: " + describe(group->view()), step);
    const auto* known = group->find(server);
    Member member{server, known ? known->incarnation : Incarnation::none, false};
    group->request = OperatorRequest{force, std::move(member), group->view().number, step.now, call.peer, call.id};
    links_[call.peer].pending_requests.insert(name);
    settle(*group, step, {}, false);
}

/// Answers with the status. Refused with `too_large` if all groups together are too many for one answer, and with
/// `overloaded` if too many answers are asked for in one turn.
UNDERSTUDY_DECL void ViewStateMachine::on(const ViewStatus& ask, const Envelope& call, Step& step) {
    std::size_t listed = 0;
    for (const auto& [name, group] : groups_) {
        if (ask.group || listed > max_listed) break;
        listed += 1 + group.detector.servers().size();
    }
    if (listed > max_listed)
        return refuse(call, Method::view_status, error::too_large,
                      std::to_string(groups_.size()) + " groups are too many for one answer; name a `group`", step);
    // Many answers in one turn would take long to encode, and no ping is answered during that time.
    if (const auto* group = ask.group ? find_group(*ask.group) : nullptr) listed = group->detector.servers().size();
    listed += past_.size();
    if (listed_ > 0 && listed_ + listed > max_listed)
        return refuse(call, Method::view_status, error::overloaded, "very many ask for the status; ask again", step);
    listed_ += listed;
    answer(call, status(ask.group, step.host), step);
}

}  // namespace understudy::view_service
