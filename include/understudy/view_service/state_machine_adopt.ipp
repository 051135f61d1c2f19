// ViewStateMachine, continued: the adoption of a group by an operator's request. It lets a group of a former view
// service go on here after the record was lost, and a group of this one whose record is behind (R7).
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/base/config.hpp>
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
/// Queues the adoption. It is carried out and answered by `adopt_groups` when every lease of the former view service
/// has run out (`due_time`), as in `force`; by then every live server has pinged too. At most one adoption of a group
/// waits.
UNDERSTUDY_DECL void ViewStateMachine::on(const ViewAdopt& wanted, const Envelope& call, Step& step) {
    constexpr auto method = Method::view_adopt;
    if (!is_group_name(wanted.group))
        return refuse(call, method, error::bad_request, group_name_text(), step);
    auto same = [&](const Adoption& one) { return one.wanted.group == wanted.group; };
    if (std::ranges::any_of(adoptions_, same))
        return refuse(call, method, error::overloaded, "another adoption of this group is under way", step);
    if (adoptions_.size() >= options_.max_groups)
        return refuse(call, method, error::overloaded, "as many adoptions as there may be groups are under way", step);
    adoptions_.push_back({wanted, call.peer, call.id});
}

/// Carries out and answers the adoptions that are due.
UNDERSTUDY_DECL void ViewStateMachine::adopt_groups(Step& step) {
    for (auto& asked : std::exchange(adoptions_, {})) {
        if (step.now < due_time(asked)) {
            adoptions_.push_back(std::move(asked));
            continue;
        }
        const Envelope call{asked.peer, asked.id, {}};
        auto result = adopt(asked.wanted, step);
        if (auto* failure = std::get_if<Failure>(&result)) refuse(call, std::move(*failure), step);
        else answer(call, std::move(result), step);
    }
}

/// Carries out an adoption, and returns the answer: the new view with what may be lost, or a `Failure`. The group goes
/// on from the newest reported view of the cluster `wanted.cluster`. If the group's own record is behind, the record's
/// view counts as reported too.
UNDERSTUDY_DECL Message ViewStateMachine::adopt(const ViewAdopt& wanted, Step& step) {
    const auto& name = wanted.group;
    auto* present = find_group(name);
    auto because = [&](error code, std::string text) {
        Failure failure{std::string{to_string(Method::view_adopt)}, code, std::move(text), {}, {}, {}};
        if (present) failure.view = present->info;
        return failure;
    };
    const bool own = present && present->behind && present->info.cluster == wanted.cluster;
    const auto* behind = own ? &*present->behind : nullptr;
    if (present && present->view().number != 0 && !behind)
        return because(error::bad_request, "the group has a view of cluster " + to_hex(present->info.cluster) +
                                               " already: " + describe(present->view()));
    if (!present && groups_.size() >= options_.max_groups)
        return because(error::overloaded, "no further group: max_groups is " + std::to_string(options_.max_groups));
    const auto* newest = strangers_.newest(name, wanted.cluster);
    if (behind && !(newest && is_newer(newest->view, present->view()))) newest = &present->info;
    if (!newest)
        return because(error::bad_request, "no server has reported a view of this group and cluster " +
                                               to_hex(wanted.cluster) + "; those that have one must run and ping");
    const auto old = *newest;
    if (const auto members = 1 + old.view.backups.size(); members > options_.max_servers)
        return because(error::overloaded, "the view to go on from has " + std::to_string(members) +
                                              " members: " + describe(old.view) + "; max_servers is " +
                                              std::to_string(options_.max_servers));
    const auto since = step.now - timeouts_.dead;
    // If a server knows a newer view but has not reported it yet, an adoption now would drop the writes of that view.
    const auto mute = behind ? behind->mute(old.view.number, step.now - timeouts_.retention) : std::vector<Address>{};
    if (!mute.empty()) {
        reached("R7: an adoption waits for servers that know a newer view and have not said which");
        return because(error::bad_request, mute_text(*behind, mute, old.view));
    }
    std::vector<Address> heard;
    std::map<Address, Incarnation> alive;
    const auto look_for = [&](const Member& member) {
        const auto* stranger = strangers_.find(old, member, since);
        const bool itself = behind && behind->is_heard(member, old.view.number, since);
        if (!stranger && !itself) return;
        heard.push_back(member.name);
        alive[member.name] = stranger ? stranger->incarnation : member.incarnation;
    };
    if (old.view.number != 0) look_for(old.view.primary);
    for (const auto& backup : old.view.backups)
        if (backup.synced) look_for(backup);

    const auto named = behind ? behind->number : ViewNumber{0};
    auto may_be_lost = behind ? may_be_lost_behind(*behind, old.view, since) : std::string{};
    if (old.view.number == 0) {  // no server reports a view, and the operator decides that there is none
        raise_removed(named);        // one may have existed all the same, and no number may stand for two views
        strangers_.dead_retention(name);
        end_behind(*present);
        begin_anew(*present, record_of(*present), step);
        return ViewForceResult{present->info, may_be_lost};
    }
    auto decision = view_service::adopt(old.view, heard, std::max(named, removed_));
    GroupRecord record{old, {}};
    record.info.view = decision.next;
    record.info.ping_interval = options_.ping_interval;
    for (const auto& [member, incarnation] : alive) record.incarnations[member] = {incarnation};
    if (own) keep_known(record, record_of(*present), options_.max_servers);
    auto& group = add_group(name);
    strangers_.dead_retention(name);
    end_behind(group);
    begin_anew(group, record, step);
    emit(ViewDecided{group.info, std::move(decision.why)}, step);
    settle(group, step, {}, true);
    may_be_lost += may_be_lost_by_adoption(old, decision.next, !heard.empty());
    return ViewForceResult{group.info, std::move(may_be_lost)};
}

}  // namespace understudy::view_service
