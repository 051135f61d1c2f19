// What a view service has to remember to go on after a restart: everything else it hears again.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <understudy/core/types.hpp>
#include <understudy/core/view_group.hpp>
#include <understudy/core/view_servers.hpp>

namespace understudy {

/// One group: its view, and which lives of each server were heard, of idle ones too: a process that starts while there
/// is no view service must not be taken for older than the one that it replaced.
struct GroupRecord {
    ViewInfo info;
    std::map<Address, std::vector<Incarnation>> lives;  ///< By name, oldest first: all but the last were replaced.
    /// By name of a member: the newest view that this life had noted in its journal (R5).
    std::map<Address, ViewNumber, std::less<>> noted{};
    ViewNumber named = 0;  ///< R7: the highest view that was named while this record is behind; 0: it is not.
    Address named_by{};
    friend bool operator==(const GroupRecord&, const GroupRecord&) = default;
};

/// A view service that lost this is another one: it has a new cluster id, and whoever knows the old one refuses it.
struct ViewRecord {
    ClusterId cluster = ClusterId::none;
    Duration dead_after{};  ///< D, by which leases were given out.
    std::vector<GroupRecord> groups;  ///< In the order of their names.
    ViewNumber removed = 0;           ///< No group that was removed had a view above this; new ones begin after it.
    friend bool operator==(const ViewRecord&, const ViewRecord&) = default;
};

/// What became different in a record: all that a store has to write, however many groups there are.
struct ViewChanges {
    ClusterId cluster = ClusterId::none;
    Duration dead_after{};
    std::vector<GroupRecord> groups;  ///< Those that are new or different, whole.
    std::vector<std::string> gone;    ///< The names of those that are no more.
    ViewNumber removed = 0;           ///< As in the record.
    friend bool operator==(const ViewChanges&, const ViewChanges&) = default;
};

namespace views {
/// Where the group of that name stands among these, or would stand.
auto place_of(const std::string& name, auto& groups) {
    return std::ranges::lower_bound(
        groups, name, {}, [](const GroupRecord& one) -> const std::string& { return one.info.group; });
}
}  // namespace views

/// Makes of the former record the present one. A group that it has costs a look-up, any other a shift of those after.
inline void apply(ViewRecord& record, const ViewChanges& changes) {
    record.cluster = changes.cluster;
    record.dead_after = changes.dead_after;
    record.removed = changes.removed;
    for (const auto& group : changes.groups) {
        auto at = views::place_of(group.info.group, record.groups);
        if (at != record.groups.end() && at->info.group == group.info.group) *at = group;
        else record.groups.insert(at, group);
    }
    for (const auto& name : changes.gone)
        if (auto at = views::place_of(name, record.groups); at != record.groups.end() && at->info.group == name)
            record.groups.erase(at);
}

namespace views {

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

}  // namespace views
}  // namespace understudy
