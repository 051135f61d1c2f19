// The read lease of a primary: until when it may answer reads from its own state, without a round to its backups
// (protocol, section 3, Reads by lease).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

#include <understudy/protocol/message.hpp>

namespace understudy::replica {

/// The view service does not replace a silent primary before D has passed since it *received* the last ping. A ping is
/// received after it is sent, so no other server can be primary until D after that ping was *sent*. This holds on one
/// clock, but there are two: this server's clock may run slower than the view service's. The lease is therefore shorter
/// than D by a margin, which is the most that this clock may lose in D. Without the margin, a slow clock would let this
/// server answer reads after its successor has committed newer commands.
///
/// Without silence: a proof of death that may be wrong is not acted on before D either (protocol, section 2), and a
/// primary that is told to stop ends its lease by itself (R6).
///
/// The caller passes the time; it must come from a clock that counts the time asleep.
class Lease {
public:
    /// Notes that ping number `n` is sent at `now`. Only the latest 64 unanswered pings are kept; an answer to an older
    /// one extends nothing.
    void sent(std::uint64_t n, Time now) {
        pings_.push_back({n, now});
        if (pings_.size() > remembered) pings_.pop_front();
    }
    /// Handles the answer to ping number `n`. `mine` is the view in which this server operates as primary; the caller
    /// checks that it does. The answer extends the lease only if it names the same cluster, group and view number, so
    /// the view service knows this server as the primary of that view. An answer with `stop` extends nothing (R6).
    /// `dead_after` is D as this server knows it; the answer's D counts if it is shorter.
    void answered(std::uint64_t n, const PingResult& result, const ViewInfo& mine, Duration dead_after,
                  unsigned margin_percent) {
        const auto& theirs = result.info;
        const bool same = theirs.cluster == mine.cluster && theirs.group == mine.group &&
                          theirs.view.number == mine.view.number;
        if (same && !result.stop) granted(n, std::min(result.lease, dead_after), margin_percent);
    }
    /// Extends the lease to: time when ping `n` was sent + D - margin. The lease never becomes shorter by this. An
    /// unknown `n` (already answered, or too old) changes nothing. `margin_percent` is `ReplicaOptions::lease_margin`.
    /// O(unanswered pings), at most 64.
    void granted(std::uint64_t n, Duration dead_after, unsigned margin_percent) {
        const auto ping = std::ranges::find(pings_, n, &Sent::n);
        if (ping == pings_.end()) return;
        until_ = std::max(until_, after(ping->at, dead_after - dead_after / 100 * margin_percent));
        pings_.erase(pings_.begin(), ping + 1);  // an earlier ping can only give an earlier end
    }
    /// Ends the lease at once: another view was adopted, or the view service told this server to stop. An answer to a
    /// ping that was sent before may start it again, if it passes the checks of `answered`.
    void end() { until_ = Time::min(); }

    /// Whether reads may be answered without a round at `now`.
    bool holds(Time now) const { return now < until_; }
    /// The end of the lease; `Time::min()` if there is none.
    Time until() const { return until_; }

    friend bool operator==(const Lease&, const Lease&) = default;

private:
    struct Sent {
        std::uint64_t n = 0;
        Time at{};
        friend bool operator==(const Sent&, const Sent&) = default;
    };
    static constexpr std::size_t remembered = 64;

    std::deque<Sent> pings_;  // sent and not answered, oldest first
    Time until_ = Time::min();
};

}  // namespace understudy::replica
