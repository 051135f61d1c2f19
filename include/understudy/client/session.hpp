// A client's session (rule C3): how it is opened, its name, and which of its sequence numbers are unanswered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include <understudy/view.hpp>

namespace understudy::client {

/// The sequence numbers of a session.
class ClerkSession {
public:
    ClerkSession() = default;

    bool is_open() const { return id_ != SessionId{}; }
    SessionId id() const { return id_; }
    void open(SessionId id) {
        *this = {};
        id_ = id;
    }
    void forget() { *this = {}; }

    Sequence take() {
        ended_.push_back(false);
        ++unanswered_;
        return low_ + ended_.size() - 1;
    }
    /// The call of that number has ended: answered, given up or cancelled.
    void end(SessionId session, Sequence seq) {
        const auto place = static_cast<std::size_t>(seq - low_);  // none, if a server gave out the same session twice
        if (session != id_ || seq < low_ || place >= ended_.size() || std::exchange(ended_[place], true)) return;
        --unanswered_;
        for (; !ended_.empty() && ended_.front(); ++low_) ended_.pop_front();
    }
    /// The lowest number still unanswered; the next one if all are answered.
    Sequence low() const { return low_; }
    std::size_t unanswered() const { return unanswered_; }

    friend bool operator==(const ClerkSession&, const ClerkSession&) = default;

private:
    SessionId id_;
    Sequence low_ = 1;
    std::deque<bool> ended_;  // whether `low_` has, and each number after it
    std::size_t unanswered_ = 0;
};

/// The request that opens a session, sent until one is answered. Any answer of this round will do; a session whose
/// answer was lost expires unused.
class SessionOpening {
public:
    /// The number of the request to send now; its answer is awaited until `until`.
    std::uint64_t send(Time until) {
        if (since_ == 0) since_ = next_;
        awaited_ = true;
        until_ = until;
        return next_++;
    }
    bool awaited() const { return awaited_; }
    Time until() const { return awaited_ ? until_ : Time{}; }
    /// Its answer is not awaited any more; it will do if it comes before another's.
    void lost() { awaited_ = false; }

    /// Whether request `n` was made at all; if not, nobody waits for its answer.
    bool made(std::uint64_t n) const { return n > 0 && n < next_; }
    bool is_last(std::uint64_t n) const { return awaited_ && n + 1 == next_; }
    /// Request `n` was answered. False if it comes too late: another one was answered before.
    bool answered(std::uint64_t n) {
        if (since_ == 0 || n < since_) return false;
        since_ = 0;
        awaited_ = false;
        return true;
    }
    friend bool operator==(const SessionOpening&, const SessionOpening&) = default;

private:
    std::uint64_t next_ = 1;
    std::uint64_t since_ = 0;  // the first request of this round; 0: no round is under way
    bool awaited_ = false;
    Time until_{};
};

}  // namespace understudy::client
