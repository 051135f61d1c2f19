// Many servers in groups of two, reduced to what a view service sees of them: each sends pings, takes the view that it
// receives and, as primary, reports at once that its backup is in sync.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>

namespace understudy::test {

using namespace protocol;
using namespace view_service;

class Fleet {
public:
    explicit Fleet(std::size_t servers) : servers_(servers) {
        for (std::size_t n = 0; n < servers; ++n) {
            auto& ping = servers_[n].ping;
            ping.group = "group" + std::to_string(n / 2);
            ping.server = name(n);
            ping.incarnation = Incarnation{0x9e3779b97f4a7c15u * (n + 1)};
        }
    }
    std::size_t size() const { return servers_.size(); }
    std::size_t groups() const { return servers_.size() / 2; }

    /// The server's next ping.
    const Ping& next_ping(std::size_t n) {
        ++servers_[n].ping.n;
        return servers_[n].ping;
    }
    const Ping& last_ping(std::size_t n) const { return servers_[n].ping; }
    const View& view(std::size_t n) const { return servers_[n].view; }
    bool leads(std::size_t n) const { return view(n).primary.name == servers_[n].ping.server; }

    /// The server receives a view. Returns whether the view is newer than the one it had.
    bool tell(std::size_t n, const ViewInfo& info) {
        auto& server = servers_[n];
        if (!is_newer(info.view, server.view)) return false;
        server.view = info.view;
        server.ping.viewnum = info.view.number;
        server.ping.cluster = info.cluster;
        server.ping.synced.reset();
        if (!leads(n)) return true;
        for (const auto& backup : info.view.backups) server.ping.synced.emplace().push_back(backup.name);
        if (info.view.backups.empty()) server.ping.synced.emplace();
        return true;
    }
    /// Whether the group has a primary and a backup in sync, and both know it.
    bool formed(std::size_t group) const {
        const auto &one = view(2 * group), &other = view(2 * group + 1);
        return one.number == 2 && one == other && one.synced_count() == 1;
    }
    bool formed() const {
        for (std::size_t group = 0; group < groups(); ++group)
            if (!formed(group)) return false;
        return true;
    }

    /// `count` primaries, spread over all groups.
    std::vector<std::size_t> some_primaries(std::size_t count) const {
        std::vector<std::size_t> chosen;
        count = std::min(count, groups());
        for (std::size_t i = 0; i < count; ++i) {
            const auto first = 2 * (i * groups() / count);
            chosen.push_back(leads(first) ? first : first + 1);
        }
        return chosen;
    }
    /// The other server of the same group.
    static std::size_t partner(std::size_t n) { return n ^ 1; }

private:
    /// An address of this machine at which no process listens.
    static Address name(std::size_t n) {
        const auto part = [](std::size_t value) { return std::to_string(value & 0xFF); };
        return "tcp://127." + part(1 + (n >> 16)) + "." + part(n >> 8) + "." + part(n) + ":9";
    }
    struct Server {
        Ping ping;
        View view;
    };
    std::vector<Server> servers_;
};

// ---- what happens to a fleet, over whatever carries its pings -----------------------------------------------

/// Runs until all groups are in their second view, with both servers in sync.
void form(auto& fleet) {
    std::size_t left = fleet.fleet().groups();
    fleet.on_news = [&](std::size_t server) { left -= fleet.fleet().formed(server / 2); };
    fleet.run([&, end = fleet.now() + std::chrono::seconds{20}] { return left == 0 || fleet.now() > end; });
    fleet.on_news = [](std::size_t) {};
    if (!fleet.fleet().formed()) throw std::runtime_error{"the groups do not form"};
}

/// Lets `count` primaries fail at once by calling `fail`. Returns how many groups received their next view, and the
/// time until the last one did, or the time at which the wait ended.
auto fail_primaries(auto& fleet, std::size_t count, Duration dead_after, auto fail) {
    const auto chosen = fleet.fleet().some_primaries(count);
    std::size_t emitted = 0;
    fleet.on_news = [&](std::size_t server) { emitted += fleet.fleet().view(server).number == 3; };
    const auto begun = fleet.now();
    for (const auto server : chosen) fail(server);
    fleet.run([&] { return emitted == chosen.size() || fleet.now() > begun + 10 * dead_after; });
    const auto took = fleet.now() - begun;
    fleet.run_for(2 * dead_after);  // no further view change follows
    fleet.on_news = [](std::size_t) {};
    return std::pair{emitted, took};
}

}  // namespace understudy::test
