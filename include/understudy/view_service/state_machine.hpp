// The view service's machine: it reads messages and the time, keeps the groups, and sends what the table decided.
// A ping that brings no news costs a look-up; a group is looked at as a whole only when something changed or is due.
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
#include <understudy/protocol/effects.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/version.hpp>
#include <understudy/view_service/changes.hpp>
#include <understudy/view_service/clock.hpp>
#include <understudy/view_service/decision_table.hpp>
#include <understudy/view_service/group.hpp>
#include <understudy/view_service/operator.hpp>
#include <understudy/view_service/record.hpp>
#include <understudy/view_service/restore.hpp>
#include <understudy/view_service/servers.hpp>
#include <understudy/view_service/strangers.hpp>

namespace understudy::view_service {

/// How many watchers a view is pushed to in one turn. Pings are read between the turns.
inline constexpr std::size_t push_slice = 64;

/// What a store lacks of a view service's record.
struct Unstored {
    bool head = false;  ///< What is not of one group.
    std::set<std::string> groups;
    friend bool operator==(const Unstored&, const Unstored&) = default;
};
/// The rules of the view service (protocol, section 2) as a Machine: R0 to R6, any number of groups, k backups.
///
/// Silence is measured in running time: time in which the service did not run is left out (`RunningClock`), and a
/// server that is overdue is lost only a grace of `ping_interval / 10` later, in a turn that began on time.
class ViewRules {
public:
    /// `options` have been validated; `cluster` is a token drawn by the host for this service's state.
    ViewRules(ViewOptions options, ClusterId cluster, Time now)
        : options_(options), cluster_(cluster), periods_(options), clock_(periods_.grace, periods_.dead), begun_(now) {}
    /// Goes on where the service stood whose `record()` this is (protocol, section 2: a restart).
    ViewRules(ViewOptions options, const ViewRecord& record, Time now);

    void receive(Envelope envelope, Time now, Effects& effects);
    /// A connection ended: whoever pinged over it is probed, and watches and wishes that came over it are dropped.
    void gone(const Address& peer, Time now, Effects& effects);
    /// Refused: the server is dead. Alive: it is asked again. Unknown: nothing; silence will tell.
    void probed(const Address& name, ProbeResult result, Time now, Effects& effects);
    void wake(Time now, Effects& effects);
    /// At once while a view is on its way to watchers: what has arrived is read before the next slice of them.
    Time deadline() const { return unpushed_.empty() ? clock_.host_time(next_due()) : Time{}; }

    /// The group's view, with number 0 if it has none yet; null if no server of the group was heard.
    const ViewInfo* view(std::string_view group) const {
        auto found = groups_.find(group);
        return found == groups_.end() ? nullptr : &found->second.info;
    }
    /// What must be kept to go on after a restart. Complete whenever a message leaves that depends on it.
    ViewRecord record() const;

    /// From now on what changes in `record()` is noted, at first how it differs from what is `stored`: for a host that
    /// keeps it somewhere. Takes as long as the records are large; afterwards a change of a group costs a look-up.
    void track_changes(const ViewRecord& stored);
    /// Whether there is something to store before anything of this turn is carried out; never if nothing is tracked.
    bool has_changes() const { return unstored_ && (unstored_->head || !unstored_->groups.empty()); }
    /// What a store lacks that had everything when `changes_stored` was last called.
    ViewChanges changes() const;
    void changes_stored() {
        if (unstored_) unstored_.emplace();
    }

    /// One group, or all of them; an unknown group gives none. Ages are running time.
    ViewStatusResult status(const std::optional<std::string>& group, Time now) const;

    void invariants() const;
    void deep_invariants() const;

    friend bool operator==(const ViewRules&, const ViewRules&) = default;

private:
    struct Step {
        Time host;
        Time now;  // running time
        Effects& effects;
    };
    /// What came over a connection and ends with it.
    struct Links {
        std::set<std::pair<std::string, Address>> servers;  // group and name
        std::set<std::string> watches;
        std::set<std::string> wishes;
        std::set<std::string> rumours;  // groups without a view that are behind by what it said
        bool empty() const { return servers.empty() && watches.empty() && wishes.empty() && rumours.empty(); }
        std::size_t groups() const { return servers.size() + rumours.size(); }
        friend bool operator==(const Links&, const Links&) = default;
    };
    /// An operator waits for a group of a former view service.
    struct Adoption {
        ViewAdopt wanted;
        Address peer;
        CallId id;
        friend bool operator==(const Adoption&, const Adoption&) = default;
    };
    struct Past {
        Time at;
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
    void refuse_life(Group& group, const Heard& heard, const Ping& ping, const Envelope& call, Step& step);
    bool refuse_behind(Group& group, const Ping& ping, const Envelope& call, Step& step);
    bool refuse_behind(std::string_view name, Method method, const Envelope& call, Step& step);
    void end_behind(Group& group);
    void lapse_behind(Group& group, Step& step);
    void begin_anew(Group& group, GroupRecord record, Step& step);
    void settle(Group& group, Step& step, const Address& informed, bool push,
                const std::optional<Member>& newcomer = {});
    void adopt(Group& group, Decision decision, bool any_primary, Step& step);
    bool settle_wish(Group& group, const Situation& situation, Step& step);
    void end_wish(Group& group, Message answer, Step& step);
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
    /// No later group or adoption uses a number up to this.
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
    /// In running time.
    Time next_due() const {
        const auto next = due_.empty() ? never : due_.begin()->first;
        const auto due = [&](Time first, const Adoption& asked) { return std::min(first, due_time(asked)); };
        return std::accumulate(adoptions_.begin(), adoptions_.end(), next, due);
    }
    /// D, or that of before the restart if it was larger: no lease that was given runs longer.
    Duration longest_dead() const { return std::max(periods_.dead, former_dead_); }
    /// When an adoption is carried out: no lease runs longer that a former view service gave, or this one while it went
    /// by an old record; and every server that lives has been heard.
    Time due_time(const Adoption& asked) const {
        auto found = groups_.find(asked.wanted.group);
        const auto* behind = found != groups_.end() && found->second.behind ? &*found->second.behind : nullptr;
        return std::max(begun_, behind ? behind->since : begun_) + longest_dead();
    }
    Situation situation(const Group& group, Time now) const {
        auto holds = group.situation(now, periods_, options_.backups);
        holds.begin_after = removed_;
        return holds;
    }
    /// Tells of something that people may want to see later too.
    void tell(Event event, Step& step) {
        auto group_of = [](const auto& e) -> std::string {
            if constexpr (requires { e.group; }) return e.group;
            else if constexpr (requires { e.info.group; }) return e.info.group;
            else return {};
        };
        past_.push_back({step.host, std::visit(group_of, event), describe(event)});
        while (past_.size() > options_.max_events) past_.pop_front();
        step.effects.tell(std::move(event));
    }
    static void refuse(const Envelope& call, Method method, error code, std::string text, Step& step) {
        refuse(call, Failure{std::string{to_string(method)}, code, std::move(text), {}, {}, {}}, step);
    }
    static void refuse(const Envelope& call, Failure failure, Step& step) {
        reached(failure.code);
        step.effects.tell(Refused{call.peer, failure.code, failure.text});
        answer(call, std::move(failure), step);
    }
    static void answer(const Envelope& call, Message message, Step& step) {
        if (!call.id.empty()) step.effects.send(call.peer, call.id, std::move(message));
    }

    ViewOptions options_;
    ClusterId cluster_;
    Periods periods_;
    ViewNumber removed_ = 0;  // the highest number of a view of a group that was removed
    Duration former_dead_{};  // D before the restart: leases given out then may still run after the next one
    RunningClock clock_;
    Time begun_;
    std::map<std::string, Group, std::less<>> groups_;
    std::map<std::string, std::set<Address>, std::less<>> watchers_;  // by group, which need not exist yet
    std::size_t watcher_count_ = 0;
    std::map<std::string, std::set<Address>, std::less<>> unpushed_;  // by group: watchers that lack its view
    std::map<Address, Links> links_;                     // by connection
    std::set<std::pair<Address, std::string>> probing_;  // server and group
    std::set<std::pair<Time, std::string>> due_;         // one entry per group with anything to wait for
    std::vector<Adoption> adoptions_;
    Strangers strangers_;
    std::deque<Past> past_;
    std::size_t listed_ = 0;                   // servers and events in status answers of this turn
    std::optional<Unstored> unstored_;  // nothing if nobody asks
};

}  // namespace understudy::view_service

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/view_service/state_machine.ipp>
#endif
