// A server's pings: when the next is due, at which address of the view service, and whether they are answered.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <understudy/core/call_id.hpp>
#include <understudy/core/effects.hpp>

namespace understudy {

class Pinger {
public:
    Pinger(std::vector<Address> addresses, Time now) : addresses_{std::move(addresses)}, next_{now} {}

    bool due(Time now) const { return now >= next_; }
    Time deadline() const { return next_; }
    /// The next ping goes out in this turn.
    void now_please() { next_ = Time::min(); }

    const Address& address() const { return addresses_[current_]; }
    bool knows(const Address& peer) const { return std::ranges::find(addresses_, peer) != addresses_.end(); }

    /// Returns the number of the ping.
    std::uint64_t send(Ping ping, Time now, Duration interval, Duration dead_after, Effects& out) {
        if (unanswered_since_ != never && now >= unanswered_since_ + dead_after) {
            if (silences_ < addresses_.size()) {  // once for each address, not once for each D of a long outage
                out.tell(ViewServiceSilent{address()});
                ++silences_;
            }
            current_ = (current_ + 1) % addresses_.size();
            unanswered_since_ = never;
        }
        if (unanswered_since_ == never) unanswered_since_ = now;
        ping.n = ++n_;
        out.send(address(), make_call_id(Method::view_ping, n_), std::move(ping));
        next_ = now + interval;
        return n_;
    }

    void answered(const Address& peer, Effects& out) {
        unanswered_since_ = never;
        refusal_.reset();
        if (std::exchange(silences_, 0) != 0) out.tell(ViewServiceAnswers{peer});
    }
    /// Whether this refusal is news: the same one is told once, not with every ping.
    bool refused(error code) {
        unanswered_since_ = never;
        silences_ = 0;
        return std::exchange(refusal_, code) != code;
    }

    /// Whether the view service belongs to another cluster, as far as its last answer told.
    bool is_foreign() const { return refusal_ == error::wrong_cluster; }

    friend bool operator==(const Pinger&, const Pinger&) = default;

private:
    std::vector<Address> addresses_;
    std::size_t current_ = 0;
    std::uint64_t n_ = 0;
    Time next_;
    Time unanswered_since_ = never;
    std::size_t silences_ = 0;  // in a row, as far as they were told
    std::optional<error> refusal_;
};

}  // namespace understudy
