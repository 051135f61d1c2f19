// Servers of other clusters, whose pings are refused: what view they know, so that a view service that lost its record
// can go on with a group of the former one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <understudy/protocol/message.hpp>
#include <understudy/view.hpp>

namespace understudy::view_service {

/// What a server said with its last refused ping.
struct Stranger {
    Incarnation incarnation = Incarnation::none;
    std::uint64_t n = 0;
    std::vector<Incarnation> recovered;
    ViewInfo known;  ///< The newest view that it knows.
    Time heard{};    ///< In running time.
    friend bool operator==(const Stranger&, const Stranger&) = default;
};

/// One report of each server; beyond `max` the one that was heard longest ago is forgotten.
class Strangers {
public:
    static constexpr std::size_t max = 10'000;

    /// Constant time while there is room, else linear.
    void note(const Ping& ping, Time now) {
        if (!ping.known) return;
        auto& stranger = reports_[{ping.group, ping.server}];
        if (stranger.incarnation == ping.incarnation && ping.n <= stranger.n) return;
        stranger = {ping.incarnation, ping.n, ping.recovered, *ping.known, now};
        if (reports_.size() <= max) return;
        reports_.erase(std::ranges::min_element(reports_, {}, [](const auto& one) { return one.second.heard; }));
    }
    void forget(const std::string& group) { reports_.erase(first(group), last(group)); }

    /// Whether a server with a view of another cluster was heard after `since`.
    bool heard(const std::string& group, Time since) const {
        const auto recent = [&](const auto& report) { return report.second.heard > since; };
        return std::any_of(first(group), last(group), recent);
    }
    /// Those heard after `since`, of one group or of all; no more than `most`.
    std::vector<RefusedServer> list(const std::optional<std::string>& group, Time since, Time now,
                                    std::size_t most) const {
        std::vector<RefusedServer> found;
        const auto end = group ? last(*group) : reports_.end();
        for (auto at = group ? first(*group) : reports_.begin(); at != end && found.size() < most; ++at) {
            const auto& [name, stranger] = *at;
            if (stranger.heard <= since) continue;
            const auto& known = stranger.known;
            found.push_back({name.first, name.second, known.cluster, known.view.number, now - stranger.heard});
        }
        return found;
    }

    /// The newest view that anybody of that cluster has reported, at any time; null if nobody has.
    const ViewInfo* newest(const std::string& group, ClusterId cluster) const {
        const ViewInfo* found = nullptr;
        for (auto at = first(group); at != last(group); ++at)
            if (at->second.known.cluster == cluster && (!found || is_newer(at->second.known.view, found->view)))
                found = &at->second.known;
        return found;
    }
    /// The server of that name, if it has reported that view after `since` and is this member, or continues its state.
    const Stranger* find(const ViewInfo& known, const Member& member, Time since) const {
        auto found = reports_.find({known.group, member.name});
        if (found == reports_.end()) return nullptr;
        const auto& stranger = found->second;
        const bool itself = stranger.incarnation == member.incarnation ||
            std::ranges::find(stranger.recovered, member.incarnation) != stranger.recovered.end();
        const bool same = stranger.known.cluster == known.cluster && stranger.known.view.number == known.view.number;
        return itself && same && stranger.heard > since ? &stranger : nullptr;
    }

    friend bool operator==(const Strangers&, const Strangers&) = default;

private:
    using Reports = std::map<std::pair<std::string, Address>, Stranger>;
    Reports::const_iterator first(const std::string& group) const { return reports_.lower_bound({group, {}}); }
    Reports::const_iterator last(const std::string& group) const { return reports_.lower_bound({group + '\0', {}}); }

    Reports reports_;  // by group and server
};

}  // namespace understudy::view_service
