// FailureDetector, continued: the rule for each kind of evidence.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include <understudy/base/config.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/view_service/failure_detector.hpp>

namespace understudy::view_service {

// ---- silence ----

UNDERSTUDY_DECL DueServers FailureDetector::pass_time(Time now, bool late, Time caught_up) {
    DueServers due;
    for (auto& [name, server] : servers_) {
        if (server.probe_at <= now) {
            server.probe_at = never;
            due.to_probe.push_back(name);
        }
        if (note_silence(server, now, late, caught_up)) due.lost.push_back(name);
    }
    std::erase_if(unreachable_, [&](const auto& report) { return now - report.at >= timeouts_.retention; });
    return due;
}

/// Silence of D makes the server suspect. It is lost after a further `grace`, in a turn that began on time: so every
/// ping that could be read has been read before (section 2). A late turn starts the grace again, at most
/// `late_turns_max` - 1 times. While the service catches up after a stall (`caught_up`), the grace begins only when
/// that ends. Returns whether the server was lost just now.
UNDERSTUDY_DECL bool FailureDetector::note_silence(Server& server, Time now, bool late, Time caught_up) const {
    if (server.loss != Loss::none || !is_silent(server, now)) return false;
    const bool excused = server.lost_from != never && late && ++server.late_turns < late_turns_max;
    if (excused) reached("R1: a turn that begins late declares no server dead");
    if (server.lost_from == never || excused) {
        server.lost_from = std::max(now, caught_up) + timeouts_.grace;
        return false;
    }
    if (now < server.lost_from) return false;
    reached("R1: a server that is silent for D is dead");
    server.loss = Loss::silent;
    server.lost_from = never;
    server.stop_probing();
    return true;
}

// ---- broken connections ----

/// For D the server is probed again whenever a probe gets through; the caller sends the first probe.
UNDERSTUDY_DECL bool FailureDetector::disconnected(const Address& name, Time now) {
    auto& server = servers_.find(name)->second;
    server.peer.clear();
    if (server.loss != Loss::none) return false;
    server.probing = true;
    server.probe_at = never;
    server.probe_end = now + timeouts_.dead;
    server.probe_wait = timeouts_.grace;
    return true;
}

/// A dying process may close its connections before its listener, so a probe that gets through is repeated, with
/// growing waits. An unknown result proves nothing; only silence will show whether the server is dead.
UNDERSTUDY_DECL bool FailureDetector::probed(const Address& name, ProbeResult result, const View& view, Time now) {
    auto& server = servers_.find(name)->second;
    if (result != ProbeResult::alive) {
        server.stop_probing();
    } else {
        reached("R1: a probe that gets through is repeated");
        server.probe_at = now + server.probe_wait;
        server.probe_wait *= 2;
        if (server.probe_at >= server.probe_end) server.stop_probing();
    }
    if (result != ProbeResult::refused) return false;
    if (!refusal_proves(name, server, view)) {
        reached("R1: a refusal is no proof where leases are in use");
        return false;
    }
    reached("R1: a broken connection and a refused one are proof of death");
    server.loss = Loss::refused;
    return true;
}

/// Whether a refused connection proves that this server is dead. A firewall can forge a refusal. A primary that reads
/// by lease may then live and still answer reads, so no other primary may lead before its lease has run out. On this
/// machine a refusal is always proof.
UNDERSTUDY_DECL bool FailureDetector::refusal_proves(const Address& name, const Server& server,
                                                     const View& view) const {
    return !server.may_lease() || server.near || find_member(view, name, server.incarnation) != &view.primary;
}

// ---- pings ----

UNDERSTUDY_DECL PingOutcome FailureDetector::hear(const Ping& ping, const Address& peer, const View& view, Time now) {
    PingOutcome outcome;
    auto& server = servers_[ping.server];
    outcome.new_incarnation = server.incarnation != ping.incarnation;
    if (!outcome.new_incarnation && ping.n <= server.n) {
        reached("R1: a ping that is not newer than the last does not count");
        return {.verdict = PingOutcome::Verdict::stale};
    }
    auto before = server.loss;
    // a new incarnation proves that the old process has ended, unless that one is seen to live
    if (outcome.new_incarnation) {
        const bool back = server.was_replaced(ping.incarnation);
        if (auto refused = take_name(server, ping, peer, view, now); refused.verdict != PingOutcome::Verdict::counts)
            return refused;
        if (server.incarnation != Incarnation::none && before == Loss::none && !back) outcome.lost = Loss::restarted;
        before = Loss::none;
        server.forgot = false;
        server.viewnum = 0;
    }
    outcome.news = outcome.new_incarnation || before != Loss::none || is_silent(server, now) || server.differs(ping);

    const auto* member = find_member(view, ping.server, ping.incarnation);
    // A member that names view 0 after a higher one has lost its state, although its incarnation is the same.
    if (member && server.viewnum > 0 && ping.viewnum == 0) server.forgot = true;
    accept(server, ping, peer, now);
    // A statement about a view counts only while that view is current.
    const bool left = server.leaving && server.stopped && (!member || ping.viewnum == view.number);
    server.loss = server.forgot ? Loss::forgot : left ? Loss::left : Loss::none;
    if (server.loss != Loss::none && before == Loss::none) outcome.lost = server.loss;
    if (server.loss == Loss::none && (outcome.new_incarnation || before != Loss::none)) server.arrival = ++arrivals_;
    return outcome;
}

/// Takes over what the ping says; the server is no longer suspect, and no longer probed.
UNDERSTUDY_DECL void FailureDetector::accept(Server& server, const Ping& ping, const Address& peer, Time now) {
    server.incarnation = ping.incarnation;
    server.n = ping.n;
    // After a restart with a smaller D, `heard` may lie in the future: leases with the larger D may still run.
    server.heard = std::max(server.heard, now);
    server.restored = false;
    server.leases = ping.lease;
    server.journal = ping.journal;
    if (server.peer != peer) server.peer = peer;
    server.near = is_near(ping.server) && is_near(peer);
    server.viewnum = ping.viewnum;
    server.leaving = ping.leaving;
    server.stopped = ping.stopped;
    if (server.recovered != ping.recovered) server.recovered = ping.recovered;
    server.state_view = ping.state_view;
    server.lost_from = never;
    server.late_turns = 0;
    server.stop_probing();
}

// ---- several processes under one name ----

/// Decides on a ping of another incarnation than the last one of this name. If the ping counts, the last incarnation is
/// replaced. A ping of an incarnation that the view names is refused too while another process has the name, but it
/// shows that this member lives: it becomes suspect in place of dead.
UNDERSTUDY_DECL PingOutcome FailureDetector::take_name(Server& server, const Ping& ping, const Address& peer,
                                                       const View& view, Time now) const {
    using Verdict = PingOutcome::Verdict;
    const auto* named = find_member(view, ping.server, ping.incarnation);
    if (server.was_replaced(ping.incarnation)) {
        if (!take_back(server, ping, named != nullptr, now)) {
            reached("R1: a ping of an incarnation that was replaced is refused");
            const bool lives = named && suspect_until(*named, view) > now;
            if (lives)
                reached(
                    "R4: a member that the view names and that still pings is not given up though its name was taken");
            const bool shared = note_rival(server, ping.incarnation, peer, now);
            return {.verdict = Verdict::superseded, .shared = shared, .news = lives};
        }
    } else if (keeps_name(server, ping.incarnation, peer, now)) {
        reached("R1: a process that takes the name of a live one is refused");
        return {.verdict = Verdict::in_use, .shared = note_rival(server, ping.incarnation, peer, now)};
    }
    return {.verdict = replace(server, now) ? Verdict::counts : Verdict::crowded};
}

/// Whether a ping of the incarnation `other` over the connection `from` must be refused, because this one lives. True
/// while this one pinged less than D ago over a connection that is still open and is not `from`. If that connection has
/// ended, this process has probably died: the connections of a killed process close with it, and its next start must
/// not wait for D. In that case it keeps the name only against a rival that pinged earlier, and after which it pinged
/// itself: then both are known to live.
UNDERSTUDY_DECL bool FailureDetector::keeps_name(const Server& server, Incarnation other, const Address& from,
                                                 Time now) const {
    if (server.incarnation == Incarnation::none || health(server, now) != Health::ok) return false;
    return server.peer.empty() ? is_shared(server, now) && server.rival->incarnation == other : server.peer != from;
}

/// Takes down a ping that is refused because another process has the name. Returns true when the event is due, once for
/// each `rival`: the rival has pinged for D, and this server pinged in that time too (`is_shared`).
UNDERSTUDY_DECL bool FailureDetector::note_rival(Server& server, Incarnation other, const Address& from,
                                                 Time now) const {
    auto& rival = server.rival;
    const bool over = !rival || now - rival->last_ping >= timeouts_.dead;
    if (over) rival = Rival{other, from, now, now, false};
    if (rival->incarnation != other) return false;
    rival->peer = from;
    rival->last_ping = now;
    if (rival->reported || !is_shared(server, now) || now - rival->since < timeouts_.dead) return false;
    return rival->reported = true;
}

/// Moves the present incarnation to `replaced`, so that its late pings are recognized. False, without replacing it, if
/// too many incarnations came in a short time (`replaced_max`).
UNDERSTUDY_DECL bool FailureDetector::replace(Server& server, Time now) const {
    auto& replaced = server.replaced;
    auto surplus = replaced.size() < replaced_kept ? 0 : replaced.size() - replaced_kept + 1;
    auto old = replaced.begin();
    while (surplus-- > 0 && now - old->at >= timeouts_.retention) ++old;
    replaced.erase(replaced.begin(), old);
    if (replaced.size() >= replaced_max) return false;
    if (server.incarnation == Incarnation::none) return true;
    // Its lease counts from its last ping. A new primary must not lead before that lease has run out.
    const bool may_read = server.loss == Loss::none && server.may_lease();
    const auto lease_until = may_read ? server.heard + timeouts_.dead : Time{};
    replaced.push_back({server.incarnation, now, server.n, lease_until, never, {}});
    server.heard = Time{};
    server.rival.reset();
    return true;
}

/// Takes down a ping of a replaced incarnation, and returns whether it takes its name back. Incarnations are unordered:
/// the late ping of an old process can arrive after the first ping of its successor, and then the living process is the
/// one that is refused. It goes on pinging. When it has done so for D, it is reinstated if the other one is lost, or if
/// the present view names it (`named`). This is safe: it is the same process with its memory intact.
UNDERSTUDY_DECL bool FailureDetector::take_back(Server& server, const Ping& ping, bool named, Time now) const {
    auto old = std::ranges::find(server.replaced, ping.incarnation, &Replaced::incarnation);
    if (ping.n <= old->n) return false;
    const bool pings_on = old->since != never && now - old->last_ping < timeouts_.dead;
    if (!pings_on) old->since = now;
    old->last_ping = now;
    old->n = ping.n;
    if ((!named && server.loss == Loss::none) || now - old->since < timeouts_.dead) return false;
    server.replaced.erase(old);
    return true;
}

/// Until when a member may live although another process took its name; until then it is suspect. There are two
/// reasons: it goes on pinging (until D after its last ping); or it is the primary and its lease may still run. A ping
/// can come late, so the process that was heard later is not always the one that started later.
UNDERSTUDY_DECL Time FailureDetector::suspect_until(const Member& member, const View& view) const {
    const auto* server = find(member.name);
    if (!server || server->incarnation == member.incarnation) return {};
    auto old = std::ranges::find(server->replaced, member.incarnation, &Replaced::incarnation);
    if (old == server->replaced.end()) return {};
    const auto lease = &member == &view.primary ? old->lease_until : Time{};
    return old->since == never ? lease : std::max(lease, old->last_ping + timeouts_.dead);
}

UNDERSTUDY_DECL Liveness FailureDetector::judge(const Member& member, const View& view, Time now) const {
    const auto* server = find(member.name);
    if (!server) return {};
    Liveness found;
    if (server->incarnation == member.incarnation) found = {health(*server, now), server->loss};
    if (now < suspect_until(member, view)) {
        reached("R1: a primary that was replaced counts as alive while it may read by lease");
        found.health = Health::suspect;
    }
    return found;
}

// ---- views, restarts, times ----

UNDERSTUDY_DECL void FailureDetector::change_view(const View& before, const View& next) {
    // The reports were those of the former primary, about its own connections.
    if (next.primary.incarnation != before.primary.incarnation) unreachable_.clear();
    for (auto& [name, server] : servers_)
        if (!find_member(next, name, server.incarnation)) server.forgot = false;
}

UNDERSTUDY_DECL void FailureDetector::restore(const View& view,
                                              const std::map<Address, std::vector<Incarnation>>& incarnations, Time now,
                                              Time heard) {
    for (const auto& [name, known] : incarnations) {
        if (known.empty()) continue;
        auto& server = servers_[name];
        for (auto incarnation : known) server.replaced.push_back({incarnation, now});
        // The view may name a primary whose name another process took. Its lease may still run too.
        for (auto& old : server.replaced)
            if (old.incarnation == view.primary.incarnation) old.lease_until = heard + timeouts_.dead;
        server.replaced.pop_back();
        server.incarnation = known.back();
        server.heard = now;
        server.loss = Loss::silent;  // until it pings
    }
    // Members of the view are suspect rather than lost (`Server::restored`). If a later incarnation of the name was
    // heard, the member's process has ended, or is treated as replaced.
    const auto restore_member = [&](const Member& member) {
        auto& server = servers_[member.name];
        if (server.incarnation != Incarnation::none && server.incarnation != member.incarnation) return;
        server.incarnation = member.incarnation;
        server.arrival = ++arrivals_;
        server.heard = heard;
        server.loss = Loss::none;
        server.restored = true;
    };
    if (view.number == 0) return;
    restore_member(view.primary);
    for (const auto& backup : view.backups) restore_member(backup);
}

UNDERSTUDY_DECL std::vector<std::pair<Address, Address>> FailureDetector::drop_long_dead(const View& view, Time now) {
    std::vector<std::pair<Address, Address>> dropped;
    for (auto at = servers_.begin(); at != servers_.end();) {
        const auto& [name, server] = *at;
        const bool idle = server.loss != Loss::none && !view.member(name);
        const bool expired = idle && now - server.heard >= timeouts_.dead_retention;
        if (expired) dropped.emplace_back(name, server.peer);
        at = expired ? servers_.erase(at) : std::next(at);
    }
    return dropped;
}

UNDERSTUDY_DECL Time FailureDetector::next_due(const View& view, Time now) const {
    auto next = never;
    for (const auto& [name, server] : servers_) next = std::min(next, next_due(name, server, view));
    for (const auto& report : unreachable_) next = std::min(next, report.at + timeouts_.retention);
    const auto add_suspect = [&](const Member& member) {
        if (const auto end = suspect_until(member, view); end > now) next = std::min(next, end);
    };
    if (view.number != 0) add_suspect(view.primary);
    std::ranges::for_each(view.backups, add_suspect);
    return next;
}

}  // namespace understudy::view_service
