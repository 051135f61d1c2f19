// Faults as values. The whole plan of a run is drawn from its seed before the run starts, so the plan can be printed,
// replayed without some of its faults, and shrunk.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/sim/disk/server_disk.hpp>
#include <understudy/sim/world/random.hpp>
#include <understudy/view.hpp>

namespace understudy::sim {

using namespace std::chrono_literals;

/// The kinds of faults, named as in `fault_names`. `a`, `b` and `amount` are members of `Fault`.
enum class FaultKind : std::uint8_t {
    loss,         ///< Frames on all links are lost with probability `amount`.
    repeat,       ///< Frames arrive twice with probability `amount`.
    reorder,      ///< Frames overtake each other.
    delay,        ///< All links have a heavy-tailed latency of up to `amount` seconds.
    cut,          ///< Nothing passes from `a` to `b`; their connections stay open.
    cut_both,     ///< Nothing passes between `a` and `b`.
    isolate,      ///< Nothing passes between `a` and any other node.
    split,        ///< Partition: `a` and half of the clients, and all other nodes.
    breakage,     ///< The connections between `a` and `b` break; frames under way are lost.
    refuse,       ///< New connections to `a` are refused; those to the view service break.
    pause,        ///< The process of `a` is suspended; its clock goes on.
    slow,         ///< Each turn of `a` takes `amount` seconds.
    clock,        ///< The clock of `a` runs at the rate `amount`.
    leap,         ///< The clock of `a` is put ahead by `amount` seconds.
    crash,        ///< `a` dies, and restarts, from its disk if any, when the fault ends.
    power_off,    ///< Its machine loses power: no peer notices; unsynced data may be lost.
    crash_late,   ///< `a` dies instead of its `amount`-th send.
    views_gone,   ///< The view service dies, and restarts from its disk at the end.
    views_lost,   ///< The same, with a foreign view service at its address meanwhile.
    views_set,    ///< The view service dies, and restarts with another D or k (`tunings`).
    store_fails,  ///< The view service's disk fails, or was written to (`StoreFault`).
    store_slow,   ///< Each call of the view service's disk takes `amount` seconds.
    leave,        ///< `a` leaves its group if it can, and is a member again at the end.
    promote,      ///< An operator requests `a` as primary.
    stranger,     ///< A foreign node sends `a` a message that no node of the cluster sends.
    blackout,     ///< Power cut for group `a`; if `amount` is not 0 the view service dies too.
    disk_lost,    ///< The machine of `a` is lost, and back with an empty disk at the end.
    disk_bad,     ///< The disk of `a` fails (`ServerDiskFault`), and then the server.
    namesake,     ///< A second process pings with the name of `a`.
    disk_late,    ///< Each sync of the disk of `a` takes at least `amount` seconds.
};
inline constexpr std::array<std::string_view, 30> fault_names{
    "loss",       "repeat",    "reorder",    "delay",      "cut",        "cut_both",  "isolate",
    "split",      "breakage",  "refuse",     "pause",      "slow",       "clock",     "leap",
    "crash",      "power_off", "crash_late", "views_gone", "views_lost", "views_set", "store_fails",
    "store_slow", "leave",     "promote",    "stranger",   "blackout",   "disk_lost", "disk_bad",
    "namesake",   "disk_late"};
inline std::string_view to_string(FaultKind kind) { return fault_names[static_cast<std::size_t>(kind)]; }

/// How the view service's disk fails: a write fails and is not done; a write fails although it is done; or another
/// process has written to the disk, so that the version no longer matches.
enum class StoreFault : std::uint8_t { fails_before, fails_after, taken };

/// New options of a view service that restarts, relative to those of the start of the run.
struct Tuning {
    double ping_interval = 1;  ///< Factor on the first ping interval.
    int backups = 0;           ///< Added to the first k; the sum is clamped to [1, servers - 1].
};
inline constexpr std::array tunings{Tuning{1, 0}, Tuning{0.5, 0}, Tuning{2, 0}, Tuning{1, 1}, Tuning{2, -1}};

/// One fault of a plan. `a` and `b` name a node (`g1.b`, `views`, `g1c2`), or a role that is resolved when the fault
/// begins: `g1.primary`, `g1.backup`, `g1.idle`.
struct Fault {
    FaultKind kind{};
    Duration at{};      ///< From the start of the run.
    Duration length{};  ///< Zero if the fault has no duration.
    std::string a{};
    std::string b{};
    double amount = 0;
};

/// One line for the trace, for example `at 1.204 s for 0.350 s: cut g1.primary -> views`.
inline std::string describe(const Fault& fault) {
    const auto seconds = [](Duration duration) {
        return static_cast<double>(duration.count()) / static_cast<double>(Duration{1s}.count());
    };
    std::ostringstream text;
    text << std::fixed << std::setprecision(3) << "at " << seconds(fault.at) << " s";
    if (fault.length > Duration{}) text << " for " << seconds(fault.length) << " s";
    text << ": " << to_string(fault.kind);
    if (!fault.a.empty()) text << ' ' << fault.a;
    if (!fault.b.empty()) text << " -> " << fault.b;
    if (fault.amount != 0) text << ' ' << fault.amount;
    return text.str();
}

/// The nodes that faults may hit, and what limits the choice of faults.
struct Targets {
    std::vector<std::string> groups;
    std::vector<std::string> servers;
    std::vector<std::string> clients;
    bool disks = false;   ///< Some servers have a disk.
    /// Leases are in use. Then the clocks differ by less than the margin of a lease, and the view service's clock never
    /// leaps, because reads by lease are safe only under this assumption.
    bool leases = false;
};

/// Draws plans by swarm testing (Groce et al., 2012). Each seed enables a random subset of the kinds of faults and has
/// its own rate and maximum length. Reason: some errors appear only if other kinds of faults are absent.
class FaultPlanner {
public:
    FaultPlanner(Random random, Targets targets) : random_{random}, targets_{std::move(targets)} {
        for (std::size_t kind = 0; kind < fault_names.size(); ++kind)
            if (const bool drawn = random_.chance(0.3); drawn && fits(static_cast<FaultKind>(kind)))
                kinds_.push_back(static_cast<FaultKind>(kind));
        if (kinds_.empty()) kinds_.push_back(FaultKind::crash);
        every_ = random_.heavy_tail(100ms, 4s);
        longest_ = of_any_size(100ms, 6s);
    }

    /// Draws a plan of faults that begin within `length`. A handover is followed in 30% of the cases by the death of
    /// the successor, and any fault in 10% of the cases by another one at the same time, because such combinations are
    /// rare by chance.
    std::vector<Fault> draw(Duration length) {
        std::vector<Fault> plan;
        for (auto at = random_.exponential(every_); at < length; at += random_.exponential(every_)) {
            plan.push_back(draw_one(at));
            const auto kind = plan.back().kind;
            const bool handover = kind == FaultKind::promote || kind == FaultKind::leave;
            if (handover && random_.chance(0.3)) plan.push_back(death_of_heir(at));
            if (random_.chance(0.1)) plan.push_back(draw_one(at));
        }
        return plan;
    }

private:
    bool fits(FaultKind kind) const {
        using enum FaultKind;
        return targets_.disks || (kind != blackout && kind != disk_lost && kind != disk_bad && kind != disk_late);
    }
    /// A crash of a backup shortly after a handover began: it may be the successor.
    Fault death_of_heir(Duration at) {
        const auto group = random_.pick(targets_.groups);
        return {.kind = FaultKind::crash,
                .at = at + random_.between(Duration{1ms}, Duration{150ms}),
                .length = of_any_size(10ms, longest_),
                .a = group + ".backup"};
    }
    Fault draw_one(Duration at) {
        Fault fault{.kind = random_.pick(kinds_), .at = at};
        fault.length = of_any_size(10ms, longest_);
        switch (fault.kind) {
            case FaultKind::loss:
            case FaultKind::repeat: fault.amount = random_.pick(shares); break;
            case FaultKind::reorder: break;
            case FaultKind::delay: fault.amount = random_.pick(delays); break;
            case FaultKind::cut:
            case FaultKind::cut_both:
            case FaultKind::breakage:
                fault.a = anybody();
                fault.b = anybody();
                if (fault.kind == FaultKind::breakage) fault.length = {};
                break;
            case FaultKind::isolate: fault.a = anybody(); break;
            case FaultKind::split:
            case FaultKind::leave:
            case FaultKind::promote: fault.a = server(); break;
            case FaultKind::refuse: fault.a = server(); break;
            case FaultKind::pause: fault.a = anybody(); break;
            case FaultKind::slow:
                fault.a = anybody();
                fault.amount = random_.pick(turn_times);
                break;
            case FaultKind::clock:
                fault.a = anybody();
                fault.amount = targets_.leases ? random_.pick(rates_for_leases) : random_.pick(rates);
                break;
            case FaultKind::leap:
                fault.a = targets_.leases ? server() : anybody();
                fault.amount = random_.pick(leaps);
                fault.length = {};
                break;
            case FaultKind::crash:
            case FaultKind::power_off: fault.a = server(); break;
            case FaultKind::crash_late:
                fault.a = random_.chance(0.2) ? "views" : server();
                fault.amount = static_cast<double>(random_.between(1, 40));
                break;
            case FaultKind::views_gone:
            case FaultKind::views_lost: break;
            case FaultKind::store_fails: fault.amount = static_cast<double>(random_.below(3)); break;
            case FaultKind::store_slow: fault.amount = random_.pick(delays); break;
            case FaultKind::views_set: fault.amount = static_cast<double>(random_.below(tunings.size())); break;
            case FaultKind::stranger:
                fault.a = random_.chance(0.2) ? "views" : server();
                fault.length = {};
                break;
            case FaultKind::blackout:
                fault.a = random_.pick(targets_.groups);
                fault.amount = random_.chance(0.5) ? 1 : 0;
                break;
            case FaultKind::disk_lost: fault.a = server(); break;
            case FaultKind::disk_bad:
                fault.a = server();
                fault.amount = static_cast<double>(random_.below(server_disk_faults));
                break;
            case FaultKind::namesake: fault.a = server(); break;
            case FaultKind::disk_late:
                fault.a = server();
                fault.amount = random_.pick(delays);
                break;
        }
        return fault;
    }
    /// A random length; each doubling from `least` to `most` is equally likely. A uniform choice would rarely give
    /// short ones, and both matter: a fault shorter than a round trip has no effect, one longer than D causes a
    /// failover.
    Duration of_any_size(Duration least, Duration most) {
        std::uint64_t doublings = 0;
        for (auto size = least; size <= most / 2; size *= 2) ++doublings;
        const auto size = least * static_cast<Duration::rep>(Duration::rep{1} << random_.below(doublings + 1));
        return random_.between(size, std::min(most, size * 2));
    }
    /// A random server. Five of six times by its role, because the rules of the protocol depend on roles.
    std::string server() {
        const auto& group = random_.pick(targets_.groups);
        switch (random_.below(6)) {
            case 0:
            case 1: return group + ".primary";
            case 2:
            case 3: return group + ".backup";
            case 4: return group + ".idle";
            default: return random_.pick(targets_.servers);
        }
    }
    /// A random node: the view service, a client, or (most often) a server.
    std::string anybody() {
        switch (random_.below(6)) {
            case 0: return "views";
            case 1: return random_.pick(targets_.clients);
            default: return server();
        }
    }

    static constexpr std::array shares{0.01, 0.05, 0.2, 0.5};
    static constexpr std::array delays{0.005, 0.02, 0.1, 0.5, 2.0};
    static constexpr std::array turn_times{0.001, 0.01, 0.05, 0.3};
    static constexpr std::array rates{0.5, 0.9, 0.99, 1.01, 1.1, 2.0};
    static constexpr std::array rates_for_leases{0.955, 0.99, 1.01, 1.045};
    static constexpr std::array leaps{0.05, 0.3, 0.6, 3.0, 60.0};

    Random random_;
    Targets targets_;
    std::vector<FaultKind> kinds_;
    Duration every_{};
    Duration longest_{};
};

}  // namespace understudy::sim
