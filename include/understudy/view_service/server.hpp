// What the view service remembers of one server: what its last ping said, and the evidence by which the failure
// detector decides whether it lives. These are plain values; only the failure detector changes them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <understudy/protocol/message.hpp>
#include <understudy/view.hpp>
#include <understudy/view_service/decision_table.hpp>

namespace understudy::view_service {

/// An incarnation of a name after another one took its place.
struct Replaced {
    Incarnation incarnation = Incarnation::none;
    Time at{};            ///< When it was replaced.
    std::uint64_t n = 0;  ///< Number of its last ping.
    Time lease_until{};   ///< Until then it may answer reads by lease.
    Time since = never;   ///< First of its pings after it was replaced, if no gap between them reached D.
    Time last_ping{};     ///< The last of these pings.
    friend bool operator==(const Replaced&, const Replaced&) = default;
};

/// Another process that pings under the name of a server, and is refused.
struct Rival {
    Incarnation incarnation = Incarnation::none;
    Address peer;           ///< The connection of its last ping.
    Time since{};           ///< First of its refused pings, if no gap between them reached D.
    Time last_ping{};       ///< The last of these pings.
    bool reported = false;  ///< The event about it was emitted.
    friend bool operator==(const Rival&, const Rival&) = default;
};

/// Whether the address always means the machine that uses it: the path of a Unix socket, or a numeric loopback address.
/// A host name such as `localhost` does not count, since it can mean another machine. This is the only place where a
/// state machine reads an address. An address of another scheme is never near: a refused probe then does not prove the
/// death of a primary that reads by lease.
inline bool is_near(std::string_view address) {
    if (address.starts_with("unix://") || address.starts_with("tcp://[::1]:")) return true;
    constexpr std::string_view loopback = "tcp://127.";
    if (!address.starts_with(loopback)) return false;
    address.remove_prefix(loopback.size());
    return address.substr(0, address.find(':')).find_first_not_of("0123456789.") == address.npos;
}

/// One name, with its present incarnation and those before. All times are running time (`RunningClock`).
struct Server {
    // What its last ping said.
    Incarnation incarnation = Incarnation::none;
    std::uint64_t n = 0;  ///< Number of the ping.
    Address peer;         ///< The connection of the ping; empty once that has ended.
    ViewNumber viewnum = 0;
    bool leaving = false;
    bool stopped = false;
    bool leases = false;                 ///< It reads by lease when it is primary.
    bool journal = false;                ///< It keeps a journal.
    std::vector<Incarnation> recovered;  ///< The incarnations whose state it continues (S9).
    ViewNumber state_view = 0;           ///< The newest view that the state in its journal takes part in.

    // Whether it lives, and by which evidence.
    Loss loss = Loss::none;
    Time heard{};               ///< Time of the last ping. After a restart with a smaller D it may lie in the future.
    std::uint64_t arrival = 0;  ///< Order among the idle servers: the lowest joins first.
    bool restored = false;      ///< Taken from the view service's record as a member; it has not pinged since.
    bool near = false;          ///< On this machine by its name and its connection, so no firewall can forge a refusal.
    bool forgot = false;     ///< As a member it pinged view 0 after a higher one. Set until it is no member any more.
    Time lost_from = never;  ///< Set while it is suspect by silence: the first turn on time from here on ends the wait.
    int late_turns = 0;      ///< Late turns since it became suspect.
    std::vector<Replaced> replaced;  ///< Oldest first.
    std::optional<Rival> rival;      ///< If there are several, the one that was heard first.

    // Its probe.
    bool probing = false;   ///< Its connection broke, no ping came since, and it is being probed.
    Time probe_at = never;  ///< When to probe again; `never` while no probe is scheduled.
    Time probe_end{};       ///< No probe is scheduled from here on.
    Duration probe_wait{};  ///< The wait before the next probe; doubles with each.

    /// Whether it may read by lease. If it has not pinged since a restart this is unknown, and the safe answer is yes.
    bool may_lease() const { return leases || restored; }
    /// Linear in the retained incarnations.
    bool was_replaced(Incarnation token) const {
        return std::ranges::find(replaced, token, &Replaced::incarnation) != replaced.end();
    }
    /// Whether the ping says something that a new view may follow from and that the last one did not say.
    bool differs(const Ping& ping) const {
        return restored || leases != ping.lease || viewnum != ping.viewnum || leaving != ping.leaving ||
               stopped != ping.stopped || recovered != ping.recovered;
    }
    void stop_probing() {
        probing = false;
        probe_at = never;
    }

    friend bool operator==(const Server&, const Server&) = default;
};

}  // namespace understudy::view_service
