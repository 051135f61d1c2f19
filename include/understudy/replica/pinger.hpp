// A server's pings: when the next is due, at which address of the view service, and whether they are answered.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/effects.hpp>

namespace understudy::replica {

class Pinger {
public:
    Pinger(std::vector<Address> addresses, Time now)
        : addresses_{std::move(addresses)}, refusals_(addresses_.size()), next_{now} {}

    bool due(Time now) const { return now >= next_; }
    Time deadline() const { return next_; }
    /// The next ping goes out in this turn.
    void now_please() { next_ = Time::min(); }

    const Address& address() const { return addresses_[current_]; }
    bool knows(const Address& peer) const { return std::ranges::find(addresses_, peer) != addresses_.end(); }

    /// Goes to the present address, or to the next one if that was silent for D, its connection broke or it refused.
    /// So the address changes once per interval at most. Returns the number of the ping.
    std::uint64_t send(Ping ping, Time now, Duration interval, Duration dead_after, Effects& out) {
        const bool silent = broken_ || (unanswered_since_ != never && now >= unanswered_since_ + dead_after);
        if (silent && silences_ < addresses_.size()) {  // once for each address, not once for each D of a long outage
            out.tell(ViewServiceSilent{address()});
            ++silences_;
        }
        if (broken_ || refused_) reached("S12: the next address of the view service is tried");
        if (silent || refused_) {
            current_ = (current_ + 1) % addresses_.size();
            unanswered_since_ = never;
        }
        broken_ = refused_ = false;
        if (unanswered_since_ == never) unanswered_since_ = now;
        ping.n = ++n_;
        out.send(address(), make_call_id(Method::view_ping, n_), std::move(ping));
        next_ = now + interval;
        return n_;
    }

    void answered(const Address& peer, Effects& out) {
        unanswered_since_ = never;
        if (peer == address()) broken_ = refused_ = false;
        std::ranges::fill(refusals_, std::nullopt);
        if (std::exchange(silences_, 0) != 0) out.tell(ViewServiceAnswers{peer});
    }
    /// Whether this refusal is news: the same one of an address is told once, not with every ping.
    bool refused(const Address& peer, error code) {
        if (peer == address()) unanswered_since_ = never;
        const bool by_right_one = code == error::superseded || code == error::name_in_use;  // it knows this name
        if (has_others()) refused_ = refused_ || (peer == address() && !by_right_one);
        else silences_ = 0;
        return std::exchange(refusals_[index_of(peer)], code) != code;
    }
    /// A connection broke, or could not be made.
    void gone(const Address& peer) { broken_ = broken_ || (has_others() && peer == address()); }

    /// Whether a view service, as its last answer told, is of another cluster or has a record that is behind (R7).
    bool is_foreign() const {
        return std::ranges::any_of(refusals_, [](const std::optional<error>& refusal) {
            return refusal == error::wrong_cluster || refusal == error::behind;
        });
    }

    friend bool operator==(const Pinger&, const Pinger&) = default;

private:
    bool has_others() const { return addresses_.size() > 1; }
    std::size_t index_of(const Address& peer) const {
        return static_cast<std::size_t>(std::ranges::find(addresses_, peer) - addresses_.begin());
    }

    std::vector<Address> addresses_;
    std::vector<std::optional<error>> refusals_;  // the last one of each address, since a ping was answered
    std::size_t current_ = 0;
    std::uint64_t n_ = 0;
    Time next_;
    Time unanswered_since_ = never;
    std::size_t silences_ = 0;  // in a row, as far as they were told
    bool broken_ = false;       // the connection to the present address
    bool refused_ = false;      // the last ping, by the present address
};

}  // namespace understudy::replica
