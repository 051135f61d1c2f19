// ViewStateMachine, continued: the adoption of a group by an operator's request. It lets a group of a former view
// service go on here after the record was lost, and a group of this one whose record is behind (R7).
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <understudy/base/config.hpp>
#include <understudy/view_service/fault_text.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

/// Completes the record `adopted` of an adoption in the own cluster from the `present` record. It retains what the
/// journals of members had noted (R5), and which incarnations were replaced. At the call, `adopted` has the new view
/// and, of each member that is heard, the present incarnation.
inline void keep_known(GroupRecord& adopted, const GroupRecord& present, std::size_t max_servers) {
    const auto same = [](const Member* before, const Member* now) {
        return before && now && before->incarnation == now->incarnation;
    };
    for (const auto& [name, number] : present.noted)
        if (same(present.info.view.member(name), adopted.info.view.member(name))) adopted.noted[name] = number;
    const auto& view = adopted.info.view;
    for (const auto& [name, known] : present.incarnations) {
        const auto* member = view.member(name);
        auto heard = adopted.incarnations.find(name);
        // Other servers are retained only while there is room for all members.
        const bool has_room = adopted.incarnations.size() + view.backups.size() + 1 < max_servers;
        if (!member && !has_room) continue;
        // The last one in the list counts as the present incarnation. That is the one that was heard. For a member that
        // was not heard, the present record's order stays: a later incarnation may have replaced the one in the view.
        auto incarnations = known;
        const auto last = heard != adopted.incarnations.end() ? heard->second.back()
                          : member                     ? member->incarnation
                                                       : Incarnation::none;
        const bool is_later = std::ranges::find(incarnations, last) == incarnations.end();
        if (last != Incarnation::none && (heard != adopted.incarnations.end() || is_later)) {
            std::erase(incarnations, last);
            incarnations.push_back(last);
        }
        adopted.incarnations[name] = std::move(incarnations);
    }
}

UNDERSTUDY_DECL std::optional<Fault> ViewStateMachine::objection(const ViewAdopt& wanted) const {
    if (!is_group_name(wanted.group)) return Fault{error::bad_request, group_name_text()};
    auto same = [&](const Adoption& one) { return one.wanted.group == wanted.group; };
    if (std::ranges::any_of(adoptions_, same))
        return Fault{error::overloaded, "another adoption of this group is under way"};
    if (adoptions_.size() >= options_.max_groups)
        return Fault{error::overloaded, "as many adoptions as there may be groups are under way"};
    return std::nullopt;
}
/// Queues the adoption. It is carried out and answered by `carry_out_adoptions` when every lease of the former view
/// service has run out (`due_time`), as in `force`; by then every live server has pinged too. At most one adoption of a
/// group waits.
UNDERSTUDY_DECL void ViewStateMachine::on(const Caller& caller, ViewAdopt&& wanted, Turn& turn) {
    if (auto fault = objection(wanted)) return refuse(caller, Method::view_adopt, std::move(*fault), turn);
    adoptions_.push_back({std::move(wanted), caller});
}

/// Carries out and answers the adoptions that are due.
UNDERSTUDY_DECL void ViewStateMachine::carry_out_adoptions(Turn& turn) {
    for (auto& asked : std::exchange(adoptions_, {})) {
        if (turn.now < due_time(asked)) {
            adoptions_.push_back(std::move(asked));
        } else if (auto fault = objection_to_adoption(asked.wanted, turn.now)) {
            const auto* group = find_group(asked.wanted.group);
            refuse(asked.caller, Method::view_adopt, std::move(*fault), turn, group ? &group->info : nullptr);
        } else {
            answer(asked.caller, adopt(asked.wanted, turn), turn);
        }
    }
}

/// The state that the adoption ends: the group's own record is behind. Null if it adopts from another view service.
UNDERSTUDY_DECL const Behind* ViewStateMachine::behind_to_end(const ViewAdopt& wanted) const {
    const auto* present = find_group(wanted.group);
    const bool own = present && present->behind && present->info.cluster == wanted.cluster;
    return own ? &*present->behind : nullptr;
}

/// The view from which the adopted group goes on: the newest reported view of the cluster `wanted.cluster`. If the
/// group's own record is behind, the record's view counts as reported too. Null if there is none.
UNDERSTUDY_DECL const ViewInfo* ViewStateMachine::view_to_adopt(const ViewAdopt& wanted) const {
    const auto* newest = foreign_servers_.newest(wanted.group, wanted.cluster);
    if (!behind_to_end(wanted)) return newest;
    const auto& own = find_group(wanted.group)->info;
    return newest && is_newer(newest->view, own.view) ? newest : &own;
}

/// Why an adoption that is due cannot be carried out.
UNDERSTUDY_DECL std::optional<Fault> ViewStateMachine::objection_to_adoption(const ViewAdopt& wanted, Time now) const {
    const auto* present = find_group(wanted.group);
    const auto* behind = behind_to_end(wanted);
    if (present && present->view().number != 0 && !behind)
        return Fault{error::bad_request, "the group has a view of cluster " + to_hex(present->info.cluster) +
                                             " already: " + describe(present->view())};
    if (!present && groups_.size() >= options_.max_groups)
        return Fault{error::overloaded, "no further group: max_groups is " + std::to_string(options_.max_groups)};
    const auto* old = view_to_adopt(wanted);
    if (!old)
        return Fault{error::bad_request, "no server has reported a view of this group and cluster " +
                                             to_hex(wanted.cluster) + "; those that have one must run and ping"};
    if (const auto members = 1 + old->view.backups.size(); members > options_.max_servers)
        return Fault{error::overloaded, "the view to go on from has " + std::to_string(members) +
                                            " members: " + describe(old->view) + "; max_servers is " +
                                            std::to_string(options_.max_servers)};
    if (!behind) return std::nullopt;
    // If a server knows a newer view but has not reported it yet, an adoption now would drop the writes of that view.
    const auto servers = behind->unreported(old->view.number, now - timeouts_.retention);
    if (servers.empty()) return std::nullopt;
    reached("R7: an adoption waits for servers that know a newer view and have not said which");
    return Fault{error::bad_request, unreported_text(*behind, servers, old->view)};
}

/// The members of `old` that surely hold every answered write and were heard after `since`, in the order of the view,
/// with the incarnation that was heard.
UNDERSTUDY_DECL std::vector<Member> ViewStateMachine::heard_members(const ViewAdopt& wanted, const ViewInfo& old,
                                                                    Time since) const {
    const auto* behind = behind_to_end(wanted);
    std::vector<Member> heard;
    const auto look_for = [&](const Member& member) {
        const auto* foreign = foreign_servers_.find(old, member, since);
        const bool itself = behind && behind->is_heard(member, old.view.number, since);
        if (foreign || itself) heard.push_back({member.name, foreign ? foreign->incarnation : member.incarnation});
    };
    if (old.view.number != 0) look_for(old.view.primary);
    for (const auto& backup : old.view.backups)
        if (backup.synced) look_for(backup);
    return heard;
}

/// Carries out an adoption to which there is no objection. The result is the new view, and what may be lost.
UNDERSTUDY_DECL ViewForceResult ViewStateMachine::adopt(const ViewAdopt& wanted, Turn& turn) {
    const auto& name = wanted.group;
    const auto old = *view_to_adopt(wanted);
    const auto* behind = behind_to_end(wanted);
    const auto since = turn.now - timeouts_.dead;
    const auto named = behind ? behind->number : ViewNumber{0};
    auto lost = behind ? may_be_lost_behind(*behind, old.view, since) : std::string{};
    if (old.view.number == 0) {  // no server reports a view, and the operator decides that there is none
        auto& group = *find_group(name);
        raise_removed(named);  // one may have existed all the same, and no number may stand for two views
        foreign_servers_.drop(name);
        end_behind(group);
        restart_group(group, record_of(group), turn);
        return {group.info, lost};
    }
    const auto heard = heard_members(wanted, old, since);
    auto decision = view_service::adopt(old.view, heard, std::max(named, removed_));
    GroupRecord record{old, {}};
    record.info.view = decision.next;
    record.info.ping_interval = options_.ping_interval;
    for (const auto& member : heard) record.incarnations[member.name] = {member.incarnation};
    auto& group = add_group(name);
    if (behind) keep_known(record, record_of(group), options_.max_servers);
    foreign_servers_.drop(name);
    end_behind(group);
    restart_group(group, record, turn);
    emit(ViewDecided{group.info, std::move(decision.why)}, turn);
    evaluate(group, turn, {}, true);
    return {group.info, lost + may_be_lost_by_adoption(old, decision.next, !heard.empty())};
}

}  // namespace understudy::view_service
