// R7: a record that is behind what was announced, as one that was put back to an older copy: what proves it, who was
// refused since, and when it turns out that the proof was none. It decides nothing about views.
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

/// No record is older by so many views: adoptions leap by 10^9, and a number far above is a forged one.
inline constexpr ViewNumber max_ahead = ViewNumber{1} << 40;
/// A view whose number is higher is none: an adoption could not go above it.
inline constexpr ViewNumber max_number = ViewNumber{1} << 63;

/// The highest view that the ping names: adopted by the process, or noted in the journal that it went on from.
inline ViewNumber highest_named(const Ping& ping) {
    return std::max({ping.viewnum, ping.knew, ping.known ? ping.known->view.number : 0});
}

/// Whether the ping proves that views were announced which `record`, of its cluster, does not know. Nothing is
/// announced before it is stored, so a correct server knows no view above the record and no other of its number.
/// `removed`: no group that was removed had a view above this.
inline bool names_unknown_view(const Ping& ping, const View& record, ViewNumber removed) {
    if (!ping.cluster) return false;
    if (highest_named(ping) > (record.number != 0 ? record.number : removed)) return true;
    const auto* known = ping.known ? &ping.known->view : nullptr;
    return known && known->number == record.number && known->primary != record.primary;
}

/// Whether the ping says that it comes from the primary of a view that has the record's number and another primary. A
/// life that was replaced leads nothing: of one it proves nothing.
inline bool leads_unknown_view(const Ping& ping, const View& record) {
    return ping.synced && ping.cluster && ping.viewnum == record.number && record.number != 0 &&
           (record.primary.incarnation != ping.incarnation || record.primary.name != ping.server);
}

/// A server whose pings are refused while the record is behind.
struct Witness {
    Incarnation incarnation = Incarnation::none;
    std::uint64_t n = 0;
    ViewNumber highest = 0;  ///< That it named.
    bool has_view = false;   ///< Knows one, as far as it says.
    bool reports = false;    ///< Says what view it knows, whole.
    bool asked = false;      ///< Was refused before the last ping, so that it could.
    Time first = never;      ///< Since when it has named no view but the record's, as a member of that.
    Time heard{};
    friend bool operator==(const Witness&, const Witness&) = default;
};

/// All times are running time.
struct Behind {
    ViewNumber number = 0;  ///< The highest view that was named; at least the record's.
    Address server{};       ///< Who named it.
    Time since{};           ///< When such a view was first named,
    Time proved{};          ///< and when last.
    std::map<Address, Witness, std::less<>> witnesses{};
    Address peer{};  ///< If the group has no view: the connection on whose account it takes room.
    friend bool operator==(const Behind&, const Behind&) = default;

    /// Takes a ping that is refused into account; `proof`: it proves that the record is behind.
    void note(const Ping& ping, bool proof, const View& record, Time now, Duration dead, std::size_t max_servers) {
        if (proof) {
            const auto named = std::max(highest_named(ping), record.number);
            if (named > number || server.empty()) number = named, server = ping.server;
            proved = now;
            for (auto& [name, one] : witnesses) one.first = never;
        }
        auto& one = witnesses[ping.server];
        if (one.incarnation == ping.incarnation && ping.n <= one.n) return;
        const auto* member = record.member(ping.server);
        const bool loyal = member && member->incarnation == ping.incarnation && ping.viewnum == record.number;
        const bool same = one.incarnation == ping.incarnation;
        const bool on = same && one.first != never && now - one.heard < dead;
        one = {.incarnation = ping.incarnation,
               .n = ping.n,
               .highest = highest_named(ping),
               .has_view = highest_named(ping) != 0 || !ping.recovered.empty(),
               .reports = ping.known.has_value(),
               .asked = same,
               .first = !loyal || proof ? never
                        : on            ? one.first
                                        : now,
               .heard = now};
        if (witnesses.size() <= max_servers) return;
        witnesses.erase(std::ranges::min_element(witnesses, {}, [](const auto& it) { return it.second.heard; }));
    }

    /// Whether nobody can have led a later view: every member of the record's, in the very life that it names, has said
    /// for `span` that it knows no other view, and nobody has named one meanwhile. Whoever leads a later view was in
    /// sync in one before, so that the first of them would have been led by one of these. (An operator's `force` is
    /// the exception, and needs all of them to have been silent.)
    bool is_disproved(const View& record, Time now, Duration span, Duration dead) const {
        const auto loyal = [&](const Member& member) {
            auto found = witnesses.find(member.name);
            if (found == witnesses.end() || found->second.incarnation != member.incarnation) return false;
            const auto& one = found->second;
            return one.first != never && now - one.first >= span && now - one.heard < dead;
        };
        return record.number != 0 && now - proved >= span && loyal(record.primary) &&
               std::ranges::all_of(record.backups, loyal);
    }

    /// Whether that very process says that it is in this view, in its newest ping, after `since_when`.
    bool is_heard(const Member& member, ViewNumber number_of_view, Time since_when) const {
        auto found = witnesses.find(member.name);
        return found != witnesses.end() && found->second.incarnation == member.incarnation &&
               found->second.highest == number_of_view && found->second.heard > since_when;
    }
    /// Who knows a view above `above`, has not said which, and may live: it was heard after `since_when`. A server that
    /// pings several addresses in turn says it only when it comes by again.
    std::vector<Address> mute(ViewNumber above, Time since_when) const {
        std::vector<Address> names;
        for (const auto& [name, one] : witnesses)
            if (one.heard > since_when && !one.reports && one.has_view && one.highest > above) names.push_back(name);
        return names;
    }
    /// Whether it has had its chance, and is too old a program to say which view it knows.
    bool was_asked(const Address& name) const { return witnesses.find(name)->second.asked; }
};

/// What the record's state is, who says so, and what ends it.
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

inline std::string why_not_behind(const Behind& behind, const View& record) {
    return "R7: every member of view " + std::to_string(record.number) +
           " says that it knows no later one, so that nobody led one: what " + behind.server + " said of view " +
           std::to_string(behind.number) + " was forged, and the group goes on";
}

inline std::string why_lapsed(const Behind& behind) {
    return "R7: nobody has named a view of this group for 10 D, and none is recorded: who named view " +
           std::to_string(behind.number) + ", " + behind.server + ", is gone, and the group may begin anew";
}

/// An adoption is refused that would lose what such a server knows.
inline std::string mute_text(const Behind& behind, const std::vector<Address>& mute, const View& newest) {
    std::vector<Address> later, never_will;
    for (const auto& name : mute) (behind.was_asked(name) ? never_will : later).push_back(name);
    auto text = "newer views than " + std::to_string(newest.number) + " are known to " +
                understudy::detail::join(mute) + ". ";
    if (!later.empty())
        text += understudy::detail::join(later) + ": will say which with the next ping; ask again in a moment. ";
    if (!never_will.empty())
        text += understudy::detail::join(never_will) +
                ": cannot say which, these programs are too old. Start them again in a version that can. ";
    return text + "To adopt without what one of them knows, let it be silent for 10 D";
}

/// What an operator is told beside what holds of each adoption.
inline std::string may_be_lost_behind(const Behind& behind, const View& old, Time since) {
    std::string text;
    if (behind.number > old.number)
        text = behind.server + " named view " + std::to_string(behind.number) +
               ", which nobody who is heard can show: what was answered after view " + std::to_string(old.number) +
               " is lost, unless that was forged. ";
    std::vector<Address> silent;
    for (const auto& [name, one] : behind.witnesses)
        if (one.heard > since && one.asked && !one.reports) silent.push_back(name);
    if (!silent.empty())
        text += "Too old to say what they know, and not asked: " + understudy::detail::join(silent) + ". ";
    return text;
}

}  // namespace understudy::view_service
