// One trial: a cluster, clients and faults that all follow from one seed, first in trouble, then at peace; and every
// check on what came of it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/sim/check/testimony.hpp>
#include <understudy/sim/check/watch.hpp>
#include <understudy/sim/soak/cluster.hpp>
#include <understudy/sim/soak/conditions.hpp>
#include <understudy/sim/soak/crowd.hpp>
#include <understudy/sim/soak/fault.hpp>
#include <understudy/sim/soak/nemesis.hpp>
#include <understudy/sim/soak/workload.hpp>
#include <understudy/sim/world/world.hpp>

namespace understudy::sim {

/// What came of a trial.
struct Outcome {
    std::uint64_t seed = 0;
    std::string violation{};  ///< What was wrong, in a sentence; empty: nothing was.
    std::string evidence{};   ///< The smallest bad history that was found, if that was it.
    std::vector<Fault> plan{};
    std::array<std::uint64_t, fault_names.size()> faults{};
    CallCounts calls{};
    std::uint64_t view_changes = 0;
    std::uint64_t snapshots = 0;
    std::uint64_t waits = 0;         ///< Groups that rightly waited in the end (R4) and were forced on.
    std::uint64_t judged_again = 0;  ///< Of these, whose clients were judged once more, with what they did afterwards.
    std::uint64_t recoveries = 0;    ///< Groups that went on from what a member's disk had kept (R5).
    std::uint64_t adoptions = 0;     ///< Groups that were behind an older copy of the record, and were adopted (R7).
    DiskCounts disks{};
    std::uint64_t undecided = 0;     ///< Keys whose history was too hard to judge within bounds.
    Duration virtual_time{};
    std::uint64_t event_hash = 0;

    bool good() const { return violation.empty(); }
};

/// Told what happens, a line each.
using Narrator = std::function<void(Time, const std::string&)>;

namespace detail {
/// A check of the library's that fails in a trial is a finding, not the end of the process.
class CheckCatcher {
public:
    CheckCatcher() : before_{set_check_handler(&caught)} { failure().clear(); }
    CheckCatcher(const CheckCatcher&) = delete;
    CheckCatcher& operator=(const CheckCatcher&) = delete;
    ~CheckCatcher() { set_check_handler(before_); }

    static std::string& failure() {
        thread_local std::string text;
        return text;
    }

private:
    [[noreturn]] static void caught(const char* condition, const char* file, int line) {
        if (failure().empty())
            failure() = std::string{"check failed: "} + condition + " (" + file + ":" + std::to_string(line) + ")";
        throw std::logic_error{failure()};
    }
    CheckHandler before_;
};
}  // namespace detail

/// Runs once. Equal seeds, workloads and limits give equal outcomes.
template <Workload W>
class Trial {
public:
    using S = typename W::Store;

    Trial(std::uint64_t seed, W workload, TrialLimits limits = {}, Narrator narrator = {})
        : limits_{std::move(limits)},
          narrator_{std::move(narrator)},
          world_{seed},
          workload_{std::move(workload)},
          conditions_{draw_conditions(world_.random().split("conditions"), limits_)},
          cluster_{world_, workload_.initial(), conditions_.cluster,
                   [this](const std::string& who, const Event& event) { told(who, event); }},
          watch_{cluster_, [this](const S& store) { return workload_.law(store); }},
          chance_{world_.random().split("record")},
          puts_back_{chance_.chance(0.25)} {
        outcome_.seed = seed;
        world_.network().on_send([this](const Packet& packet) { watch_.sent(packet); });
        if (conditions_.apply > Duration{})
            watch_.on_applied([this](const std::string& who, const Entry& entry) {
                world_.work(who, conditions_.takes(entry));
            });
        cluster_.on_death([this](const std::string& name, const auto& server) { watch_.look_at(name, server); });
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
                customers_.push_back(std::make_unique<Customer>(world_, workload_, testimonies_[group],
                                                                name_of(group, number), habits(group, number)));
        }
        if (narrator_)
            world_.trace([this](Time time, std::string_view text) { narrator_(time, "    " + std::string{text}); });
    }
    Trial(const Trial&) = delete;
    Trial& operator=(const Trial&) = delete;

    Outcome run() {
        const auto begun = world_.now();
        detail::CheckCatcher catcher;
        try {
            trouble();
            if (good()) peace();
            for (const auto& group : cluster_.groups())
                if (good()) judge(group);
            for (const auto& group : cluster_.groups())
                if (good()) write_something(group);
        } catch (const std::exception& failure) {
            watch_.violate(failure.what());
        }
        if (!catcher.failure().empty()) watch_.violate(catcher.failure());
        outcome_.violation = watch_.violation();
        outcome_.faults = nemesis_->counts();
        outcome_.view_changes = watch_.view_changes();
        outcome_.snapshots = watch_.snapshots();
        outcome_.recoveries = watch_.recoveries();
        outcome_.adoptions = watch_.adoptions();
        for (const auto& name : cluster_.servers())
            if (const auto* disk = cluster_.disk_of(name)) outcome_.disks += disk->counts();
        for (const auto& customer : customers_) {
            outcome_.calls.answered += customer->counts().answered;
            outcome_.calls.without_effect += customer->counts().without_effect;
            outcome_.calls.unknown += customer->counts().unknown;
            outcome_.calls.deaths += customer->counts().deaths;
            outcome_.calls.dumps += customer->counts().dumps;
        }
        outcome_.virtual_time = world_.now() - begun;
        outcome_.event_hash = world_.event_hash();
        return outcome_;
    }

private:
    using Customer = sim::Customer<W>;
    static constexpr Duration glance = 20ms;

    Habits habits(const std::string& group, std::size_t number) {
        auto habits = conditions_.habits.at(number % conditions_.habits.size());
        habits.options.view_service = cluster_.options().replica.view_service;
        habits.options.group = group;
        habits.options.session = !is_repeated(group);
        habits.repeats = std::ranges::find(played_, FaultKind::repeat, &Fault::kind) != played_.end();
        return habits;
    }
    /// Whether the group's clients have no sessions: nothing is promised of how often their commands take effect.
    bool is_repeated(const std::string& group) const {
        return conditions_.without_session && group == cluster_.groups().back();
    }
    bool good() const { return watch_.violation().empty() && detail::CheckCatcher::failure().empty(); }
    void tell(const std::string& text) {
        if (narrator_) narrator_(world_.now(), text);
    }
    void told(const std::string& who, const Event& event) {
        tell(who + ": " + describe(event));
        watch_.told(who, event);
    }
    /// Runs on and looks at everything every now and then; false if something was wrong or it did not come to hold.
    template <typename Predicate>
    bool run_until(Predicate holds, Duration limit) {
        const auto end = after(world_.now(), limit);
        while (good() && world_.now() < end) {
            if (holds()) return true;
            world_.run_for(std::min(glance, end - world_.now()));
            watch_.look();
        }
        return good() && holds();
    }
    bool all_well() const {
        return std::ranges::all_of(cluster_.groups(), [&](const auto& group) { return cluster_.is_well(group); });
    }
    bool all_idle() const {
        return std::ranges::all_of(customers_, [](const auto& customer) { return customer->pending() == 0; });
    }

    void plan() {
        FaultPlanner planner{world_.random().split("faults"), nemesis_->targets()};
        outcome_.plan = planner.draw(limits_.trouble);
        for (std::size_t number = 0; number < outcome_.plan.size(); ++number)
            if (limits_.plays(number)) played_.push_back(outcome_.plan[number]);
    }

    /// The phase in which anything may fail. Nothing may be lost in it; that something works is not promised.
    void trouble() {
        const auto end = after(world_.now(), limits_.trouble);
        if (puts_back_)
            world_.at(after(world_.now(), chance_.between(Duration{}, limits_.trouble)),
                      [this] { copy_ = cluster_.disk().record(); });
        nemesis_->unleash(played_);
        for (auto& customer : customers_) customer->work(end);
        run_until([] { return false; }, limits_.trouble);
    }

    /// Nothing fails any more: the cluster gets well, and every call ends.
    void peace() {
        nemesis_->heal();
        patience_ = recovery();
        const auto rest = [&] {
            return std::ranges::all_of(
                cluster_.groups(), [&](const auto& group) { return cluster_.is_well(group) || lawfully_waits(group); });
        };
        if (!run_until(rest, patience_)) return not_well();
        if (const auto patience = ending(); !run_until([&] { return all_idle(); }, patience))
            return watch_.violate("a call has not ended " + in_pings(patience) + " after the last fault");
        for (const auto& group : cluster_.groups())
            if (lawfully_waits(group)) force(group);
        if (!run_until([&] { return all_well(); }, patience_)) return not_well();
        if (copy_.cluster != ClusterId::none && outcome_.waits == 0) put_back(std::exchange(copy_, {}));
        if (!good()) return;
        go_on_after_force();
        read_everything();
        if (!good()) return;
        // What went wrong in the last moments of trouble may make yet another view.
        const auto level = [&] {
            return all_well() &&
                   std::ranges::all_of(cluster_.groups(), [&](const auto& group) { return watch_.is_level(group); });
        };
        if (!run_until(level, patience_)) {
            not_well();
            return watch_.violate("a backup in sync does not learn what is committed");
        }
        for (const auto& group : cluster_.groups()) {
            watch_.compare(group, !is_repeated(group));
            if (good()) judge_stores(group);
        }
    }
    /// How long it may take to get well. Where the bounds are so small that a joiner is sent one entry or chunk at a
    /// time, each takes a round trip more; one joiner follows the other.
    Duration recovery() const {
        const auto& options = cluster_.options().replica;
        const auto at_once =
            std::max<std::size_t>(options.window_bytes / std::max<std::size_t>(options.append_bytes, 300), 1);
        std::size_t steps = 0;
        cluster_.for_each([&](const auto&, const auto& server) {
            const auto& state = server.rules().state();
            const auto bytes = snapshot_bytes(server.store()).size() + state.sessions.save().size();
            const auto entries = static_cast<std::size_t>(state.log.last().index - state.log.base().index);
            steps = std::max(steps, entries / at_once + bytes / options.chunk_bytes);
        });
        return peace_and(steps * cluster_.options().view.backups);
    }
    /// How long it may take until every call has ended. A client with a small window asks for the pieces of its dumps
    /// one after the other, each of which takes a round trip.
    Duration ending() const {
        std::size_t pieces = 1, trips = 0;
        cluster_.for_each([&](const auto&, const auto& server) {
            pieces = std::max(pieces, snapshot_bytes(server.store()).size() / cluster_.options().replica.chunk_bytes);
        });
        for (const auto& customer : customers_)
            trips = std::max(trips, customer->pending() * (pieces + 2) / customer->window());
        return peace_and(trips);
    }
    Duration peace_and(std::size_t round_trips) const {
        auto trip = 2 * conditions_.calm.latency_most;
        for (const auto& disk : conditions_.cluster.disks)
            if (disk) trip = std::max(trip, 2 * (conditions_.calm.latency_most + disk->latency_most));
        return limits_.peace + trip * static_cast<Duration::rep>(round_trips);
    }
    bool lawfully_waits(const std::string& group) const { return cluster_.waits(group) && !cluster_.is_held(group); }
    void not_well() {
        for (const auto& group : cluster_.groups())
            if (!cluster_.is_well(group))
                watch_.violate(group + " is not well " + in_pings(patience_) + " after the last fault: " +
                               describe(cluster_.view(group)) + (cluster_.waits(group) ? ", and waits" : ""));
    }
    std::string in_pings(Duration length) const {
        return std::to_string(length / cluster_.options().view.ping_interval) + " ping intervals";
    }
    /// Somebody puts the view service's record back to an older copy, and some of the servers die at that moment.
    /// Nothing that was answered since is lost, as an operator lets all servers run and adopts the groups (R7).
    void put_back(view_service::ViewRecord copy) {
        cluster_.crash_views();
        for (const auto& name : cluster_.servers())
            if (chance_.chance(0.2) && may_die(name, copy)) cluster_.crash(name);
        tell("happens: the record is put back to an older copy");
        watch_.put_back();
        cluster_.disk().put_back(std::move(copy));
        cluster_.start_views();
        for (const auto& name : cluster_.servers())
            world_.at(after(world_.now(), chance_.between(Duration{}, Duration{3s})),
                      [this, name] { cluster_.start(name); });
        for (auto& customer : customers_)
            for (int number = 0; number < 3; ++number) customer->call_any(limits_.peace);
        Stranger oper{world_, "operator"};
        const auto all_run = [&] {
            return std::ranges::all_of(cluster_.servers(), [&](const auto& name) { return cluster_.find(name); });
        };
        for (auto left = 2 * patience_; good() && !(all_run() && all_well()) && left > Duration{}; left -= 1s) {
            run_until([&] { return all_run() && all_well(); }, 1s);
            for (const auto& group : cluster_.groups())
                if (all_run() && cluster_.waits(group))
                    oper.say(Cluster<S>::views_name, ViewAdopt{group, cluster_.disk().record().cluster});
        }
        if (!all_well()) return not_well();
        if (!run_until([&] { return all_idle(); }, 2 * limits_.peace) && good())
            watch_.violate("a call has not ended long after the record was put back");
    }
    /// Whether the group's state is found all the same once that copy is put back: somebody else holds it and knows
    /// that it does. That a backup is in sync is known to the primary and the view service alone until the next answer
    /// to a ping; and a copy that lacks only that is of the present view, so that nothing shows that it is old.
    bool may_die(const std::string& name, const view_service::ViewRecord& copy) const {
        const auto group = Cluster<S>::group_of(name);
        const auto view = cluster_.view(group);
        for (const auto& copied : copy.groups)
            if (copied.info.group == group && copied.info.view.number == view.number && copied.info.view != view)
                return false;
        if (!cluster_.is_held(group, {{name}, {name}}))  // what its own disk keeps may lack that it is in sync
            return name == view.primary.name && cluster_.is_held(group, {{name}, {}});
        return std::ranges::any_of(cluster_.servers(), [&](const auto& other) {
            const auto* server = other == name ? nullptr : cluster_.find(other);
            const auto* member = server ? view.member(other) : nullptr;
            return member && (member->synced || other == view.primary.name) && server->view().view == view;
        });
    }
    /// R4: only an operator can go on. What was answered so far is judged; then some of it may be gone.
    void force(const std::string& group) {
        ++outcome_.waits;
        judge(group);
        judge_stores(group);
        watch_.forced(group);
        testimonies_[group].force();
        Stranger oper{world_, "operator of " + group};
        const auto forced = [&] { return cluster_.view(group).forced != 0; };
        for (auto left = limits_.peace; good() && !forced() && left > Duration{}; left -= 1s) {
            const auto name = fullest(group);
            if (is_heard(name)) oper.say(Cluster<S>::views_name, ViewForce{group, name});
            run_until(forced, 1s);
        }
    }
    /// Whether the view service knows of the life that runs: a force for one that has just died would leave the group
    /// waiting for another.
    bool is_heard(const std::string& name) const {
        const auto* server = cluster_.find(name);
        return server && cluster_.has_heard(name, server->status().incarnation);
    }
    /// Of the servers that run, the one that has applied the most.
    Address fullest(const std::string& group) const {
        Address name = cluster_.view(group).primary.name;
        Index most = 0;
        cluster_.for_each([&](const std::string& one, const auto& server) {
            const auto applied = server.rules().state().applied.index;
            if (Cluster<S>::group_of(one) != group || applied <= most) return;
            name = one;
            most = applied;
        });
        return name;
    }
    /// Where a view was forced, clients go on with what is left.
    void go_on_after_force() {
        for (auto& customer : customers_)
            if (testimonies_.at(customer->group()).forced)
                for (int number = 0; number < 10; ++number) customer->call_any(limits_.peace);
        if (!run_until([&] { return all_idle(); }, 2 * limits_.peace) && good())
            watch_.violate("a call has not ended long after its deadline");
    }
    /// Every client is answered. One that was misled by another cluster may learn so only now, and then begins anew.
    void read_everything() {
        for (const bool again : {false, true}) {
            for (auto& customer : customers_)
                if (!again || (!customer->has_read() && customer->is_misled()))
                    customer->read_everything(limits_.peace);
            if (!run_until([&] { return all_idle(); }, 2 * limits_.peace) && good())
                return watch_.violate("a call has not ended long after its deadline");
        }
        for (auto& customer : customers_)
            if (!customer->has_read() && good())
                watch_.violate(customer->name() + " is not answered by a healthy group");
    }
    /// A healthy group takes commands too. They have no session, since all of these may be in use by clients that died;
    /// nobody looks at what they did, and one or the other may be too large.
    void write_something(const std::string& group) {
        Testimony<W> nobodys;
        Habits habits;
        habits.options.view_service = cluster_.options().replica.view_service;
        habits.options.group = group;
        habits.options.session = false;
        Customer last{world_, workload_, nobodys, group + "last", habits};
        for (int number = 0; number < 5; ++number) last.write(limits_.peace);
        if (last.pending() == 0) return;                                    // a workload that only reads
        run_until([&] { return last.pending() == 0; }, 2 * limits_.peace);  // it must not die before its calls
        if (good() && last.counts().answered == 0) watch_.violate(group + " is well, but takes no command");
    }

    /// The last entry that an operator's decision has left of what the group had committed; nothing if nobody knows,
    /// since nothing was written after it.
    std::optional<Index> kept(const std::string& group) {
        if (!testimonies_[group].forced) return ~Index{0};
        return watch_.chronicle().kept(group, cluster_.view(group).forced);
    }
    void judge(const std::string& group) {
        const auto kept_until = kept(group);
        if (is_repeated(group) || !kept_until) return;
        outcome_.judged_again += testimonies_[group].forced.has_value();
        auto finding = judge_calls(workload_, testimonies_.at(group), watch_.chronicle().changes(group), *kept_until,
                                   limits_.bounds);
        outcome_.undecided += finding.undecided;
        outcome_.evidence += finding.evidence;
        if (!finding.wrong.empty()) watch_.violate(group + ": " + finding.wrong);
    }
    void judge_stores(const std::string& group) {
        const auto kept_until = kept(group);
        if (!kept_until) return;
        std::optional<std::string> bytes;
        if (const auto* primary = cluster_.find(cluster_.view(group).primary); primary && cluster_.is_well(group))
            bytes = snapshot_bytes(primary->store());
        auto wrong =
            sim::judge_stores(workload_, testimonies_[group], watch_.chronicle().changes(group), *kept_until, bytes);
        if (!wrong.empty()) watch_.violate(group + ": " + wrong);
    }

    TrialLimits limits_;
    Narrator narrator_;
    World world_;
    W workload_;
    Conditions conditions_;
    Cluster<S> cluster_;
    Watch<S> watch_;
    std::map<std::string, Testimony<W>> testimonies_;  // by group
    std::vector<std::unique_ptr<Customer>> customers_;
    std::optional<Nemesis<S>> nemesis_;
    std::vector<Fault> played_;  // of the plan
    Random chance_;    // of what follows:
    bool puts_back_;   // whether the record goes back,
    view_service::ViewRecord copy_;  // to that; without a cluster as long as nothing was recorded
    Duration patience_{};
    Outcome outcome_;
};

}  // namespace understudy::sim
