// The nemesis (the word of Jepsen): it carries out a plan of faults on a cluster, and ends all of them for the recovery
// phase.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <understudy/sim/soak/cluster.hpp>
#include <understudy/sim/soak/fault.hpp>
#include <understudy/sim/soak/stranger.hpp>

namespace understudy::sim {

/// Carries out faults at their times. Faults that are active at the same time add up.
///
/// A crash is usually skipped if it would hit the last process or disk that is certain to have every answered write.
/// Otherwise most runs would end with a group that waits (R4), and would test little else.
template <Store S>
class Nemesis {
public:
    /// `calm` is the quality of all links while no fault changes it. `note` is called with one sentence for each fault
    /// that begins or ends.
    Nemesis(Cluster<S>& cluster, std::vector<std::string> clients, LinkQuality calm,
            std::function<void(const std::string&)> note = {})
        : cluster_{cluster},
          clients_{std::move(clients)},
          calm_{calm},
          first_{cluster.options().view},
          note_{std::move(note)},
          stranger_{cluster.world(), "stranger"} {
        set_links();
    }
    Nemesis(const Nemesis&) = delete;
    Nemesis& operator=(const Nemesis&) = delete;

    /// What the planner may choose from.
    Targets targets() const {
        const auto& options = cluster_.options();
        return {cluster_.groups(), cluster_.servers(), clients_, !options.disks.empty(),
                options.replica.reads == Reads::lease};
    }

    /// Schedules all faults of the plan, relative to now. Returns at once.
    void unleash(const std::vector<Fault>& plan) {
        const auto start = world().now();
        for (const auto& fault : plan) world().at(start + fault.at, [this, fault] { begin(fault); });
    }

    /// Ends all active faults, cancels those that have not begun, and starts every process that is down. For the
    /// recovery phase; no fault begins after it.
    void heal() {
        healed_ = true;
        while (!active_.empty()) end(active_.begin()->first);
        world().crash_at_send(Cluster<S>::views_name, 0);
        cluster_.start_views();
        for (const auto& name : cluster_.servers()) {
            world().network().crash_at_send(name, 0);
            if (auto* disk = cluster_.disk_of(name)) disk->calm_down();
            cluster_.start(name);
        }
        note("all faults end");
    }

    /// How often each kind of fault began, without those that were skipped.
    const std::array<std::uint64_t, fault_names.size()>& counts() const { return counts_; }

private:
    using Id = std::uint64_t;

    World& world() { return cluster_.world(); }
    void note(const std::string& text) {
        if (note_) note_(text);
    }

    void begin(Fault fault) {
        if (healed_) return;
        fault.a = resolve(fault.a);
        fault.b = resolve(fault.b);
        if (!possible(fault)) return;
        ++counts_[static_cast<std::size_t>(fault.kind)];
        note(std::string{fault.length > Duration{} ? "begins: " : "happens: "} + describe(fault));
        act(fault);
        // From here on only faults that last: they are undone at their end, or by `heal`.
        if (fault.length <= Duration{}) return;
        const auto id = ++last_;
        active_.emplace(id, fault);
        set_links();
        world().at(after(world().now(), fault.length), [this, id] { end(id); });
    }
    void end(Id id) {
        auto found = active_.extract(id);
        if (found.empty()) return;
        const auto& fault = found.mapped();
        note("ends: " + describe(fault));
        undo(fault);
        set_links();
    }

    /// The node that a target of the plan names now. A role is resolved by the current view; the result is empty if no
    /// node has this role. Any other target is returned unchanged.
    std::string resolve(const std::string& target) const {
        const auto dot = target.find('.');
        // `views` and the names of clients have no dot.
        if (dot == std::string::npos) return target;
        const auto group = target.substr(0, dot), role = target.substr(dot + 1);
        const auto view = cluster_.view(group);
        if (role == "primary") return view.primary.name;
        if (role == "backup") return view.backups.empty() ? std::string{} : view.backups.front().name;
        if (role != "idle") return target;
        for (const auto& name : cluster_.servers())
            if (Cluster<S>::group_of(name) == group && !view.member(name)) return name;
        return {};
    }
    bool is_server(const std::string& name) const { return name.find('.') != std::string::npos; }

    /// Whether the fault can begin now: its node exists and runs, it may die, and no fault is active that would
    /// conflict. At most one fault of the view service's process or disk store is active at a time, because each of
    /// them ends by starting the view service.
    bool possible(const Fault& fault) const {
        const auto active = [&](FaultKind kind) {
            return std::ranges::any_of(active_, [&](const auto& one) { return one.second.kind == kind; });
        };
        switch (fault.kind) {
            case FaultKind::cut:
            case FaultKind::cut_both:
            case FaultKind::breakage: return !fault.a.empty() && !fault.b.empty() && fault.a != fault.b;
            case FaultKind::crash:
            case FaultKind::crash_late:
                if (fault.a == Cluster<S>::views_name) return cluster_.views_run() && !active(FaultKind::views_lost);
                return is_server(fault.a) && cluster_.find(fault.a) && may_die(fault);
            case FaultKind::power_off:
                return is_server(fault.a) && (cluster_.find(fault.a) || cluster_.disk_of(fault.a)) && may_die(fault);
            case FaultKind::blackout: return may_die(fault) && !active(FaultKind::views_lost);
            case FaultKind::disk_lost:
            case FaultKind::disk_bad: return is_server(fault.a) && cluster_.disk_of(fault.a) && may_die(fault);
            case FaultKind::disk_late: return is_server(fault.a) && cluster_.disk_of(fault.a);
            case FaultKind::namesake:
            case FaultKind::leave:
            case FaultKind::promote: return is_server(fault.a) && cluster_.find(fault.a);
            case FaultKind::views_gone:
            case FaultKind::views_lost:
            case FaultKind::views_set:
            case FaultKind::store_fails:
                return !active(FaultKind::views_gone) && !active(FaultKind::views_lost) &&
                       !active(FaultKind::views_set) && !active(FaultKind::store_fails);
            case FaultKind::loss:
            case FaultKind::repeat:
            case FaultKind::reorder:
            case FaultKind::store_slow:
            case FaultKind::delay: return true;
            default: return !fault.a.empty();
        }
    }
    /// Whether the node may die: the answered writes must survive elsewhere. One crash in sixteen ignores this, so that
    /// R4 is tested too. Which one follows from the fault's length, not from a new random number, so a replay of the
    /// plan decides the same.
    bool may_die(const Fault& fault) const {
        const auto group = Cluster<S>::group_of(fault.a);
        Casualties gone{{fault.a}, {}};
        if (fault.kind == FaultKind::disk_lost) gone.disks = gone.processes;
        if (fault.kind == FaultKind::blackout)
            for (const auto& name : members(group)) gone.processes.insert(name);
        return fault.length.count() % 16 == 0 || cluster_.is_held(group, gone);
    }
    /// The names of all servers of a group.
    std::vector<std::string> members(const std::string& group) const {
        auto names = cluster_.servers();
        std::erase_if(names, [&](const std::string& name) { return Cluster<S>::group_of(name) != group; });
        return names;
    }

    /// Begins a fault. Faults of links are applied by `set_links`.
    void act(const Fault& fault) {
        switch (fault.kind) {
            case FaultKind::breakage: return world().network().break_connections(fault.a, fault.b);
            case FaultKind::refuse:
                // The view service learns of a death by a broken connection and then a refused probe: this forges both.
                if (++refusing_[fault.a] == 1) world().network().refuse(fault.a, true);
                return world().network().break_connections(fault.a, Cluster<S>::views_name);
            case FaultKind::pause:
                if (++paused_[fault.a] == 1) world().pause(fault.a);
                return;
            case FaultKind::slow: return world().slow_down(fault.a, seconds(fault.amount));
            case FaultKind::clock: return world().set_clock(fault.a, fault.amount);
            // A leap is not undone: a clock never goes back.
            case FaultKind::leap: return world().set_clock(fault.a, 1, seconds(fault.amount));
            case FaultKind::crash: bury(fault.a); return cluster_.crash(fault.a);
            case FaultKind::power_off: bury(fault.a); return cluster_.power_off(fault.a);
            case FaultKind::blackout: return black_out(fault);
            case FaultKind::disk_lost: bury(fault.a); return cluster_.lose_machine(fault.a);
            case FaultKind::disk_bad:
                return cluster_.disk_of(fault.a)->begin(static_cast<ServerDiskFault>(fault.amount),
                                                        1 + digits(fault, 20));
            case FaultKind::disk_late: return cluster_.disk_of(fault.a)->slow_down(seconds(fault.amount));
            case FaultKind::crash_late: return world().crash_at_send(fault.a, static_cast<std::uint64_t>(fault.amount));
            case FaultKind::views_gone:
            case FaultKind::views_set: return cluster_.crash_views();
            case FaultKind::views_lost: cluster_.crash_views(); return cluster_.start_impostor();
            case FaultKind::store_fails: return spoil(static_cast<StoreFault>(fault.amount));
            case FaultKind::store_slow: return cluster_.disk().set_latency(seconds(fault.amount));
            case FaultKind::namesake: return share_name(fault);
            case FaultKind::leave: return leave(fault.a, fault.length);
            case FaultKind::promote:
                return stranger_.promote(Cluster<S>::views_name, Cluster<S>::group_of(fault.a), fault.a);
            case FaultKind::stranger: {
                // One of four sends a delayed ping of a dead incarnation instead, if there is one.
                if (!dead_.empty() && fault.at.count() % 4 == 0) return ping_late();
                const bool views = fault.a == Cluster<S>::views_name;
                const auto group = views ? cluster_.groups().front() : Cluster<S>::group_of(fault.a);
                const auto* server = cluster_.find(fault.a);
                const auto ours = server ? server->view().cluster : ClusterId::none;
                return stranger_.disturb(fault.a, group, ours, views);
            }
            default: return;  // faults of links: see `set_links`
        }
    }
    /// Ends a fault. `paused_` and `refusing_` count the overlapping faults of a node; the last of them to end undoes
    /// it.
    void undo(const Fault& fault) {
        switch (fault.kind) {
            case FaultKind::refuse:
                if (--refusing_[fault.a] == 0) world().network().refuse(fault.a, false);
                return;
            case FaultKind::pause:
                if (--paused_[fault.a] == 0) world().unpause(fault.a);
                return;
            case FaultKind::slow: return world().slow_down(fault.a, {});
            case FaultKind::clock: return world().set_clock(fault.a, 1);
            case FaultKind::crash_late:
                world().crash_at_send(fault.a, 0);
                return fault.a == Cluster<S>::views_name ? cluster_.start_views() : cluster_.start(fault.a);
            case FaultKind::crash:
            case FaultKind::power_off:
            case FaultKind::disk_lost:
            case FaultKind::leave: return cluster_.start(fault.a);
            case FaultKind::blackout: return light_up(fault);
            case FaultKind::disk_bad: return mend_disk(fault.a);
            case FaultKind::disk_late: return cluster_.disk_of(fault.a)->slow_down({});
            case FaultKind::views_gone:
            case FaultKind::views_lost: cluster_.crash_views(); return cluster_.start_views();
            case FaultKind::store_fails:
                cluster_.disk().set_health(DiskHealth::good);
                cluster_.crash_views();
                return cluster_.start_views();
            case FaultKind::store_slow: return cluster_.disk().set_latency(cluster_.options().store_latency);
            case FaultKind::views_set:
                tune(tunings[static_cast<std::size_t>(fault.amount)]);
                cluster_.crash_views();
                return cluster_.start_views();
            default: return;
        }
    }

    /// Makes the view service's disk fail.
    void spoil(StoreFault fault_phase) {
        if (fault_phase == StoreFault::taken) return cluster_.disk().write_elsewhere();
        const bool done = fault_phase == StoreFault::fails_after;
        cluster_.disk().set_health(done ? DiskHealth::fails_after : DiskHealth::fails_before);
    }
    /// Sets the options of the view service's next start, relative to those of the start of the run.
    void tune(const Tuning& tuning) {
        auto options = first_;
        options.ping_interval = std::chrono::duration_cast<Duration>(options.ping_interval * tuning.ping_interval);
        const auto most = static_cast<int>(cluster_.options().servers) - 1;
        options.backups =
            static_cast<std::size_t>(std::clamp(static_cast<int>(first_.backups) + tuning.backups, 1, most));
        cluster_.set_views(options);
    }

    /// Records the incarnation of a server that is about to die, for `ping_late`. Only if the view service has heard
    /// it: of two incarnations that it never heard, it cannot know which is the later one, so a late ping would rightly
    /// be taken for a new server.
    void bury(const std::string& name) {
        if (!cluster_.find(name)) return;
        const auto incarnation = cluster_.find(name)->status().incarnation;
        if (cluster_.has_heard(name, incarnation)) dead_.push_back({name, incarnation});
    }
    /// Sends a delayed ping of an incarnation that is dead.
    void ping_late() {
        Ping ping;
        ping.group = Cluster<S>::group_of(dead_.back().first);
        ping.server = dead_.back().first;
        ping.incarnation = dead_.back().second;
        ping.n = 1'000'000;
        stranger_.say(Cluster<S>::views_name, std::move(ping));
    }

    /// A second process pings with the name of a server until the fault ends. It says the cluster id; without it, the
    /// view service could take it for the first server of a group (R0).
    void share_name(const Fault& fault) {
        Ping ping;
        ping.group = Cluster<S>::group_of(fault.a);
        ping.server = fault.a;
        ping.incarnation = Incarnation{static_cast<std::uint64_t>(fault.at.count()) << 1 | 1};
        ping.cluster = cluster_.find(fault.a)->view().cluster;
        if (ping.cluster != ClusterId::none) ping_as(std::move(ping), after(world().now(), fault.length));
    }
    void ping_as(Ping ping, Time until) {
        if (healed_ || world().now() >= until) return;
        ++ping.n;
        stranger_.say(Cluster<S>::views_name, ping);
        world().at(after(world().now(), first_.ping_interval), [this, ping, until] { ping_as(ping, until); });
    }

    /// A number below `bound` for details that the plan does not give. It is computed from the fault's length, so a
    /// replay gets the same number.
    static std::uint64_t digits(const Fault& fault, std::uint64_t bound) {
        return static_cast<std::uint64_t>(fault.length.count()) / 16 % bound;
    }
    void black_out(const Fault& fault) {
        if (fault.amount != 0) cluster_.crash_views();
        for (const auto& name : members(fault.a)) {
            bury(name);
            cluster_.power_off(name);
        }
    }
    /// The disk works again. A process whose journal failed must not continue, even if it was paused and has not
    /// noticed the failure: it is killed and restarted.
    void mend_disk(const std::string& name) {
        auto& disk = *cluster_.disk_of(name);
        disk.end_fault();
        if (disk.to_blame()) cluster_.crash(name);
        cluster_.start(name);
    }
    /// The power is back: the servers start one after the other, in a random order and with random pauses.
    void light_up(const Fault& fault) {
        if (fault.amount != 0) cluster_.start_views();
        Random random{static_cast<std::uint64_t>(fault.length.count())};
        auto names = members(fault.a);
        random.shuffle(names);
        const auto longest = random.pick(pauses);
        auto start = world().now();
        for (const auto& name : names) {
            world().at(start, [this, name] { cluster_.start(name); });
            start = after(start, random.between(Duration{}, longest));
        }
    }

    /// The server asks to leave its group. Once it has left, its process ends, and a new one starts when the fault is
    /// over. If it cannot leave within `timeout`, it stays.
    void leave(const std::string& name, Duration timeout) {
        const auto incarnation = cluster_.find(name)->status().incarnation;
        const auto over = after(world().now(), timeout);
        cluster_.find(name)->async_leave(timeout, [this, name, incarnation, over](std::error_code ec) {
            if (!ec) world().at(world().now(), [this, name, incarnation, over] { left(name, incarnation, over); });
        });
    }
    /// Ends the process that has left, unless another incarnation runs by now. If the fault has ended already, nobody
    /// else would start the server again.
    void left(const std::string& name, Incarnation incarnation, Time over) {
        const auto* server = cluster_.find(name);
        if (!server || server->status().incarnation != incarnation) return;
        cluster_.crash(name);
        if (healed_ || world().now() >= over) cluster_.start(name);
    }

    /// Sets all links anew from the active faults: the worst quality of each kind, and every cut. Computing it from all
    /// of them makes the end of one fault independent of the others.
    void set_links() {
        auto quality = calm_;
        auto& links = world().links();
        links.heal_all();
        for (const auto& [id, fault] : active_) {
            switch (fault.kind) {
                case FaultKind::loss: quality.loss = std::max(quality.loss, fault.amount); break;
                case FaultKind::repeat: quality.repeat = std::max(quality.repeat, fault.amount); break;
                case FaultKind::reorder: quality.reorder = true; break;
                case FaultKind::delay:
                    quality.latency_most = std::max(quality.latency_most, seconds(fault.amount));
                    quality.heavy_tail = true;
                    break;
                case FaultKind::cut: links.cut(fault.a, fault.b); break;
                case FaultKind::cut_both: links.cut_both(fault.a, fault.b); break;
                case FaultKind::isolate: links.isolate(fault.a); break;
                case FaultKind::split: split(fault.a); break;
                default: break;
            }
        }
        links.set_quality(quality);
    }
    /// Cuts this server and every second client off from all other nodes.
    void split(const std::string& name) {
        std::vector<std::string> with{name}, others{Cluster<S>::views_name};
        for (const auto& server : cluster_.servers())
            if (server != name) others.push_back(server);
        for (std::size_t i = 0; i < clients_.size(); ++i) (i % 2 == 0 ? with : others).push_back(clients_[i]);
        world().links().partition(with, others);
    }
    static Duration seconds(double amount) {
        return Duration{static_cast<Duration::rep>(amount * static_cast<double>(Duration{1s}.count()))};
    }

    static constexpr std::array<Duration, 4> pauses{0ms, 20ms, 300ms, 2s};

    Cluster<S>& cluster_;
    std::vector<std::string> clients_;
    LinkQuality calm_;
    ViewOptions first_;
    std::function<void(const std::string&)> note_;
    Stranger stranger_;
    std::map<Id, Fault> active_;
    std::map<std::string, int> paused_, refusing_;
    std::vector<std::pair<std::string, Incarnation>> dead_;
    std::array<std::uint64_t, fault_names.size()> counts_{};
    Id last_ = 0;
    bool healed_ = false;
};

}  // namespace understudy::sim
