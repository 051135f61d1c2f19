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
#include <understudy/protocol/coverage.hpp>
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
inline constexpr std::size_t push_slice = 64;

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
/// server that is overdue is lost only after a further grace of `ping_interval / 10`, in a turn that began on time.
class ViewStateMachine {
public:
    using Output = view_service::Output;

    /// `options` must be valid. `cluster` is a random token that the host drew for the state of this service.
    ViewStateMachine(ViewOptions options, ClusterId cluster, Time now)
        : options_(options),
          cluster_(cluster),
          timeouts_(options),
          clock_(timeouts_.grace, timeouts_.dead),
          begun_(now) {}
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
        auto found = groups_.find(group);
        return found == groups_.end() ? nullptr : &found->second.info;
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
    struct Step {
        Time host;
        Time now;  // running time
        Output& output;
    };
    /// The state that belongs to one connection and ends with it.
    struct Links {
        std::set<std::pair<std::string, Address>> servers;  // group and name of servers that ping over it
        std::set<std::string> watches;  // groups that it watches
        std::set<std::string> pending_requests;   // groups with a pending operator request of it
        std::set<std::string> rumours;  // groups without a view that are behind because of one of its pings (R7)
        bool empty() const { return servers.empty() && watches.empty() && pending_requests.empty() && rumours.empty(); }
        std::size_t groups() const { return servers.size() + rumours.size(); }
        friend bool operator==(const Links&, const Links&) = default;
    };
    /// An operator request to adopt a group, until it is carried out.
    struct Adoption {
        ViewAdopt wanted;
        Address peer;
        CallId id;
        friend bool operator==(const Adoption&, const Adoption&) = default;
    };
    /// An event that is retained for `view.status`.
    struct Past {
        Time at;  // host time
        std::string group;
        std::string text;
        friend bool operator==(const Past&, const Past&) = default;
    };

    void on(const Ping& ping, const Envelope& call, Step& step);
    void on(const ViewGet& get, const Envelope& call, Step& step);
    void on(const ViewWatch& watch, const Envelope& call, Step& step);
    void on(const ViewPromote& promote, const Envelope& call, Step& step);
    void on(const ViewForce& force, const Envelope& call, Step& step);
    void on(const ViewAdopt& adopt, const Envelope& call, Step& step);
    void on(const ViewRemove& remove, const Envelope& call, Step& step);
    void on(const ViewStatus& ask, const Envelope& call, Step& step);
    template <typename Other>
    void on(const Other&, const Envelope& call, Step& step);

    void take_wish(const std::string& name, const Address& server, bool force, const Envelope& call, Step& step);
    std::optional<Failure> objection(const Ping& ping, const Address& peer, const Group* group) const;
    void refuse_incarnation(Group& group, const PingOutcome& heard, const Ping& ping, const Envelope& call, Step& step);
    bool refuse_behind(Group& group, const Ping& ping, const Envelope& call, Step& step);
    bool refuse_behind(std::string_view name, Method method, const Envelope& call, Step& step);
    void end_behind(Group& group);
    void lapse_behind(Group& group, Step& step);
    void begin_anew(Group& group, GroupRecord record, Step& step);
    void settle(Group& group, Step& step, const Address& informed, bool push,
                const std::optional<Member>& newcomer = {});
    void adopt(Group& group, Decision decision, bool any_primary, Step& step);
    bool settle_wish(Group& group, const GroupState& group_state, Step& step);
    void end_request(Group& group, Message answer, Step& step);
    void adopt_groups(Step& step);
    Message adopt(const ViewAdopt& wanted, Step& step);
    void announce(const Group& group, const Address& informed, Step& step);
    void push_slice(Step& step);
    void remove(Group& group, std::string why, Step& step);
    void tend(Group& group, Step& step);
    void forget_dead(Group& group, Time now);
    void reschedule(Group& group, Time now);
    void note_change(const Group& group) {
        if (unstored_ && !group.is_rumour()) unstored_->groups.insert(group.info.group);
    }
    /// No new group and no adoption uses this number or a lower one, so that no number stands for two views.
    void raise_removed(ViewNumber number) {
        if (number <= removed_) return;
        removed_ = number;
        if (unstored_) unstored_->head = true;
    }
    Links* find_links(const Address& peer);
    void drop_if_empty(const Address& peer);
    void move_server(const Group& group, const Address& name, const Address& from, const Address& to);

    ViewResult view_result(const std::string& group, const Step& step) const;
    ViewInfo info_of(const std::string& group) const {
        const auto* known = view(group);
        return known ? *known : ViewInfo{group, cluster_, options_.ping_interval, {}};
    }
    Group* find_group(std::string_view name) {
        auto found = groups_.find(name);
        return found == groups_.end() ? nullptr : &found->second;
    }
    /// The group of that name, which begins without a view if it is new.
    Group& add_group(const std::string& name) {
        return groups_.try_emplace(name, ViewInfo{name, cluster_, options_.ping_interval, {}}, timeouts_).first->second;
    }
    /// When the next group or adoption is due, in running time.
    Time next_due() const {
        const auto next = due_.empty() ? never : due_.begin()->first;
        const auto due = [&](Time first, const Adoption& asked) { return std::min(first, due_time(asked)); };
        return std::accumulate(adoptions_.begin(), adoptions_.end(), next, due);
    }
    /// D, or the D of before the restart if that was larger. No lease that was given runs longer.
    Duration longest_dead() const { return std::max(timeouts_.dead, former_dead_); }
    /// When an adoption is carried out, in running time. By then every lease has run out that a former view service
    /// gave, or this one before it knew that its record is behind. Every live server has pinged by then, too.
    Time due_time(const Adoption& asked) const {
        auto found = groups_.find(asked.wanted.group);
        const auto* behind = found != groups_.end() && found->second.behind ? &*found->second.behind : nullptr;
        return std::max(begun_, behind ? behind->since : begun_) + longest_dead();
    }
    /// The group state for the decision table.
    GroupState group_state(const Group& group, Time now) const {
        auto holds = group.group_state(now, options_.backups);
        holds.begin_after = removed_;
        return holds;
    }
    /// Emits an event and retains it for `view.status`. Beyond `max_events` the oldest one is dropped.
    void emit(Event event, Step& step) {
        auto group_of = [](const auto& e) -> std::string {
            if constexpr (requires { e.group; }) return e.group;
            else if constexpr (requires { e.info.group; }) return e.info.group;
            else return {};
        };
        past_.push_back({step.host, std::visit(group_of, event), describe(event)});
        while (past_.size() > options_.max_events) past_.pop_front();
        step.output.emit(std::move(event));
    }
    static void refuse(const Envelope& call, Method method, error code, std::string text, Step& step) {
        refuse(call, Failure{std::string{to_string(method)}, code, std::move(text), {}, {}, {}}, step);
    }
    static void refuse(const Envelope& call, Failure failure, Step& step) {
        reached(failure.code);
        step.output.emit(Refused{call.peer, failure.code, failure.text});
        answer(call, std::move(failure), step);
    }
    /// A request without an id gets no answer.
    static void answer(const Envelope& call, Message message, Step& step) {
        if (!call.id.empty()) step.output.send(call.peer, call.id, std::move(message));
    }

    ViewOptions options_;
    ClusterId cluster_;
    Timeouts timeouts_;
    ViewNumber removed_ = 0;  // the highest view number of all removed groups
    Duration former_dead_{};  // D before the restart: leases given with it may still run, also after another restart
    RunningClock clock_;
    Time begun_;              // when this service started, in running time
    std::map<std::string, Group, std::less<>> groups_;
    std::map<std::string, std::set<Address>, std::less<>> watchers_;  // by group; the group need not exist yet
    std::size_t watcher_count_ = 0;
    std::map<std::string, std::set<Address>, std::less<>> unpushed_;  // by group: watchers that lack its present view
    std::map<Address, Links> links_;                     // by connection
    std::set<std::pair<Address, std::string>> probing_;  // name and group of each server that is being probed
    std::set<std::pair<Time, std::string>> due_;         // running time and name of each group with a next time
    std::vector<Adoption> adoptions_;
    ForeignServers strangers_;
    std::deque<Past> past_;
    std::size_t listed_ = 0;                   // servers and events in the status answers of this turn
    std::optional<Unstored> unstored_;  // empty without `track_changes`
};

}  // namespace understudy::view_service

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/view_service/state_machine.ipp>
#endif
