// How long a primary may answer reads from its own state, asking nobody (protocol, Reads: lease).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

#include <understudy/protocol/message.hpp>

namespace understudy::replica {

/// A view service promotes nobody on silence before D has passed since it received a ping. So until D after that ping
/// was *sent* nobody else can have become primary, by one clock. There are two, and this server's may be the slower
/// one: what it can lose in D is the margin, by which a lease is shorter.
class Lease {
public:
    /// Ping number `n` goes out.
    void sent(std::uint64_t n, Time now) {
        pings_.push_back({n, now});
        if (pings_.size() > remembered) pings_.pop_front();
    }
    /// Ping number `n` was answered. That counts if the answer names this server primary of the view in which it
    /// operates, `mine`.
    void answered(std::uint64_t n, const PingResult& result, const ViewInfo& mine, Duration dead_after,
                  unsigned margin_percent) {
        const auto& theirs = result.info;
        const bool same = theirs.cluster == mine.cluster && theirs.group == mine.group &&
                          theirs.view.number == mine.view.number;
        if (same && !result.stop) granted(n, std::min(result.lease, dead_after), margin_percent);
    }
    /// It was answered, by somebody who knows this server as the primary of the view in which it operates.
    void granted(std::uint64_t n, Duration dead_after, unsigned margin_percent) {
        const auto ping = std::ranges::find(pings_, n, &Sent::n);
        if (ping == pings_.end()) return;
        until_ = std::max(until_, after(ping->at, dead_after - dead_after / 100 * margin_percent));
        pings_.erase(pings_.begin(), ping + 1);  // those before it can only give less
    }
    /// Another view, or the end of serving.
    void end() { until_ = Time::min(); }

    bool holds(Time now) const { return now < until_; }
    Time until() const { return until_; }

    friend bool operator==(const Lease&, const Lease&) = default;

private:
    struct Sent {
        std::uint64_t n = 0;
        Time at{};
        friend bool operator==(const Sent&, const Sent&) = default;
    };
    static constexpr std::size_t remembered = 64;

    std::deque<Sent> pings_;  // without an answer, oldest first
    Time until_ = Time::min();
};

}  // namespace understudy::replica
