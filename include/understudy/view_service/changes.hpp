// Applies changes to a record of the view service, so that a store can keep a copy up to date without the whole record.
#pragma once

#include <algorithm>
#include <string>

#include <understudy/view_service/record.hpp>

namespace understudy::view_service {

/// The position of the group of that name in `groups`, which are sorted by name, or the position to insert it at.
auto place_of(const std::string& name, auto& groups) {
    return std::ranges::lower_bound(
        groups, name, {}, [](const GroupRecord& one) -> const std::string& { return one.info.group; });
}
/// Turns the former record into the present one. A group that the record has costs a look-up, O(log n); one that is
/// added or removed also moves the groups after it.
inline void apply(ViewRecord& record, const ViewChanges& changes) {
    record.cluster = changes.cluster;
    record.dead_after = changes.dead_after;
    record.removed = changes.removed;
    for (const auto& group : changes.groups) {
        auto at = place_of(group.info.group, record.groups);
        if (at != record.groups.end() && at->info.group == group.info.group) *at = group;
        else record.groups.insert(at, group);
    }
    for (const auto& name : changes.gone)
        if (auto at = place_of(name, record.groups); at != record.groups.end() && at->info.group == name)
            record.groups.erase(at);
}

}  // namespace understudy::view_service
