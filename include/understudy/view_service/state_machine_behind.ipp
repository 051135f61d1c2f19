// ViewRules, continued: a group whose record is behind what was announced (R7). Its pings are refused, and nothing is
// decided in it until an operator adopts it, or it turns out that nothing was announced.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <understudy/base/config.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

/// R7: whether the ping was refused since the record is behind, as it or one before has proved.
UNDERSTUDY_DECL bool ViewRules::refuse_behind(Group& group, const Ping& ping, const Envelope& call, Step& step) {
    const bool before = group.behind.has_value();
    const auto is_over = [&] {
        const auto* server = group.find(ping.server);
        return server && server->was_replaced(ping.incarnation);
    };
    const bool proof = names_unknown_view(ping, group.view(), removed_) ||
                       (leads_unknown_view(ping, group.view()) && !is_over());
    if (!before && !proof) return false;
    auto behind = before ? std::move(*group.behind) : Behind{.since = step.now};
    const auto named = behind.number;
    behind.note(ping, proof, group.view(), step.now, periods_.dead, options_.max_servers);
    strangers_.note(ping, step.now);
    if (before && behind.is_disproved(group.view(), step.now, periods_.remember, periods_.dead)) {
        reached("R7: a view that nobody can have led was forged");
        strangers_.forget(group.info.group);
        group.behind.reset();
        begin_anew(group, record_of(group), step);
        tell(RecordBehind{group.info.group, why_not_behind(behind, group.view())}, step);
        return false;
    }
    if (!before) {
        reached("R7: a view above the record proves that the record is behind");
        if (group.wish) {
            const auto method = group.wish->force ? Method::view_force : Method::view_promote;
            Failure failure{
                std::string{to_string(method)}, error::behind, why_behind(behind, group.info), {}, {}, {}};
            end_wish(group, std::move(failure), step);
        }
        if (!group.servers.empty() || group.view().number != 0) begin_anew(group, record_of(group), step);
        tell(RecordBehind{group.info.group, why_behind(behind, group.info)}, step);
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

UNDERSTUDY_DECL void ViewRules::end_behind(Group& group) {
    if (!group.behind) return;
    const auto peer = group.behind->peer;
    group.behind.reset();
    if (auto* links = find_links(peer)) links->rumours.erase(group.info.group);
    drop_if_empty(peer);
}

/// A group that has no view is not barred for ever by what one ping said: who knows a view says so on every interval,
/// so that after so long a silence nobody is left that does. Whoever comes back later proves it anew.
UNDERSTUDY_DECL void ViewRules::lapse_behind(Group& group, Step& step) {
    if (step.now < group.lapses_at(periods_)) return;
    tell(RecordBehind{group.info.group, why_lapsed(*group.behind)}, step);
    const bool is_rumour = group.is_rumour();
    end_behind(group);
    if (!is_rumour) begin_anew(group, record_of(group), step);
}

/// No request of a group is carried out whose record is behind: what it says of the view may be long past.
UNDERSTUDY_DECL bool ViewRules::refuse_behind(std::string_view name, Method method, const Envelope& call, Step& step) {
    const auto* group = find_group(name);
    if (!group || !group->behind) return false;
    refuse(call, method, error::behind, why_behind(*group->behind, group->info), step);
    return true;
}

/// The group stands as after a restart: its connections are not known, and its members count as having just pinged.
UNDERSTUDY_DECL void ViewRules::begin_anew(Group& group, GroupRecord record, Step& step) {
    const auto due = group.due;
    for (const auto& [address, server] : group.servers) {
        move_server(group, address, server.peer, {});
        probing_.erase({address, group.info.group});
    }
    group = restore(record, step.now, longest_dead(), periods_);
    group.due = due;
    note_change(group);
    reschedule(group, step.now);
}

}  // namespace understudy::view_service
