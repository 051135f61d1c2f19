// ViewStateMachine, continued: the removal of a group that is no longer in use, by an operator's request or by rule.
// Without it such groups would count towards `max_groups` for ever.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <understudy/base/config.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

UNDERSTUDY_DECL std::optional<Fault> ViewStateMachine::objection(const ViewRemove& wanted, Time now) const {
    const auto* group = find_group(wanted.group);
    if (!group) return Fault{error::bad_request, "no group `" + wanted.group + "` is known"};
    if (group->request) return Fault{error::overloaded, "a promotion or force is under way in this group"};
    for (const auto& [name, server] : group->detector.servers())
        if (server.loss == Loss::none || group->detector.is_shared(server, now))
            return Fault{error::bad_request,
                         name + " is heard, or was less than D ago; stop every server of the group first"};
    return std::nullopt;
}
/// Removes the group at once, and answers with its last view. Refused with `bad_request` while any of its servers lives
/// or pinged less than D ago: a group in service is not removed.
UNDERSTUDY_DECL void ViewStateMachine::on(const Caller& caller, ViewRemove&& wanted, Turn& turn) {
    if (auto fault = objection(wanted, turn.now)) return refuse(caller, Method::view_remove, std::move(*fault), turn);
    auto& group = *find_group(wanted.group);
    const auto last = group.info;
    remove(group, "an operator asked for it", turn);
    answer(caller, ViewResult{last, {}}, turn);
}

/// Removes the group. Only its highest view number stays: later groups begin above it, so that no number stands for two
/// views of one name. The first view of a later group says that it was forced, so that servers of the removed group
/// drop their state when they join. `why` goes into the event.
UNDERSTUDY_DECL void ViewStateMachine::remove(Group& group, std::string why, Turn& turn) {
    const auto name = group.info.group;
    emit(GroupRemoved{group.info, std::move(why)}, turn);
    detach_servers(group);
    raise_removed(std::max(group.view().number, group.behind ? group.behind->number : 0));
    end_behind(group);
    if (group.due != never) due_.erase({group.due, name});
    unpushed_.erase(name);
    mark_unstored(group);
    groups_.erase(name);
}

}  // namespace understudy::view_service
