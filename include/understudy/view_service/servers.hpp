// What the view service knows about one server: its incarnation, what its last ping said, how long it has been silent,
// and whether it is being probed. This is the failure detector; it decides nothing about views.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <understudy/options.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/view.hpp>
#include <understudy/view_service/decision_table.hpp>

namespace understudy::view_service {

/// The timeouts of the view service. All are computed from its options.
struct Timeouts {
    Duration dead;       ///< D: a server may be silent this long.
    Duration returning;  ///< Added to D for a server that has not pinged since the view service restarted.
    Duration grace;      ///< From suspicion to loss: time to read what has arrived. Also how late a turn may begin.
    Duration retention;   ///< Retention of replaced incarnations and of reports of unreachable servers.
    Duration dead_retention;     ///< Retention of a dead server that is in no view.
    Duration abandon;    ///< The only server of a group that was never in use may be silent this long.
    Duration operator_timeout;   ///< Timeout of an operator request.

    explicit Timeouts(const ViewOptions& options)
        : dead(options.dead_after()),
          returning(options.return_time),
          grace(options.ping_interval / 10),
          retention(10 * dead),
          dead_retention(100 * dead),
          abandon(std::max<Duration>(std::chrono::hours{1}, 100 * dead)),
          operator_timeout(10 * dead) {}
    friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

inline constexpr std::size_t replaced_kept = 64;   ///< So many replaced incarnations of a name are retained at any age.
inline constexpr std::size_t replaced_max = 1024;  ///< With so many younger than `retention`, a further one is refused.
inline constexpr int late_turns_max = 16;          ///< From this late turn on, lateness does not save a suspect.

/// An incarnation of a name after another one took its place.
struct Replaced {
    Incarnation incarnation = Incarnation::none;
    Time at{};            ///< When it was replaced.
    std::uint64_t n = 0;  ///< Number of its last ping.
    Time lease_until{};   ///< Until then it may answer reads by lease.
    Time since = never;   ///< First of its pings after it was replaced, if no gap between them reached D.
    Time until{};         ///< The last of these pings.
    /// Whether it seems to live although it was replaced: such a ping came less than D ago.
    bool pings(Time now, const Timeouts& timeouts) const { return since != never && now - until < timeouts.dead; }
    friend bool operator==(const Replaced&, const Replaced&) = default;
};

/// Another process that pings under the name of a server, and is refused.
struct Rival {
    Incarnation incarnation = Incarnation::none;
    Address peer;       ///< The connection of its last ping.
    Time since{};       ///< First of its refused pings, if no gap between them reached D.
    Time until{};       ///< The last of these pings.
    bool told = false;  ///< The event about it was emitted.
    friend bool operator==(const Rival&, const Rival&) = default;
};

/// Whether the address always means the machine that uses it: the path of a Unix socket, or a numeric loopback address.
/// A host name such as `localhost` does not count, since it can mean another machine.
inline bool is_near(std::string_view address) {
    if (address.starts_with("unix://") || address.starts_with("tcp://[::1]:")) return true;
    constexpr std::string_view loopback = "tcp://127.";
    if (!address.starts_with(loopback)) return false;
    address.remove_prefix(loopback.size());
    return address.substr(0, address.find(':')).find_first_not_of("0123456789.") == address.npos;
}

/// One name, with its present incarnation and those before. All times are running time (`RunningClock`).
struct Server {
    Incarnation incarnation = Incarnation::none;
    std::uint64_t n = 0;        ///< Number of the last ping.
    std::uint64_t arrival = 0;  ///< Order among the idle servers: the lowest joins first.
    Time heard{};  ///< Time of the last ping. After a restart with a smaller D it may lie in the future.
    Address peer;  ///< The connection of the last ping; empty once that has ended.
    ViewNumber viewnum = 0;  ///< `viewnum`, `leaving` and `stopped` are those of the last ping.
    bool leaving = false;
    bool stopped = false;
    bool restored = false;  ///< Taken from the view service's record as a member; it has not pinged since.
    bool near = false;      ///< On this machine by its name and its connection, so no firewall can forge a refusal.
    bool leases = false;    ///< It reads by lease when it is primary.
    bool journal = false;   ///< It says that it keeps a journal.
    bool forgot = false;    ///< As a member it pinged view 0 after a higher one. Set until it is no member any more.
    Loss loss = Loss::none;
    std::vector<Incarnation> recovered;  ///< The incarnations whose state it says it continues (S9).
    ViewNumber state_view = 0;  ///< The newest view that the state in its journal takes part in.
    std::vector<Replaced> replaced;  ///< Oldest first.
    std::optional<Rival> rival;      ///< If there are several, the one that was heard first.

    Time verdict = never;  ///< Set while it is suspect: the first turn on time from here on counts it as lost.
    int late_turns = 0;    ///< Late turns since it became suspect.
    bool probing = false;  ///< Its connection broke, no ping came since, and it is being probed.
    Time probe = never;    ///< When to probe again; `never` while no probe is scheduled.
    Time probe_end{};      ///< No probe is scheduled from here on.
    Duration probe_wait{};  ///< The wait before the next probe; doubles with each.

    /// Its silence counts from this time on: D after the last ping, or later if it has not pinged since a restart.
    Time silent_from(const Timeouts& timeouts) const {
        return heard + timeouts.dead + (restored ? timeouts.returning : Duration{});
    }
    bool silent(Time now, const Timeouts& timeouts) const { return now >= silent_from(timeouts); }
    Health health(Time now, const Timeouts& timeouts) const {
        if (loss != Loss::none) return Health::dead;
        return restored || silent(now, timeouts) ? Health::suspect : Health::ok;
    }

    /// Whether it may read by lease. If it has not pinged since a restart this is unknown, and the safe answer is yes.
    bool may_lease() const { return leases || restored; }

    /// Linear in the retained incarnations.
    bool was_replaced(Incarnation token) const {
        return std::ranges::find(replaced, token, &Replaced::incarnation) != replaced.end();
    }
    /// Moves the present incarnation to `replaced`, so that its late pings are recognized. False, without replacing it,
    /// if too many incarnations came in a short time (`replaced_max`).
    bool replace(Time now, const Timeouts& timeouts) {
        auto surplus = replaced.size() < replaced_kept ? 0 : replaced.size() - replaced_kept + 1;
        auto old = replaced.begin();
        while (surplus-- > 0 && now - old->at >= timeouts.retention) ++old;
        replaced.erase(replaced.begin(), old);
        if (replaced.size() >= replaced_max) return false;
        if (incarnation == Incarnation::none) return true;
        // Its lease counts from its last ping. A new primary must not lead before that lease has run out.
        const bool may_read = loss == Loss::none && may_lease();
        replaced.push_back({incarnation, now, n, may_read ? heard + timeouts.dead : Time{}, never, {}});
        heard = Time{};
        rival.reset();
        return true;
    }

    /// Whether two processes ping under this name: the other one pinged less than D ago, and this one pinged again at
    /// least `grace` after the first ping of the other.
    bool is_shared(Time now, const Timeouts& timeouts) const {
        return rival && loss == Loss::none && now - rival->until < timeouts.dead &&
               heard >= rival->since + timeouts.grace;
    }
    /// Whether a ping of the incarnation `other` over the connection `from` must be refused, because this one lives.
    /// True while this one pinged less than D ago over a connection that is still open and is not `from`. If that
    /// connection has ended, this process has probably died: the connections of a killed process close with it, and
    /// its next start must not wait for D. In that case it keeps the name only against a rival that pinged earlier, and
    /// after which it pinged itself: then both are known to live.
    bool keeps_name(Incarnation other, const Address& from, Time now, const Timeouts& timeouts) const {
        if (incarnation == Incarnation::none || loss != Loss::none || restored || silent(now, timeouts)) return false;
        return peer.empty() ? is_shared(now, timeouts) && rival->incarnation == other : peer != from;
    }
    /// Notes a ping that is refused because another process has the name. Returns true when the event is due, once for
    /// each `rival`: the rival has pinged for D, and this server pinged in that time too (`is_shared`).
    bool contend(Incarnation other, const Address& from, Time now, const Timeouts& timeouts) {
        const bool over = !rival || now - rival->until >= timeouts.dead;
        if (over) rival = Rival{other, from, now, now, false};
        if (rival->incarnation != other) return false;
        rival->peer = from;
        rival->until = now;
        if (rival->told || !is_shared(now, timeouts) || now - rival->since < timeouts.dead) return false;
        return rival->told = true;
    }

    /// Notes a ping of a replaced incarnation, and returns whether it takes its name back. Incarnations are unordered:
    /// the late ping of an old process can arrive after the first ping of its successor, and then the living process
    /// is the one that is refused. It goes on pinging. When it has done so for D, it is reinstated if the other one is
    /// lost, or if the present view names it (`named`). This is safe: it is the same process with its memory intact.
    bool may_come_back(const Ping& ping, bool named, Time now, const Timeouts& timeouts) {
        auto old = std::ranges::find(replaced, ping.incarnation, &Replaced::incarnation);
        if (ping.n <= old->n) return false;
        if (!old->pings(now, timeouts)) old->since = now;
        old->until = now;
        old->n = ping.n;
        if ((!named && loss == Loss::none) || now - old->since < timeouts.dead) return false;
        replaced.erase(old);
        return true;
    }

    /// Whether the ping says something that a new view may follow from and that the last one did not say.
    bool differs(const Ping& ping) const {
        return restored || leases != ping.lease || viewnum != ping.viewnum || leaving != ping.leaving ||
               stopped != ping.stopped || recovered != ping.recovered;
    }
    /// Takes over what the ping says; the server is no longer suspect, and no longer probed.
    void take(const Ping& ping, const Address& from, Time now) {
        incarnation = ping.incarnation;
        n = ping.n;
        // After a restart with a smaller D, `heard` may lie in the future: leases with the larger D may still run.
        heard = std::max(heard, now);
        restored = false;
        leases = ping.lease;
        journal = ping.journal;
        if (peer != from) peer = from;
        near = is_near(ping.server) && is_near(from);
        viewnum = ping.viewnum;
        leaving = ping.leaving;
        stopped = ping.stopped;
        if (recovered != ping.recovered) recovered = ping.recovered;
        state_view = ping.state_view;
        verdict = never;
        late_turns = 0;
        stop_probing();
    }

    /// Silence of D makes the server suspect. It is lost after a further `grace`, in a turn that began on time: so
    /// every ping that could be read has been read before (section 2). A late turn starts the grace again, at most
    /// `late_turns_max` - 1 times. While the service catches up after a stall (`caught_up`), the grace begins only when
    /// that ends. Returns whether the server was lost just now.
    bool judge(Time now, const Timeouts& timeouts, bool late, Time caught_up) {
        if (loss != Loss::none || !silent(now, timeouts)) return false;
        const bool excused = verdict != never && late && ++late_turns < late_turns_max;
        if (excused) reached("R1: a turn that begins late declares no server dead");
        if (verdict == never || excused) {
            verdict = std::max(now, caught_up) + timeouts.grace;
            return false;
        }
        if (now < verdict) return false;
        reached("R1: a server that is silent for D is dead");
        loss = Loss::silent;
        verdict = never;
        stop_probing();
        return true;
    }

    /// Its connection broke. For D it is probed again whenever a probe gets through; the caller sends the first probe.
    void start_probing(Time now, const Timeouts& timeouts) {
        probing = true;
        probe = never;
        probe_end = now + timeouts.dead;
        probe_wait = timeouts.grace;
    }
    void stop_probing() {
        probing = false;
        probe = never;
    }
    /// A probe got through: some process listens at its address. A dying process may close its connections before its
    /// listener, so the probe is repeated, with growing waits.
    void probe_later(Time now) {
        reached("R1: a probe that gets through is repeated");
        probe = now + probe_wait;
        probe_wait *= 2;
        if (probe >= probe_end) stop_probing();
    }

    /// When this server must be looked at again if no ping comes; `never` for a dead member of the view.
    Time due(const Timeouts& timeouts, bool member) const {
        if (loss == Loss::none) return std::min(probe, verdict != never ? verdict : silent_from(timeouts));
        return member ? never : heard + timeouts.dead_retention;
    }

    friend bool operator==(const Server&, const Server&) = default;
};

}  // namespace understudy::view_service
