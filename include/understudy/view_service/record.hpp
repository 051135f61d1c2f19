// What a view service has to remember to go on after a restart: everything else it hears again.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <understudy/view.hpp>

namespace understudy::view_service {

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

}  // namespace understudy::view_service
