// ViewRules, continued: a group that is of no use any more is forgotten, at an operator's word or by rule, so that it
// takes no room for ever.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include <understudy/base/config.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

/// Refused while anybody of the group is heard: a group that is served is not removed.
UNDERSTUDY_DECL void ViewRules::on(const ViewRemove& wanted, const Envelope& call, Step& step) {
    constexpr auto method = Method::view_remove;
    auto* group = find_group(wanted.group);
    if (!group) return refuse(call, method, error::bad_request, "no group `" + wanted.group + "` is known", step);
    if (group->wish)
        return refuse(call, method, error::overloaded, "a promotion or force is under way in this group", step);
    for (const auto& [name, server] : group->servers)
        if (server.loss == Loss::none || server.is_shared(step.now, periods_))
            return refuse(call, method, error::bad_request,
                          name + " is heard, or was less than D ago; stop every server of the group first", step);
    const auto last = group->info;
    remove(*group, "an operator asked for it", step);
    answer(call, ViewResult{last}, step);
}

/// What is left of it is a number, above which later groups begin, so that none stands for two views of one name. The
/// first view of such a group says that it was forced: servers of the former one drop what they hold when they join.
UNDERSTUDY_DECL void ViewRules::remove(Group& group, std::string why, Step& step) {
    const auto name = group.info.group;
    tell(GroupRemoved{group.info, std::move(why)}, step);
    for (const auto& [address, server] : group.servers) {
        move_server(group, address, server.peer, {});
        probing_.erase({address, name});
    }
    raise_removed(std::max(group.view().number, group.behind ? group.behind->number : 0));
    end_behind(group);
    if (group.due != never) due_.erase({group.due, name});
    unpushed_.erase(name);
    note_change(group);
    groups_.erase(name);
}

}  // namespace understudy::view_service
