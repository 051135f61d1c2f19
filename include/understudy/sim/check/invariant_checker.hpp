// The invariant checker of a run: it checks what must be true at every moment, whatever fails. It covers the sequence
// of views, the committed entries, the promises of primaries, and the memory bounds of replicas. Client histories are
// checked only at the end; this finds errors that no client noticed.
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
#include <understudy/sim/check/commit_history.hpp>
#include <understudy/sim/check/store_model.hpp>
#include <understudy/sim/soak/cluster.hpp>
#include <understudy/sim/world/random.hpp>
#include <understudy/wire/json.hpp>

namespace understudy::sim {

/// Checks the invariants of a cluster. Keeps only the first violation, because later ones may be its consequences.
template <Store S>
class InvariantChecker {
public:
    /// `invariant` checks an invariant of the store itself and returns what is wrong; empty if nothing is. Checkers of
    /// one thread must be destroyed in reverse order; only the newest one of a thread observes applied entries. Use it
    /// on the thread that created it.
    InvariantChecker(Cluster<S>& cluster, std::function<std::string(const S&)> invariant)
        : cluster_{cluster},
          invariant_{std::move(invariant)},
          earlier_{std::exchange(present(), this)},
          earlier_observer_{replica::set_apply_observer(&heard_applied)} {
        cluster_.on_views_start([this](const view_service::ViewRecord& record) { go_on_from(record); });
    }
    InvariantChecker(const InvariantChecker&) = delete;
    InvariantChecker& operator=(const InvariantChecker&) = delete;
    ~InvariantChecker() {
        replica::set_apply_observer(earlier_observer_);
        present() = earlier_;
    }

    /// The first violation; empty if there is none.
    const std::string& violation() const { return violation_; }
    /// Records a violation, unless there is one already.
    void violate(std::string what) {
        if (violation_.empty()) violation_ = std::move(what);
    }
    std::uint64_t view_changes() const { return view_changes_; }
    std::uint64_t snapshots() const { return snapshots_; }
    /// How often a new incarnation of a member became primary with the state that it recovered from its disk (R5).
    std::uint64_t recoveries() const { return recoveries_; }
    /// How often a group was adopted after an older record was restored (R7).
    std::uint64_t adoptions() const { return adoptions_; }
    const CommitHistory& commit_history() const { return commit_history_; }

    /// Sets a function that is called with each entry that a running server has just applied.
    void on_applied(std::function<void(const std::string& who, const Entry&)> function) {
        on_applied_ = std::move(function);
    }
    /// Call it when an operator forces a view of this group. From then on a truncation of committed entries is no
    /// violation.
    void forced(const std::string& group) { forced_.insert(group); }
    /// Call it when the record is replaced by an older copy while the view service is down. In each group whose view
    /// was newer, the view service must decide nothing until the group is adopted (R7).
    void put_back() { newest_ = views_; }

    // ---- events ------------------------------------------------------------------------------------------

    /// Checks one event that the node `who` has emitted.
    void on_event(const std::string& who, const Event& event) {
        std::visit([&](const auto& one) { see(who, one); }, event);
    }

    // ---- frames ------------------------------------------------------------------------------------------

    /// S11: a command must not be answered, not even from the session table, while fewer than `min_in_sync` backups are
    /// in sync. A backup that is reported unreachable counts as in sync until the next view. Called with each frame
    /// that a process sends.
    void sent(const Packet& packet) {
        const auto least = cluster_.options().replica.min_in_sync;
        if (least == 0 || packet.payload.find("\"value\":") == std::string_view::npos) return;
        const auto* server = cluster_.find(std::string{packet.from});
        if (!server || !server->state_machine().serving()) return;  // it answered, and stopped later in the same turn
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

    /// Checks all running servers in their present state. The expensive checks run every 16th time.
    void look() {
        ++looks_;
        cluster_.for_each([this](const auto& name, const auto& server) { examine(name, server); });
        if (looks_ % 16 == 0 && cluster_.views_run()) cluster_.views().state_machine().deep_invariants();
        if (!cluster_.failure().empty()) violate(cluster_.failure());
    }

    /// Checks one server, also one that is about to die: its last state might be the only one that violates an
    /// invariant.
    void look_at(const std::string& name, const Server<S>& server) {
        ++looks_;
        examine(name, server);
    }
    /// Whether the primary and all backups have applied the same entries. This can be false at any moment even without
    /// calls, because the primary appends entries of its own, for example to close a session.
    bool is_level(const std::string& group) const {
        const auto view = cluster_.view(group);
        const auto* primary = cluster_.find(view.primary);
        return primary && std::ranges::all_of(view.backups, [&](const Member& member) {
                   const auto* backup = cluster_.find(member);
                   return backup && backup->state_machine().state().applied == primary->state_machine().state().applied;
               });
    }
    /// To call when `is_level`: all replicas must have the same sessions and the same state, byte by byte. With
    /// `lawful`, the invariant of the store must hold too.
    void compare(const std::string& group, bool lawful) {
        const auto view = cluster_.view(group);
        const auto* primary = cluster_.find(view.primary);
        if (!primary) return violate(group + ": no primary at the end");
        const auto& state = primary->state_machine().state();
        const auto bytes = snapshot_bytes(primary->store()), sessions = state.sessions.save();
        if (auto wrong = lawful ? invariant_(primary->store()) : std::string{}; !wrong.empty())
            violate("an invariant of the store is broken: " + wrong);
        for (const auto& member : view.backups) {
            const auto* backup = cluster_.find(member);
            if (!backup) return violate(group + ": a backup in sync does not run at the end");
            const auto& other = backup->state_machine().state();
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

    /// Checks the record with which the view service starts. It must not be older than the last announced view, because
    /// that was stored first. It may be newer: a view may be stored but not announced when the process dies. An older
    /// record is allowed only after `put_back`.
    void go_on_from(const view_service::ViewRecord& record) {
        auto stored = views_;
        for (auto& [group, view] : stored) view = {};
        for (const auto& group : record.groups) stored[group.info.group] = group.info.view;
        for (const auto& [group, next] : stored)
            if (const auto& before = views_[group]; next != before && !is_newer(next, before) && newest_.empty())
                violate(group + ": the view service goes on from " + describe(next) + " after " + describe(before));
        views_ = std::move(stored);
    }
    /// Checks a new view: it was stored before it was announced, its number is the next one, and its primary had the
    /// state. After `put_back`, only a forced view with a higher number than all before may follow (R7).
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
    /// Whether `leader` may be the primary after the view `before`: it was the primary, or a backup that was synced in
    /// that view or that its primary marked in sync since; or it is a later incarnation of one of these that recovered
    /// its state from the disk. Any other server may lack answered writes.
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

    // ---- events that a correct node never emits ----------------------------------------------------------

    void see(const std::string& who, const StoreFailed& event) { violate(who + ": " + describe(Event{event})); }
    void see(const std::string& who, const LogTruncated& event) {
        // After a forced view or an adoption, a server whose state is older drops it: that is no violation.
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

    /// Checks one replica: its internal invariants, its bounds, and that a stopped primary stays stopped.
    void examine(const std::string& name, const Server<S>& server) {
        const auto& machine = server.state_machine();
        const auto& state = machine.state();
        const auto& options = cluster_.options().replica;
        const auto group = Cluster<S>::group_of(name);
        if (looks_ % 16 == 0) machine.deep_invariants();  // O(log): they visit the whole log
        // A new primary does not count sessions whose opening entry is uncommitted at takeover, so it may exceed the
        // bound by as many.
        if (state.sessions.size() > 2 * options.max_sessions + 8)
            violate(name + " holds " + std::to_string(state.sessions.size()) + " sessions");
        if (machine.serving() && state.sessions.bytes() > 2 * options.max_result_bytes)
            violate(name + " holds " + std::to_string(state.sessions.bytes()) + " bytes of results");
        const auto retained = state.log.bytes(state.log.base().index, state.applied.index);
        if (retained > std::max(options.log_bytes, options.transfer_log_bytes) + options.max_command)
            violate(name + " retains " + std::to_string(retained) + " bytes of applied entries");
        const auto life = std::tuple{name, server.status().incarnation, machine.view().view.number};
        if (machine.role() == Role::primary && !machine.serving())
            stopped_.insert(life);
        else if (machine.serving() && stopped_.contains(life))
            violate(name + " serves again in the view in which it had stopped (S6)");
        const auto under_way = bytes_under_way(machine);
        if (under_way > options.max_call_bytes + replica::Log::size_of({}))
            violate(name + " has " + std::to_string(under_way) + " bytes that are not committed");
    }
    /// Bytes that a primary has logged in its own view and not committed; 0 for other servers. Uncommitted entries of
    /// backups, and those at takeover, are not bounded: many of them are committed, but the server has not learned it
    /// yet, or its disk has not confirmed them.
    template <typename Machine>
    static std::uint64_t bytes_under_way(const Machine& machine) {
        const auto& log = machine.state().log;
        auto from = machine.state().commit;
        if (machine.role() != Role::primary) return 0;
        while (from < log.last().index && log[from + 1].at.view != machine.view().view.number) ++from;
        return log.bytes(from, log.last().index);
    }

    // ---- what is committed -------------------------------------------------------------------------------

    static InvariantChecker*& present() {
        thread_local InvariantChecker* watch = nullptr;
        return watch;
    }
    static void heard_applied(const void* replica, const Entry& entry, bool effective) {
        if (auto* watch = present()) watch->applied(replica, entry, effective);
    }
    /// A replica has applied an entry. It belongs to a running server, or to one that is starting and applies the
    /// entries of its journal again.
    void applied(const void* replica, const Entry& entry, bool effective) {
        bool runs = false;
        cluster_.for_each([&](const std::string& name, const auto& server) {
            const auto& machine = server.state_machine();
            if (&machine.state() != replica) return;
            runs = true;
            applied(name, machine.view().view.forced, entry, effective);
            if (on_applied_) on_applied_(name, entry);
        });
        if (const auto& [name, found] = cluster_.reading(); !runs && !name.empty())
            applied(name, found.info.view.forced, entry, effective);
    }
    void applied(const std::string& name, ViewNumber forced, const Entry& entry, bool effective) {
        auto wrong = commit_history_.applied(name, Cluster<S>::group_of(name), forced, entry, effective);
        if (!wrong.empty()) violate(std::move(wrong));
    }

    Cluster<S>& cluster_;
    std::function<std::string(const S&)> invariant_;
    std::function<void(const std::string&, const Entry&)> on_applied_;
    std::string violation_;
    std::map<std::string, View> views_;
    std::set<std::tuple<std::string, ViewNumber, Address>> in_sync_;
    std::map<std::string, View> newest_;  // the views before the record was put back
    std::set<std::string> forced_;
    CommitHistory commit_history_;
    std::set<std::tuple<std::string, Incarnation, ViewNumber>> stopped_;  // primaries that have stopped
    std::uint64_t looks_ = 0;
    std::uint64_t view_changes_ = 0;
    std::uint64_t snapshots_ = 0;
    std::uint64_t recoveries_ = 0;
    std::uint64_t adoptions_ = 0;
    InvariantChecker* earlier_;
    replica::ApplyObserver earlier_observer_;
};

}  // namespace understudy::sim
