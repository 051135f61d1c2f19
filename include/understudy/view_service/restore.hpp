// A group's record, and the group as it goes on from its record.
#pragma once

#include <algorithm>

#include <understudy/view.hpp>
#include <understudy/view_service/behind.hpp>
#include <understudy/view_service/group.hpp>
#include <understudy/view_service/record.hpp>
#include <understudy/view_service/servers.hpp>

namespace understudy::view_service {

inline GroupRecord record_of(const Group& group) {
    GroupRecord record{group.info, {}};
    for (const auto& [name, server] : group.servers) {
        auto& lives = record.lives[name];
        for (const auto& old : server.replaced) lives.push_back(old.incarnation);
        lives.push_back(server.incarnation);
    }
    record.noted = group.noted;
    if (group.behind) record.named = group.behind->number, record.named_by = group.behind->server;
    return record;
}

/// The group as it stands after a restart at `now`: every member counts as having just pinged, and no lease as run out,
/// until the larger of the old and the new D has passed; but nobody is chosen who has not pinged since.
inline Group restore(const GroupRecord& record, Time now, Duration old_dead_after, const Periods& periods) {
    Group group;
    group.info = record.info;
    group.noted = record.noted;
    if (!record.named_by.empty()) group.behind = Behind{record.named, record.named_by, now, now, {}};
    const auto heard = now + std::max(Duration{}, old_dead_after - periods.dead);
    group.members_heard = heard;
    for (const auto& [name, lives] : record.lives) {
        if (lives.empty()) continue;
        auto& server = group.servers[name];
        for (auto life : lives) server.replaced.push_back({life, now});
        for (auto& old : server.replaced)  // a primary that was replaced and still counted as alive
            if (old.incarnation == group.view().primary.incarnation) old.lease_until = heard + periods.dead;
        server.replaced.pop_back();
        server.incarnation = lives.back();
        server.heard = now;
        server.loss = Loss::silent;  // until it pings
    }
    const auto seat = [&](const Member& member) {
        auto& server = group.servers[member.name];
        if (server.incarnation != Incarnation::none && server.incarnation != member.incarnation) return;
        server.incarnation = member.incarnation;
        server.arrival = ++group.arrivals;
        server.heard = heard;
        server.loss = Loss::none;
        server.restored = true;
    };
    if (group.view().number == 0) return group;
    seat(group.view().primary);
    for (const auto& backup : group.view().backups) seat(backup);
    return group;
}

}  // namespace understudy::view_service
