// A record and what became different in it.
#pragma once

#include <algorithm>
#include <string>

#include <understudy/view_service/record.hpp>

namespace understudy::view_service {

/// Where the group of that name stands among these, or would stand.
auto place_of(const std::string& name, auto& groups) {
    return std::ranges::lower_bound(
        groups, name, {}, [](const GroupRecord& one) -> const std::string& { return one.info.group; });
}
/// Makes of the former record the present one. A group that it has costs a look-up, any other a shift of those after.
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
