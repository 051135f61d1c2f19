// R7: the record of a view service is behind what was announced, as when it was put back to an older copy. This file
// holds what proves that, which servers were refused since, and when the proof is found to be forged. It decides
// nothing about views.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <understudy/event.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/view.hpp>

namespace understudy::view_service {

/// A ping that names a view further above the record's is refused and proves nothing. Adoptions leap by 10^9, so no
/// record is behind by so many views, and such a number is forged.
inline constexpr ViewNumber max_ahead = ViewNumber{1} << 40;
/// A ping that names a view above this is refused: an adoption could not choose a higher number.
inline constexpr ViewNumber max_number = ViewNumber{1} << 63;

/// The highest view that the ping names: the process adopted it, its journal had noted it, or it is reported in
/// `known`.
inline ViewNumber highest_named(const Ping& ping) {
    return std::max({ping.viewnum, ping.knew, ping.known ? ping.known->view.number : 0});
}

/// Whether the ping proves that the view service announced a view that `record` does not contain. Both have the same
/// cluster. Nothing is announced before it is stored, so with an intact record no server knows a view above the
/// record's, nor a view of the same number with another primary. `removed` is the highest view number of all removed
/// groups; a group without a view is compared with that.
inline bool names_unknown_view(const Ping& ping, const View& record, ViewNumber removed) {
    if (!ping.cluster) return false;
    if (highest_named(ping) > (record.number != 0 ? record.number : removed)) return true;
    const auto* known = ping.known ? &ping.known->view : nullptr;
    return known && known->number == record.number && known->primary != record.primary;
}

/// Whether the ping comes from the primary of a view with the record's number, and the record names another primary.
/// Only a primary says `synced`. The caller must exclude incarnations that were replaced: they lead no view, so their
/// pings prove nothing.
inline bool leads_unknown_view(const Ping& ping, const View& record) {
    return ping.synced && ping.cluster && ping.viewnum == record.number && record.number != 0 &&
           (record.primary.incarnation != ping.incarnation || record.primary.name != ping.server);
}

/// A server whose pings are refused while the record is behind: what its last ping said.
struct LastPing {
    Incarnation incarnation = Incarnation::none;
    std::uint64_t n = 0;     ///< Number of its last ping.
    ViewNumber highest = 0;  ///< The highest view that the ping named.
    bool has_view = false;   ///< It named a view, or continues the state of former incarnations.
    bool reports = false;    ///< It reported the complete view that it knows (`known`).
    bool asked = false;      ///< This incarnation was refused before that ping, so it had reason to report its view.
    Time first = never;      ///< A member of the record's view that has named only this view since then; else `never`.
    Time heard{};            ///< Time of its last ping.
    friend bool operator==(const LastPing&, const LastPing&) = default;
};

/// The state of a group whose record is behind. All times are running time (`RunningClock`).
struct Behind {
    ViewNumber number = 0;  ///< The highest view that was named; at least the record's.
    Address server{};       ///< The server that named it.
    Time since{};           ///< Time of the first ping that proved the record to be behind.
    Time proved{};          ///< Time of the last such ping.
    std::map<Address, LastPing, std::less<>> last_pings{};
    Address peer{};  ///< If the group has no view: the connection whose limit of groups it counts towards.
    friend bool operator==(const Behind&, const Behind&) = default;

    /// Takes a refused ping into account. `proof` says that it proves the record to be behind; then the time for which
    /// members have denied that (`LastPing::first`) starts again. Beyond `max_servers`, the server heard longest ago is
    /// dropped, so forged names cannot fill the memory.
    void hear(const Ping& ping, bool proof, const View& record, Time now, Duration dead, std::size_t max_servers) {
        if (proof) {
            const auto named = std::max(highest_named(ping), record.number);
            if (named > number || server.empty()) number = named, server = ping.server;
            proved = now;
            for (auto& [name, one] : last_pings) one.first = never;
        }
        auto& one = last_pings[ping.server];
        if (one.incarnation == ping.incarnation && ping.n <= one.n) return;
        const auto* member = record.member(ping.server);
        const bool confirms = member && member->incarnation == ping.incarnation && ping.viewnum == record.number;
        const bool same = one.incarnation == ping.incarnation;
        const bool on = same && one.first != never && now - one.heard < dead;
        one = {.incarnation = ping.incarnation,
               .n = ping.n,
               .highest = highest_named(ping),
               .has_view = highest_named(ping) != 0 || !ping.recovered.empty(),
               .reports = ping.known.has_value(),
               .asked = same,
               .first = !confirms || proof ? never
                        : on               ? one.first
                                           : now,
               .heard = now};
        if (last_pings.size() <= max_servers) return;
        last_pings.erase(std::ranges::min_element(last_pings, {}, [](const auto& it) { return it.second.heard; }));
    }

    /// Whether it is certain that no server led a later view, so that the proof was forged. This holds when for `span`
    /// every member of the record's view, in the incarnation that the record names, has pinged with that view, and no
    /// server has named a later one. The reason: a primary was primary or a backup in sync in the view before its own.
    /// So the first later view would be led by one of these members, and that member would name it. (An operator's
    /// `force` is the exception; it needs all of them to be silent.)
    bool is_disproved(const View& record, Time now, Duration span, Duration dead) const {
        const auto confirms = [&](const Member& member) {
            auto found = last_pings.find(member.name);
            if (found == last_pings.end() || found->second.incarnation != member.incarnation) return false;
            const auto& one = found->second;
            return one.first != never && now - one.first >= span && now - one.heard < dead;
        };
        return record.number != 0 && now - proved >= span && confirms(record.primary) &&
               std::ranges::all_of(record.backups, confirms);
    }

    /// Whether this member, in this incarnation, pinged after `since_when` and named this view as the highest.
    bool is_heard(const Member& member, ViewNumber number_of_view, Time since_when) const {
        auto found = last_pings.find(member.name);
        return found != last_pings.end() && found->second.incarnation == member.incarnation &&
               found->second.highest == number_of_view && found->second.heard > since_when;
    }
    /// The servers that know a view above `above`, have not reported it, and may live: they were heard after
    /// `since_when`. A server reports its view only after a refusal. One that pings several addresses of the view
    /// service in turn does so when it pings this address again.
    std::vector<Address> unreported(ViewNumber above, Time since_when) const {
        std::vector<Address> names;
        for (const auto& [name, one] : last_pings)
            if (one.heard > since_when && !one.reports && one.has_view && one.highest > above) names.push_back(name);
        return names;
    }
    /// For a server of `unreported`: whether it had its chance to report. Then its program is too old to do so.
    bool was_asked(const Address& name) const { return last_pings.find(name)->second.asked; }
};

/// Human-readable text: that the record is behind, which server named a later view, and how an operator ends it.
inline std::string why_behind(const Behind& behind, const ViewInfo& record) {
    const auto mine = std::to_string(record.view.number);
    auto text = "R7: the record of this view service ends with view " + mine + ", and " + behind.server + " named ";
    const bool above = behind.number > record.view.number;
    text += above ? "view " + std::to_string(behind.number) : "another view of that number";
    return text +
           ": the record was put back to an older copy. So that nothing that was answered later is lost, nothing is "
           "decided in this group. Let all its servers run, and end this with `pbc VIEW_SERVICE adopt " +
           record.group + " " + to_hex(record.cluster) + "`, which goes on from the newest view that they report";
}

/// Human-readable text for `is_disproved`.
inline std::string why_not_behind(const Behind& behind, const View& record) {
    return "R7: every member of view " + std::to_string(record.number) +
           " says that it knows no later one, so that nobody led one: what " + behind.server + " said of view " +
           std::to_string(behind.number) + " was forged, and the group goes on";
}

/// Human-readable text for `Group::lapses_at`.
inline std::string why_lapsed(const Behind& behind) {
    return "R7: no server has named a view of this group for 10 D, and none is recorded: the server that named view " +
           std::to_string(behind.number) + ", " + behind.server + ", is gone, and the group may begin anew";
}

/// Human-readable text of a refused adoption: these servers know newer views than `newest`, and an adoption
/// without them would lose what was answered there.
inline std::string unreported_text(const Behind& behind, const std::vector<Address>& servers, const View& newest) {
    std::vector<Address> later, never_will;
    for (const auto& name : servers) (behind.was_asked(name) ? never_will : later).push_back(name);
    auto text = "newer views than " + std::to_string(newest.number) + " are known to " +
                understudy::detail::join(servers) + ". ";
    if (!later.empty())
        text += understudy::detail::join(later) + ": will say which with the next ping; ask again in a moment. ";
    if (!never_will.empty())
        text += understudy::detail::join(never_will) +
                ": cannot say which, these programs are too old. Start them again in a version that can. ";
    return text + "To adopt without what one of them knows, let it be silent for 10 D";
}

/// Human-readable text for the operator about an adoption of `old` while the record is behind. It comes in addition to
/// `may_be_lost_by_adoption`. Only servers heard after `since` are listed. Empty if there is nothing to say.
inline std::string may_be_lost_behind(const Behind& behind, const View& old, Time since) {
    std::string text;
    if (behind.number > old.number)
        text = behind.server + " named view " + std::to_string(behind.number) +
               ", which nobody who is heard can show: what was answered after view " + std::to_string(old.number) +
               " is lost, unless that was forged. ";
    std::vector<Address> silent;
    for (const auto& [name, one] : behind.last_pings)
        if (one.heard > since && one.asked && !one.reports) silent.push_back(name);
    if (!silent.empty())
        text += "Too old to say what they know, and not asked: " + understudy::detail::join(silent) + ". ";
    return text;
}

}  // namespace understudy::view_service
