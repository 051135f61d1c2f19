// ViewStateMachine, continued: what happens without a message. Time passes, connections end, probes are answered.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <understudy/base/config.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::view_service {

/// Brings a group up to the time: servers become suspect or lost, probes are repeated, old reports and dead servers are
/// dropped. Then the group is evaluated.
UNDERSTUDY_DECL void ViewStateMachine::bring_up_to_date(Group& group, Turn& turn) {
    const auto& name = group.info.group;
    lapse_behind(group, turn);
    auto due = group.detector.pass_time(turn.now, clock_.late(), clock_.caught_up());
    std::ranges::move(due.to_probe, std::back_inserter(turn.out.probes));
    for (auto& address : due.lost) {
        probing_.erase({address, name});
        emit(ServerLost{name, std::move(address), std::string{describe(Loss::silent)}}, turn);
    }
    drop_long_dead(group, turn.now);
    evaluate(group, turn);
    UNDERSTUDY_CHECK(group.due > turn.now || group.is_abandoned(turn.now));
}

UNDERSTUDY_DECL void ViewStateMachine::drop_long_dead(Group& group, Time now) {
    for (const auto& [name, peer] : group.detector.drop_long_dead(group.view(), now)) {
        move_server(group, name, peer, {});
        mark_unstored(group);
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
    Turn turn{clock_.read(now), now, output};
    while (!due_.empty() && due_.begin()->first <= turn.now) {
        auto found = groups_.find(due_.begin()->second);
        bring_up_to_date(found->second, turn);
        // Without servers and without a view, nothing is known of the group any more.
        if (found->second.detector.servers().empty() && found->second.view().number == 0) groups_.erase(found);
        else if (found->second.is_abandoned(turn.now))
            remove(found->second,
                   "by rule: its only server was silent for an hour, keeps no journal as far as is known and never "
                   "took up its first view", turn);
    }
    carry_out_adoptions(turn);
    push_slice(turn);
    listed_ = 0;
    clock_.promise(next_due());
    invariants();
}

UNDERSTUDY_DECL void ViewStateMachine::disconnected(const Address& peer, Time now, Output& output) {
    Turn turn{clock_.read(now), now, output};
    std::erase_if(adoptions_, [&](const Adoption& asked) { return asked.caller.peer == peer; });
    auto found = links_.find(peer);
    if (found == links_.end()) return;
    auto links = std::move(found->second);
    links_.erase(found);
    std::set<Address> names;
    for (const auto& [group, name] : links.servers) {
        if (!find_group(group)->detector.disconnected(name, turn.now)) continue;
        probing_.insert({name, group});
        names.insert(name);
    }
    output.probes.insert(output.probes.end(), names.begin(), names.end());
    for (const auto& group : links.watches) end_watch(group, peer);
    // An operator who disconnects withdraws the request.
    for (const auto& group : links.pending_requests) find_group(group)->request.reset();
    invariants();
}

UNDERSTUDY_DECL void ViewStateMachine::probed(const Address& name, ProbeResult result, Time now, Output& output) {
    Turn turn{clock_.read(now), now, output};
    std::vector<std::string> groups;
    for (auto at = probing_.lower_bound({name, {}}); at != probing_.end() && at->first == name; ++at)
        groups.push_back(at->second);
    for (const auto& group_name : groups) {
        auto& group = *find_group(group_name);
        const bool lost = group.detector.probed(name, result, group.view(), turn.now);
        if (!group.find(name)->probing) probing_.erase({name, group_name});
        if (lost) {
            emit(ServerLost{group_name, name, std::string{describe(Loss::refused)}}, turn);
            evaluate(group, turn);
        } else {
            reschedule(group, turn.now);
        }
    }
    invariants();
}

// ---- connections ----

UNDERSTUDY_DECL ViewStateMachine::Links* ViewStateMachine::find_links(const Address& peer) {
    auto found = links_.find(peer);
    return found == links_.end() ? nullptr : &found->second;
}
UNDERSTUDY_DECL void ViewStateMachine::drop_if_empty(const Address& peer) {
    if (auto* links = find_links(peer); links && links->empty()) links_.erase(peer);
}
UNDERSTUDY_DECL void ViewStateMachine::end_watch(const std::string& group, const Address& peer) {
    auto watched = watchers_.find(group);
    watched->second.erase(peer);
    if (watched->second.empty()) watchers_.erase(watched);
    if (auto waiting = unpushed_.find(group); waiting != unpushed_.end()) {
        waiting->second.erase(peer);
        if (waiting->second.empty()) unpushed_.erase(waiting);
    }
    --watcher_count_;
}
/// Moves a server from one connection to another. An empty address means no connection.
UNDERSTUDY_DECL void ViewStateMachine::move_server(const Group& group, const Address& name, const Address& from,
                                            const Address& to) {
    if (auto* links = find_links(from)) links->servers.erase({group.info.group, name});
    drop_if_empty(from);
    if (!to.empty()) links_[to].servers.insert({group.info.group, name});
}

/// Of all servers of the group, the connections become unknown, and no probe is awaited any more.
UNDERSTUDY_DECL void ViewStateMachine::detach_servers(const Group& group) {
    for (const auto& [name, server] : group.detector.servers()) {
        move_server(group, name, server.peer, {});
        probing_.erase({name, group.info.group});
    }
}

// ---- invariants ----

/// Invariants that hold after each step; the time does not depend on the number of groups.
UNDERSTUDY_DECL void ViewStateMachine::invariants() const {
    UNDERSTUDY_CHECK(due_.size() <= groups_.size());
    UNDERSTUDY_CHECK(groups_.size() <= options_.max_groups);
    UNDERSTUDY_CHECK(watcher_count_ <= options_.max_watchers);
    UNDERSTUDY_CHECK(events_.size() <= options_.max_events);
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
