// What the view service knows of one server: which life of it, what its last ping said, how long it has been silent,
// whether its death is being looked into. It decides nothing about views.
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

/// The spans of time that the view service judges by, all of them from its options.
struct Periods {
    Duration dead;       ///< D
    Duration returning;  ///< How much longer a server may be silent that has not been heard since a restart.
    Duration grace;      ///< From suspicion to loss: time to read what has arrived. Also how late a turn may begin.
    Duration remember;   ///< How long replaced incarnations and reports of unreachable servers count.
    Duration forget;     ///< How long a dead server that is in no view is kept.
    Duration abandon;    ///< How long the only server of a group that never came to anything may be silent.
    Duration patience;   ///< How long an operator's wish is kept.

    explicit Periods(const ViewOptions& options)
        : dead(options.dead_after()),
          returning(options.return_time),
          grace(options.ping_interval / 10),
          remember(10 * dead),
          forget(100 * dead),
          abandon(std::max<Duration>(std::chrono::hours{1}, 100 * dead)),
          patience(10 * dead) {}
    friend bool operator==(const Periods&, const Periods&) = default;
};

inline constexpr std::size_t replaced_kept = 64;   ///< Replaced incarnations of a name, remembered at any age.
inline constexpr std::size_t replaced_max = 1024;  ///< So many younger than `remember`: no further one is let in.
inline constexpr int late_turns_max = 16;          ///< So many late turns do not save a suspect any more.

struct Replaced {
    Incarnation incarnation = Incarnation::none;
    Time at{};
    std::uint64_t n = 0;  ///< Number of its last ping.
    Time lease_until{};   ///< Until then it may answer reads by lease.
    Time since = never;   ///< From when on it has pinged again and again although it was replaced;
    Time until{};         ///< its last ping of these.
    /// Whether it seems to live all the same.
    bool pings(Time now, const Periods& periods) const { return since != never && now - until < periods.dead; }
    friend bool operator==(const Replaced&, const Replaced&) = default;
};

/// Another process that pings under the name of this one.
struct Rival {
    Incarnation incarnation = Incarnation::none;
    Address peer;
    Time since{};       ///< Of the first of its pings, none of which came later than D after the one before;
    Time until{};       ///< its last one.
    bool told = false;  ///< People know.
    friend bool operator==(const Rival&, const Rival&) = default;
};

/// Whether the address is one of the machine that uses it: a path, or a loopback address in numbers.
inline bool is_near(std::string_view address) {
    if (address.starts_with("unix://") || address.starts_with("tcp://[::1]:")) return true;
    constexpr std::string_view loopback = "tcp://127.";
    if (!address.starts_with(loopback)) return false;
    address.remove_prefix(loopback.size());
    return address.substr(0, address.find(':')).find_first_not_of("0123456789.") == address.npos;
}

/// All times are running time (`RunningClock`).
struct Server {
    Incarnation incarnation = Incarnation::none;
    std::uint64_t n = 0;        ///< Number of the last ping.
    std::uint64_t arrival = 0;  ///< Its place among the idle ones.
    Time heard{};
    Address peer;  ///< The connection of the last ping; empty once that has ended.
    ViewNumber viewnum = 0;
    bool leaving = false;
    bool stopped = false;
    bool restored = false;  ///< Of the view service's record; it has not pinged since.
    bool near = false;      ///< On this machine, by its name and its connection: nobody can forge a refusal.
    bool leases = false;    ///< Reads by lease when it is primary.
    bool journal = false;   ///< Keeps a journal, as it says.
    bool forgot = false;    ///< Pinged 0 after more while a member; stays until it is a member no more.
    Loss loss = Loss::none;
    std::vector<Incarnation> recovered;
    ViewNumber state_view = 0;  ///< The newest view that the state in its journal takes part in.
    std::vector<Replaced> replaced;  ///< Oldest first.
    std::optional<Rival> rival;      ///< Of several the one that was heard first.

    Time verdict = never;  ///< Suspect: lost at the first turn on time from here on.
    int late_turns = 0;
    bool probing = false;  ///< Its connection broke and no ping came since.
    Time probe = never;    ///< When to probe again.
    Time probe_end{};
    Duration probe_wait{};

    /// From when on its silence counts.
    Time silent_from(const Periods& periods) const {
        return heard + periods.dead + (restored ? periods.returning : Duration{});
    }
    bool silent(Time now, const Periods& periods) const { return now >= silent_from(periods); }
    Health health(Time now, const Periods& periods) const {
        if (loss != Loss::none) return Health::dead;
        return restored || silent(now, periods) ? Health::doubtful : Health::ok;
    }

    /// Whether it may read by lease; of one that has not pinged since a restart that is not known.
    bool may_lease() const { return leases || restored; }

    bool was_replaced(Incarnation token) const {
        return std::ranges::find(replaced, token, &Replaced::incarnation) != replaced.end();
    }
    /// Remembers the present incarnation as gone. False, and nothing is changed, if too many came in a short time.
    bool replace(Time now, const Periods& periods) {
        auto surplus = replaced.size() < replaced_kept ? 0 : replaced.size() - replaced_kept + 1;
        auto old = replaced.begin();
        while (surplus-- > 0 && now - old->at >= periods.remember) ++old;
        replaced.erase(replaced.begin(), old);
        if (replaced.size() >= replaced_max) return false;
        if (incarnation == Incarnation::none) return true;
        const bool may_read = loss == Loss::none && may_lease();
        replaced.push_back({incarnation, now, n, may_read ? heard + periods.dead : Time{}, never, {}});
        heard = Time{};
        rival.reset();
        return true;
    }

    /// Whether two processes have pinged under this name, one after the other and the first again.
    bool is_shared(Time now, const Periods& periods) const {
        return rival && loss == Loss::none && now - rival->until < periods.dead &&
               heard >= rival->since + periods.grace;
    }
    /// Whether another life that pings from there is no proof that this one is over. A process that starts after the
    /// death of the one before finds that one's connection closed; not so one that pinged while this one did, too.
    bool keeps_name(Incarnation other, const Address& from, Time now, const Periods& periods) const {
        if (incarnation == Incarnation::none || loss != Loss::none || restored || silent(now, periods)) return false;
        return peer.empty() ? is_shared(now, periods) && rival->incarnation == other : peer != from;
    }
    /// Takes note of a ping that is refused for this name's sake. True if people are to be told: both pinged for D.
    bool contend(Incarnation other, const Address& from, Time now, const Periods& periods) {
        const bool over = !rival || now - rival->until >= periods.dead;
        if (over) rival = Rival{other, from, now, now, false};
        if (rival->incarnation != other) return false;
        rival->peer = from;
        rival->until = now;
        if (rival->told || !is_shared(now, periods) || now - rival->since < periods.dead) return false;
        return rival->told = true;
    }

    /// Lives have no order but that in which they are first heard, and a ping of a life that is over may be heard after
    /// one of its successor. The one that is refused then goes on pinging: after D of that it may come back if the
    /// other is lost, or if it is the one that the view names. It is the very process that it was, so that whatever it
    /// holds it still holds.
    bool may_come_back(const Ping& ping, bool named, Time now, const Periods& periods) {
        auto old = std::ranges::find(replaced, ping.incarnation, &Replaced::incarnation);
        if (ping.n <= old->n) return false;
        if (!old->pings(now, periods)) old->since = now;
        old->until = now;
        old->n = ping.n;
        if ((!named && loss == Loss::none) || now - old->since < periods.dead) return false;
        replaced.erase(old);
        return true;
    }

    /// Whether the ping says anything else than the last one did.
    bool differs(const Ping& ping) const {
        return restored || leases != ping.lease || viewnum != ping.viewnum || leaving != ping.leaving ||
               stopped != ping.stopped || recovered != ping.recovered;
    }
    void take(const Ping& ping, const Address& from, Time now) {
        incarnation = ping.incarnation;
        n = ping.n;
        heard = std::max(heard, now);  // it is later after a restart with a smaller D, for leases of the larger one
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

    /// Silence of D makes it a suspect; it is lost a grace later, in a turn that began on time, so that every ping that
    /// could be read was read before (section 2). While the service has to catch up the grace only begins afterwards.
    /// Returns whether it was lost just now.
    bool judge(Time now, const Periods& periods, bool late, Time caught_up) {
        if (loss != Loss::none || !silent(now, periods)) return false;
        const bool excused = verdict != never && late && ++late_turns < late_turns_max;
        if (excused) reached("R1: a turn that begins late condemns nobody");
        if (verdict == never || excused) {
            verdict = std::max(now, caught_up) + periods.grace;
            return false;
        }
        if (now < verdict) return false;
        reached("R1: a server that is silent for D is dead");
        loss = Loss::silent;
        verdict = never;
        stop_probing();
        return true;
    }

    void start_probing(Time now, const Periods& periods) {
        probing = true;
        probe = never;
        probe_end = now + periods.dead;
        probe_wait = periods.grace;
    }
    void stop_probing() {
        probing = false;
        probe = never;
    }
    /// Somebody still listens; a dying process may close its connection before its listener, so ask again.
    void probe_later(Time now) {
        reached("R1: a probe that gets through is repeated");
        probe = now + probe_wait;
        probe_wait *= 2;
        if (probe >= probe_end) stop_probing();
    }

    /// When something about it is to be looked at, without any news.
    Time due(const Periods& periods, bool member) const {
        if (loss == Loss::none) return std::min(probe, verdict != never ? verdict : silent_from(periods));
        return member ? never : heard + periods.forget;
    }

    friend bool operator==(const Server&, const Server&) = default;
};

}  // namespace understudy::view_service
