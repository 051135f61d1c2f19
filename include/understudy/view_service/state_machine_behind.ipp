// ViewStateMachine, continued: a group whose record is behind what was announced (R7). Its pings are refused, and no
// view is decided, until an operator adopts the group or the proof is found to be forged.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <understudy/base/config.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

/// R7: refuses the ping if this one or an earlier one has proved that the record is behind. Returns whether it was
/// refused. Without this, a view would be decided from the old record, and its primary would lack answered writes.
UNDERSTUDY_DECL bool ViewStateMachine::refuse_behind(Group& group, const Ping& ping, const Envelope& call, Step& step) {
    const bool before = group.behind.has_value();
    const auto is_over = [&] {
        const auto* server = group.find(ping.server);
        return server && server->was_replaced(ping.incarnation);
    };
    const bool proof = names_unknown_view(ping, group.view(), removed_) ||
                       (leads_unknown_view(ping, group.view()) && !is_over());
    if (!before && !proof) return false;
    // It is taken out of the group here, since `begin_anew` replaces the whole group.
    auto behind = before ? std::move(*group.behind) : Behind{.since = step.now};
    const auto named = behind.number;
    behind.note(ping, proof, group.view(), step.now, timeouts_.dead, options_.max_servers);
    strangers_.note(ping, step.now);
    if (before && behind.is_disproved(group.view(), step.now, timeouts_.retention, timeouts_.dead)) {
        reached("R7: a view that no server can have led was forged");
        strangers_.dead_retention(group.info.group);
        group.behind.reset();
        begin_anew(group, record_of(group), step);
        emit(RecordBehind{group.info.group, why_not_behind(behind, group.view())}, step);
        return false;
    }
    if (!before) {
        reached("R7: a view above the record proves that the record is behind");
        if (group.request) {
            const auto method = group.request->force ? Method::view_force : Method::view_promote;
            Failure failure{
                std::string{to_string(method)}, error::behind, why_behind(behind, group.info), {}, {}, {}};
            end_request(group, std::move(failure), step);
        }
        if (!group.detector.servers().empty() || group.view().number != 0) begin_anew(group, record_of(group), step);
        emit(RecordBehind{group.info.group, why_behind(behind, group.info)}, step);
        // A group without a view counts towards the limit of the connection, so that one peer cannot create too many.
        if (group.view().number == 0) {
            behind.peer = call.peer;
            links_[call.peer].rumours.insert(group.info.group);
        }
    }
    const bool changed = !before || behind.number != named;
    group.behind = std::move(behind);
    if (changed) note_change(group);
    reschedule(group, step.now);
    refuse_behind(group.info.group, Method::view_ping, call, step);
    return true;
}

/// The record counts as behind no longer. The caller decides with which state the group goes on.
UNDERSTUDY_DECL void ViewStateMachine::end_behind(Group& group) {
    if (!group.behind) return;
    const auto peer = group.behind->peer;
    group.behind.reset();
    if (auto* links = find_links(peer)) links->rumours.erase(group.info.group);
    drop_if_empty(peer);
}

/// Ends the state "behind" of a group without a recorded view after 10 D in which no ping named a view. Otherwise one
/// forged ping would block the group for ever. A server that knows a view names it in every ping, so after this silence
/// no such server is left. If one comes back later, its ping proves again that the record is behind.
UNDERSTUDY_DECL void ViewStateMachine::lapse_behind(Group& group, Step& step) {
    if (step.now < group.lapses_at()) return;
    emit(RecordBehind{group.info.group, why_lapsed(*group.behind)}, step);
    const bool is_rumour = group.is_rumour();
    end_behind(group);
    if (!is_rumour) begin_anew(group, record_of(group), step);
}

/// Refuses a request for a group whose record is behind, and returns whether it did. The recorded view may be outdated,
/// and a client that got it would be sent to a former primary.
UNDERSTUDY_DECL bool ViewStateMachine::refuse_behind(std::string_view name, Method method, const Envelope& call,
                                                     Step& step) {
    const auto* group = find_group(name);
    if (!group || !group->behind) return false;
    refuse(call, method, error::behind, why_behind(*group->behind, group->info), step);
    return true;
}

/// Puts the group into the state after a restart with `record`: its connections are unknown, and its members count as
/// having just pinged.
UNDERSTUDY_DECL void ViewStateMachine::begin_anew(Group& group, GroupRecord record, Step& step) {
    const auto due = group.due;
    for (const auto& [address, server] : group.detector.servers()) {
        move_server(group, address, server.peer, {});
        probing_.erase({address, group.info.group});
    }
    group = restore(record, step.now, longest_dead(), timeouts_);
    group.due = due;
    note_change(group);
    reschedule(group, step.now);
}

}  // namespace understudy::view_service
