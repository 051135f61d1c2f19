// ViewStateMachine, continued: what nodes and operators ask for, a view or the status, and why they are refused.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <understudy/base/config.hpp>
#include <understudy/view_service/fault_text.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

inline constexpr std::size_t max_listed = 10'000;  ///< Groups and servers in one status; see `on(ViewStatus)`.

/// The method of a request that is for a server and not for a view service; `none` for a message that is no request.
template <typename M>
constexpr Method server_method() {
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

UNDERSTUDY_DECL void ViewStateMachine::receive(Envelope envelope, Time now, Output& output) {
    Turn turn{clock_.read(now), now, output};
    const Caller caller{std::move(envelope.peer), std::move(envelope.id)};
    std::visit([&](auto& message) { on(caller, std::move(message), turn); }, envelope.message);
    invariants();
}

/// A request for another kind of node is refused with `unknown_method`. A response is never answered: a view service
/// sends no requests, so there is only an event.
template <typename Other>
void ViewStateMachine::on(const Caller& caller, Other&&, Turn& turn) {
    constexpr auto method = server_method<Other>();
    if constexpr (method == Method::none) {
        turn.out.emit(Refused{caller.peer, error::invalid_request, "a view service asks nothing: no answer fits"});
    } else {
        auto text = "this is a view service; " + std::string{to_string(method)} + " is for a server";
        refuse(caller, method, {error::unknown_method, std::move(text)}, turn);
    }
}

/// R7: the recorded view of a group whose record is behind may be outdated, and a client that got it would be sent to a
/// former primary.
UNDERSTUDY_DECL std::optional<Fault> ViewStateMachine::objection_to_group(std::string_view name) const {
    const auto* group = find_group(name);
    if (!group || !group->behind) return std::nullopt;
    return Fault{error::behind, why_behind(*group->behind, group->info)};
}

// ---- the view ----

/// The view, and if there is none, which servers of a former view service are refused: the first three of them.
UNDERSTUDY_DECL ViewResult ViewStateMachine::view_result(const std::string& group, Time now) const {
    const auto* known = view(group);
    ViewResult result{known ? *known : ViewInfo{group, cluster_, options_.ping_interval, {}}, {}};
    if (result.info.view.number == 0)
        result.trouble = describe_refused(foreign_servers_.list(group, now - timeouts_.retention, now, 3));
    return result;
}

UNDERSTUDY_DECL std::optional<Fault> ViewStateMachine::objection(const ViewGet& get) const {
    if (get.protocol != protocol_version) return Fault{error::unsupported_version, version_text(get.protocol)};
    return objection_to_group(get.group);
}
UNDERSTUDY_DECL void ViewStateMachine::on(const Caller& caller, ViewGet&& get, Turn& turn) {
    if (auto fault = objection(get)) return refuse(caller, Method::view_get, std::move(*fault), turn);
    answer(caller, view_result(get.group, turn.now), turn);
}

UNDERSTUDY_DECL std::optional<Fault> ViewStateMachine::objection(const ViewWatch& watch, bool is_new) const {
    if (!is_group_name(watch.group)) return Fault{error::bad_request, group_name_text()};
    if (auto fault = objection_to_group(watch.group)) return fault;
    if (!is_new || watcher_count_ < options_.max_watchers) return std::nullopt;
    return Fault{error::overloaded,
                 "no further watcher: max_watchers is " + std::to_string(options_.max_watchers)};
}
/// Answers with the view, and pushes every later one over this connection until it ends. A second watch of the same
/// group over it changes nothing.
UNDERSTUDY_DECL void ViewStateMachine::on(const Caller& caller, ViewWatch&& watch, Turn& turn) {
    const auto* links = find_links(caller.peer);
    const bool is_new = !links || !links->watches.contains(watch.group);
    if (auto fault = objection(watch, is_new)) return refuse(caller, Method::view_watch, std::move(*fault), turn);
    if (is_new) {
        links_[caller.peer].watches.insert(watch.group);
        watchers_[watch.group].insert(caller.peer);
        ++watcher_count_;
    }
    answer(caller, view_result(watch.group, turn.now), turn);
}

// ---- the status ----

/// How many groups and servers the status lists. Counting ends beyond `max_listed`.
UNDERSTUDY_DECL std::size_t ViewStateMachine::listed_in(const ViewStatus& ask) const {
    std::size_t listed = 0;
    if (ask.group) {
        const auto* group = find_group(*ask.group);
        return group ? group->detector.servers().size() : 0;
    }
    for (const auto& [name, group] : groups_) {
        if (listed > max_listed) break;
        listed += 1 + group.detector.servers().size();
    }
    return listed;
}
/// Many answers in one turn would take long to encode, and no ping is answered during that time.
UNDERSTUDY_DECL std::optional<Fault> ViewStateMachine::objection(const ViewStatus& ask, std::size_t listed) const {
    if (!ask.group && listed > max_listed)
        return Fault{error::too_large,
                     std::to_string(groups_.size()) + " groups are too many for one answer; name a `group`"};
    if (listed_ > 0 && listed_ + listed + events_.size() > max_listed)
        return Fault{error::overloaded, "very many ask for the status; ask again"};
    return std::nullopt;
}
/// Answers with the status. Refused with `too_large` if all groups together are too many for one answer, and with
/// `overloaded` if too many answers are asked for in one turn.
UNDERSTUDY_DECL void ViewStateMachine::on(const Caller& caller, ViewStatus&& ask, Turn& turn) {
    const auto listed = listed_in(ask);
    if (auto fault = objection(ask, listed)) return refuse(caller, Method::view_status, std::move(*fault), turn);
    listed_ += listed + events_.size();
    answer(caller, status(ask.group, turn.host_now), turn);
}

UNDERSTUDY_DECL ViewStatusResult ViewStateMachine::status(const std::optional<std::string>& group, Time now) const {
    ViewStatusResult result;
    const auto running = clock_.peek(now);
    for (const auto& [name, one] : groups_)
        if (!group || *group == name) result.groups.push_back(status_of(one, group_state(one, running), running));
    result.refused = foreign_servers_.list(group, running - timeouts_.retention, running, max_refused_listed);
    for (const auto& event : events_)
        if (!group || *group == event.group) result.events.push_back({now - event.at, event.text});
    return result;
}

}  // namespace understudy::view_service
