// Decides which servers of a group live. Every transition that means "this server is lost", "it may be lost" or "it is
// alive after all" is made here, from this evidence. The decision table makes views of the result.
//
// evidence                                   what follows                                            function
// a newer ping of the present incarnation    alive; lost if it forgot its state, or left (R6)        hear
// the first ping of another incarnation      the former process is lost; if that one is seen to      hear
//                                            live, the newcomer is refused: the name is in use
// pings of an incarnation that was replaced  a member is suspect in place of lost; after D of        hear
//                                            pings it may be alive again
// silence for D                              suspect; lost after a further grace, in a turn on time  pass_time
// its connection broke                       it is probed                                            disconnected
// then its address refuses a connection      lost, unless it is the primary, may read by lease, and  probed
//                                            the refusal may be forged
// the primary reports it unreachable         unreachable, and quarantined for 10 D (S7)              report_unreachable
// the view service restarted                 members are suspect until they ping; all others count   restore
//                                            as silent
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/probe_result.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/view.hpp>
#include <understudy/view_service/decision_table.hpp>
#include <understudy/view_service/server.hpp>
#include <understudy/view_service/timeouts.hpp>

namespace understudy::view_service {

inline constexpr std::size_t replaced_kept = 64;   ///< So many replaced incarnations of a name are retained at any age.
inline constexpr std::size_t replaced_max = 1024;  ///< With so many younger than `retention`, a further one is refused.
inline constexpr int late_turns_max = 16;          ///< From this late turn on, lateness does not save a suspect.

/// What a ping leads to. The verdicts: the ping counts; it is not newer than the last one (stale, but answered); its
/// incarnation was replaced; its name belongs to a process that lives; too many processes took the name.
struct PingOutcome {
    enum class Verdict { counts, stale, superseded, in_use, crowded };
    Verdict verdict = Verdict::counts;
    bool shared = false;     ///< Two processes live under this name, and the event about it is due now.
    Loss lost = Loss::none;  ///< Why the server, or its former incarnation, counts as lost from now on.
    bool new_incarnation = false;       ///< The incarnation is not the one of the last ping.
    bool news = false;       ///< Something changed that a new view may follow from; if superseded: a member lives.
    bool grew = false;       ///< More backups of the view are in sync.
    bool noted = false;      ///< A member's journal has a newer view than before.
};

/// Whether a member of the view lives, and if not, why.
struct Liveness {
    Health health = Health::dead;
    Loss loss = Loss::restarted;
};

/// The servers of a group for which a time has come.
struct DueServers {
    std::vector<Address> to_probe;
    std::vector<Address> lost;  ///< By silence.
};

/// The member of the view with this name and this incarnation, or null.
inline const Member* find_member(const View& view, std::string_view name, Incarnation incarnation) {
    const auto* member = view.member(name);
    return member && member->incarnation == incarnation ? member : nullptr;
}

/// The servers of one group, and which of them live. A value that reads no clock: all times are running time
/// (`RunningClock`), and `view` is the present view of the group. A `name` must be that of a known server.
class FailureDetector {
public:
    explicit FailureDetector(const Timeouts& timeouts) : timeouts_(timeouts) {}
    const Timeouts& timeouts() const { return timeouts_; }

    // ---- evidence ----

    /// A ping came over the connection `peer`. The caller has checked the protocol version, the cluster and the limits.
    PingOutcome hear(const Ping& ping, const Address& peer, const View& view, Time now);
    /// Time has passed; called in each turn that looks at the group. `late`: the turn began later than promised. Before
    /// `caught_up`, pings that arrived during a stall may still be unread.
    DueServers pass_time(Time now, bool late, Time caught_up);
    /// The connection of the server ended. Returns whether it is to be probed.
    bool disconnected(const Address& name, Time now);
    /// The result of a probe. Returns whether it proves that the server is dead.
    bool probed(const Address& name, ProbeResult result, const View& view, Time now);
    /// The present primary reports that this backup does not acknowledge (S7).
    void report_unreachable(Incarnation backup, Time now) {
        if (!is_unreachable(backup)) unreachable_.push_back({backup, now});
    }
    /// The group goes from one view to the next.
    void change_view(const View& before, const View& next);
    /// The view service restarted. `incarnations` are those of its record, oldest first. `heard` is when each member
    /// of the view counts as having pinged.
    void restore(const View& view, const std::map<Address, std::vector<Incarnation>>& incarnations, Time now,
                 Time heard);
    /// Drops dead servers that are not in the view and were silent for `Timeouts::dead_retention`. Otherwise they would
    /// count towards `max_servers` for ever. Returns their names, with the connections over which they pinged.
    std::vector<std::pair<Address, Address>> drop_long_dead(const View& view, Time now);

    // ---- conclusions ----

    const std::map<Address, Server, std::less<>>& servers() const { return servers_; }
    const Server* find(std::string_view name) const {
        auto found = servers_.find(name);
        return found == servers_.end() ? nullptr : &found->second;
    }
    Health health(const Server& server, Time now) const {
        if (server.loss != Loss::none) return Health::dead;
        return server.restored || is_silent(server, now) ? Health::suspect : Health::ok;
    }
    /// Whether this member of the view lives. If its name now belongs to another incarnation or to no server, it is
    /// dead, or suspect until `suspect_until`.
    Liveness judge(const Member& member, const View& view, Time now) const;
    /// Whether the present primary reported this incarnation unreachable less than 10 D ago.
    bool is_unreachable(Incarnation incarnation) const {
        return std::ranges::find(unreachable_, incarnation, &UnreachableReport::incarnation) != unreachable_.end();
    }
    /// Whether a member has not pinged since a restart of the view service, and is not lost either.
    bool is_awaited(std::string_view name) const {
        const auto* server = find(name);
        return server && server->restored && server->loss == Loss::none;
    }
    /// Whether two processes ping under this name: the other one pinged less than D ago, and this one pinged again at
    /// least `grace` after the first ping of the other.
    bool is_shared(const Server& server, Time now) const {
        return server.rival && server.loss == Loss::none && now - server.rival->last_ping < timeouts_.dead &&
               server.heard >= server.rival->since + timeouts_.grace;
    }
    /// When this server must be looked at again if no ping comes; `never` for a dead member of the view.
    Time next_due(const Address& name, const Server& server, const View& view) const {
        if (server.loss == Loss::none)
            return std::min(server.probe_at, server.lost_from != never ? server.lost_from : silent_from(server));
        return view.member(name) ? never : server.heard + timeouts_.dead_retention;
    }
    /// When any server or report must be looked at again.
    Time next_due(const View& view, Time now) const;

    friend bool operator==(const FailureDetector&, const FailureDetector&) = default;

private:
    /// A server that the present primary reported as unreachable.
    struct UnreachableReport {
        Incarnation incarnation = Incarnation::none;
        Time at{};
        friend bool operator==(const UnreachableReport&, const UnreachableReport&) = default;
    };

    /// Its silence counts from this time on: D after the last ping, or later if it has not pinged since a restart.
    Time silent_from(const Server& server) const {
        return server.heard + timeouts_.dead + (server.restored ? timeouts_.returning : Duration{});
    }
    bool is_silent(const Server& server, Time now) const { return now >= silent_from(server); }
    bool note_silence(Server& server, Time now, bool late, Time caught_up) const;
    static void accept(Server& server, const Ping& ping, const Address& peer, Time now);
    PingOutcome take_name(Server& server, const Ping& ping, const Address& peer, const View& view, Time now) const;
    bool keeps_name(const Server& server, Incarnation other, const Address& from, Time now) const;
    bool note_rival(Server& server, Incarnation other, const Address& from, Time now) const;
    bool replace(Server& server, Time now) const;
    bool take_back(Server& server, const Ping& ping, bool named, Time now) const;
    Time suspect_until(const Member& member, const View& view) const;
    bool refusal_proves(const Address& name, const Server& server, const View& view) const;

    Timeouts timeouts_;
    std::map<Address, Server, std::less<>> servers_;
    std::uint64_t arrivals_ = 0;                  // the last number given out as `Server::arrival`
    std::vector<UnreachableReport> unreachable_;  // by the present primary
};

}  // namespace understudy::view_service

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/view_service/failure_detector.ipp>
#endif
