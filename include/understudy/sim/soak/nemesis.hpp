// The one who lets a plan of faults loose on a cluster, and takes all of it back.
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

/// Faults that are active at one time add up. Whatever is drawn, a crash mostly spares the last process that surely
/// holds every answered write; else most runs would end by waiting for it (R4).
template <Store S>
class Nemesis {
public:
    /// `note` is told of each fault that begins or ends, by a sentence.
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

    Targets targets() const {
        const auto& options = cluster_.options();
        return {cluster_.groups(), cluster_.servers(), clients_, !options.disks.empty(),
                options.replica.reads == Reads::lease};
    }

    void unleash(const std::vector<Fault>& plan) {
        const auto start = world().now();
        for (const auto& fault : plan) world().at(start + fault.at, [this, fault] { begin(fault); });
    }

    /// Ends every fault, forgets those to come, and starts whatever is down.
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

    /// How often each kind of fault began.
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

    /// The party that has a role now; empty if nobody has.
    std::string resolve(const std::string& target) const {
        const auto dot = target.find('.');
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
    /// One crash in sixteen spares nobody; which one is in the digits of its length, and so in the plan.
    bool may_die(const Fault& fault) const {
        const auto group = Cluster<S>::group_of(fault.a);
        Casualties gone{{fault.a}, {}};
        if (fault.kind == FaultKind::disk_lost) gone.disks = gone.processes;
        if (fault.kind == FaultKind::blackout)
            for (const auto& name : members(group)) gone.processes.insert(name);
        return fault.length.count() % 16 == 0 || cluster_.is_held(group, gone);
    }
    /// All servers of a group.
    std::vector<std::string> members(const std::string& group) const {
        auto names = cluster_.servers();
        std::erase_if(names, [&](const std::string& name) { return Cluster<S>::group_of(name) != group; });
        return names;
    }

    void act(const Fault& fault) {
        switch (fault.kind) {
            case FaultKind::breakage: return world().network().break_connections(fault.a, fault.b);
            case FaultKind::refuse:
                if (++refusing_[fault.a] == 1) world().network().refuse(fault.a, true);
                return world().network().break_connections(fault.a, Cluster<S>::views_name);
            case FaultKind::pause:
                if (++paused_[fault.a] == 1) world().pause(fault.a);
                return;
            case FaultKind::slow: return world().slow_down(fault.a, seconds(fault.amount));
            case FaultKind::clock: return world().set_clock(fault.a, fault.amount);
            case FaultKind::leap: return world().set_clock(fault.a, 1, seconds(fault.amount));
            case FaultKind::crash: bury(fault.a); return cluster_.crash(fault.a);
            case FaultKind::power_off: bury(fault.a); return cluster_.power_off(fault.a);
            case FaultKind::blackout: return black_out(fault);
            case FaultKind::disk_lost: bury(fault.a); return cluster_.lose_machine(fault.a);
            case FaultKind::disk_bad:
                return cluster_.disk_of(fault.a)->begin(static_cast<ServerDiskTrouble>(fault.amount),
                                                        1 + digits(fault, 20));
            case FaultKind::disk_late: return cluster_.disk_of(fault.a)->slow_down(seconds(fault.amount));
            case FaultKind::crash_late: return world().crash_at_send(fault.a, static_cast<std::uint64_t>(fault.amount));
            case FaultKind::views_gone:
            case FaultKind::views_set: return cluster_.crash_views();
            case FaultKind::views_lost: cluster_.crash_views(); return cluster_.start_impostor();
            case FaultKind::store_fails: return spoil(static_cast<StoreTrouble>(fault.amount));
            case FaultKind::store_slow: return cluster_.disk().set_latency(seconds(fault.amount));
            case FaultKind::namesake: return share_name(fault);
            case FaultKind::leave: return leave(fault.a, fault.length);
            case FaultKind::promote:
                return stranger_.promote(Cluster<S>::views_name, Cluster<S>::group_of(fault.a), fault.a);
            case FaultKind::stranger: {
                if (!dead_.empty() && fault.at.count() % 4 == 0) return ping_late();
                const bool views = fault.a == Cluster<S>::views_name;
                const auto group = views ? cluster_.groups().front() : Cluster<S>::group_of(fault.a);
                const auto* server = cluster_.find(fault.a);
                const auto ours = server ? server->view().cluster : ClusterId::none;
                return stranger_.disturb(fault.a, group, ours, views);
            }
            default: return;  // what links do
        }
    }
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

    void spoil(StoreTrouble trouble) {
        if (trouble == StoreTrouble::taken) return cluster_.disk().write_elsewhere();
        const bool done = trouble == StoreTrouble::fails_after;
        cluster_.disk().set_health(done ? DiskHealth::fails_after : DiskHealth::fails_before);
    }
    void tune(const Tuning& tuning) {
        auto options = first_;
        options.ping_interval = std::chrono::duration_cast<Duration>(options.ping_interval * tuning.ping_interval);
        const auto most = static_cast<int>(cluster_.options().servers) - 1;
        options.backups =
            static_cast<std::size_t>(std::clamp(static_cast<int>(first_.backups) + tuning.backups, 1, most));
        cluster_.set_views(options);
    }

    /// Only those that were heard: of two that were not, nobody can tell which is the later.
    void bury(const std::string& name) {
        if (!cluster_.find(name)) return;
        const auto incarnation = cluster_.find(name)->status().incarnation;
        if (cluster_.has_heard(name, incarnation)) dead_.push_back({name, incarnation});
    }
    /// A ping of a process that is dead arrives when nobody expects it any more.
    void ping_late() {
        Ping ping;
        ping.group = Cluster<S>::group_of(dead_.back().first);
        ping.server = dead_.back().first;
        ping.incarnation = dead_.back().second;
        ping.n = 1'000'000;
        stranger_.say(Cluster<S>::views_name, std::move(ping));
    }

    /// A second process of that name pings until the fault ends. It knows the cluster: it is not to found a group.
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

    /// What the plan has left open about a fault: below `bound`.
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
    /// A process that the disk has failed is not to go on, also if it was paused and has not noticed yet.
    void mend_disk(const std::string& name) {
        auto& disk = *cluster_.disk_of(name);
        disk.end_trouble();
        if (disk.to_blame()) cluster_.crash(name);
        cluster_.start(name);
    }
    /// They come back one after the other, in any order.
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

    /// The process ends once it has left, as a well-behaved one does, and another starts when the fault is over.
    void leave(const std::string& name, Duration patience) {
        const auto incarnation = cluster_.find(name)->status().incarnation;
        const auto over = after(world().now(), patience);
        cluster_.find(name)->async_leave(patience, [this, name, incarnation, over](std::error_code ec) {
            if (!ec) world().at(world().now(), [this, name, incarnation, over] { left(name, incarnation, over); });
        });
    }
    void left(const std::string& name, Incarnation incarnation, Time over) {
        const auto* server = cluster_.find(name);
        if (!server || server->status().incarnation != incarnation) return;
        cluster_.crash(name);
        if (healed_ || world().now() >= over) cluster_.start(name);
    }

    /// The links as all active faults together want them.
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
    /// Half of the clients stay with that server.
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
