// ViewStateMachine, continued: the durable record, its changes, and the start from a record.
#pragma once

#include <utility>

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

}  // namespace understudy::view_service
