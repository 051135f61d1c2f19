// What must hold at every moment of a trial, whatever fails: of the views, of what replicas hold, and of how much.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

#include <understudy/base/check.hpp>
#include <understudy/event.hpp>
#include <understudy/replica/apply_observer.hpp>
#include <understudy/sim/check/chronicle.hpp>
#include <understudy/sim/check/store_model.hpp>
#include <understudy/sim/soak/cluster.hpp>
#include <understudy/sim/world/random.hpp>
#include <understudy/wire/json.hpp>

namespace understudy::sim {

/// Says what was violated, once; later findings may be consequences of the first.
template <Store S>
class Watch {
public:
    /// `law` says what is wrong with a store in itself; empty if nothing is.
    /// One at a time on each thread, and on the thread that made it.
    Watch(Cluster<S>& cluster, std::function<std::string(const S&)> law)
        : cluster_{cluster},
          law_{std::move(law)},
          earlier_{std::exchange(present(), this)},
          earlier_observer_{replica::set_apply_observer(&told_applied)} {
        cluster_.on_views_start([this](const view_service::ViewRecord& record) { go_on_from(record); });
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() {
        replica::set_apply_observer(earlier_observer_);
        present() = earlier_;
    }

    const std::string& violation() const { return violation_; }
    void violate(std::string what) {
        if (violation_.empty()) violation_ = std::move(what);
    }
    std::uint64_t view_changes() const { return view_changes_; }
    std::uint64_t snapshots() const { return snapshots_; }
    /// How often a server led again with the state of its former life (R5).
    std::uint64_t recoveries() const { return recoveries_; }
    /// How often a group went on after the record was put back to an older copy.
    std::uint64_t adoptions() const { return adoptions_; }
    const Chronicle& chronicle() const { return chronicle_; }

    /// Called with each entry that a server which runs has just applied.
    void on_applied(std::function<void(const std::string& who, const Entry&)> function) {
        on_applied_ = std::move(function);
    }
    /// An operator has forced a view: what was answered before may be gone.
    void forced(const std::string& group) { forced_.insert(group); }
    /// Before the view service starts next, its record is put back to an older copy. Of a group whose view was newer it
    /// is to decide nothing until it has adopted that (R7).
    void put_back() { newest_ = views_; }

    // ---- events ------------------------------------------------------------------------------------------

    void told(const std::string& who, const Event& event) {
        std::visit([&](const auto& one) { see(who, one); }, event);
    }

    // ---- frames ------------------------------------------------------------------------------------------

    /// S11: no command is answered with fewer backups in sync than are asked for, not from the table either. One that
    /// was reported unreachable counts until the next view.
    void sent(const Packet& packet) {
        const auto least = cluster_.options().replica.min_in_sync;
        if (least == 0 || packet.payload.find("\"value\":") == std::string_view::npos) return;
        const auto* server = cluster_.find(std::string{packet.from});
        if (!server || !server->rules().serving()) return;  // it answered, and stepped down later in the same turn
        const auto decoded = wire::decode(packet.payload);
        const auto* message = std::get_if<wire::Decoded>(&decoded);
        if (!message || !std::holds_alternative<ExecuteResult>(message->message)) return;
        const auto backups = server->status().backups;
        const auto in_sync = std::ranges::count_if(
            backups, [](const auto& backup) { return backup.state == "in_sync" || backup.state == "unreachable"; });
        if (static_cast<std::size_t>(in_sync) < least)
            violate(std::string{packet.from} + " answers a command with " + std::to_string(in_sync) +
                    " backups in sync (S11)");
    }

    // ---- states ------------------------------------------------------------------------------------------

    /// Looks at all servers as they are now.
    void look() {
        ++looks_;
        cluster_.for_each([this](const auto& name, const auto& server) { examine(name, server); });
        if (looks_ % 16 == 0 && cluster_.views_run()) cluster_.views().rules().deep_invariants();
        if (!cluster_.failure().empty()) violate(cluster_.failure());
    }

    /// Looks at one server, as it is or as it died.
    void look_at(const std::string& name, const Server<S>& server) {
        ++looks_;
        examine(name, server);
    }
    /// Whether all replicas in sync have applied the same. An entry of the primary's own, such as the closing of a
    /// session, may be under way at any moment.
    bool is_level(const std::string& group) const {
        const auto view = cluster_.view(group);
        const auto* primary = cluster_.find(view.primary);
        return primary && std::ranges::all_of(view.backups, [&](const Member& member) {
                   const auto* backup = cluster_.find(member);
                   return backup && backup->rules().state().applied == primary->rules().state().applied;
               });
    }
    /// When they are level: they hold the same, byte by byte, and (if it is to) the law holds of it.
    void compare(const std::string& group, bool lawful) {
        const auto view = cluster_.view(group);
        const auto* primary = cluster_.find(view.primary);
        if (!primary) return violate(group + ": no primary at the end");
        const auto& state = primary->rules().state();
        const auto bytes = snapshot_bytes(primary->store()), sessions = state.sessions.save();
        if (auto wrong = lawful ? law_(primary->store()) : std::string{}; !wrong.empty())
            violate("a law of the store is broken: " + wrong);
        for (const auto& member : view.backups) {
            const auto* backup = cluster_.find(member);
            if (!backup) return violate(group + ": a backup in sync does not run at the end");
            const auto& other = backup->rules().state();
            if (other.applied != state.applied)
                return violate(member.name + " has applied " + shown(other.applied) + " at the end, the primary " +
                               shown(state.applied));
            if (other.sessions.save() != sessions) return violate(member.name + " has other sessions than the primary");
            if (snapshot_bytes(backup->store()) != bytes)
                return violate(member.name + " has another state than the primary");
        }
    }

private:
    static std::string shown(Position at) {
        return "(" + std::to_string(at.view) + ", " + std::to_string(at.index) + ")";
    }

    // ---- views -------------------------------------------------------------------------------------------

    /// A view that was stored counts, though perhaps nobody was told of it; one that was announced is never unknown.
    void go_on_from(const view_service::ViewRecord& record) {
        auto stored = views_;
        for (auto& [group, view] : stored) view = {};
        for (const auto& group : record.groups) stored[group.info.group] = group.info.view;
        for (const auto& [group, next] : stored)
            if (const auto& before = views_[group]; next != before && !is_newer(next, before) && newest_.empty())
                violate(group + ": the view service goes on from " + describe(next) + " after " + describe(before));
        views_ = std::move(stored);
    }
    void see(const std::string&, const ViewDecided& decided) {
        const auto& group = decided.info.group;
        if (cluster_.stored_view(group).number < decided.info.view.number)
            violate(group + ": announced before it was stored: " + describe(decided.info.view));
        const auto& next = decided.info.view;
        auto& before = views_[group];
        ++view_changes_;
        if (const auto at = newest_.find(group); at != newest_.end() && at->second.number > before.number) {
            if (next.forced != next.number || next.number <= at->second.number)
                violate(group + ": the record was put back from " + describe(at->second) + " to " + describe(before) +
                        ", and then it decides " + describe(next) + " (R7)");
            ++adoptions_;
        } else if (next.number != before.number + 1)
            violate(group + ": after " + describe(before) + " follows " + describe(next));
        if (before.number != 0 && next.forced != next.number && !may_lead(group, before, next.primary))
            violate(group + ": " + next.primary.name + " leads " + describe(next) + " though in " + describe(before) +
                    " it was neither primary nor in sync");
        const auto* old = before.member(next.primary.name);
        recoveries_ += old && next.forced != next.number && old->incarnation != next.primary.incarnation;
        before = next;
    }
    /// The primary before, or a backup that was in sync when that view began, or of which its primary said so since; or
    /// a later life of one of these that goes on from its disk.
    bool may_lead(const std::string& group, const View& before, const Member& leader) const {
        const auto* old = before.member(leader.name);
        if (!old) return false;
        const auto* disk = cluster_.disk_of(leader.name);
        const bool same = old->incarnation == leader.incarnation;
        if (!same && !(disk && disk->continues(leader.incarnation, old->incarnation))) return false;
        return old == &before.primary || old->synced || in_sync_.contains({group, before.number, old->name});
    }
    void see(const std::string& who, const BackupInSync& event) {
        in_sync_.insert({Cluster<S>::group_of(who), event.view, event.backup});
    }
    void see(const std::string&, const SnapshotInstalled&) { ++snapshots_; }

    // ---- what nobody who keeps the rules ever causes -----------------------------------------------------

    void see(const std::string& who, const StoreFailed& event) { violate(who + ": " + describe(Event{event})); }
    void see(const std::string& who, const LogCut& event) {
        // One that an adoption finds idle drops what it has, as after any forced view.
        if (event.committed && !forced_.contains(Cluster<S>::group_of(who)) && newest_.empty())
            violate(who + " cut committed entries: " + describe(Event{event}));
    }
    void see(const std::string& who, const Refused& event) {
        for (const auto* never : {"conflicts with", "out of order", "cannot be restored", "were never sent"})
            if (event.what.find(never) != std::string::npos) violate(who + ": " + describe(Event{event}));
    }
    template <typename Other>
    void see(const std::string&, const Other&) {}

    // ---- replicas ----------------------------------------------------------------------------------------

    void examine(const std::string& name, const Server<S>& server) {
        const auto& rules = server.rules();
        const auto& state = rules.state();
        const auto& options = cluster_.options().replica;
        const auto group = Cluster<S>::group_of(name);
        if (looks_ % 16 == 0) rules.deep_invariants();  // they look at the whole log
        // A new primary does not count those whose opening it inherited.
        if (state.sessions.size() > 2 * options.max_sessions + 8)
            violate(name + " holds " + std::to_string(state.sessions.size()) + " sessions");
        if (rules.serving() && state.sessions.bytes() > 2 * options.max_result_bytes)
            violate(name + " holds " + std::to_string(state.sessions.bytes()) + " bytes of results");
        const auto retained = state.log.bytes(state.log.base().index, state.applied.index);
        if (retained > std::max(options.log_bytes, options.transfer_log_bytes) + options.max_command)
            violate(name + " retains " + std::to_string(retained) + " bytes of applied entries");
        const auto life = std::tuple{name, server.status().incarnation, rules.view().view.number};
        if (rules.role() == Role::primary && !rules.serving())
            stopped_.insert(life);
        else if (rules.serving() && stopped_.contains(life))
            violate(name + " serves again in the view in which it had stopped (S6)");
        const auto under_way = bytes_under_way(rules);
        if (under_way > options.max_call_bytes + replica::Log::size_of({}))
            violate(name + " has " + std::to_string(under_way) + " bytes that are not committed");
    }
    /// What a primary has logged in its view and not committed. What others hold, or what it found there itself, may be
    /// more: much of it is committed, which they may not have heard, or have not applied for want of a disk's answer.
    template <typename Rules>
    static std::uint64_t bytes_under_way(const Rules& rules) {
        const auto& log = rules.state().log;
        auto from = rules.state().commit;
        if (rules.role() != Role::primary) return 0;
        while (from < log.last().index && log[from + 1].at.view != rules.view().view.number) ++from;
        return log.bytes(from, log.last().index);
    }

    // ---- what is committed -------------------------------------------------------------------------------

    static Watch*& present() {
        thread_local Watch* watch = nullptr;
        return watch;
    }
    static void told_applied(const void* replica, const Entry& entry, bool effective) {
        if (auto* watch = present()) watch->applied(replica, entry, effective);
    }
    /// By a server that runs, or by one that is being started and applies again what its disk keeps.
    void applied(const void* replica, const Entry& entry, bool effective) {
        bool runs = false;
        cluster_.for_each([&](const std::string& name, const auto& server) {
            const auto& rules = server.rules();
            if (&rules.state() != replica) return;
            runs = true;
            applied(name, rules.view().view.forced, entry, effective);
            if (on_applied_) on_applied_(name, entry);
        });
        if (const auto& [name, found] = cluster_.reading(); !runs && !name.empty())
            applied(name, found.info.view.forced, entry, effective);
    }
    void applied(const std::string& name, ViewNumber forced, const Entry& entry, bool effective) {
        auto wrong = chronicle_.applied(name, Cluster<S>::group_of(name), forced, entry, effective);
        if (!wrong.empty()) violate(std::move(wrong));
    }

    Cluster<S>& cluster_;
    std::function<std::string(const S&)> law_;
    std::function<void(const std::string&, const Entry&)> on_applied_;
    std::string violation_;
    std::map<std::string, View> views_;
    std::set<std::tuple<std::string, ViewNumber, Address>> in_sync_;
    std::map<std::string, View> newest_;  // before the record was put back
    std::set<std::string> forced_;
    Chronicle chronicle_;
    std::set<std::tuple<std::string, Incarnation, ViewNumber>> stopped_;  // primaries that served no more
    std::uint64_t looks_ = 0;
    std::uint64_t view_changes_ = 0;
    std::uint64_t snapshots_ = 0;
    std::uint64_t recoveries_ = 0;
    std::uint64_t adoptions_ = 0;
    Watch* earlier_;
    replica::ApplyObserver earlier_observer_;
};

}  // namespace understudy::sim
