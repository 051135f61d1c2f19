// Servers whose pings are refused, and the views that they report: servers of other clusters, and servers of a group
// whose record is behind (R7). With these reports a view service that lost its record, or has an old one, can go on
// with a group (`view.adopt`).
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

/// What a server said in its last refused ping that reported a view.
struct ForeignServer {
    Incarnation incarnation = Incarnation::none;
    std::uint64_t n = 0;
    std::vector<Incarnation> recovered;
    ViewInfo known;  ///< The newest view that it knows.
    Time heard{};    ///< Running time of that ping.
    friend bool operator==(const ForeignServer&, const ForeignServer&) = default;
};

/// The last report of each server. Beyond `max` reports, the oldest one is dropped.
class ForeignServers {
public:
    static constexpr std::size_t max = 10'000;

    /// Keeps the report in a ping, if it has one and is newer than the last. A look-up while there is room, else
    /// linear.
    void hear(const Ping& ping, Time now) {
        if (!ping.known) return;
        auto& server = reports_[{ping.group, ping.server}];
        if (server.incarnation == ping.incarnation && ping.n <= server.n) return;
        server = {ping.incarnation, ping.n, ping.recovered, *ping.known, now};
        if (reports_.size() <= max) return;
        reports_.erase(std::ranges::min_element(reports_, {}, [](const auto& one) { return one.second.heard; }));
    }
    /// Drops all reports of a group.
    void drop(const std::string& group) { reports_.erase(first(group), last(group)); }

    /// Whether a server of this group with a reported view was heard after `since`.
    bool heard(const std::string& group, Time since) const {
        const auto recent = [&](const auto& report) { return report.second.heard > since; };
        return std::any_of(first(group), last(group), recent);
    }
    /// The servers heard after `since`, of one group or of all; at most `most` of them.
    std::vector<RefusedServer> list(const std::optional<std::string>& group, Time since, Time now,
                                    std::size_t most) const {
        std::vector<RefusedServer> found;
        const auto end = group ? last(*group) : reports_.end();
        for (auto at = group ? first(*group) : reports_.begin(); at != end && found.size() < most; ++at) {
            const auto& [name, server] = *at;
            if (server.heard <= since) continue;
            const auto& known = server.known;
            found.push_back({name.first, name.second, known.cluster, known.view.number, now - server.heard});
        }
        return found;
    }

    /// The newest view of that cluster in all reports of the group, however old; null if there is none.
    const ViewInfo* newest(const std::string& group, ClusterId cluster) const {
        const ViewInfo* found = nullptr;
        for (auto at = first(group); at != last(group); ++at)
            if (at->second.known.cluster == cluster && (!found || is_newer(at->second.known.view, found->view)))
                found = &at->second.known;
        return found;
    }
    /// The server with the name of `member`, if it reported the view `known` after `since`, and if it is the same
    /// incarnation or continues its state; else null.
    const ForeignServer* find(const ViewInfo& known, const Member& member, Time since) const {
        auto found = reports_.find({known.group, member.name});
        if (found == reports_.end()) return nullptr;
        const auto& server = found->second;
        const bool itself = server.incarnation == member.incarnation ||
                            std::ranges::find(server.recovered, member.incarnation) != server.recovered.end();
        const bool same = server.known.cluster == known.cluster && server.known.view.number == known.view.number;
        return itself && same && server.heard > since ? &server : nullptr;
    }

    friend bool operator==(const ForeignServers&, const ForeignServers&) = default;

private:
    using Reports = std::map<std::pair<std::string, Address>, ForeignServer>;
    Reports::const_iterator first(const std::string& group) const { return reports_.lower_bound({group, {}}); }
    Reports::const_iterator last(const std::string& group) const { return reports_.lower_bound({group + '\0', {}}); }

    Reports reports_;  // by group and server
};

}  // namespace understudy::view_service
