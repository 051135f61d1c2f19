// The rules of the view service as one decision table: from the present state of a group it computes the next view and
// the reason. It keeps no state and reads no clock. Every rule of the protocol's section 2 that makes a view is in this
// file, and nothing else is.
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

/// `suspect` means that the server may be dead, but that this is not certain yet: it was silent for D and its pings may
/// lie unread; or it has not pinged since the view service restarted; or another process took its name and it may still
/// live. A suspect server is not counted as lost, and it is not promoted.
enum class Health : std::uint8_t { ok, suspect, dead };

/// Why a server counts as dead. `forgot`: it pinged view 0 although it had named a view before. `left`: it was leaving
/// and has stopped (R6). `refused`: its connection broke and its address refuses a new one.
enum class Loss : std::uint8_t { none, silent, restarted, forgot, left, refused };

/// The end of a sentence whose first words are the server's name.
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

/// A member of the view, and what is known about it.
struct MemberState {
    Member member;
    Health health = Health::dead;
    Loss loss = Loss::none;
    bool unreachable = false;         ///< The present primary reports that it does not acknowledge (S7).
    std::optional<Member> recovered;  ///< A later incarnation that says it continues this one's state (S9).
    bool journal = false;             ///< It is known to keep a journal: its state may still be in its directory.
    /// Not 0 if a later incarnation continues an older copy of that state: the copy ends with view `knew`, and this
    /// member's journal had noted view `noted` before. Then `recovered` is empty, because writes may be missing (R5).
    ViewNumber knew = 0, noted = 0;
};

/// An idle server, which could join as a backup.
struct Candidate {
    Member member;
    bool quarantined = false;  ///< The present primary reported it unreachable less than 10 D ago.
};

/// The state of a group at the moment of a decision.
struct GroupState {
    View view;
    bool acked = false;
    std::size_t wanted = 0;  ///< k
    MemberState primary;
    std::vector<MemberState> backups;       ///< In the order of the view.
    std::vector<Candidate> idle;          ///< In the order in which they arrived.
    bool stopped = false;            ///< The primary said that it stopped in this view (R6).
    Address successor;               ///< The server that an operator wants to promote; empty without such a request.
    ViewNumber begin_after = 0;      ///< The number of a first view must be higher than this.
    std::optional<Member> newcomer;  ///< The sender of the present ping, if it has neither state nor cluster (R0).
};

/// The next view, and the rule and reason as human-readable text.
struct Decision {
    View next;
    std::string why;
};

/// Whether a backup may be promoted. One that is not in sync may lack answered writes.
inline bool can_lead(const MemberState& state) { return state.member.synced && state.health == Health::ok; }

/// The first backup in the order of the view that may be promoted, or null.
inline const MemberState* find_successor(const GroupState& now) {
    auto found = std::ranges::find_if(now.backups, can_lead);
    return found == now.backups.end() ? nullptr : &*found;
}

/// R4: whether the primary and every backup in sync are dead. No other server is sure to hold every answered write, so
/// the group can only wait. If one of these members is suspect, the result is false: it may still live.
inline bool waits(const GroupState& now) {
    auto gone = [](const MemberState& state) { return !state.member.synced || state.health == Health::dead; };
    return now.view.number != 0 && now.primary.health == Health::dead && std::ranges::all_of(now.backups, gone);
}

/// Adds a backup that is not in sync.
inline void add_backup(View& view, const Member& member) {
    view.backups.push_back({member.name, member.incarnation, false});
}

/// Removes backups until `wanted` are left: first those that are not in sync, then those that are suspect, then the
/// rest. Among equals the last one goes first.
inline void remove_surplus(std::vector<const MemberState*>& states, std::size_t wanted) {
    const auto worth = [](const MemberState* state) {
        return state->member.synced ? state->health == Health::ok ? 2 : 1 : 0;
    };
    while (states.size() > wanted) {
        auto least = states.begin();
        for (auto at = states.begin(); at != states.end(); ++at)
            if (worth(*at) <= worth(*least)) least = at;
        states.erase(least);
    }
}

/// The view after the present one, led by `primary`. Backups that are not dead stay with their `synced` flags, at most
/// k of them. Idle servers fill the view up to k backups, not in sync.
inline View succeed(const GroupState& now, const Member& primary) {
    View next{now.view.number + 1, {primary.name, primary.incarnation, false}, {}, now.view.forced};
    // A report of an unreachable backup is about the connections of one primary. Another primary may reach that backup,
    // so the reports count only while the primary stays.
    bool same = primary.incarnation == now.view.primary.incarnation;
    std::vector<const MemberState*> staying;
    for (const auto& state : now.backups) {
        bool stays = state.health != Health::dead && !(same && state.unreachable);
        if (stays && state.member.name != primary.name) staying.push_back(&state);
    }
    remove_surplus(staying, now.wanted);
    for (const auto* state : staying) next.backups.push_back(state->member);
    for (const auto& idle : now.idle) {
        if (next.backups.size() >= now.wanted) break;
        if (!next.member(idle.member.name) && !(same && idle.quarantined)) add_backup(next, idle.member);
    }
    return next;
}

/// Why a member is replaced or removed: how it was lost, or that it does not acknowledge.
inline std::string sentence(const MemberState& state) {
    auto fate = state.health == Health::dead ? describe(state.loss) : "does not acknowledge to the primary";
    return state.member.name + " " + std::string{fate};
}

// R0
/// The first view of a group. Its number is above that of every group that was removed. Such a group may have had the
/// same name; if one was removed, the view says that it was forced, so that old servers drop their state (S3).
inline std::optional<Decision> first_view(const GroupState& now) {
    if (!now.newcomer) return std::nullopt;
    reached("R0: the first server without state leads view 1");
    const auto number = now.begin_after + 1;
    View view{number, {now.newcomer->name, now.newcomer->incarnation, false}, {}, number > 1 ? number : 0};
    return Decision{view, "R0: " + view.primary.name + " is the first server"};
}

// R5
/// Called only while the group waits (R4). A new incarnation that continues the state of the primary leads; else one
/// that continues the state of a backup in sync. These states are sure to hold every answered write.
inline std::optional<Decision> recover(const GroupState& now) {
    auto take = [&](const MemberState& state) -> std::optional<Decision> {
        if (!state.recovered) return std::nullopt;
        reached("R5: a server that recovered its state leads again");
        auto why = "R5: " + state.member.name + " is back with the state of its former incarnation";
        return Decision{succeed(now, *state.recovered), std::move(why)};
    };
    if (auto decision = take(now.primary)) return decision;
    for (const auto& state : now.backups)
        if (state.member.synced)
            if (auto decision = take(state)) return decision;
    return std::nullopt;
}

/// The primary is dead: R1, or R6 if it left as planned. Without a backup to promote: R5, or R4 (no decision).
inline std::optional<Decision> replace_primary(const GroupState& now) {
    if (auto* successor = find_successor(now)) {
        reached("R1: a backup in sync is promoted");
        std::string rule = now.primary.loss == Loss::left ? "R6: " : "R1: ";
        return Decision{succeed(now, successor->member),
                        rule + sentence(now.primary) + ", promoting " + successor->member.name};
    }
    if (!waits(now)) return std::nullopt;
    reached("R4: no member is left that surely holds everything");
    return recover(now);
}

// R6
/// The primary has stopped. The backup that an operator asked for is promoted if it can lead, else the first one that
/// can. If there is none, the old primary leads again, but in a new view: it has promised to serve no more in this one.
inline std::optional<Decision> hand_over(const GroupState& now) {
    auto asked =
        std::ranges::find(now.backups, now.successor, [](const MemberState& state) { return state.member.name; });
    auto* successor = asked != now.backups.end() && can_lead(*asked) ? &*asked : find_successor(now);
    auto old = now.view.primary.name;
    auto why = "R6: " + old + " has stopped serving, as it was to, ";
    if (successor) {
        reached("R6: a primary that has stopped is followed by a backup in sync");
        return Decision{succeed(now, successor->member), why + "promoting " + successor->member.name};
    }
    if (now.primary.health != Health::ok) return std::nullopt;
    reached("R6: a primary that has stopped leads again if no other server can");
    return Decision{succeed(now, now.view.primary), why + "but no backup in sync is left: it leads again"};
}

inline bool is_suspect(const MemberState& state) { return state.health == Health::suspect; }

// R2
/// Removes backups that are dead or unreachable, and those beyond k. It waits for no ack: a view that its primary
/// cannot ack because of a dead backup must not block its own replacement.
inline std::optional<Decision> remove_backups(const GroupState& now) {
    std::string why;
    for (const auto& state : now.backups)
        if (state.health == Health::dead || state.unreachable) why += (why.empty() ? "R2: " : ", ") + sentence(state);
    if (!why.empty()) {
        reached("R2: a backup that is dead or unreachable is removed");
    } else if (now.backups.size() > now.wanted && std::ranges::none_of(now.backups, is_suspect)) {
        // It waits until no backup is suspect: before that it is not known which ones are worth keeping.
        reached("R2: backups beyond k are removed");
        why = "R2: no more than " + std::to_string(now.wanted) + " backups are wanted";
    } else {
        return std::nullopt;
    }
    return Decision{succeed(now, now.view.primary), why};
}

// R3
/// Adds one idle server as a backup once the primary has acked the view.
inline std::optional<Decision> add_one(const GroupState& now) {
    if (!now.acked || now.backups.size() >= now.wanted) return std::nullopt;
    // A later process can take the name of a member that still lives. Then the name is both idle and in the view, and
    // no name may stand twice in a view.
    auto may_join = [&](const Candidate& idle) { return !idle.quarantined && !now.view.member(idle.member.name); };
    auto found = std::ranges::find_if(now.idle, may_join);
    if (found == now.idle.end()) return std::nullopt;
    reached("R3: an idle server fills the view up");
    Decision decision{now.view, "R3: adding " + found->member.name};
    ++decision.next.number;
    add_backup(decision.next, found->member);
    return decision;
}

/// The decision table: the view that follows from the present state, or nothing if the present view stays.
/// One call is enough: asked again for the group with its new view, before that is acknowledged, it gives nothing.
inline std::optional<Decision> decide(const GroupState& now) {
    if (now.view.number == 0) return first_view(now);
    if (now.primary.health == Health::dead) return replace_primary(now);
    if (now.stopped) return hand_over(now);
    if (now.primary.health != Health::ok) return std::nullopt;  // suspect: soon it is ok or dead
    if (auto decision = remove_backups(now)) return decision;
    return add_one(now);
}

/// The view that an operator forces: this server alone, with the state that it has, as in R0. The view says that it
/// was forced, so that a server with more state drops that when it joins (S3). Answered writes may be lost.
inline Decision force(const GroupState& now, const Member& server) {
    View view{now.view.number + 1, {server.name, server.incarnation, false}, {}, now.view.number + 1};
    return {view, "force: an operator made " + server.name + " primary; answered writes may be lost"};
}

/// How far the number of an adopted view is above the highest known one. No number may stand for two views, and the
/// former view service may have decided views that no remaining server knows. To decide so many would take it years.
inline constexpr ViewNumber adoption_leap = 1'000'000'000;

/// The view in which a group of a former view service goes on. `old` is the newest view that is known of the group.
/// Its primary and its backups in sync surely hold every write that was answered up to `old`. Those of them that are
/// `heard` are the members, or all of them if none is heard. Any other server may hold entries of a later view that no
/// server reported: the view says that it was forced, so that such a server drops its state (S3).
/// The number is far above `old` and above `named`, the highest number that any server has named.
inline Decision adopt(const View& old, const std::vector<Member>& heard, ViewNumber named) {
    const auto is_heard = [&](const Member& member) {
        return heard.empty() || std::ranges::find(heard, member.name, &Member::name) != heard.end();
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

/// Whether `next` may follow `before`: the number is one higher, and no name stands twice. The new primary was the
/// primary or a backup in sync before, in the same incarnation, unless `any_primary` (R0, R5 and `force`).
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
