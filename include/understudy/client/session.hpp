// A client's session (rule C3): the request that opens it, its id, and its sequence numbers without an answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include <understudy/view.hpp>

namespace understudy::client {

/// A session and its sequence numbers.
class ClientSession {
public:
    ClientSession() = default;

    bool is_open() const { return id_ != SessionId{}; }
    SessionId id() const { return id_; }
    void open(SessionId id) {
        *this = {};
        id_ = id;
    }
    /// Drops the session; used when it has expired.
    void forget() { *this = {}; }

    /// The next sequence number, for a command that is sent for the first time. Numbers start at 1.
    Sequence take() {
        ended_.push_back(false);
        ++unanswered_;
        return low_ + ended_.size() - 1;
    }
    /// Records that the call of that number has ended: answered, given up or cancelled. Numbers of an earlier session
    /// are ignored. A number that was given up counts as answered: otherwise `low` would stay below it, and the servers
    /// would retain the results above it for as long as the session lives.
    void end(SessionId session, Sequence seq) {
        const auto place = static_cast<std::size_t>(seq - low_);  // out of range if a server reused a session id
        if (session != id_ || seq < low_ || place >= ended_.size() || std::exchange(ended_[place], true)) return;
        --unanswered_;
        for (; !ended_.empty() && ended_.front(); ++low_) ended_.pop_front();
    }
    /// The lowest number without an answer; the next number if all have one. Servers drop results below it.
    Sequence low() const { return low_; }
    std::size_t unanswered() const { return unanswered_; }

    friend bool operator==(const ClientSession&, const ClientSession&) = default;

private:
    SessionId id_;
    Sequence low_ = 1;
    std::deque<bool> ended_;  // for `low_` and each number after it: true if its call has ended
    std::size_t unanswered_ = 0;
};

/// The request that opens a session (`pb.open`). It is sent again until one of the requests is answered. The first
/// answer to any request since the client began to ask is accepted. A session whose answer was lost stays unused and
/// expires at the servers.
class SessionOpening {
public:
    /// Records that a request is sent now and its answer is awaited until `until`. Returns its number.
    std::uint64_t send(Time until) {
        if (since_ == 0) since_ = next_;
        awaited_ = true;
        until_ = until;
        return next_++;
    }
    bool awaited() const { return awaited_; }
    /// Until when the answer is awaited; the earliest time if none is awaited.
    Time until() const { return awaited_ ? until_ : Time{}; }
    /// The answer is no longer awaited, so another request may be sent. It is still accepted if it comes first.
    void lost() { awaited_ = false; }

    /// True if request `n` was ever made. An answer to any other number is a fault of the peer.
    bool made(std::uint64_t n) const { return n > 0 && n < next_; }
    /// True if `n` is the request whose answer is awaited.
    bool is_last(std::uint64_t n) const { return awaited_ && n + 1 == next_; }
    /// Records the answer to request `n`. False if it comes too late: another request was answered before.
    bool answered(std::uint64_t n) {
        if (since_ == 0 || n < since_) return false;
        since_ = 0;
        awaited_ = false;
        return true;
    }
    friend bool operator==(const SessionOpening&, const SessionOpening&) = default;

private:
    std::uint64_t next_ = 1;
    std::uint64_t since_ = 0;  // the first request whose answer is accepted; 0: no session is being opened
    bool awaited_ = false;
    Time until_{};
};

}  // namespace understudy::client
