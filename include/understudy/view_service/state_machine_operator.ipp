// ViewStateMachine, continued: the operator requests `promote` and `force`, until they are done or have failed.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <understudy/base/config.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

// R6
/// Hands over to a backup in sync; see `accept_request`.
UNDERSTUDY_DECL void ViewStateMachine::on(const Caller& caller, ViewPromote&& promote, Turn& turn) {
    accept_request(promote.group, {.force = false, .server = {promote.server}, .caller = caller}, turn);
}

/// Makes a server primary that may lack answered writes. This is only for a group that waits (R4), or that will wait
/// once its members are found to be dead. Refused while one of them is heard.
UNDERSTUDY_DECL void ViewStateMachine::on(const Caller& caller, ViewForce&& force, Turn& turn) {
    accept_request(force.group, {.force = true, .server = {force.server}, .caller = caller}, turn);
}

UNDERSTUDY_DECL std::optional<Fault> ViewStateMachine::objection(const OperatorRequest& request,
                                                                 const std::string& name) const {
    const auto* group = find_group(name);
    if (!group) return Fault{error::bad_request, "no server of group `" + name + "` was heard"};
    if (auto fault = objection_to_group(name)) return fault;
    if (group->request) return Fault{error::overloaded, "another promotion or force is under way in this group"};
    const auto& view = group->view();
    if (request.force || view.number == 0 || view.primary.name != request.server.name) return std::nullopt;
    return Fault{error::bad_request,
                 view.primary.name + " is the primary already, so nothing changes: " + describe(view)};
}
/// Accepts an operator request, one at a time for each group. The call is answered when the request is done or cannot
/// be done any more, after `Timeouts::operator_timeout` at the latest.
UNDERSTUDY_DECL void ViewStateMachine::accept_request(const std::string& name, OperatorRequest request, Turn& turn) {
    if (auto fault = objection(request, name))
        return refuse(request.caller, request.method(), std::move(*fault), turn);
    auto& group = *find_group(name);
    const auto* known = group.find(request.server.name);
    request.server.incarnation = known ? known->incarnation : Incarnation::none;
    request.view = group.view().number;
    request.asked = turn.now;
    links_[request.caller.peer].pending_requests.insert(name);
    group.request = std::move(request);
    evaluate(group, turn);
}

/// Carries out the operator request, refuses it, or leaves it pending until its timeout. True if it made a view.
UNDERSTUDY_DECL bool ViewStateMachine::advance_request(Group& group, const GroupState& state, Turn& turn) {
    const bool late = turn.now - group.request->asked >= timeouts_.operator_timeout;
    if (!group.request->force) {
        advance_promotion(group, state, late, turn);
        return false;
    }
    if (auto fault = objection_to_force(group, state, turn.now)) {
        end_request(group, failure(Method::view_force, std::move(*fault), &group.info), turn);
        return false;
    }
    if (waits(state) && turn.now - group.members_heard >= timeouts_.dead) {  // every lease has run out
        const auto server = group.request->server;
        change_view(group, force(state, server), true, turn);
        end_request(group, ViewForceResult{group.info, may_be_lost(state.view, server)}, turn);
        return true;
    }
    if (late) {
        Fault fault{error::bad_request, "the members of the old view did not fall silent"};
        end_request(group, failure(Method::view_force, std::move(fault), &group.info), turn);
    }
    return false;
}

/// R6: ends a promotion that is done, cannot be done, or is `late`. The view itself changes by the decision table, when
/// the primary has stopped.
UNDERSTUDY_DECL void ViewStateMachine::advance_promotion(Group& group, const GroupState& state, bool late,
                                                         Turn& turn) {
    const auto server = group.request->server.name;
    auto obstacle = promotion_obstacle(state, server);
    if (state.view.number != 0 && state.view.primary.name == server)
        return end_request(group, ViewResult{group.info, {}}, turn);
    if (obstacle.empty() && late)
        obstacle = state.view.primary.name + " has not said that it stopped; it goes on as primary";
    if (obstacle.empty()) return;
    Fault fault{error::bad_request, std::move(obstacle)};
    end_request(group, failure(Method::view_promote, std::move(fault), &group.info), turn);
}

/// `force` may lose writes. It is granted only in the view of the time of the request, and only to the process that had
/// the name then. It is refused if a member was heard since then that surely holds every answered write.
UNDERSTUDY_DECL std::optional<Fault> ViewStateMachine::objection_to_force(const Group& group, const GroupState& state,
                                                                          Time now) const {
    const auto& request = *group.request;
    const auto& server = request.server;
    if (state.view.number != request.view)
        return Fault{error::bad_request, "nothing needs to be forced: " + describe(state.view)};
    if (group.members_heard > request.asked)
        return Fault{error::bad_request, "a member that surely holds every answered write is alive: " +
                                             describe(state.view) + "; `promote` changes the primary"};
    if (auto obstacle = force_obstacle(group, server.name, now); !obstacle.empty())
        return Fault{error::bad_request, std::move(obstacle)};
    if (group.find(server.name)->incarnation != server.incarnation)
        return Fault{error::bad_request, server.name + " has restarted; ask again"};
    return std::nullopt;
}

/// Ends the operator request, which must exist, with this answer.
UNDERSTUDY_DECL void ViewStateMachine::end_request(Group& group, Message message, Turn& turn) {
    const auto caller = std::exchange(group.request, std::nullopt)->caller;
    if (auto* links = find_links(caller.peer)) links->pending_requests.erase(group.info.group);
    drop_if_empty(caller.peer);
    answer(caller, std::move(message), turn);
}

}  // namespace understudy::view_service
