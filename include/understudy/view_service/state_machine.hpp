// The state machine of the view service. It takes messages and the time, keeps the groups, and sends the views that the
// decision table gives. A ping without news costs a look-up; a whole group is evaluated only when something changed or
// a time has come.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/caller.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/fault.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/version.hpp>
#include <understudy/view_service/changes.hpp>
#include <understudy/view_service/clock.hpp>
#include <understudy/view_service/decision_table.hpp>
#include <understudy/view_service/foreign_servers.hpp>
#include <understudy/view_service/group.hpp>
#include <understudy/view_service/operator.hpp>
#include <understudy/view_service/output.hpp>
#include <understudy/view_service/record.hpp>
#include <understudy/view_service/restore.hpp>
#include <understudy/view_service/timeouts.hpp>

namespace understudy::view_service {

/// A view is pushed to so many watchers in one turn. Pings are read between the turns, so that a long push does not
/// delay them.
inline constexpr std::size_t max_pushed = 64;

/// The parts of a view service's record that a store does not have yet.
struct Unstored {
    bool head = false;  ///< The part that belongs to no single group: cluster, D, highest number of removed groups.
    std::set<std::string> groups;  ///< The names of groups that changed or no longer exist.
    friend bool operator==(const Unstored&, const Unstored&) = default;
};

/// The view service (protocol, section 2) as a StateMachine, with any number of groups and k backups: R0 to R6 decide
/// views, R7 refuses to. It reads no clock: each call gets the host time `now`, and appends to `output`.
///
/// Silence is measured in running time, which leaves out time in which the service did not run (`RunningClock`). A
/// suspect server is lost only after a further grace of `ping_interval / 10`, in a turn that began on time.
class ViewStateMachine {
public:
    using Output = view_service::Output;

    /// `options` must be valid. `cluster` is a random token that the host drew for the state of this service.
    ViewStateMachine(ViewOptions options, ClusterId cluster, Time now)
        : options_(options),
          cluster_(cluster),
          timeouts_(options),
          clock_(timeouts_.grace, timeouts_.dead),
          started_(now) {}
    /// Goes on from the `record()` of a service that ended (protocol, section 2: a restart).
    ViewStateMachine(ViewOptions options, const ViewRecord& record, Time now);

    /// Handles one message. Requests are answered at once, but for `promote`, `force` and `adopt`: these are answered
    /// when they are done, have failed, or their timeout has passed.
    void receive(Envelope envelope, Time now, Output& output);
    /// The connection to `peer` ended. Servers that pinged over it are probed. Watches, operator requests and adoptions
    /// that came over it are dropped without an answer.
    void disconnected(const Address& peer, Time now, Output& output);
    /// The result of a probe. Refused: the server is dead, where a refusal is proof (`FailureDetector::probed`). Alive:
    /// it is probed again later. Unknown: nothing follows; only its silence will show whether it is dead.
    void probed(const Address& name, ProbeResult result, Time now, Output& output);
    /// Ends a turn: looks at all groups that are due, carries out adoptions, and pushes a slice of views to watchers.
    void wake(Time now, Output& output);
    /// The host time of the next `wake`. It is at once while watchers wait for a view: messages that have arrived are
    /// read before the next slice.
    Time deadline() const { return unpushed_.empty() ? clock_.host_time(next_due()) : Time{}; }

    /// The view of a group. Its number is 0 if the group has none yet; null if no server of the group was heard.
    const ViewInfo* view(std::string_view group) const {
        const auto* found = find_group(group);
        return found ? &found->info : nullptr;
    }
    /// The state that must be durable to go on after a restart. When a call returns, it contains everything that the
    /// messages in its output depend on. Linear in the number of servers.
    ViewRecord record() const;

    /// From now on each change of `record()` is noted, for a host that stores it. The first changes are the differences
    /// from `stored`. This call is linear in both records; later, each change of a group costs a look-up.
    void track_changes(const ViewRecord& stored);
    /// Whether changes must be stored before any output of this turn is carried out. Otherwise the service could
    /// restart without a view that it has announced (R7). Always false without `track_changes`.
    bool has_changes() const { return unstored_ && (unstored_->head || !unstored_->groups.empty()); }
    /// The changes since the last `changes_stored`; before the first one, the differences from the record that was
    /// given to `track_changes`.
    ViewChanges changes() const;
    /// The host has stored `changes()`.
    void changes_stored() {
        if (unstored_) unstored_.emplace();
    }

    /// The status of one group or of all; for an unknown group the list is empty. Ages of servers are running time,
    /// ages of events are host time. Linear in the number of servers and events.
    ViewStatusResult status(const std::optional<std::string>& group, Time now) const;

    /// Checks the bounds of the state, in a time that does not depend on the number of groups.
    void invariants() const;
    /// Checks the whole state, in linear time; for simulation.
    void deep_invariants() const;

    friend bool operator==(const ViewStateMachine&, const ViewStateMachine&) = default;

private:
    /// What every step gets: the time, and the output to append to.
    struct Turn {
        Time now;  ///< Running time (`RunningClock`); all times of the groups are.
        Time host_now;
        Output& out;
    };
    /// The state that belongs to one connection and ends with it.
    struct Links {
        std::set<std::pair<std::string, Address>> servers;  // group and name of servers that ping over it
        std::set<std::string> watches;                      // groups that it watches
        std::set<std::string> pending_requests;             // groups with a pending operator request of it
        std::set<std::string> rumours;  // groups without a view that are behind because of one of its pings (R7)
        bool empty() const { return servers.empty() && watches.empty() && pending_requests.empty() && rumours.empty(); }
        std::size_t groups() const { return servers.size() + rumours.size(); }
        friend bool operator==(const Links&, const Links&) = default;
    };
    /// An operator request to adopt a group, until it is carried out.
    struct Adoption {
        ViewAdopt wanted;
        Caller caller;
        friend bool operator==(const Adoption&, const Adoption&) = default;
    };
    /// An event that is retained for `view.status`.
    struct RetainedEvent {
        Time at;  // host time
        std::string group;
        std::string text;
        friend bool operator==(const RetainedEvent&, const RetainedEvent&) = default;
    };

    // ---- messages, and why they are refused ----

    void on(const Caller& caller, Ping&& ping, Turn& turn);
    void on(const Caller& caller, ViewGet&& get, Turn& turn);
    void on(const Caller& caller, ViewWatch&& watch, Turn& turn);
    void on(const Caller& caller, ViewPromote&& promote, Turn& turn);
    void on(const Caller& caller, ViewForce&& force, Turn& turn);
    void on(const Caller& caller, ViewAdopt&& adopt, Turn& turn);
    void on(const Caller& caller, ViewRemove&& remove, Turn& turn);
    void on(const Caller& caller, ViewStatus&& ask, Turn& turn);
    template <typename Other>
    void on(const Caller& caller, Other&& message, Turn& turn);

    std::optional<Fault> objection(const Ping& ping, const Address& peer, const Group* group) const;
    std::optional<Fault> objection(const ViewGet& get) const;
    std::optional<Fault> objection(const ViewWatch& watch, bool is_new) const;
    std::optional<Fault> objection(const ViewStatus& ask, std::size_t listed) const;
    std::optional<Fault> objection(const OperatorRequest& request, const std::string& group) const;
    std::optional<Fault> objection(const ViewAdopt& adopt) const;
    std::optional<Fault> objection(const ViewRemove& remove, Time now) const;
    std::optional<Fault> objection_to_group(std::string_view name) const;
    std::optional<Fault> objection_to_force(const Group& group, const GroupState& state, Time now) const;
    std::optional<Fault> objection_to_adoption(const ViewAdopt& wanted, Time now) const;
    void ping_counts(Group& group, const Ping& ping, const PingOutcome& outcome, const Caller& caller, Turn& turn);
    Fault incarnation_fault(const Group& group, const PingOutcome& outcome, const Ping& ping, Time now) const;
    /// The one place where a request is refused: the coverage mark, the event, and the answer, with the view if it is
    /// given.
    static void refuse(const Caller& caller, Method method, Fault fault, Turn& turn, const ViewInfo* view = nullptr) {
        reached(fault.code);
        turn.out.emit(Refused{caller.peer, fault.code, fault.text});
        answer(caller, failure(method, std::move(fault), view), turn);
    }
    static Failure failure(Method method, Fault fault, const ViewInfo* view) {
        const auto known = view ? std::optional{*view} : std::nullopt;
        return {std::string{to_string(method)}, fault.code, std::move(fault.text), known, {}, {}};
    }
    /// A request without an id gets no answer.
    static void answer(const Caller& caller, Message message, Turn& turn) {
        if (!caller.id.empty()) turn.out.send(caller.peer, caller.id, std::move(message));
    }

    // ---- groups ----

    Group* find_group(std::string_view name) {
        auto found = groups_.find(name);
        return found == groups_.end() ? nullptr : &found->second;
    }
    const Group* find_group(std::string_view name) const {
        auto found = groups_.find(name);
        return found == groups_.end() ? nullptr : &found->second;
    }
    /// The group of that name, which begins without a view if it is new.
    Group& add_group(const std::string& name) {
        return groups_.try_emplace(name, ViewInfo{name, cluster_, options_.ping_interval, {}}, timeouts_).first->second;
    }
    void bring_up_to_date(Group& group, Turn& turn);
    void evaluate(Group& group, Turn& turn, const Address& informed = {}, bool push = false,
                  const std::optional<Member>& newcomer = {});
    void change_view(Group& group, Decision decision, bool any_primary, Turn& turn);
    void announce(const Group& group, const Address& informed, Turn& turn);
    void push_slice(Turn& turn);
    void restart_group(Group& group, GroupRecord record, Turn& turn);
    void remove(Group& group, std::string why, Turn& turn);
    void drop_long_dead(Group& group, Time now);
    void reschedule(Group& group, Time now);
    /// The record of this group has to be stored again.
    void mark_unstored(const Group& group) {
        if (unstored_ && !group.is_rumour()) unstored_->groups.insert(group.info.group);
    }
    /// No new group and no adoption uses this number or a lower one, so that no number stands for two views.
    void raise_removed(ViewNumber number) {
        if (number <= removed_) return;
        removed_ = number;
        if (unstored_) unstored_->head = true;
    }
    ViewResult view_result(const std::string& group, Time now) const;
    std::size_t listed_in(const ViewStatus& ask) const;
    /// The group state for the decision table.
    GroupState group_state(const Group& group, Time now) const {
        auto state = group.group_state(now, options_.backups);
        state.begin_after = removed_;
        return state;
    }
    /// When the next group or adoption is due, in running time.
    Time next_due() const {
        const auto next = due_.empty() ? never : due_.begin()->first;
        const auto due = [&](Time first, const Adoption& asked) { return std::min(first, due_time(asked)); };
        return std::accumulate(adoptions_.begin(), adoptions_.end(), next, due);
    }
    /// D, or the D of before the restart if that was larger. No lease that was given runs longer.
    Duration longest_dead() const { return std::max(timeouts_.dead, former_dead_); }
    /// Emits an event and retains it for `view.status`. Beyond `max_events` the oldest one is dropped.
    void emit(Event event, Turn& turn) {
        auto group_of = [](const auto& e) -> std::string {
            if constexpr (requires { e.group; }) return e.group;
            else if constexpr (requires { e.info.group; }) return e.info.group;
            else return {};
        };
        events_.push_back({turn.host_now, std::visit(group_of, event), describe(event)});
        while (events_.size() > options_.max_events) events_.pop_front();
        turn.out.emit(std::move(event));
    }

    // ---- operator requests ----

    void accept_request(const std::string& group, OperatorRequest request, Turn& turn);
    bool advance_request(Group& group, const GroupState& state, Turn& turn);
    void advance_promotion(Group& group, const GroupState& state, bool late, Turn& turn);
    void end_request(Group& group, Message message, Turn& turn);
    /// When an adoption is carried out, in running time. By then every lease has run out that a former view service
    /// gave, or this one before it knew that its record is behind. Every live server has pinged by then, too.
    Time due_time(const Adoption& asked) const {
        const auto* group = find_group(asked.wanted.group);
        const auto since = group && group->behind ? group->behind->since : started_;
        return std::max(started_, since) + longest_dead();
    }
    void carry_out_adoptions(Turn& turn);
    const Behind* behind_to_end(const ViewAdopt& wanted) const;
    const ViewInfo* view_to_adopt(const ViewAdopt& wanted) const;
    std::vector<Member> heard_members(const ViewAdopt& wanted, const ViewInfo& old, Time since) const;
    ViewForceResult adopt(const ViewAdopt& wanted, Turn& turn);

    // ---- groups whose record is behind (R7) ----

    bool check_record(Group& group, const Ping& ping, const Address& peer, Turn& turn);
    void begin_behind(Group& group, Behind& behind, const Address& peer, Turn& turn);
    void end_behind(Group& group);
    void lapse_behind(Group& group, Turn& turn);

    // ---- connections ----

    Links* find_links(const Address& peer);
    void drop_if_empty(const Address& peer);
    void end_watch(const std::string& group, const Address& peer);
    void move_server(const Group& group, const Address& name, const Address& from, const Address& to);
    void detach_servers(const Group& group);

    ViewOptions options_;
    ClusterId cluster_;
    Timeouts timeouts_;
    ViewNumber removed_ = 0;  // the highest view number of all removed groups
    Duration former_dead_{};  // D before the restart: leases given with it may still run, also after another restart
    RunningClock clock_;
    Time started_;  // when this service started, in running time
    std::map<std::string, Group, std::less<>> groups_;
    std::map<std::string, std::set<Address>, std::less<>> watchers_;  // by group; the group need not exist yet
    std::size_t watcher_count_ = 0;
    std::map<std::string, std::set<Address>, std::less<>> unpushed_;  // by group: watchers that lack its present view
    std::map<Address, Links> links_;                     // by connection
    std::set<std::pair<Address, std::string>> probing_;  // name and group of each server that is being probed
    std::set<std::pair<Time, std::string>> due_;         // running time and name of each group with a next time
    std::vector<Adoption> adoptions_;
    ForeignServers foreign_servers_;
    std::deque<RetainedEvent> events_;
    std::size_t listed_ = 0;                   // servers and events in the status answers of this turn
    std::optional<Unstored> unstored_;  // empty without `track_changes`
};

}  // namespace understudy::view_service

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/view_service/state_machine.ipp>
#endif
