// Converts a group to its durable record and back. The second is how a group goes on after a restart of the view
// service.
#pragma once

#include <algorithm>

#include <understudy/view.hpp>
#include <understudy/view_service/behind.hpp>
#include <understudy/view_service/group.hpp>
#include <understudy/view_service/record.hpp>
#include <understudy/view_service/servers.hpp>

namespace understudy::view_service {

/// The durable record of a group.
inline GroupRecord record_of(const Group& group) {
    GroupRecord record{group.info, {}};
    for (const auto& [name, server] : group.servers) {
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
    Group group;
    group.info = record.info;
    group.noted = record.noted;
    if (!record.named_by.empty()) group.behind = Behind{record.named, record.named_by, now, now, {}};
    const auto heard = now + std::max(Duration{}, old_dead_after - timeouts.dead);
    group.members_heard = heard;
    for (const auto& [name, incarnations] : record.incarnations) {
        if (incarnations.empty()) continue;
        auto& server = group.servers[name];
        for (auto incarnation : incarnations) server.replaced.push_back({incarnation, now});
        // The view may name a primary whose name another process took. Its lease may still run too.
        for (auto& old : server.replaced)
            if (old.incarnation == group.view().primary.incarnation) old.lease_until = heard + timeouts.dead;
        server.replaced.pop_back();
        server.incarnation = incarnations.back();
        server.heard = now;
        server.loss = Loss::silent;  // until it pings
    }
    // Members of the view are suspect rather than lost (`Server::restored`). If a later incarnation of the name was
    // heard, the member's process has ended, or is treated as replaced.
    const auto restore_member = [&](const Member& member) {
        auto& server = group.servers[member.name];
        if (server.incarnation != Incarnation::none && server.incarnation != member.incarnation) return;
        server.incarnation = member.incarnation;
        server.arrival = ++group.arrivals;
        server.heard = heard;
        server.loss = Loss::none;
        server.restored = true;
    };
    if (group.view().number == 0) return group;
    restore_member(group.view().primary);
    for (const auto& backup : group.view().backups) restore_member(backup);
    return group;
}

}  // namespace understudy::view_service
