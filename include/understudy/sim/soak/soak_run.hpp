// One simulated run: a cluster, its clients and its faults, all drawn from one seed. A run has a fault phase and then a
// recovery phase; this file also applies every check to the result. It is where the parts of the soak test meet.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/sim/check/client_history.hpp>
#include <understudy/sim/check/invariant_checker.hpp>
#include <understudy/sim/soak/check_catcher.hpp>
#include <understudy/sim/soak/cluster.hpp>
#include <understudy/sim/soak/conditions.hpp>
#include <understudy/sim/soak/fault.hpp>
#include <understudy/sim/soak/nemesis.hpp>
#include <understudy/sim/soak/outcome.hpp>
#include <understudy/sim/soak/simulated_clients.hpp>
#include <understudy/sim/soak/workload.hpp>
#include <understudy/sim/world/world.hpp>

namespace understudy::sim {

/// The trace: called with the virtual time and one line of text for each thing that happens.
using Narrator = std::function<void(Time, const std::string&)>;

/// One run. Call `run()` once. Equal seeds, workloads and limits give equal outcomes.
template <Workload W>
class SoakRun {
public:
    using S = typename W::Store;

    SoakRun(std::uint64_t seed, W workload, RunLimits limits = {}, Narrator narrator = {})
        : limits_{std::move(limits)},
          narrator_{std::move(narrator)},
          world_{seed},
          workload_{std::move(workload)},
          conditions_{draw_conditions(world_.random().split("conditions"), limits_)},
          cluster_{world_, workload_.initial(), conditions_.cluster,
                   [this](const std::string& who, const Event& event) { on_event(who, event); }},
          checker_{cluster_, [this](const S& store) { return workload_.invariant(store); }},
          chance_{world_.random().split("record")},
          puts_back_{chance_.chance(0.25)} {
        outcome_.seed = seed;
        world_.network().on_send([this](const Packet& packet) { checker_.sent(packet); });
        // Applying an entry costs virtual time of the server. Otherwise no run would test a slow store.
        if (conditions_.apply > Duration{})
            checker_.on_applied([this](const std::string& who, const Entry& entry) {
                world_.work(who, conditions_.takes(entry));
            });
        cluster_.on_death([this](const std::string& name, const auto& server) { checker_.look_at(name, server); });
        // The nemesis must exist before the clients: the profile of a client depends on the plan that is drawn with it.
        const auto name_of = [](const std::string& group, std::size_t number) {
            return group + "c" + std::to_string(number);
        };
        std::vector<std::string> names;
        for (const auto& group : cluster_.groups())
            for (std::size_t number = 0; number < conditions_.clients; ++number)
                names.push_back(name_of(group, number));
        nemesis_.emplace(cluster_, names, conditions_.calm, [this](const std::string& text) { tell(text); });
        plan();
        for (const auto& group : cluster_.groups()) {
            for (std::size_t number = 0; number < conditions_.clients; ++number)
                clients_.push_back(std::make_unique<SimulatedClient>(world_, workload_, testimonies_[group],
                                                                name_of(group, number), profile(group, number)));
        }
        if (narrator_)
            world_.trace([this](Time time, std::string_view text) { narrator_(time, "    " + std::string{text}); });
    }
    SoakRun(const SoakRun&) = delete;
    SoakRun& operator=(const SoakRun&) = delete;

    /// Runs both phases and all checks. Does not throw because of a failed check: the first violation is in the
    /// outcome.
    Outcome run() {
        const auto begun = world_.now();
        detail::CheckCatcher catcher;
        try {
            fault_phase();
            if (good()) recovery_phase();
            for (const auto& group : cluster_.groups())
                if (good()) judge(group);
            for (const auto& group : cluster_.groups())
                if (good()) write_something(group);
        } catch (const std::exception& failure) {
            checker_.violate(failure.what());
        }
        if (!catcher.failure().empty()) checker_.violate(catcher.failure());
        outcome_.violation = checker_.violation();
        outcome_.faults = nemesis_->counts();
        outcome_.view_changes = checker_.view_changes();
        outcome_.snapshots = checker_.snapshots();
        outcome_.recoveries = checker_.recoveries();
        outcome_.adoptions = checker_.adoptions();
        for (const auto& name : cluster_.servers())
            if (const auto* disk = cluster_.disk_of(name)) outcome_.disks += disk->counts();
        for (const auto& client : clients_) {
            outcome_.calls.answered += client->counts().answered;
            outcome_.calls.without_effect += client->counts().without_effect;
            outcome_.calls.unknown += client->counts().unknown;
            outcome_.calls.deaths += client->counts().deaths;
            outcome_.calls.dumps += client->counts().dumps;
        }
        outcome_.virtual_time = world_.now() - begun;
        outcome_.event_hash = world_.event_hash();
        return outcome_;
    }

private:
    using SimulatedClient = sim::SimulatedClient<W>;
    static constexpr Duration glance = 20ms;  // between two checks of all invariants, in virtual time

    ClientProfile profile(const std::string& group, std::size_t number) {
        auto profile = conditions_.profile.at(number % conditions_.profile.size());
        profile.options.view_service = cluster_.options().replica.view_service;
        profile.options.group = group;
        profile.options.session = !is_repeated(group);
        // A repeated frame can execute a command although a refusal was received for its other copy.
        profile.repeats = std::ranges::find(played_, FaultKind::repeat, &Fault::kind) != played_.end();
        return profile;
    }
    /// Whether the clients of this group use no sessions. Then a command may take effect more than once (C5), and the
    /// client history of the group is not checked.
    bool is_repeated(const std::string& group) const {
        return conditions_.without_session && group == cluster_.groups().back();
    }
    bool good() const { return checker_.violation().empty() && detail::CheckCatcher::failure().empty(); }
    void tell(const std::string& text) {
        if (narrator_) narrator_(world_.now(), text);
    }
    void on_event(const std::string& who, const Event& event) {
        tell(who + ": " + describe(event));
        checker_.on_event(who, event);
    }
    /// Runs the world until `holds()` is true, at most for `limit`, and checks all invariants every `glance`. Returns
    /// false after a violation, or if the predicate did not become true in time.
    template <typename Predicate>
    bool run_until(Predicate holds, Duration limit) {
        const auto end = after(world_.now(), limit);
        while (good() && world_.now() < end) {
            if (holds()) return true;
            world_.run_for(std::min(glance, end - world_.now()));
            checker_.look();
        }
        return good() && holds();
    }
    bool all_well() const {
        return std::ranges::all_of(cluster_.groups(), [&](const auto& group) { return cluster_.is_well(group); });
    }
    bool all_idle() const {
        return std::ranges::all_of(clients_, [](const auto& client) { return client->pending() == 0; });
    }

    // Draws the whole plan, and plays the faults that the limits select. The plan itself does not depend on this
    // selection, so a shrunk run has the same fault numbers.
    void plan() {
        FaultPlanner planner{world_.random().split("faults"), nemesis_->targets()};
        outcome_.plan = planner.draw(limits_.fault_phase);
        for (std::size_t number = 0; number < outcome_.plan.size(); ++number)
            if (limits_.plays(number)) played_.push_back(outcome_.plan[number]);
    }

    /// The fault phase: anything may fail. Safety is checked (no answered write may be lost); no progress is required.
    /// In some runs it also takes a copy of the view service's record, at a random time, for `put_back`.
    void fault_phase() {
        const auto end = after(world_.now(), limits_.fault_phase);
        if (puts_back_)
            world_.at(after(world_.now(), chance_.between(Duration{}, limits_.fault_phase)),
                      [this] { copy_ = cluster_.disk().record(); });
        nemesis_->unleash(played_);
        for (auto& client : clients_) client->work(end);
        run_until([] { return false; }, limits_.fault_phase);
    }

    /// The recovery phase: all faults have ended. Every group must get a serving primary and all wanted backups in
    /// sync, every call must end, and the replicas must become equal.
    void recovery_phase() {
        nemesis_->heal();
        timeout_ = recovery();
        const auto rest = [&] {
            return std::ranges::all_of(
                cluster_.groups(), [&](const auto& group) { return cluster_.is_well(group) || lawfully_waits(group); });
        };
        // Groups that rightly wait (R4) are forced only after all calls have ended, so that their history up to then
        // can be checked as a whole.
        if (!run_until(rest, timeout_)) return not_well();
        if (const auto timeout = ending(); !run_until([&] { return all_idle(); }, timeout))
            return checker_.violate("a call has not ended " + in_pings(timeout) + " after the last fault");
        for (const auto& group : cluster_.groups())
            if (lawfully_waits(group)) force(group);
        if (!run_until([&] { return all_well(); }, timeout_)) return not_well();
        // Not after a force: the protocol makes no promise for a record that lacks it (R7, `view.force`).
        if (copy_.cluster != ClusterId::none && outcome_.waits == 0) put_back(std::exchange(copy_, {}));
        if (!good()) return;
        go_on_after_force();
        read_everything();
        if (!good()) return;
        // A fault at the very end of the fault phase may still cause another view. So both conditions must hold at
        // once.
        const auto level = [&] {
            return all_well() &&
                   std::ranges::all_of(cluster_.groups(), [&](const auto& group) { return checker_.is_level(group); });
        };
        if (!run_until(level, timeout_)) {
            not_well();
            return checker_.violate("a backup in sync does not learn what is committed");
        }
        for (const auto& group : cluster_.groups()) {
            checker_.compare(group, !is_repeated(group));
            if (good()) judge_stores(group);
        }
    }
    /// The time limit for recovery. If the drawn bounds are so small that a joining server receives one entry or one
    /// chunk at a time, each costs one more round trip. Backups join one after the other, hence the factor k.
    Duration recovery() const {
        const auto& options = cluster_.options().replica;
        const auto at_once =
            std::max<std::size_t>(options.window_bytes / std::max<std::size_t>(options.append_bytes, 300), 1);
        std::size_t steps = 0;
        cluster_.for_each([&](const auto&, const auto& server) {
            const auto& state = server.state_machine().state();
            const auto bytes = snapshot_bytes(server.store()).size() + state.sessions.save().size();
            const auto entries = static_cast<std::size_t>(state.log.last().index - state.log.base().index);
            steps = std::max(steps, entries / at_once + bytes / options.chunk_bytes);
        });
        return peace_and(steps * cluster_.options().view.backups);
    }
    /// The time limit until every call has ended. A client with a small window requests the pieces of its exports one
    /// after the other, and each piece takes a round trip.
    Duration ending() const {
        std::size_t pieces = 1, trips = 0;
        cluster_.for_each([&](const auto&, const auto& server) {
            pieces = std::max(pieces, snapshot_bytes(server.store()).size() / cluster_.options().replica.chunk_bytes);
        });
        for (const auto& client : clients_)
            trips = std::max(trips, client->pending() * (pieces + 2) / client->window());
        return peace_and(trips);
    }
    /// `limits_.recovery_phase` plus that many round trips, each as slow as the slowest link and, where there are
    /// disks, the slowest disk.
    Duration peace_and(std::size_t round_trips) const {
        auto trip = 2 * conditions_.calm.latency_most;
        for (const auto& disk : conditions_.cluster.disks)
            if (disk) trip = std::max(trip, 2 * (conditions_.calm.latency_most + disk->latency_most));
        return limits_.recovery_phase + trip * static_cast<Duration::rep>(round_trips);
    }
    /// Whether the group waits and is right to do so: no running server and no disk is certain to have every answered
    /// write (R4). A group that waits although the state is available violates liveness.
    bool lawfully_waits(const std::string& group) const { return cluster_.waits(group) && !cluster_.is_held(group); }
    void not_well() {
        for (const auto& group : cluster_.groups())
            if (!cluster_.is_well(group))
                checker_.violate(group + " is not well " + in_pings(timeout_) + " after the last fault: " +
                               describe(cluster_.view(group)) + (cluster_.waits(group) ? ", and waits" : ""));
    }
    std::string in_pings(Duration length) const {
        return std::to_string(length / cluster_.options().view.ping_interval) + " ping intervals";
    }
    /// Restores the view service's record from an older copy, and crashes some servers at the same moment. Then an
    /// operator starts all servers and adopts each group that waits (R7). No write that was answered may be lost.
    void put_back(view_service::ViewRecord copy) {
        cluster_.crash_views();
        for (const auto& name : cluster_.servers())
            if (chance_.chance(0.2) && may_die(name, copy)) cluster_.crash(name);
        tell("happens: the record is put back to an older copy");
        checker_.put_back();
        cluster_.disk().put_back(std::move(copy));
        cluster_.start_views();
        for (const auto& name : cluster_.servers())
            world_.at(after(world_.now(), chance_.between(Duration{}, Duration{3s})),
                      [this, name] { cluster_.start(name); });
        for (auto& client : clients_)
            for (int number = 0; number < 3; ++number) client->call_any(limits_.recovery_phase);
        // The operator waits until every server runs: only then is it certain that a server with the newest state is
        // heard before the group is adopted.
        Stranger oper{world_, "operator"};
        const auto all_run = [&] {
            return std::ranges::all_of(cluster_.servers(), [&](const auto& name) { return cluster_.find(name); });
        };
        for (auto left = 2 * timeout_; good() && !(all_run() && all_well()) && left > Duration{}; left -= 1s) {
            run_until([&] { return all_run() && all_well(); }, 1s);
            for (const auto& group : cluster_.groups())
                if (all_run() && cluster_.waits(group))
                    oper.say(Cluster<S>::views_name, ViewAdopt{group, cluster_.disk().record().cluster});
        }
        if (!all_well()) return not_well();
        if (!run_until([&] { return all_idle(); }, 2 * limits_.recovery_phase) && good())
            checker_.violate("a call has not ended long after the record was put back");
    }
    /// Whether this server may crash when `copy` is restored: another member must have the group's state, and must know
    /// that it is in sync. Without this check, a run could crash the only usable member and report a loss that the
    /// protocol does not exclude.
    ///
    /// Until the next ping is answered, only the primary and the view service know that a backup is in sync. If the
    /// copy has the current view's number and lacks only this fact, nothing shows that the copy is old (R7); then no
    /// server of the group may crash.
    bool may_die(const std::string& name, const view_service::ViewRecord& copy) const {
        const auto group = Cluster<S>::group_of(name);
        const auto view = cluster_.view(group);
        for (const auto& copied : copy.groups)
            if (copied.info.group == group && copied.info.view.number == view.number && copied.info.view != view)
                return false;
        // No other member has the state. A backup's disk may lack the fact that it is in sync, so only a primary may
        // crash, and only if its disk keeps the state.
        if (!cluster_.is_held(group, {{name}, {name}}))
            return name == view.primary.name && cluster_.is_held(group, {{name}, {}});
        return std::ranges::any_of(cluster_.servers(), [&](const auto& other) {
            const auto* server = other == name ? nullptr : cluster_.find(other);
            const auto* member = server ? view.member(other) : nullptr;
            return member && (member->synced || other == view.primary.name) && server->view().view == view;
        });
    }
    /// R4: the group waits and only an operator can continue. First checks everything that was answered so far, because
    /// after the force some of it may be lost. Then asks the view service every second to force the server that has
    /// applied the most.
    void force(const std::string& group) {
        ++outcome_.waits;
        judge(group);
        judge_stores(group);
        checker_.forced(group);
        testimonies_[group].force();
        Stranger oper{world_, "operator of " + group};
        const auto forced = [&] { return cluster_.view(group).forced != 0; };
        for (auto left = limits_.recovery_phase; good() && !forced() && left > Duration{}; left -= 1s) {
            const auto name = fullest(group);
            if (is_heard(name)) oper.say(Cluster<S>::views_name, ViewForce{group, name});
            run_until(forced, 1s);
        }
    }
    /// Whether the view service has heard a ping of the incarnation that runs now. If the server was forced before
    /// that, the view would name its previous incarnation, which is dead, and the group would wait again.
    bool is_heard(const std::string& name) const {
        const auto* server = cluster_.find(name);
        return server && cluster_.has_heard(name, server->status().incarnation);
    }
    /// The running server that has applied the most entries. The primary of the view if no server has applied anything.
    Address fullest(const std::string& group) const {
        Address name = cluster_.view(group).primary.name;
        Index most = 0;
        cluster_.for_each([&](const std::string& one, const auto& server) {
            const auto applied = server.state_machine().state().applied.index;
            if (Cluster<S>::group_of(one) != group || applied <= most) return;
            name = one;
            most = applied;
        });
        return name;
    }
    /// In groups with a forced view, clients send further calls, so that the state after the force is checked too.
    void go_on_after_force() {
        for (auto& client : clients_)
            if (testimonies_.at(client->group()).forced)
                for (int number = 0; number < 10; ++number) client->call_any(limits_.recovery_phase);
        if (!run_until([&] { return all_idle(); }, 2 * limits_.recovery_phase) && good())
            checker_.violate("a call has not ended long after its deadline");
    }
    /// Each client reads everything and must be answered. A client that met a view service of another cluster may learn
    /// this only by the first attempt. It then starts anew and gets a second attempt.
    void read_everything() {
        for (const bool again : {false, true}) {
            for (auto& client : clients_)
                if (!again || (!client->has_read() && client->is_misled()))
                    client->read_everything(limits_.recovery_phase);
            if (!run_until([&] { return all_idle(); }, 2 * limits_.recovery_phase) && good())
                return checker_.violate("a call has not ended long after its deadline");
        }
        for (auto& client : clients_)
            if (!client->has_read() && good())
                checker_.violate(client->name() + " is not answered by a healthy group");
    }
    /// A healthy group must also accept commands. These have no session, because dead clients may still occupy the
    /// whole session table. Their history is not checked. One answer of five is enough, because some commands may be
    /// too large.
    void write_something(const std::string& group) {
        ClientHistory<W> nobodys;
        ClientProfile profile;
        profile.options.view_service = cluster_.options().replica.view_service;
        profile.options.group = group;
        profile.options.session = false;
        SimulatedClient last{world_, workload_, nobodys, group + "last", profile};
        for (int number = 0; number < 5; ++number) last.write(limits_.recovery_phase);
        if (last.pending() == 0) return;                                    // the workload has no commands
        run_until([&] { return last.pending() == 0; }, 2 * limits_.recovery_phase);  // `last` must outlive its calls
        if (good() && last.counts().answered == 0) checker_.violate(group + " is well, but takes no command");
    }

    /// The index of the last committed entry that survived a forced view; the highest index if no view was forced. No
    /// value if it is unknown, because no entry was applied in the forced view.
    std::optional<Index> kept(const std::string& group) {
        if (!testimonies_[group].forced) return ~Index{0};
        return checker_.commit_history().kept(group, cluster_.view(group).forced);
    }
    /// Checks the client history of a group. Skipped for clients without sessions, and while the surviving prefix is
    /// unknown.
    void judge(const std::string& group) {
        const auto kept_until = kept(group);
        if (is_repeated(group) || !kept_until) return;
        outcome_.judged_again += testimonies_[group].forced.has_value();
        auto finding = judge_calls(workload_, testimonies_.at(group), checker_.commit_history().changes(group),
                                   *kept_until, limits_.bounds);
        outcome_.undecided += finding.undecided;
        outcome_.evidence += finding.evidence;
        if (!finding.wrong.empty()) checker_.violate(group + ": " + finding.wrong);
    }
    /// Checks exported snapshots, and the primary's final state if the group is well, against the commit history.
    void judge_stores(const std::string& group) {
        const auto kept_until = kept(group);
        if (!kept_until) return;
        std::optional<std::string> bytes;
        if (const auto* primary = cluster_.find(cluster_.view(group).primary); primary && cluster_.is_well(group))
            bytes = snapshot_bytes(primary->store());
        auto wrong = sim::judge_stores(workload_, testimonies_[group], checker_.commit_history().changes(group),
                                       *kept_until, bytes);
        if (!wrong.empty()) checker_.violate(group + ": " + wrong);
    }

    RunLimits limits_;
    Narrator narrator_;
    World world_;
    W workload_;
    Conditions conditions_;
    Cluster<S> cluster_;
    InvariantChecker<S> checker_;
    std::map<std::string, ClientHistory<W>> testimonies_;  // by group
    std::vector<std::unique_ptr<SimulatedClient>> clients_;
    std::optional<Nemesis<S>> nemesis_;
    std::vector<Fault> played_;  // the faults of the plan that are played
    Random chance_;    // decides when and whether the record is restored from a copy, and which servers crash then
    bool puts_back_;   // whether this run restores an older record in the recovery phase
    view_service::ViewRecord copy_;  // that older record; its cluster is `none` until a copy was taken
    Duration timeout_{};
    Outcome outcome_;
};

}  // namespace understudy::sim
