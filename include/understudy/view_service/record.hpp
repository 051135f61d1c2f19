// The durable state of a view service: what it needs to go on after a restart. It learns everything else from pings.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <understudy/view.hpp>

namespace understudy::view_service {

/// The durable state of one group: its view, and all incarnations of each server that were heard, of idle servers too.
/// Without these, a server that restarted while no view service ran could be taken for older than the process that it
/// replaced.
struct GroupRecord {
    ViewInfo info;
    /// By name, oldest first: all but the last were replaced.
    std::map<Address, std::vector<Incarnation>> incarnations;
    /// By name of a member: the newest view that this incarnation had noted in its journal (R5).
    std::map<Address, ViewNumber, std::less<>> noted{};
    ViewNumber named = 0;  ///< R7: while this record is behind, the highest view that was named; else 0.
    Address named_by{};    ///< R7: the server that named it; empty if the record is not behind.
    friend bool operator==(const GroupRecord&, const GroupRecord&) = default;
};

/// The durable state of the whole view service. A view service that lost its record is another one: it has a new
/// cluster id, and peers that know the old id refuse it.
struct ViewRecord {
    ClusterId cluster = ClusterId::none;
    Duration dead_after{};  ///< The largest D with which leases were given that may still run.
    std::vector<GroupRecord> groups;  ///< In the order of their names.
    ViewNumber removed = 0;           ///< The highest view number of all removed groups; new groups begin above it.
    friend bool operator==(const ViewRecord&, const ViewRecord&) = default;
};

/// The differences between two records. A store has to write only these, however many groups there are.
struct ViewChanges {
    ClusterId cluster = ClusterId::none;
    Duration dead_after{};
    std::vector<GroupRecord> groups;  ///< The complete records of groups that are new or different.
    std::vector<std::string> gone;    ///< The names of groups that no longer exist.
    ViewNumber removed = 0;           ///< As in the record.
    friend bool operator==(const ViewChanges&, const ViewChanges&) = default;
};

}  // namespace understudy::view_service
