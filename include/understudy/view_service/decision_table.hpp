// The view service's rules as one table: what holds of a group now gives the next view and why. No state, no time;
// every line of the protocol's section 2 that makes a view is here, and nothing else is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/protocol/coverage.hpp>
#include <understudy/view.hpp>

namespace understudy::view_service {

/// `doubtful`: silent for D, but what may lie unread has not been read yet. It is neither given up nor chosen.
enum class Health : std::uint8_t { ok, doubtful, dead };

/// Why a server counts as dead.
enum class Loss : std::uint8_t { none, silent, restarted, forgot, left, refused };

/// The rest of a sentence that begins with the server's name.
constexpr std::string_view describe(Loss loss) {
    switch (loss) {
        case Loss::silent: return "is silent";
        case Loss::restarted: return "has restarted";
        case Loss::forgot: return "has lost its state";
        case Loss::left: return "has left";
        case Loss::refused: return "has died: its connection broke and its address refuses a new one";
        case Loss::none: break;
    }
    return "lives";
}

/// A member of the view and what is known of it.
struct Seat {
    Member member;
    Health health = Health::dead;
    Loss loss = Loss::none;
    bool unreachable = false;         ///< This primary reports that it does not acknowledge (S7).
    std::optional<Member> recovered;  ///< A later life of it that says it continues this one's state (S9).
    bool journal = false;             ///< It kept one, as far as is known: its state may be in its directory.
    /// Or it continues an older copy of that: its journal knew this view, and before it had noted that one.
    ViewNumber knew = 0, noted = 0;
};

/// A server that could join.
struct Idle {
    Member member;
    bool shunned = false;  ///< This primary reported it unreachable less than 10 D ago.
};

/// What holds of a group when a decision is due.
struct Situation {
    View view;
    bool acked = false;
    std::size_t wanted = 0;  ///< k
    Seat primary;
    std::vector<Seat> backups;       ///< As in the view.
    std::vector<Idle> idle;          ///< In order of arrival.
    bool stopped = false;            ///< The primary said that it stopped in this view (R6).
    Address successor;               ///< Whom an operator wants as primary; empty: nobody asked.
    ViewNumber begin_after = 0;      ///< A first view has a higher number than this.
    std::optional<Member> newcomer;  ///< Pings just now and has no state and no cluster.
};

struct Decision {
    View next;
    std::string why;
};

inline bool can_lead(const Seat& seat) { return seat.member.synced && seat.health == Health::ok; }

/// The first backup that may be promoted, or null.
inline const Seat* find_heir(const Situation& now) {
    auto found = std::ranges::find_if(now.backups, can_lead);
    return found == now.backups.end() ? nullptr : &*found;
}

/// Whether nobody is left who surely holds every answered write: the group can only wait (R4).
inline bool waits(const Situation& now) {
    auto gone = [](const Seat& seat) { return !seat.member.synced || seat.health == Health::dead; };
    return now.view.number != 0 && now.primary.health == Health::dead && std::ranges::all_of(now.backups, gone);
}

inline void add_backup(View& view, const Member& member) {
    view.backups.push_back({member.name, member.incarnation, false});
}

/// Takes out what is more than k: first who is not in sync, then who is not surely alive, and the last of these first.
inline void remove_surplus(std::vector<const Seat*>& seats, std::size_t wanted) {
    const auto worth = [](const Seat* seat) { return seat->member.synced ? seat->health == Health::ok ? 2 : 1 : 0; };
    while (seats.size() > wanted) {
        auto least = seats.begin();
        for (auto at = seats.begin(); at != seats.end(); ++at)
            if (worth(*at) <= worth(*least)) least = at;
        seats.erase(least);
    }
}

/// The view after this one, led by `primary`: the backups that live stay with their flags, k of them at most; idle
/// servers fill up to k.
inline View succeed(const Situation& now, const Member& primary) {
    View next{now.view.number + 1, {primary.name, primary.incarnation, false}, {}, now.view.forced};
    bool same = primary.incarnation == now.view.primary.incarnation;
    std::vector<const Seat*> staying;
    for (const auto& seat : now.backups) {
        bool stays = seat.health != Health::dead && !(same && seat.unreachable);
        if (stays && seat.member.name != primary.name) staying.push_back(&seat);
    }
    remove_surplus(staying, now.wanted);
    for (const auto* seat : staying) next.backups.push_back(seat->member);
    for (const auto& idle : now.idle) {
        if (next.backups.size() >= now.wanted) break;
        if (!next.member(idle.member.name) && !(same && idle.shunned)) add_backup(next, idle.member);
    }
    return next;
}

inline std::string sentence(const Seat& seat) {
    auto fate = seat.health == Health::dead ? describe(seat.loss) : "does not acknowledge to the primary";
    return seat.member.name + " " + std::string{fate};
}

// R0
inline std::optional<Decision> first_view(const Situation& now) {
    if (!now.newcomer) return std::nullopt;
    reached("R0: the first server without state leads view 1");
    const auto number = now.begin_after + 1;  // above 1 where a group was removed, which may have been of this name
    View view{number, {now.newcomer->name, now.newcomer->incarnation, false}, {}, number > 1 ? number : 0};
    return Decision{view, "R0: " + view.primary.name + " is the first server"};
}

// R5
inline std::optional<Decision> recover(const Situation& now) {
    auto take = [&](const Seat& seat) -> std::optional<Decision> {
        if (!seat.recovered) return std::nullopt;
        reached("R5: a server that recovered its state leads again");
        auto why = "R5: " + seat.member.name + " is back with the state of its former life";
        return Decision{succeed(now, *seat.recovered), std::move(why)};
    };
    if (auto decision = take(now.primary)) return decision;
    for (const auto& seat : now.backups)
        if (seat.member.synced)
            if (auto decision = take(seat)) return decision;
    return std::nullopt;
}

/// Without a primary: R1, or R6 if the primary left as planned, or R5, or R4.
inline std::optional<Decision> replace_primary(const Situation& now) {
    if (auto* heir = find_heir(now)) {
        reached("R1: a backup in sync is promoted");
        std::string rule = now.primary.loss == Loss::left ? "R6: " : "R1: ";
        return Decision{succeed(now, heir->member), rule + sentence(now.primary) + ", promoting " + heir->member.name};
    }
    if (!waits(now)) return std::nullopt;
    reached("R4: nobody is left who surely holds everything");
    return recover(now);
}

// R6
inline std::optional<Decision> hand_over(const Situation& now) {
    auto asked = std::ranges::find(now.backups, now.successor, [](const Seat& seat) { return seat.member.name; });
    auto* heir = asked != now.backups.end() && can_lead(*asked) ? &*asked : find_heir(now);
    auto old = now.view.primary.name;
    auto why = "R6: " + old + " has stopped serving, as it was to, ";
    if (heir) {
        reached("R6: a primary that has stopped is followed by a backup in sync");
        return Decision{succeed(now, heir->member), why + "promoting " + heir->member.name};
    }
    if (now.primary.health != Health::ok) return std::nullopt;
    reached("R6: a primary that has stopped leads again if nobody else can");
    return Decision{succeed(now, now.view.primary), why + "but no backup in sync is left: it leads again"};
}

inline bool is_doubtful(const Seat& seat) { return seat.health == Health::doubtful; }

// R2
inline std::optional<Decision> remove_backups(const Situation& now) {
    std::string why;
    for (const auto& seat : now.backups)
        if (seat.health == Health::dead || seat.unreachable) why += (why.empty() ? "R2: " : ", ") + sentence(seat);
    if (!why.empty()) {
        reached("R2: a backup that is dead or unreachable is removed");
    } else if (now.backups.size() > now.wanted && std::ranges::none_of(now.backups, is_doubtful)) {
        reached("R2: backups beyond k are removed");
        why = "R2: no more than " + std::to_string(now.wanted) + " backups are wanted";
    } else {
        return std::nullopt;
    }
    return Decision{succeed(now, now.view.primary), why};
}

// R3
inline std::optional<Decision> add_one(const Situation& now) {
    if (!now.acked || now.backups.size() >= now.wanted) return std::nullopt;
    // A member whose name a later process took may live all the same, and nobody sits twice.
    auto may_join = [&](const Idle& idle) { return !idle.shunned && !now.view.member(idle.member.name); };
    auto found = std::ranges::find_if(now.idle, may_join);
    if (found == now.idle.end()) return std::nullopt;
    reached("R3: an idle server fills the view up");
    Decision decision{now.view, "R3: adding " + found->member.name};
    ++decision.next.number;
    add_backup(decision.next, found->member);
    return decision;
}

/// The table: the view that follows from what holds now, or nothing if the present one stays.
/// Its result is at rest: what holds then, with no ack yet, gives nothing further.
inline std::optional<Decision> decide(const Situation& now) {
    if (now.view.number == 0) return first_view(now);
    if (now.primary.health == Health::dead) return replace_primary(now);
    if (now.stopped) return hand_over(now);
    if (now.primary.health != Health::ok) return std::nullopt;
    if (auto decision = remove_backups(now)) return decision;
    return add_one(now);
}

/// The view that an operator forces: the server alone, with whatever it holds, as in R0. The view says that it was
/// forced, so that whoever holds more drops it when it joins (S3).
inline Decision force(const Situation& now, const Member& server) {
    View view{now.view.number + 1, {server.name, server.incarnation, false}, {}, now.view.number + 1};
    return {view, "force: an operator made " + server.name + " primary; answered writes may be lost"};
}

/// How much higher the number of an adopted view is. No number may stand for two views, and of the last views of the
/// former view service no server that is left may know: so many take years.
inline constexpr ViewNumber adoption_leap = 1'000'000'000;

/// The view by which a group of a former view service goes on: of the newest view that is known of it, those who surely
/// hold every answered write and are `heard`, or all of these if none is. Whoever else holds state may hold what they
/// lack, of a later view that nobody told of: the view says that it was forced, so that they drop it (S3).
/// Its number is far above `named` too, the highest that anybody has named.
inline Decision adopt(const View& old, const std::vector<Address>& heard, ViewNumber named) {
    const auto is_heard = [&](const Member& member) {
        return heard.empty() || std::ranges::find(heard, member.name) != heard.end();
    };
    const auto number = std::max(old.number, named) + adoption_leap;
    View view{number, old.primary, {}, number};
    for (const auto& backup : old.backups)
        if (backup.synced && is_heard(backup)) view.backups.push_back(backup);
    if (!is_heard(old.primary)) {
        view.primary = {view.backups.front().name, view.backups.front().incarnation, false};
        view.backups.erase(view.backups.begin());
    }
    return {view, "adopt: an operator took over view " + std::to_string(old.number) + " of a former view service"};
}

/// Whether `next` may follow `before` at all: the number rises by one, nobody sits twice, and but for R0, R5 and
/// `force` the primary was primary before or a backup in sync.
inline bool may_follow(const View& before, const View& next, bool any_primary) {
    if (next.number != before.number + 1) return false;
    std::vector<std::string_view> names{next.primary.name};
    for (const auto& backup : next.backups) names.push_back(backup.name);
    std::ranges::sort(names);
    if (std::ranges::adjacent_find(names) != names.end()) return false;
    if (any_primary) return true;
    const auto* old = before.member(next.primary.name);
    return old && old->incarnation == next.primary.incarnation && (old == &before.primary || old->synced);
}

}  // namespace understudy::view_service
