// The pings of a server to the view service: when the next one is due, to which address it goes, and what the answers
// say about that address (rule S12).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/replica/output.hpp>

namespace understudy::replica {

/// Chooses one of several addresses of the view service and stays with it while it answers. It moves on to the next
/// one, in the given order and cyclically, only at the moment when it sends a ping.
class Pinger {
public:
    /// `addresses` must not be empty. The first ping is due at `now`.
    Pinger(std::vector<Address> addresses, Time now)
        : addresses_{std::move(addresses)}, refusals_(addresses_.size()), next_{now} {}

    /// Whether the next ping is to be sent now; `deadline` says when that will be.
    bool due(Time now) const { return now >= next_; }
    Time deadline() const { return next_; }
    /// Makes the next ping due at once, because the view service should learn something without delay.
    void make_due() { next_ = Time::min(); }

    /// The address that is pinged at present.
    const Address& address() const { return addresses_[current_]; }
    /// Whether `peer` is an address of the view service. Views that other peers push, and their answers to pings, do
    /// not count.
    bool knows(const Address& peer) const { return std::ranges::find(addresses_, peer) != addresses_.end(); }

    /// Sends `ping`, and returns its number, which grows by 1 with each ping. It goes to the present address, or to the
    /// next one if the present one did not answer for D (`dead_after`), its connection broke, or it refused the last
    /// ping. So the address changes with a ping only: once per `interval`, unless `make_due` asks for an earlier
    /// ping. Emits `ViewServiceSilent` when an address is silent or its connection broke.
    std::uint64_t send(Ping ping, Time now, Duration interval, Duration dead_after, Output& out) {
        const bool silent = broken_ || (unanswered_since_ != never && now >= unanswered_since_ + dead_after);
        if (silent && silences_ < addresses_.size()) {  // one event for each address, not for each D of a long outage
            out.emit(ViewServiceSilent{address()});
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

    /// `peer` answered a ping. This takes back all refusals, and emits `ViewServiceAnswers` if silence was emitted
    /// before.
    void answered(const Address& peer, Output& out) {
        unanswered_since_ = never;
        if (peer == address()) broken_ = refused_ = false;
        std::ranges::fill(refusals_, std::nullopt);
        if (std::exchange(silences_, 0) != 0) out.emit(ViewServiceAnswers{peer});
    }
    /// `peer`, which must be an address of the view service, refused a ping with `code`. Returns true if this is news:
    /// the caller emits an event for a refusal once, not with every ping that the same address refuses alike.
    ///
    /// A refusal ends the silence of that address: it is reachable. If there are other addresses, the next ping goes to
    /// the next one. `superseded` and `name_in_use` are exceptions: only a view service that knows this server's name
    /// gives them, so it is the right one (S12).
    bool refused(const Address& peer, error code) {
        if (peer == address()) unanswered_since_ = never;
        const bool by_right_one = code == error::superseded || code == error::name_in_use;  // see above: S12
        if (has_others()) refused_ = refused_ || (peer == address() && !by_right_one);
        else silences_ = 0;
        return std::exchange(refusals_[index_of(peer)], code) != code;
    }
    /// The connection to `peer` broke, or could not be established. If that is the present address, the next ping goes
    /// to the next one. With one address only there is nothing to change.
    void disconnected(const Address& peer) { broken_ = broken_ || (has_others() && peer == address()); }

    /// Whether the last refusal of some address, since a ping was last answered, was `wrong_cluster` or `behind`: that
    /// view service is foreign, or its record is behind (R7). Pings then carry the newest view that this server knows.
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
    std::vector<std::optional<error>> refusals_;  // the last one of each address since a ping was last answered
    std::size_t current_ = 0;
    std::uint64_t n_ = 0;  // of the last ping
    Time next_;
    Time unanswered_since_ = never;  // when the oldest ping to the present address without any answer was sent
    std::size_t silences_ = 0;  // `ViewServiceSilent` events since the last answer (or refusal, with one address)
    bool broken_ = false;       // the connection to the present address broke
    bool refused_ = false;      // the present address refused the last ping
};

}  // namespace understudy::replica
