// The clock that measures the silence of servers. A view service that was stopped, swapped out or late with its reading
// heard no pings in that time. It must not take its own pause for the death of all servers, so this clock leaves the
// pause out.
#pragma once

#include <algorithm>

#include <understudy/protocol/coverage.hpp>
#include <understudy/view.hpp>

namespace understudy::view_service {

/// A clock that stands still while the service does not run. At the end of each turn the service promises when it will
/// wake. A turn that begins more than `slack` after that shows that the service did not run, and the whole delay is
/// left out. A stall that ends before the promised time needs no correction: what arrived during it is read before any
/// server is counted as lost.
class RunningClock {
public:
    /// `most` bounds the time that `caught_up` allows after a stall.
    RunningClock(Duration slack, Duration most) : slack_(slack), most_(most) {}

    /// The running time at `now` (host time). Called at the start of each step; notes a stall that it finds.
    Time read(Time now) {
        auto running = peek(now);
        if (now - running != stalled_) {
            reached("R1: time in which the view service did not run does not count");
            late_ = true;
            caught_up_ = std::max(caught_up_, after(running, std::min(now - running - stalled_, most_)));
        }
        stalled_ = now - running;
        promised_ = std::max(promised_, now);
        return running;
    }

    /// The same, but nothing is noted.
    Time peek(Time now) const {
        auto delay = now > after(promised_, slack_) ? now - promised_ : Duration{};
        return now - stalled_ - delay;
    }

    /// Ends a turn: the service promises to wake at the running time `running` at the latest.
    void promise(Time running) {
        promised_ = host_time(running);
        late_ = false;
    }

    /// Whether this turn began too late.
    bool late() const { return late_; }
    /// Running time. Pings that arrived during a stall may be unread until then, and servers that were stopped with the
    /// service may still have to wake. The allowance equals the stall, at most `most`.
    Time caught_up() const { return caught_up_; }

    /// The host time at that running time, if no further stall comes.
    Time host_time(Time running) const { return running == never ? never : after(running, stalled_); }

    friend bool operator==(const RunningClock&, const RunningClock&) = default;

private:
    Duration slack_;
    Duration most_;
    Duration stalled_{};     // the sum of all stalls: host time less running time
    Time promised_ = never;  // host time
    bool late_ = false;
    Time caught_up_{};
};

}  // namespace understudy::view_service
