// How a client that ends closes its session (rule C4): it asks the current primary for a limited time. After that the
// session is left to expire by `session_ttl`.
#pragma once

#include <algorithm>
#include <cstdint>

#include <understudy/view.hpp>

namespace understudy::client {

/// The timing of the request `pb.close`: when it is sent, and when to stop trying. ClientStateMachine chooses the peer.
class SessionFarewell {
public:
    /// Starts: the request is due at `now`, and is tried until `until`.
    void begin(SessionId session, Time now, Time until) {
        session_ = session;
        next_ = now;
        until_ = until;
    }
    /// Stops: the session was closed, or trying again cannot help.
    void end() { session_ = {}; }
    bool under_way() const { return session_ != SessionId{}; }
    SessionId session() const { return session_; }
    /// When to give up.
    Time until() const { return until_; }

    /// True if the request is to be sent now.
    bool due(Time now) const { return next_ <= now; }
    /// Records that the request is sent now, and again at `again` if no answer comes. Returns its number.
    std::uint64_t send(Time again) {
        next_ = again;
        return ++sent_;
    }
    /// Sends the request again at `time`, earlier or later than planned.
    void send_at(Time time) { next_ = time; }
    /// True if request `n` was ever made. An answer to any other number is a fault of the peer.
    bool made(std::uint64_t n) const { return n > 0 && n <= sent_; }
    Time deadline() const { return std::min(next_, until_); }

    friend bool operator==(const SessionFarewell&, const SessionFarewell&) = default;

private:
    SessionId session_;  // none: not under way
    std::uint64_t sent_ = 0;
    Time next_{};
    Time until_{};
};

}  // namespace understudy::client
