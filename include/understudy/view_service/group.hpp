// One group of the view service: its view, its servers, and a pending operator request. It takes pings and the time
// into account, and computes the group state that the decision table reads. It sends nothing.
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
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/view.hpp>
#include <understudy/view_service/behind.hpp>
#include <understudy/view_service/decision_table.hpp>
#include <understudy/view_service/servers.hpp>

namespace understudy::view_service {

inline std::string group_name_text() {
    return "`group` must have 1 to " + std::to_string(max_group_name) + " bytes and no control character";
}

/// The result of `Group::hear`. The verdicts: the ping counts; it is not newer than the last one (stale, but
/// answered); its incarnation was replaced; its name belongs to a process that lives; too many processes took the name.
struct PingOutcome {
    enum class Verdict { counts, stale, superseded, in_use, crowded };
    Verdict verdict = Verdict::counts;
    bool shared = false;     ///< Two processes live under this name, and the event about it is due now.
    Loss lost = Loss::none;  ///< Why the server, or its former incarnation, counts as lost from now on.
    bool seen = false;       ///< The incarnation is not the one of the last ping.
    bool grew = false;       ///< More backups of the view are in sync.
    bool news = false;       ///< Something changed that a new view may follow from.
    bool noted = false;      ///< A member's journal has a newer view than before.
};

/// An operator request, `promote` or `force`. The call is answered when the request is done or cannot be done any more.
struct OperatorRequest {
    bool force = false;
    Member server;
    ViewNumber view = 0;  ///< The number of the view at the time of the request.
    Time asked{};
    Address peer;
    CallId id;
    friend bool operator==(const OperatorRequest&, const OperatorRequest&) = default;
};

/// A server that the present primary reported as unreachable: it does not acknowledge (S7).
struct UnreachableReport {
    Incarnation incarnation = Incarnation::none;
    Time at{};
    friend bool operator==(const UnreachableReport&, const UnreachableReport&) = default;
};

/// One replicated group, as the view service knows it. All times are running time (`RunningClock`).
struct Group {
    ViewInfo info;
    bool acked = false;         ///< The primary has acked the view: in its ping, all backups were in sync.
    bool acknowledged = false;  ///< Some member has pinged with the number of the present view.
    ViewNumber founded = 0;     ///< The number of the first view; 0 if it is not known, as after a restart.
    std::map<Address, Server, std::less<>> servers;
    std::uint64_t arrivals = 0;  ///< The last number given out as `Server::arrival`.
    std::vector<UnreachableReport> reports;  ///< By the present primary.
    Time members_heard{};         ///< The last ping of a primary or a backup in sync, in any view.
    std::optional<OperatorRequest> request;
    std::vector<Address> waiting_for;  ///< The contents of the last event `GroupWaits`; an event is emitted
    std::string waiting_why;           ///< only when one of these two changes.
    /// By name of a member of the view: the newest view that its journal had on stable storage (`state_view`), as this
    /// incarnation said.
    std::map<Address, ViewNumber, std::less<>> noted;
    std::optional<Behind> behind;      ///< Set while the record is behind (R7): no view is decided, no server is lost.
    Time due = never;                  ///< When to look at the group again; equals its entry in the list of due groups.

    const View& view() const { return info.view; }
    const Server* find(std::string_view name) const {
        auto found = servers.find(name);
        return found == servers.end() ? nullptr : &found->second;
    }
    /// The member of the view with this name and this incarnation, or null.
    const Member* find_member(std::string_view name, Incarnation incarnation) const {
        const auto* member = view().member(name);
        return member && member->incarnation == incarnation ? member : nullptr;
    }

    PingOutcome hear(const Ping& ping, const Address& peer, Time now, const Timeouts& timeouts);
    GroupState group_state(Time now, const Timeouts& timeouts, std::size_t wanted) const;
    void adopt(const View& next, bool any_primary);
    bool should_stop(std::string_view name, Time now, const Timeouts& timeouts) const;
    /// Whether a refused connection proves that this server is dead. A firewall can forge a refusal. A primary that
    /// reads by lease may then live and still answer reads, so no other primary may lead before its lease has run out.
    /// On this machine a refusal is always proof. The name must be that of a known server.
    bool refusal_proves(std::string_view name) const {
        const auto* server = find(name);
        return !server->may_lease() || server->near || find_member(name, server->incarnation) != &view().primary;
    }
    Time next_due(Time now, const Timeouts& timeouts) const;
    /// Whether the group is known only because a ping named a view of it (R7). Such a group is not stored: otherwise
    /// forged pings could fill the record.
    bool is_rumour() const { return behind && view().number == 0 && servers.empty(); }
    /// R7: when a group without a recorded view counts as behind no longer: 10 D after a ping last named a view of it.
    /// A server that knows a view names it in every ping, so after that silence no such server is left.
    Time lapses_at(const Timeouts& timeouts) const {
        return behind && view().number == 0 ? behind->proved + timeouts.retention : never;
    }
    /// Whether the group was never in use, so that it can be removed: it is in its first view, its only server never
    /// pinged with the number of that view, is not known to keep a journal, and was silent for `Timeouts::abandon`, an
    /// hour at least.
    bool is_abandoned(Time now, const Timeouts& timeouts) const { return now >= abandoned_at(timeouts); }
    Time abandoned_at(const Timeouts& timeouts) const {
        if (view().number == 0 || view().number != founded || acknowledged || request || servers.size() != 1)
            return never;
        const auto& server = servers.begin()->second;
        const bool lives = server.loss == Loss::none || server.journal;
        return lives || !view().member(servers.begin()->first) ? never : server.heard + timeouts.abandon;
    }

    friend bool operator==(const Group&, const Group&) = default;

private:
    PingOutcome refuse_incarnation(Server& server, const Ping& ping, const Address& peer, Time now,
                                   const Timeouts& timeouts);
    void read_report(const Ping& ping, PingOutcome& heard, Time now);
    void note_member(const Member& member, Time now) {
        if (&member == &view().primary || member.synced) members_heard = now;
    }
    MemberState look_at(const Member& member, Time now, const Timeouts& timeouts) const;
    /// Until when a member may live although another process took its name; until then it is suspect. There are two
    /// reasons: it goes on pinging (until D after its last ping); or it is the primary and its lease may still run.
    /// A ping can come late, so the process that was heard later is not always the one that started later.
    Time suspect_until(const Member& member, const Timeouts& timeouts) const {
        const auto* server = find(member.name);
        if (!server || server->incarnation == member.incarnation) return {};
        auto old = std::ranges::find(server->replaced, member.incarnation, &Replaced::incarnation);
        if (old == server->replaced.end()) return {};
        const auto lease = &member == &view().primary ? old->lease_until : Time{};
        return old->since == never ? lease : std::max(lease, old->until + timeouts.dead);
    }
    ViewNumber noted_by(std::string_view name) const {
        auto found = noted.find(name);
        return found == noted.end() ? 0 : found->second;
    }
    bool is_reported(Incarnation incarnation) const {
        return std::ranges::find(reports, incarnation, &UnreachableReport::incarnation) != reports.end();
    }
};

/// Takes a ping into account. The caller has checked the protocol version, the cluster and the limits (`objection`).
inline PingOutcome Group::hear(const Ping& ping, const Address& peer, Time now, const Timeouts& timeouts) {
    PingOutcome heard;
    auto& server = servers[ping.server];
    heard.seen = server.incarnation != ping.incarnation;
    if (!heard.seen && ping.n <= server.n) {
        reached("R1: a ping that is not newer than the last does not count");
        return {.verdict = PingOutcome::Verdict::stale};
    }
    auto before = server.loss;
    if (heard.seen) {  // a new incarnation proves that the old process has ended, unless that one is seen to live
        const bool back = server.was_replaced(ping.incarnation);
        if (auto refused = refuse_incarnation(server, ping, peer, now, timeouts);
            refused.verdict != PingOutcome::Verdict::counts)
            return refused;
        if (server.incarnation != Incarnation::none && before == Loss::none && !back) heard.lost = Loss::restarted;
        before = Loss::none;
        server.forgot = false;
        server.viewnum = 0;
    }
    heard.news = heard.seen || before != Loss::none || server.silent(now, timeouts) || server.differs(ping);

    const auto* member = find_member(ping.server, ping.incarnation);
    bool current = ping.viewnum == view().number;  // a statement about a view counts only while that view is current
    // A member that names view 0 after a higher one has lost its state, although its incarnation is the same.
    if (member && server.viewnum > 0 && ping.viewnum == 0) server.forgot = true;
    server.take(ping, peer, now);
    acknowledged = acknowledged || (member && current);
    bool left = server.leaving && server.stopped && (!member || current);
    server.loss = server.forgot ? Loss::forgot : left ? Loss::left : Loss::none;
    if (server.loss != Loss::none && before == Loss::none) heard.lost = server.loss;
    if (server.loss == Loss::none && (heard.seen || before != Loss::none)) server.arrival = ++arrivals;

    if (member && server.loss == Loss::none) {
        note_member(*member, now);
        if (ping.journal && ping.state_view > noted_by(ping.server)) {
            noted[ping.server] = ping.state_view;
            heard.noted = true;
        }
        if (member == &view().primary && current) read_report(ping, heard, now);
        if (member == &view().primary && !current && ping.synced)
            reached("R3: a report of another view does not count");
    }
    return heard;
}

/// Decides on a ping of another incarnation than the last one of this name. If the ping counts, the last incarnation is
/// replaced. A ping of an incarnation that the view names is refused too while another process has the name, but it
/// shows that this member lives: it becomes suspect in place of dead.
inline PingOutcome Group::refuse_incarnation(Server& server, const Ping& ping, const Address& peer, Time now,
                                const Timeouts& timeouts) {
    using Verdict = PingOutcome::Verdict;
    const auto* named = find_member(ping.server, ping.incarnation);
    const auto refuse = [&](Verdict verdict, bool news) {
        return PingOutcome{
            .verdict = verdict, .shared = server.contend(ping.incarnation, peer, now, timeouts), .news = news};
    };
    if (server.was_replaced(ping.incarnation)) {
        if (!server.may_come_back(ping, named != nullptr, now, timeouts)) {
            reached("R1: a ping of an incarnation that was replaced is refused");
            const bool lives = named && suspect_until(*named, timeouts) > now;
            if (lives)
                reached(
                    "R4: a member that the view names and that still pings is not given up though its name was taken");
            if (lives) note_member(*named, now);
            return refuse(Verdict::superseded, lives);
        }
    } else if (server.keeps_name(ping.incarnation, peer, now, timeouts)) {
        reached("R1: a process that takes the name of a live one is refused");
        return refuse(Verdict::in_use, false);
    }
    return {.verdict = server.replace(now, timeouts) ? Verdict::counts : Verdict::crowded};
}

/// Reads what the primary says about its backups in the current view: which are in sync, and which are unreachable
/// (S7). A ping in which all are in sync acks the view.
inline void Group::read_report(const Ping& ping, PingOutcome& heard, Time now) {
    bool all = true;
    for (auto& backup : info.view.backups) {
        bool in_sync = ping.synced && std::ranges::find(*ping.synced, backup.name) != ping.synced->end();
        if (in_sync && !backup.synced) backup.synced = heard.grew = heard.news = true;
        all = all && in_sync;
        if (std::ranges::find(ping.unreachable, backup.name) == ping.unreachable.end()) continue;
        if (!is_reported(backup.incarnation)) reports.push_back({backup.incarnation, now});
        heard.news = true;
    }
    if (all && !acked) acked = heard.news = true;
}

/// The state of one member of the view. If its name now belongs to another incarnation or to no server, the member is
/// dead, or suspect until `suspect_until`.
inline MemberState Group::look_at(const Member& member, Time now, const Timeouts& timeouts) const {
    MemberState find_member{member, Health::dead, Loss::restarted, is_reported(member.incarnation), {}};
    const auto* server = find(member.name);
    if (!server) return find_member;
    if (server->incarnation == member.incarnation) {
        find_member.health = server->health(now, timeouts);
        find_member.loss = server->loss;
        find_member.journal = server->journal;
    } else if (server->health(now, timeouts) == Health::ok &&
               std::ranges::find(server->recovered, member.incarnation) != server->recovered.end()) {
        // No crash loses what is on stable storage. So a journal that ends before the view that the former incarnation
        // had noted is an older copy, and answered writes may be missing in it.
        const auto before = noted_by(member.name);
        if (server->journal && server->state_view < before) {
            reached("R5: an older copy of what a server had stored continues nothing");
            find_member.knew = server->state_view;
            find_member.noted = before;
        } else {
            find_member.recovered = Member{member.name, server->incarnation, false};
        }
    }
    if (now < suspect_until(member, timeouts)) {
        reached("R1: a primary that was replaced counts as alive while it may read by lease");
        find_member.health = Health::suspect;
    }
    return find_member;
}

/// The group state for the decision table. `wanted` is k. It is linear in the number of servers.
inline GroupState Group::group_state(Time now, const Timeouts& timeouts, std::size_t wanted) const {
    GroupState result;
    result.view = view();
    result.acked = acked;
    result.wanted = wanted;
    if (view().number == 0) return result;
    result.primary = look_at(view().primary, now, timeouts);
    for (const auto& backup : view().backups) result.backups.push_back(look_at(backup, now, timeouts));
    const auto* primary = find(view().primary.name);
    bool lives = primary && result.primary.health != Health::dead;
    const bool itself = lives && primary->incarnation == view().primary.incarnation;
    result.stopped = itself && primary->stopped && primary->viewnum == view().number;
    if (request && !request->force) result.successor = request->server.name;
    // R5: after a restart, first every backup of the record's view must have pinged or be lost. If the record is behind
    // (R7), one of their pings shows it, and then no member of this view may lead.
    const auto unheard = [&](const Member& member) {
        const auto* server = find(member.name);
        return server && server->restored && server->loss == Loss::none;
    };
    if (std::ranges::any_of(view().backups, unheard)) {
        result.primary.recovered.reset();
        for (auto& find_member : result.backups) find_member.recovered.reset();
    }

    std::vector<std::pair<std::uint64_t, Candidate>> idle;
    for (const auto& [name, server] : servers)
        if (!find_member(name, server.incarnation) && !server.leaving && server.health(now, timeouts) == Health::ok)
            idle.push_back({server.arrival, {{name, server.incarnation, false}, is_reported(server.incarnation)}});
    std::ranges::sort(idle, {}, &std::pair<std::uint64_t, Candidate>::first);
    for (auto& entry : idle) result.idle.push_back(std::move(entry.second));
    return result;
}

/// Makes `next` the group's view, without an ack. `any_primary` is as in `may_follow`.
inline void Group::adopt(const View& next, bool any_primary) {
    if (view().number == 0) founded = next.number;
    else UNDERSTUDY_CHECK(may_follow(view(), next, any_primary));
    acknowledged = false;
    if (next.primary.incarnation != view().primary.incarnation) reports.clear();  // they were the old primary's
    std::erase_if(noted, [&](const auto& one) {
        const auto* before = view().member(one.first);
        const auto* after = next.member(one.first);
        return !before || !after || before->incarnation != after->incarnation;
    });
    info.view = next;
    acked = false;
    for (auto& [name, server] : servers)
        if (!find_member(name, server.incarnation)) server.forgot = false;
}

/// R6: whether the answer to a ping of this server asks it to stop serving. It does if the server is the primary, it is
/// leaving or an operator asked for another primary, and the successor can lead now. Without the last condition the
/// group would stop serving with no server to go on.
inline bool Group::should_stop(std::string_view name, Time now, const Timeouts& timeouts) const {
    const auto* server = find(name);
    if (!server || find_member(name, server->incarnation) != &view().primary || server->loss != Loss::none)
        return false;
    bool asked = request && !request->force;
    if (!server->leaving && !asked) return false;
    return std::ranges::any_of(view().backups, [&](const Member& backup) {
        bool wanted = server->leaving || (asked && request->server.name == backup.name);
        return wanted && can_lead(look_at(backup, now, timeouts));
    });
}

/// When the group must be looked at again if no message comes.
inline Time Group::next_due(Time now, const Timeouts& timeouts) const {
    if (behind) return lapses_at(timeouts);
    Time next = abandoned_at(timeouts);
    for (const auto& [name, server] : servers)
        next = std::min(next, server.due(timeouts, view().member(name) != nullptr));
    for (const auto& report : reports) next = std::min(next, report.at + timeouts.retention);
    const auto doubt = [&](const Member& member) {
        if (const auto end = suspect_until(member, timeouts); end > now) next = std::min(next, end);
    };
    if (view().number != 0) doubt(view().primary);
    std::ranges::for_each(view().backups, doubt);
    if (!request) return next;
    if (auto ready = members_heard + timeouts.dead; request->force && ready > now) next = std::min(next, ready);
    return std::min(next, request->asked + timeouts.operator_timeout);
}

}  // namespace understudy::view_service
