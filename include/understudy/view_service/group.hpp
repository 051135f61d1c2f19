// One group of the view service: its view, its servers, and what an operator wants of it. It takes pings and the time
// into account and describes the situation to the table; it sends nothing.
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

/// What became of a ping.
struct Heard {
    enum class Verdict { counts, stale, superseded, in_use, crowded };
    Verdict verdict = Verdict::counts;
    bool shared = false;     ///< It is known from now on that another process lives under this name.
    Loss lost = Loss::none;  ///< Count the server, or its former life, as lost from now on.
    bool seen = false;       ///< A life that was not heard before.
    bool grew = false;       ///< More backups of the view are in sync.
    bool news = false;       ///< Something changed that a view may follow from.
    bool noted = false;      ///< A member's journal has a newer view than before.
};

/// What an operator asked for; the call is answered when it is done or cannot be done any more.
struct Wish {
    bool force = false;
    Member server;
    ViewNumber view = 0;  ///< The view when it was asked.
    Time asked{};
    Address peer;
    CallId id;
    friend bool operator==(const Wish&, const Wish&) = default;
};

/// A server of which the present primary said that it does not acknowledge.
struct Report {
    Incarnation incarnation = Incarnation::none;
    Time at{};
    friend bool operator==(const Report&, const Report&) = default;
};

/// All times are running time.
struct Group {
    ViewInfo info;
    bool acked = false;
    bool acknowledged = false;  ///< Some server has pinged with the number of its view.
    ViewNumber founded = 0;     ///< The number of its first view; 0 if that is not known, since a restart.
    std::map<Address, Server, std::less<>> servers;
    std::uint64_t arrivals = 0;
    std::vector<Report> reports;  ///< Of the present primary.
    Time members_heard{};         ///< The last ping of the primary or a backup in sync, of whichever view.
    std::optional<Wish> wish;
    std::vector<Address> waiting_for;  ///< As told,
    std::string waiting_why;           ///< and this too.
    /// By name of a member of the view: the newest view that its journal had on stable storage, as this very life said.
    std::map<Address, ViewNumber, std::less<>> noted;
    std::optional<Behind> behind;      ///< The record is behind (R7): nothing is decided, and nobody is judged.
    Time due = never;                  ///< As entered in the service's timetable.

    const View& view() const { return info.view; }
    const Server* find(std::string_view name) const {
        auto found = servers.find(name);
        return found == servers.end() ? nullptr : &found->second;
    }
    /// The member of the view that is this very process, or null.
    const Member* seat(std::string_view name, Incarnation incarnation) const {
        const auto* member = view().member(name);
        return member && member->incarnation == incarnation ? member : nullptr;
    }

    Heard hear(const Ping& ping, const Address& peer, Time now, const Periods& periods);
    Situation situation(Time now, const Periods& periods, std::size_t wanted) const;
    void adopt(const View& next, bool any_primary);
    bool told_to_stop(std::string_view name, Time now, const Periods& periods) const;
    /// Whether a refused connection proves that this server is dead. A firewall can forge one, and where leases are in
    /// use another primary must not begin before they have run out.
    bool refusal_proves(std::string_view name) const {
        const auto* server = find(name);
        return !server->may_lease() || server->near || seat(name, server->incarnation) != &view().primary;
    }
    Time next_due(Time now, const Periods& periods) const;
    /// Nothing is known of it but that somebody named a view of it: it is not stored.
    bool is_rumour() const { return behind && view().number == 0 && servers.empty(); }
    /// When it is no longer taken for behind although no operator said so: whoever knows a view says so in every ping.
    Time lapses_at(const Periods& periods) const {
        return behind && view().number == 0 ? behind->proved + periods.remember : never;
    }
    /// Whether it never came to anything: one server founded it, never said that it knew, keeps no journal as far as is
    /// known, and was silent for an hour.
    bool is_abandoned(Time now, const Periods& periods) const { return now >= abandoned_at(periods); }
    Time abandoned_at(const Periods& periods) const {
        if (view().number == 0 || view().number != founded || acknowledged || wish || servers.size() != 1) return never;
        const auto& server = servers.begin()->second;
        const bool lives = server.loss == Loss::none || server.journal;
        return lives || !view().member(servers.begin()->first) ? never : server.heard + periods.abandon;
    }

    friend bool operator==(const Group&, const Group&) = default;

private:
    Heard refuse_life(Server& server, const Ping& ping, const Address& peer, Time now, const Periods& periods);
    void read_report(const Ping& ping, Heard& heard, Time now);
    void note_member(const Member& member, Time now) {
        if (&member == &view().primary || member.synced) members_heard = now;
    }
    Seat look_at(const Member& member, Time now, const Periods& periods) const;
    /// Until when a member whose name a later process took may live all the same: it goes on pinging; or it is the
    /// primary and may still read by lease, since a ping can come late, so that it is not sure that the later process
    /// is the one that was heard later.
    Time doubtful_until(const Member& member, const Periods& periods) const {
        const auto* server = find(member.name);
        if (!server || server->incarnation == member.incarnation) return {};
        auto old = std::ranges::find(server->replaced, member.incarnation, &Replaced::incarnation);
        if (old == server->replaced.end()) return {};
        const auto lease = &member == &view().primary ? old->lease_until : Time{};
        return old->since == never ? lease : std::max(lease, old->until + periods.dead);
    }
    ViewNumber noted_by(std::string_view name) const {
        auto found = noted.find(name);
        return found == noted.end() ? 0 : found->second;
    }
    bool is_reported(Incarnation incarnation) const {
        return std::ranges::find(reports, incarnation, &Report::incarnation) != reports.end();
    }
};

/// Takes a ping into account. The caller has checked that it may be: cluster, version, limits.
inline Heard Group::hear(const Ping& ping, const Address& peer, Time now, const Periods& periods) {
    Heard heard;
    auto& server = servers[ping.server];
    heard.seen = server.incarnation != ping.incarnation;
    if (!heard.seen && ping.n <= server.n) {
        reached("R1: a ping that is not newer than the last does not count");
        return {.verdict = Heard::Verdict::stale};
    }
    auto before = server.loss;
    if (heard.seen) {  // a new incarnation is proof that the old process is gone, unless that one is seen to live
        const bool back = server.was_replaced(ping.incarnation);
        if (auto refused = refuse_life(server, ping, peer, now, periods); refused.verdict != Heard::Verdict::counts)
            return refused;
        if (server.incarnation != Incarnation::none && before == Loss::none && !back) heard.lost = Loss::restarted;
        before = Loss::none;
        server.forgot = false;
        server.viewnum = 0;
    }
    heard.news = heard.seen || before != Loss::none || server.silent(now, periods) || server.differs(ping);

    const auto* member = seat(ping.server, ping.incarnation);
    bool current = ping.viewnum == view().number;  // what it says of a view counts only while that is the current one
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

/// Whether a ping of another life of this name than the last counts; if so, the last one is replaced. Whom the view
/// names is never denied to live, whoever took the name.
inline Heard Group::refuse_life(Server& server, const Ping& ping, const Address& peer, Time now,
                                const Periods& periods) {
    using Verdict = Heard::Verdict;
    const auto* named = seat(ping.server, ping.incarnation);
    const auto refuse = [&](Verdict verdict, bool news) {
        return Heard{.verdict = verdict, .shared = server.contend(ping.incarnation, peer, now, periods), .news = news};
    };
    if (server.was_replaced(ping.incarnation)) {
        if (!server.may_come_back(ping, named != nullptr, now, periods)) {
            reached("R1: a ping of an incarnation that was replaced is refused");
            const bool lives = named && doubtful_until(*named, periods) > now;
            if (lives) reached("R4: who is named by the view and pings on is not given up though its name was taken");
            if (lives) note_member(*named, now);
            return refuse(Verdict::superseded, lives);
        }
    } else if (server.keeps_name(ping.incarnation, peer, now, periods)) {
        reached("R1: a process that takes the name of one that lives is refused");
        return refuse(Verdict::in_use, false);
    }
    return {.verdict = server.replace(now, periods) ? Verdict::counts : Verdict::crowded};
}

/// What the primary says of its backups in the current view: the ack, and S7.
inline void Group::read_report(const Ping& ping, Heard& heard, Time now) {
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

inline Seat Group::look_at(const Member& member, Time now, const Periods& periods) const {
    Seat seat{member, Health::dead, Loss::restarted, is_reported(member.incarnation), {}};
    const auto* server = find(member.name);
    if (!server) return seat;
    if (server->incarnation == member.incarnation) {
        seat.health = server->health(now, periods);
        seat.loss = server->loss;
        seat.journal = server->journal;
    } else if (server->health(now, periods) == Health::ok &&
               std::ranges::find(server->recovered, member.incarnation) != server->recovered.end()) {
        const auto before = noted_by(member.name);
        if (server->journal && server->state_view < before) {
            reached("R5: an older copy of what a server had stored continues nothing");
            seat.knew = server->state_view;
            seat.noted = before;
        } else {
            seat.recovered = Member{member.name, server->incarnation, false};
        }
    }
    if (now < doubtful_until(member, periods)) {
        reached("R1: a primary that was replaced counts as alive while it may read by lease");
        seat.health = Health::doubtful;
    }
    return seat;
}

inline Situation Group::situation(Time now, const Periods& periods, std::size_t wanted) const {
    Situation result;
    result.view = view();
    result.acked = acked;
    result.wanted = wanted;
    if (view().number == 0) return result;
    result.primary = look_at(view().primary, now, periods);
    for (const auto& backup : view().backups) result.backups.push_back(look_at(backup, now, periods));
    const auto* primary = find(view().primary.name);
    bool lives = primary && result.primary.health != Health::dead;
    const bool itself = lives && primary->incarnation == view().primary.incarnation;
    result.stopped = itself && primary->stopped && primary->viewnum == view().number;
    if (wish && !wish->force) result.successor = wish->server.name;
    // R5: after a restart every member of the record's view first has its time to say that this is not the newest one
    const auto unheard = [&](const Member& member) {
        const auto* server = find(member.name);
        return server && server->restored && server->loss == Loss::none;
    };
    if (std::ranges::any_of(view().backups, unheard)) {
        result.primary.recovered.reset();
        for (auto& seat : result.backups) seat.recovered.reset();
    }

    std::vector<std::pair<std::uint64_t, Idle>> idle;
    for (const auto& [name, server] : servers)
        if (!seat(name, server.incarnation) && !server.leaving && server.health(now, periods) == Health::ok)
            idle.push_back({server.arrival, {{name, server.incarnation, false}, is_reported(server.incarnation)}});
    std::ranges::sort(idle, {}, &std::pair<std::uint64_t, Idle>::first);
    for (auto& entry : idle) result.idle.push_back(std::move(entry.second));
    return result;
}

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
        if (!seat(name, server.incarnation)) server.forgot = false;
}

/// R6: whether the answer to a primary's ping asks it to stop serving, because somebody can take over.
inline bool Group::told_to_stop(std::string_view name, Time now, const Periods& periods) const {
    const auto* server = find(name);
    if (!server || seat(name, server->incarnation) != &view().primary || server->loss != Loss::none) return false;
    bool asked = wish && !wish->force;
    if (!server->leaving && !asked) return false;
    return std::ranges::any_of(view().backups, [&](const Member& backup) {
        bool wanted = server->leaving || (asked && wish->server.name == backup.name);
        return wanted && can_lead(look_at(backup, now, periods));
    });
}

/// When the group is to be looked at next, without any news.
inline Time Group::next_due(Time now, const Periods& periods) const {
    if (behind) return lapses_at(periods);
    Time next = abandoned_at(periods);
    for (const auto& [name, server] : servers)
        next = std::min(next, server.due(periods, view().member(name) != nullptr));
    for (const auto& report : reports) next = std::min(next, report.at + periods.remember);
    const auto doubt = [&](const Member& member) {
        if (const auto end = doubtful_until(member, periods); end > now) next = std::min(next, end);
    };
    if (view().number != 0) doubt(view().primary);
    std::ranges::for_each(view().backups, doubt);
    if (!wish) return next;
    if (auto ready = members_heard + periods.dead; wish->force && ready > now) next = std::min(next, ready);
    return std::min(next, wish->asked + periods.patience);
}

}  // namespace understudy::view_service
