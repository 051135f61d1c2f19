// The time that counts towards silence. A view service that was stopped, swapped out or behind with its reading must
// not take its own absence for the death of everybody else: that time is taken out of the clock by which it judges.
#pragma once

#include <algorithm>

#include <understudy/protocol/coverage.hpp>
#include <understudy/view.hpp>

namespace understudy::view_service {

/// A clock that stands still while the service does not run. It knows when the service meant to wake; a turn that
/// begins more than `slack` after that shows that it did not run, and the whole delay is left out. A stall that ends
/// before the promised time needs no such care: what arrived meanwhile is read before anybody is given up.
class RunningClock {
public:
    /// `most`: it never takes longer than this to catch up.
    RunningClock(Duration slack, Duration most) : slack_(slack), most_(most) {}

    /// The running time at `now`; called at the start of each step.
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

    /// The same, without taking note.
    Time peek(Time now) const {
        auto delay = now > after(promised_, slack_) ? now - promised_ : Duration{};
        return now - stalled_ - delay;
    }

    /// Ends a turn: the service will wake at `running` at the latest.
    void promise(Time running) {
        promised_ = host_time(running);
        late_ = false;
    }

    /// Whether this turn began too late.
    bool late() const { return late_; }
    /// The running time until which there may be something to read that arrived while the service did not run; and
    /// whoever slept meanwhile may still have to wake. As long as it did not run, it may take.
    Time caught_up() const { return caught_up_; }

    /// What the host's clock will show at that running time.
    Time host_time(Time running) const { return running == never ? never : after(running, stalled_); }

    friend bool operator==(const RunningClock&, const RunningClock&) = default;

private:
    Duration slack_;
    Duration most_;
    Duration stalled_{};
    Time promised_ = never;
    bool late_ = false;
    Time caught_up_{};
};

}  // namespace understudy::view_service
