// ViewStateMachine, continued: restart, decisions, pushing of views, timeouts, and the ends of connections.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <understudy/base/config.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

UNDERSTUDY_DECL ViewStateMachine::ViewStateMachine(ViewOptions options, const ViewRecord& record, Time now)
    : ViewStateMachine(options, record.cluster, now) {
    former_dead_ = record.dead_after;
    removed_ = record.removed;
    const auto running = clock_.read(now);
    for (const auto& kept : record.groups) {
        auto group = restore(kept, running, former_dead_, timeouts_);
        group.info.ping_interval = options_.ping_interval;
        auto [place, fresh] = groups_.try_emplace(kept.info.group, std::move(group));
        if (fresh) reschedule(place->second, running);
    }
}

UNDERSTUDY_DECL ViewRecord ViewStateMachine::record() const {
    ViewRecord record{cluster_, longest_dead(), {}, removed_};
    for (const auto& [name, group] : groups_)
        if (!group.is_rumour()) record.groups.push_back(record_of(group));
    return record;
}

UNDERSTUDY_DECL void ViewStateMachine::track_changes(const ViewRecord& stored) {
    const auto known = record();
    auto& lacking = unstored_.emplace();
    lacking.head = known.cluster != stored.cluster || known.dead_after != stored.dead_after ||
                   known.removed != stored.removed;
    for (const auto& kept : stored.groups) lacking.groups.insert(kept.info.group);
    for (const auto& group : known.groups) {
        auto kept = place_of(group.info.group, stored.groups);
        if (kept != stored.groups.end() && *kept == group) lacking.groups.erase(group.info.group);
        else lacking.groups.insert(group.info.group);
    }
}

UNDERSTUDY_DECL ViewChanges ViewStateMachine::changes() const {
    ViewChanges changes{cluster_, longest_dead(), {}, {}, removed_};
    if (!unstored_) return changes;
    for (const auto& name : unstored_->groups) {
        auto found = groups_.find(name);
        if (found == groups_.end() || found->second.is_rumour()) changes.gone.push_back(name);
        else changes.groups.push_back(record_of(found->second));
    }
    return changes;
}

/// Evaluates the whole group after a change: at most one decision of the table, then the operator request. A new view
/// is pushed over every connection but `informed`, which gets it with its answer. With `push`, the present view is
/// pushed even if it is not new. While the record is behind (R7), nothing is decided.
UNDERSTUDY_DECL void ViewStateMachine::settle(Group& group, Step& step, const Address& informed, bool push,
                              const std::optional<Member>& newcomer) {
    if (group.behind) return;  // R7
    reached("R0 to R6: a group is looked at as a whole");
    auto holds = group_state(group, step.now);
    holds.newcomer = newcomer;
    if (auto decision = decide(holds)) {
        bool recovered = waits(holds);  // R5; R4 gives no decision
        adopt(group, std::move(*decision), holds.view.number == 0 || recovered, step);
        holds = group_state(group, step.now);
        push = true;
    }
    if (group.request && settle_wish(group, holds, step)) {
        holds = group_state(group, step.now);
        push = true;
    }
    auto awaited = view_service::awaited(holds);
    auto why = awaited.empty() ? std::string{} : why_waiting(holds);
    if (awaited != group.waiting_for || why != group.waiting_why) {
        group.waiting_for = awaited;
        group.waiting_why = why;
        if (!awaited.empty()) emit(GroupWaits{group.info.group, std::move(awaited), std::move(why)}, step);
    }
    if (push) announce(group, informed, step);
    reschedule(group, step.now);
}

/// Makes the decision's view the group's view. The caller pushes it.
UNDERSTUDY_DECL void ViewStateMachine::adopt(Group& group, Decision decision, bool any_primary, Step& step) {
    group.adopt(decision.next, any_primary);
    note_change(group);
    forget_dead(group, step.now);
    emit(ViewDecided{group.info, std::move(decision.why)}, step);
}

/// Carries out the operator request, refuses it, or leaves it pending until its timeout. True if it made a view.
UNDERSTUDY_DECL bool ViewStateMachine::settle_wish(Group& group, const GroupState& holds, Step& step) {
    auto request = *group.request;
    const auto& server = request.server;
    bool late = step.now - request.asked >= timeouts_.operator_timeout;
    auto fail = [&](std::string text) {
        auto method = request.force ? Method::view_force : Method::view_promote;
        Failure failure{std::string{to_string(method)}, error::bad_request, std::move(text), group.info, {}, {}};
        end_request(group, std::move(failure), step);
        return false;
    };
    if (!request.force) {  // R6
        auto obstacle = promotion_obstacle(holds, server.name);
        bool done = holds.view.number != 0 && holds.view.primary.name == server.name;
        if (done) end_request(group, ViewResult{group.info, {}}, step);
        if (done) return false;
        if (!obstacle.empty()) return fail(std::move(obstacle));
        return late ? fail(holds.view.primary.name + " has not said that it stopped; it goes on as primary") : false;
    }
    // `force` may lose writes. It is granted only in the view of the time of the request, and only to the process that
    // had the name then. It is refused if a member was heard since then that surely holds every answered write.
    if (holds.view.number != request.view) return fail("nothing needs to be forced: " + describe(holds.view));
    if (group.members_heard > request.asked)
        return fail("a member that surely holds every answered write is alive: " + describe(holds.view) +
                    "; `promote` changes the primary");
    auto obstacle = force_obstacle(group, server.name, step.now);
    bool same = obstacle.empty() && group.find(server.name)->incarnation == server.incarnation;
    if (obstacle.empty() && !same) obstacle = server.name + " has restarted; ask again";
    if (!obstacle.empty()) return fail(std::move(obstacle));
    if (waits(holds) && step.now - group.members_heard >= timeouts_.dead) {  // every lease has run out
        adopt(group, force(holds, server), true, step);
        end_request(group, ViewForceResult{group.info, may_be_lost(holds.view, server)}, step);
        return true;
    }
    return late ? fail("the members of the old view did not fall silent") : false;
}

/// Ends the operator request, which must exist, with this answer.
UNDERSTUDY_DECL void ViewStateMachine::end_request(Group& group, Message message, Step& step) {
    auto request = *std::exchange(group.request, std::nullopt);
    if (auto* links = find_links(request.peer)) links->pending_requests.erase(group.info.group);
    drop_if_empty(request.peer);
    if (!request.id.empty()) step.output.send(request.peer, request.id, std::move(message));
}

/// Pushes the view over every connection that pings, at once, and over every connection that watches. If there are more
/// than `push_slice` watchers, each turn pushes to a slice of them. A watcher that still waits for an earlier view gets
/// only the present one.
UNDERSTUDY_DECL void ViewStateMachine::announce(const Group& group, const Address& informed, Step& step) {
    std::set<Address> peers;
    for (const auto& [name, server] : group.detector.servers())
        if (!server.peer.empty() && server.loss == Loss::none) peers.insert(server.peer);
    peers.erase(informed);
    if (auto found = watchers_.find(group.info.group); found != watchers_.end()) {
        auto waiting = found->second;
        waiting.erase(informed);
        if (waiting.size() <= view_service::push_slice) {
            unpushed_.erase(group.info.group);
            peers.merge(waiting);
        } else {
            for (const auto& peer : peers) waiting.erase(peer);
            unpushed_[group.info.group] = std::move(waiting);
        }
    }
    for (const auto& peer : peers) step.output.send(peer, {}, ViewChanged{group.info});
}

/// Pushes the present views to the next `push_slice` waiting watchers.
UNDERSTUDY_DECL void ViewStateMachine::push_slice(Step& step) {
    for (auto left = view_service::push_slice; left > 0 && !unpushed_.empty(); --left) {
        const auto waiting = unpushed_.begin();
        auto peer = waiting->second.extract(waiting->second.begin());
        step.output.send(std::move(peer.value()), {}, ViewChanged{find_group(waiting->first)->info});
        if (waiting->second.empty()) unpushed_.erase(waiting);
    }
}

/// Brings a group up to the time: servers become suspect or lost, probes are repeated, old reports and dead servers are
/// dropped. Then the group is evaluated.
UNDERSTUDY_DECL void ViewStateMachine::tend(Group& group, Step& step) {
    const auto& name = group.info.group;
    lapse_behind(group, step);
    auto due = group.detector.pass_time(step.now, clock_.late(), clock_.caught_up());
    std::ranges::move(due.to_probe, std::back_inserter(step.output.probes));
    for (auto& address : due.lost) {
        probing_.erase({address, name});
        emit(ServerLost{name, std::move(address), std::string{describe(Loss::silent)}}, step);
    }
    forget_dead(group, step.now);
    settle(group, step, {}, false);
    UNDERSTUDY_CHECK(group.due > step.now || group.is_abandoned(step.now));
}

UNDERSTUDY_DECL void ViewStateMachine::forget_dead(Group& group, Time now) {
    for (const auto& [name, peer] : group.detector.drop_long_dead(group.view(), now)) {
        move_server(group, name, peer, {});
        note_change(group);
    }
}

/// Enters in `due_` when the group must be looked at again.
UNDERSTUDY_DECL void ViewStateMachine::reschedule(Group& group, Time now) {
    auto next = group.next_due(now);
    if (next == group.due) return;
    if (group.due != never) due_.erase({group.due, group.info.group});
    if (next != never) due_.insert({next, group.info.group});
    group.due = next;
}

UNDERSTUDY_DECL void ViewStateMachine::wake(Time now, Output& output) {
    Step step{now, clock_.read(now), output};
    while (!due_.empty() && due_.begin()->first <= step.now) {
        auto found = groups_.find(due_.begin()->second);
        tend(found->second, step);
        // Without servers and without a view, nothing is known of the group any more.
        if (found->second.detector.servers().empty() && found->second.view().number == 0) groups_.erase(found);
        else if (found->second.is_abandoned(step.now))
            remove(found->second,
                   "by rule: its only server was silent for an hour, keeps no journal as far as is known and never "
                   "took up its first view", step);
    }
    adopt_groups(step);
    push_slice(step);
    listed_ = 0;
    clock_.promise(next_due());
    invariants();
}

UNDERSTUDY_DECL void ViewStateMachine::disconnected(const Address& peer, Time now, Output& output) {
    Step step{now, clock_.read(now), output};
    std::erase_if(adoptions_, [&](const Adoption& asked) { return asked.peer == peer; });
    auto found = links_.find(peer);
    if (found == links_.end()) return;
    auto links = std::move(found->second);
    links_.erase(found);
    std::set<Address> names;
    for (const auto& [group, name] : links.servers) {
        if (!find_group(group)->detector.disconnected(name, step.now)) continue;
        probing_.insert({name, group});
        names.insert(name);
    }
    output.probes.insert(output.probes.end(), names.begin(), names.end());
    for (const auto& group : links.watches) {
        auto watched = watchers_.find(group);
        watched->second.erase(peer);
        if (watched->second.empty()) watchers_.erase(watched);
        if (auto waiting = unpushed_.find(group); waiting != unpushed_.end()) {
            waiting->second.erase(peer);
            if (waiting->second.empty()) unpushed_.erase(waiting);
        }
        --watcher_count_;
    }
    // An operator who disconnects withdraws the request.
    for (const auto& group : links.pending_requests) find_group(group)->request.reset();
    invariants();
}

UNDERSTUDY_DECL void ViewStateMachine::probed(const Address& name, ProbeResult result, Time now, Output& output) {
    Step step{now, clock_.read(now), output};
    std::vector<std::string> groups;
    for (auto at = probing_.lower_bound({name, {}}); at != probing_.end() && at->first == name; ++at)
        groups.push_back(at->second);
    for (const auto& group_name : groups) {
        auto& group = *find_group(group_name);
        const bool lost = group.detector.probed(name, result, group.view(), step.now);
        if (!group.find(name)->probing) probing_.erase({name, group_name});
        if (lost) {
            emit(ServerLost{group_name, name, std::string{describe(Loss::refused)}}, step);
            settle(group, step, {}, false);
        } else {
            reschedule(group, step.now);
        }
    }
    invariants();
}

UNDERSTUDY_DECL ViewStateMachine::Links* ViewStateMachine::find_links(const Address& peer) {
    auto found = links_.find(peer);
    return found == links_.end() ? nullptr : &found->second;
}
UNDERSTUDY_DECL void ViewStateMachine::drop_if_empty(const Address& peer) {
    if (auto* links = find_links(peer); links && links->empty()) links_.erase(peer);
}
/// Moves a server from one connection to another. An empty address means no connection.
UNDERSTUDY_DECL void ViewStateMachine::move_server(const Group& group, const Address& name, const Address& from,
                                            const Address& to) {
    if (auto* links = find_links(from)) links->servers.erase({group.info.group, name});
    drop_if_empty(from);
    if (!to.empty()) links_[to].servers.insert({group.info.group, name});
}

UNDERSTUDY_DECL ViewStatusResult ViewStateMachine::status(const std::optional<std::string>& group, Time now) const {
    ViewStatusResult result;
    auto running = clock_.peek(now);
    for (const auto& [name, one] : groups_)
        if (!group || *group == name)
            result.groups.push_back(status_of(one, group_state(one, running), running));
    result.refused = strangers_.list(group, running - timeouts_.retention, running, max_refused_listed);
    for (const auto& past : past_)
        if (!group || *group == past.group) result.events.push_back({now - past.at, past.text});
    return result;
}

/// Invariants that hold after each step; the time does not depend on the number of groups.
UNDERSTUDY_DECL void ViewStateMachine::invariants() const {
    UNDERSTUDY_CHECK(due_.size() <= groups_.size());
    UNDERSTUDY_CHECK(groups_.size() <= options_.max_groups);
    UNDERSTUDY_CHECK(watcher_count_ <= options_.max_watchers);
    UNDERSTUDY_CHECK(past_.size() <= options_.max_events);
}

/// Invariants that hold after each step, for each group; for simulation.
UNDERSTUDY_DECL void ViewStateMachine::deep_invariants() const {
    invariants();
    std::size_t scheduled = 0;
    std::size_t probing = 0;
    for (const auto& [name, group] : groups_) {
        UNDERSTUDY_CHECK(group.info.group == name && group.info.cluster != ClusterId::none);
        UNDERSTUDY_CHECK(group.detector.servers().size() <= options_.max_servers);
        UNDERSTUDY_CHECK(!group.acked || group.view().synced_count() == group.view().backups.size());
        UNDERSTUDY_CHECK(group.due == never || due_.contains({group.due, name}));
        scheduled += group.due != never;
        for (const auto& [address, server] : group.detector.servers()) {
            auto links = links_.find(server.peer);
            bool linked = links != links_.end() && links->second.servers.contains({name, address});
            UNDERSTUDY_CHECK(linked != server.peer.empty());
            UNDERSTUDY_CHECK(server.probing == probing_.contains({address, name}));
            const auto due = group.detector.next_due(address, server, group.view());
            UNDERSTUDY_CHECK(due >= group.due || group.behind);
            probing += server.probing;
        }
    }
    UNDERSTUDY_CHECK(scheduled == due_.size() && probing == probing_.size());
    std::size_t watching = 0;
    for (const auto& [peer, links] : links_) {
        UNDERSTUDY_CHECK(!links.empty());
        watching += links.watches.size();
    }
    UNDERSTUDY_CHECK(watching == watcher_count_);
    for (const auto& [name, peers] : unpushed_) UNDERSTUDY_CHECK(!peers.empty() && groups_.contains(name));
}

}  // namespace understudy::view_service
