// The time that counts towards silence. A view service that was stopped, swapped out or behind with its reading must
// not take its own absence for the death of everybody else: that time is taken out of the clock by which it judges.
#pragma once

#include <algorithm>

#include <understudy/core/coverage.hpp>
#include <understudy/core/types.hpp>

namespace understudy::views {

/// A clock that stands still while the service does not run. It knows when the service meant to wake; a turn that
/// begins more than `slack` after that shows that it did not run, and the whole delay is left out. A stall that ends
/// before the promised time needs no such care: what arrived meanwhile is read before anybody is given up.
class RunningClock {
public:
    explicit RunningClock(Duration slack) : slack_(slack) {}

    /// The running time at `now`; called at the start of each step.
    Time read(Time now) {
        auto running = peek(now);
        if (now - running != stalled_) {
            reached("R1: time in which the view service did not run does not count");
            late_ += now - running - stalled_;
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
        late_ = Duration{};
    }

    /// How much too late this turn began.
    Duration late() const { return late_; }

    /// What the host's clock will show at that running time.
    Time host_time(Time running) const { return running == never ? never : after(running, stalled_); }

    friend bool operator==(const RunningClock&, const RunningClock&) = default;

private:
    Duration slack_;
    Duration stalled_{};
    Time promised_ = never;
    Duration late_{};
};

}  // namespace understudy::views
