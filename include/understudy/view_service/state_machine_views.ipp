// ViewStateMachine, continued: the views of a group. They are decided, by a rule or by an operator request, and pushed.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <understudy/base/config.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

/// Evaluates the whole group after a change: at most one decision of the table, then the operator request. A new view
/// is pushed over every connection but `informed`, which gets it with its answer. With `push`, the present view is
/// pushed even if it is not new. While the record is behind (R7), nothing is decided.
UNDERSTUDY_DECL void ViewStateMachine::evaluate(Group& group, Turn& turn, const Address& informed, bool push,
                                                const std::optional<Member>& newcomer) {
    if (group.behind) return;  // R7
    reached("R0 to R6: a group is looked at as a whole");
    auto state = group_state(group, turn.now);
    state.newcomer = newcomer;
    if (auto decision = decide(state)) {
        const bool recovered = waits(state);  // R5; R4 gives no decision
        change_view(group, std::move(*decision), state.view.number == 0 || recovered, turn);
        state = group_state(group, turn.now);
        push = true;
    }
    if (group.request && advance_request(group, state, turn)) {
        state = group_state(group, turn.now);
        push = true;
    }
    auto names = awaited(state);
    auto why = names.empty() ? std::string{} : why_waiting(state);
    if (names != group.waiting_for || why != group.waiting_why) {
        group.waiting_for = names;
        group.waiting_why = why;
        if (!names.empty()) emit(GroupWaits{group.info.group, std::move(names), std::move(why)}, turn);
    }
    if (push) announce(group, informed, turn);
    reschedule(group, turn.now);
}

/// Makes the decision's view the group's view. The caller pushes it.
UNDERSTUDY_DECL void ViewStateMachine::change_view(Group& group, Decision decision, bool any_primary, Turn& turn) {
    group.change_view(decision.next, any_primary);
    mark_unstored(group);
    drop_long_dead(group, turn.now);
    emit(ViewDecided{group.info, std::move(decision.why)}, turn);
}

/// Pushes the view over every connection that pings, at once, and over every connection that watches. If there are more
/// than `max_pushed` watchers, each turn pushes to a slice of them. A watcher that still waits for an earlier view gets
/// only the present one.
UNDERSTUDY_DECL void ViewStateMachine::announce(const Group& group, const Address& informed, Turn& turn) {
    std::set<Address> peers;
    for (const auto& [name, server] : group.detector.servers())
        if (!server.peer.empty() && server.loss == Loss::none) peers.insert(server.peer);
    peers.erase(informed);
    if (auto found = watchers_.find(group.info.group); found != watchers_.end()) {
        auto waiting = found->second;
        waiting.erase(informed);
        if (waiting.size() <= max_pushed) {
            unpushed_.erase(group.info.group);
            peers.merge(waiting);
        } else {
            for (const auto& peer : peers) waiting.erase(peer);
            unpushed_[group.info.group] = std::move(waiting);
        }
    }
    for (const auto& peer : peers) turn.out.send(peer, {}, ViewChanged{group.info});
}

/// Pushes the present views to the next `max_pushed` waiting watchers.
UNDERSTUDY_DECL void ViewStateMachine::push_slice(Turn& turn) {
    for (auto left = max_pushed; left > 0 && !unpushed_.empty(); --left) {
        const auto waiting = unpushed_.begin();
        auto peer = waiting->second.extract(waiting->second.begin());
        turn.out.send(std::move(peer.value()), {}, ViewChanged{find_group(waiting->first)->info});
        if (waiting->second.empty()) unpushed_.erase(waiting);
    }
}

}  // namespace understudy::view_service
