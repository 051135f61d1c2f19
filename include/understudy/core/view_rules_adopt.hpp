// ViewRules, continued: a group of a former view service, whose record is lost, goes on here at an operator's word.
#pragma once

#include <understudy/core/view_rules.hpp>

namespace understudy {

/// Answered once every lease that the former view service gave has run out, as in `force`; by then every server that
/// lives has been heard too.
inline void ViewRules::on(const ViewAdopt& wanted, const Envelope& call, Step& step) {
    constexpr auto method = Method::view_adopt;
    if (!views::is_group_name(wanted.group))
        return refuse(call, method, error::bad_request, views::group_name_text(), step);
    auto same = [&](const Adoption& one) { return one.wanted.group == wanted.group; };
    if (std::ranges::any_of(adoptions_, same))
        return refuse(call, method, error::overloaded, "another adoption of this group is under way", step);
    if (adoptions_.size() >= options_.max_groups)
        return refuse(call, method, error::overloaded, "as many adoptions as there may be groups are under way", step);
    adoptions_.push_back({wanted, call.peer, call.id});
}

inline void ViewRules::adopt_groups(Step& step) {
    if (adoptions_.empty() || step.now < leases_end()) return;
    for (const auto& asked : std::exchange(adoptions_, {})) {
        const Envelope call{asked.peer, asked.id, {}};
        auto result = adopt(asked.wanted, step);
        if (auto* failure = std::get_if<Failure>(&result)) refuse(call, std::move(*failure), step);
        else answer(call, std::move(result), step);
    }
}

inline Message ViewRules::adopt(const ViewAdopt& wanted, Step& step) {
    const auto& name = wanted.group;
    auto* present = find_group(name);
    auto because = [&](error code, std::string text) {
        Failure failure{std::string{to_string(Method::view_adopt)}, code, std::move(text), {}, {}, {}};
        if (present) failure.view = present->info;
        return failure;
    };
    if (present && present->view().number != 0)
        return because(error::bad_request, "the group has a view of cluster " + to_hex(present->info.cluster) +
                                               " already: " + describe(present->view()));
    if (!present && groups_.size() >= options_.max_groups)
        return because(error::overloaded, "no further group: max_groups is " + std::to_string(options_.max_groups));
    const auto* newest = strangers_.newest(name, wanted.cluster);
    if (!newest)
        return because(error::bad_request, "no server has reported a view of this group and cluster " +
                                               to_hex(wanted.cluster) + "; those that have one must run and ping");
    const auto old = *newest;
    std::vector<Address> heard;
    GroupRecord record{old, {}};
    const auto look_for = [&](const Member& member) {
        const auto* stranger = strangers_.find(old, member, step.now - periods_.dead);
        if (!stranger) return;
        heard.push_back(member.name);
        record.lives[member.name] = {stranger->incarnation};
    };
    look_for(old.view.primary);
    for (const auto& backup : old.view.backups)
        if (backup.synced) look_for(backup);

    auto decision = views::adopt(old.view, heard);
    record.info.view = decision.next;
    record.info.ping_interval = options_.ping_interval;
    auto& group = groups_[name];
    const auto due = group.due;
    for (const auto& [address, server] : group.servers) {  // of a group without a view: they will ping again
        move_server(group, address, server.peer, {});
        probing_.erase({address, name});
    }
    group = views::restore(record, step.now, periods_.dead, periods_);
    group.due = due;
    strangers_.forget(name);
    note_change(group);
    tell(ViewDecided{group.info, std::move(decision.why)}, step);
    settle(group, step, {}, true);
    return ViewForceResult{group.info, views::may_be_lost_by_adoption(old, decision.next, !heard.empty())};
}

}  // namespace understudy
