// Converts a group to its durable record and back. The second is how a group goes on after a restart of the view
// service.
#pragma once

#include <algorithm>

#include <understudy/view.hpp>
#include <understudy/view_service/behind.hpp>
#include <understudy/view_service/group.hpp>
#include <understudy/view_service/record.hpp>
#include <understudy/view_service/timeouts.hpp>

namespace understudy::view_service {

/// The durable record of a group.
inline GroupRecord record_of(const Group& group) {
    GroupRecord record{group.info, {}};
    for (const auto& [name, server] : group.detector.servers()) {
        auto& incarnations = record.incarnations[name];
        for (const auto& old : server.replaced) incarnations.push_back(old.incarnation);
        incarnations.push_back(server.incarnation);
    }
    record.noted = group.noted;
    if (group.behind) record.named = group.behind->number, record.named_by = group.behind->server;
    return record;
}

/// The group after a restart at `now` (running time). Until the larger of the old and the new D has passed, every
/// member counts as having just pinged, and no lease counts as run out: a lease from before the restart may still run.
/// But no server is promoted or added before it has pinged again.
inline Group restore(const GroupRecord& record, Time now, Duration old_dead_after, const Timeouts& timeouts) {
    Group group{record.info, timeouts};
    group.noted = record.noted;
    if (!record.named_by.empty()) group.behind = Behind{record.named, record.named_by, now, now, {}};
    group.members_heard = now + std::max(Duration{}, old_dead_after - timeouts.dead);
    group.detector.restore(group.view(), record.incarnations, now, group.members_heard);
    return group;
}

}  // namespace understudy::view_service
