// How a client that ends closes its session (rule C4): it asks whoever is primary, for a while, and then leaves it to
// `session_ttl`.
#pragma once

#include <algorithm>
#include <cstdint>

#include <understudy/view.hpp>

namespace understudy::client {

/// The request that closes a session. When it is sent is said here, to whom is the client's business.
class SessionFarewell {
public:
    void begin(SessionId session, Time now, Time until) {
        session_ = session;
        next_ = now;
        until_ = until;
    }
    /// It was closed, or nothing can be done.
    void end() { session_ = {}; }
    bool under_way() const { return session_ != SessionId{}; }
    SessionId session() const { return session_; }
    Time until() const { return until_; }

    bool due(Time now) const { return next_ <= now; }
    /// The number of the request that is sent now, to be sent again at `again`.
    std::uint64_t send(Time again) {
        next_ = again;
        return ++sent_;
    }
    void send_at(Time time) { next_ = time; }
    bool made(std::uint64_t n) const { return n > 0 && n <= sent_; }
    Time deadline() const { return std::min(next_, until_); }

    friend bool operator==(const SessionFarewell&, const SessionFarewell&) = default;

private:
    SessionId session_;
    std::uint64_t sent_ = 0;
    Time next_{};
    Time until_{};
};

}  // namespace understudy::client
