// One group of the view service: its view, its servers, and a pending operator request. It joins what the failure
// detector concludes with what pings say about the view, and computes the group state that the decision table reads. It
// sends nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/base/printable.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/caller.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/view.hpp>
#include <understudy/view_service/behind.hpp>
#include <understudy/view_service/decision_table.hpp>
#include <understudy/view_service/failure_detector.hpp>
#include <understudy/view_service/server.hpp>
#include <understudy/view_service/timeouts.hpp>

namespace understudy::view_service {

/// An operator request, `promote` or `force`. The call is answered when the request is done or cannot be done any more.
struct OperatorRequest {
    bool force = false;
    Member server;
    Caller caller;
    ViewNumber view = 0;  ///< The number of the view at the time of the request.
    Time asked{};
    Method method() const { return force ? Method::view_force : Method::view_promote; }
    friend bool operator==(const OperatorRequest&, const OperatorRequest&) = default;
};

/// One replicated group, as the view service knows it. All times are running time (`RunningClock`).
struct Group {
    Group(ViewInfo view_info, const Timeouts& timeouts) : info(std::move(view_info)), detector(timeouts) {}

    ViewInfo info;
    bool acked = false;         ///< The primary has acked the view: in its ping, all backups were in sync.
    bool taken_up = false;  ///< Some member has pinged with the number of the present view.
    ViewNumber founded = 0;     ///< The number of the first view; 0 if it is not known, as after a restart.
    FailureDetector detector;   ///< The servers, and which of them live.
    Time members_heard{};       ///< The last ping of a primary or a backup in sync, in any view.
    std::optional<OperatorRequest> request;
    std::vector<Address> waiting_for;  ///< The contents of the last event `GroupWaits`; an event is emitted
    std::string waiting_why;           ///< only when one of these two changes.
    /// By name of a member of the view: the newest view that its journal had on stable storage (`state_view`), as this
    /// incarnation said.
    std::map<Address, ViewNumber, std::less<>> noted;
    std::optional<Behind> behind;      ///< Set while the record is behind (R7): no view is decided, no server is lost.
    Time due = never;                  ///< When to look at the group again; equals its entry in the list of due groups.

    const View& view() const { return info.view; }
    const Server* find(std::string_view name) const { return detector.find(name); }
    /// The member of the view with this name and this incarnation, or null.
    const Member* find_member(std::string_view name, Incarnation incarnation) const {
        return view_service::find_member(view(), name, incarnation);
    }

    /// Takes a ping into account. The caller has checked the protocol version, the cluster and the limits.
    PingOutcome hear(const Ping& ping, const Address& peer, Time now);
    /// The group state for the decision table. `wanted` is k. It is linear in the number of servers.
    GroupState group_state(Time now, std::size_t wanted) const;
    /// Makes `next` the group's view, without an ack. `any_primary` is as in `may_follow`.
    void change_view(const View& next, bool any_primary);
    bool should_stop(std::string_view name, Time now) const;
    /// When the group must be looked at again if no message comes.
    Time next_due(Time now) const;
    /// Whether the group is known only because a ping named a view of it (R7). Such a group is not stored: otherwise
    /// forged pings could fill the record.
    bool is_rumour() const { return behind && view().number == 0 && detector.servers().empty(); }
    /// R7: when a group without a recorded view counts as behind no longer: 10 D after a ping last named a view of it.
    /// A server that knows a view names it in every ping, so after that silence no such server is left.
    Time lapses_at() const {
        return behind && view().number == 0 ? behind->proved + detector.timeouts().retention : never;
    }
    /// Whether the group was never in use, so that it can be removed: it is in its first view, its only server never
    /// pinged with the number of that view, is not known to keep a journal, and was silent for `Timeouts::abandon`, an
    /// hour at least.
    bool is_abandoned(Time now) const { return now >= abandoned_at(); }
    Time abandoned_at() const {
        const auto& servers = detector.servers();
        if (view().number == 0 || view().number != founded || taken_up || request || servers.size() != 1)
            return never;
        const auto& [name, server] = *servers.begin();
        const bool is_dead_member = server.loss != Loss::none && view().member(name);
        return is_dead_member && !server.journal ? server.heard + detector.timeouts().abandon : never;
    }

    friend bool operator==(const Group&, const Group&) = default;

private:
    void read_report(const Ping& ping, PingOutcome& outcome, Time now);
    void member_pinged(const Member& member, Time now) {
        if (&member == &view().primary || member.synced) members_heard = now;
    }
    MemberState state_of(const Member& member, Time now) const;
    ViewNumber noted_by(std::string_view name) const {
        auto found = noted.find(name);
        return found == noted.end() ? 0 : found->second;
    }
};

inline PingOutcome Group::hear(const Ping& ping, const Address& peer, Time now) {
    auto outcome = detector.hear(ping, peer, view(), now);
    const auto* member = find_member(ping.server, ping.incarnation);
    if (outcome.verdict == PingOutcome::Verdict::superseded && outcome.news) member_pinged(*member, now);
    if (outcome.verdict != PingOutcome::Verdict::counts || !member) return outcome;

    const bool current = ping.viewnum == view().number;  // a statement about a view counts only while it is current
    taken_up = taken_up || current;
    if (find(ping.server)->loss != Loss::none) return outcome;
    member_pinged(*member, now);
    if (ping.journal && ping.state_view > noted_by(ping.server)) {
        noted[ping.server] = ping.state_view;
        outcome.noted = true;
    }
    if (member == &view().primary && current) read_report(ping, outcome, now);
    if (member == &view().primary && !current && ping.synced) reached("R3: a report of another view does not count");
    return outcome;
}

/// Reads what the primary says about its backups in the current view: which are in sync, and which are unreachable
/// (S7). A ping in which all are in sync acks the view.
inline void Group::read_report(const Ping& ping, PingOutcome& outcome, Time now) {
    bool all = true;
    for (auto& backup : info.view.backups) {
        bool in_sync = ping.synced && std::ranges::find(*ping.synced, backup.name) != ping.synced->end();
        if (in_sync && !backup.synced) backup.synced = outcome.grew = outcome.news = true;
        all = all && in_sync;
        if (std::ranges::find(ping.unreachable, backup.name) == ping.unreachable.end()) continue;
        detector.report_unreachable(backup.incarnation, now);
        outcome.news = true;
    }
    if (all && !acked) acked = outcome.news = true;
}

/// The state of one member of the view, for the decision table.
inline MemberState Group::state_of(const Member& member, Time now) const {
    const auto lives = detector.judge(member, view(), now);
    MemberState state{member, lives.health, lives.loss, detector.is_unreachable(member.incarnation), {}};
    const auto* server = find(member.name);
    if (!server) return state;
    if (server->incarnation == member.incarnation) {
        state.journal = server->journal;
    } else if (detector.health(*server, now) == Health::ok &&
               std::ranges::find(server->recovered, member.incarnation) != server->recovered.end()) {
        // No crash loses what is on stable storage. So a journal that ends before the view that the former incarnation
        // had noted is an older copy, and answered writes may be missing in it.
        const auto before = noted_by(member.name);
        if (server->journal && server->state_view < before) {
            reached("R5: an older copy of what a server had stored continues nothing");
            state.knew = server->state_view;
            state.noted = before;
        } else {
            state.recovered = Member{member.name, server->incarnation, false};
        }
    }
    return state;
}

inline GroupState Group::group_state(Time now, std::size_t wanted) const {
    GroupState result;
    result.view = view();
    result.acked = acked;
    result.wanted = wanted;
    if (view().number == 0) return result;
    result.primary = state_of(view().primary, now);
    for (const auto& backup : view().backups) result.backups.push_back(state_of(backup, now));
    const auto* primary = find(view().primary.name);
    const bool lives = primary && result.primary.health != Health::dead;
    const bool itself = lives && primary->incarnation == view().primary.incarnation;
    result.stopped = itself && primary->stopped && primary->viewnum == view().number;
    if (request && !request->force) result.successor = request->server.name;
    // R5: after a restart, first every backup of the record's view must have pinged or be lost. If the record is behind
    // (R7), one of their pings shows it, and then no member of this view may lead.
    const auto awaited = [&](const Member& backup) { return detector.is_awaited(backup.name); };
    if (std::ranges::any_of(view().backups, awaited)) {
        result.primary.recovered.reset();
        for (auto& backup : result.backups) backup.recovered.reset();
    }

    std::vector<std::pair<std::uint64_t, Candidate>> idle;
    for (const auto& [name, server] : detector.servers()) {
        if (find_member(name, server.incarnation) || server.leaving) continue;
        if (detector.health(server, now) != Health::ok) continue;
        const Member member{name, server.incarnation, false};
        idle.push_back({server.arrival, {member, detector.is_unreachable(server.incarnation)}});
    }
    std::ranges::sort(idle, {}, &std::pair<std::uint64_t, Candidate>::first);
    for (auto& entry : idle) result.idle.push_back(std::move(entry.second));
    return result;
}

inline void Group::change_view(const View& next, bool any_primary) {
    if (view().number == 0) founded = next.number;
    else UNDERSTUDY_CHECK(may_follow(view(), next, any_primary));
    taken_up = false;
    detector.change_view(view(), next);
    std::erase_if(noted, [&](const auto& one) {
        const auto* before = view().member(one.first);
        const auto* after = next.member(one.first);
        return !before || !after || before->incarnation != after->incarnation;
    });
    info.view = next;
    acked = false;
}

/// R6: whether the answer to a ping of this server asks it to stop serving. It does if the server is the primary, it is
/// leaving or an operator asked for another primary, and the successor can lead now. Without the last condition the
/// group would stop serving with no server to go on.
inline bool Group::should_stop(std::string_view name, Time now) const {
    const auto* server = find(name);
    if (!server || find_member(name, server->incarnation) != &view().primary || server->loss != Loss::none)
        return false;
    bool asked = request && !request->force;
    if (!server->leaving && !asked) return false;
    return std::ranges::any_of(view().backups, [&](const Member& backup) {
        bool wanted = server->leaving || (asked && request->server.name == backup.name);
        return wanted && can_lead(state_of(backup, now));
    });
}

inline Time Group::next_due(Time now) const {
    if (behind) return lapses_at();
    const auto& timeouts = detector.timeouts();
    const auto next = std::min(abandoned_at(), detector.next_due(view(), now));
    if (!request) return next;
    const auto ready = members_heard + timeouts.dead;
    const auto forced = request->force && ready > now ? ready : never;
    return std::min({next, forced, request->asked + timeouts.operator_timeout});
}

}  // namespace understudy::view_service
