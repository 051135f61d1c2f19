// ViewStateMachine, continued: a group whose record is behind what was announced (R7). Its pings are refused, and no
// view is decided, until an operator adopts the group or the proof is found to be forged.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <understudy/base/config.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

/// R7: takes into account what the ping says about the record. Returns whether the ping must be refused, because this
/// one or an earlier one has proved that the record is behind. Without this, a view would be decided from the old
/// record, and its primary would lack answered writes.
UNDERSTUDY_DECL bool ViewStateMachine::check_record(Group& group, const Ping& ping, const Address& peer, Turn& turn) {
    const bool before = group.behind.has_value();
    const auto is_over = [&] {
        const auto* server = group.find(ping.server);
        return server && server->was_replaced(ping.incarnation);
    };
    const bool proof = names_unknown_view(ping, group.view(), removed_) ||
                       (leads_unknown_view(ping, group.view()) && !is_over());
    if (!before && !proof) return false;
    // It is taken out of the group here, since `restart_group` replaces the whole group.
    auto behind = before ? std::move(*group.behind) : Behind{.since = turn.now};
    const auto named = behind.number;
    behind.hear(ping, proof, group.view(), turn.now, timeouts_.dead, options_.max_servers);
    foreign_servers_.hear(ping, turn.now);
    if (before && behind.is_disproved(group.view(), turn.now, timeouts_.retention, timeouts_.dead)) {
        reached("R7: a view that no server can have led was forged");
        foreign_servers_.drop(group.info.group);
        group.behind.reset();
        restart_group(group, record_of(group), turn);
        emit(RecordBehind{group.info.group, why_not_behind(behind, group.view())}, turn);
        return false;
    }
    if (!before) begin_behind(group, behind, peer, turn);
    const bool changed = !before || behind.number != named;
    group.behind = std::move(behind);
    if (changed) mark_unstored(group);
    reschedule(group, turn.now);
    return true;
}

/// What ends when the record is found to be behind: the operator request, and all that is known of the servers. `peer`
/// is the connection of the ping that proved it.
UNDERSTUDY_DECL void ViewStateMachine::begin_behind(Group& group, Behind& behind, const Address& peer, Turn& turn) {
    reached("R7: a view above the record proves that the record is behind");
    if (group.request) {
        Fault fault{error::behind, why_behind(behind, group.info)};
        end_request(group, failure(group.request->method(), std::move(fault), nullptr), turn);
    }
    if (!group.detector.servers().empty() || group.view().number != 0) restart_group(group, record_of(group), turn);
    emit(RecordBehind{group.info.group, why_behind(behind, group.info)}, turn);
    if (group.view().number != 0) return;
    // A group without a view counts towards the limit of the connection, so that one peer cannot create too many.
    behind.peer = peer;
    links_[peer].rumours.insert(group.info.group);
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
UNDERSTUDY_DECL void ViewStateMachine::lapse_behind(Group& group, Turn& turn) {
    if (turn.now < group.lapses_at()) return;
    emit(RecordBehind{group.info.group, why_lapsed(*group.behind)}, turn);
    const bool is_rumour = group.is_rumour();
    end_behind(group);
    if (!is_rumour) restart_group(group, record_of(group), turn);
}

/// Puts the group into the state after a restart with `record`: its connections are unknown, and its members count as
/// having just pinged.
UNDERSTUDY_DECL void ViewStateMachine::restart_group(Group& group, GroupRecord record, Turn& turn) {
    const auto due = group.due;
    detach_servers(group);
    group = restore(record, turn.now, longest_dead(), timeouts_);
    group.due = due;
    mark_unstored(group);
    reschedule(group, turn.now);
}

}  // namespace understudy::view_service
