// Waits between retries: they grow exponentially, and jitter keeps many clients from retrying at the same moment.
#pragma once

#include <algorithm>
#include <cstdint>

#include <understudy/view.hpp>

namespace understudy::client {

/// A pseudo-random generator for a state machine. It is a part of the state machine's value, so a copy of the state
/// machine draws the same numbers and a run can be replayed. The algorithm is splitmix64 (Steele, Lea and Flood 2014);
/// it is not meant for cryptography.
class Prng {
public:
    explicit Prng(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        auto z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    /// A duration between `length / 2` and `length`, both included.
    Duration jitter(Duration length) {
        auto half = static_cast<std::uint64_t>(length.count()) / 2;
        return length - Duration{static_cast<Duration::rep>(next() % (half + 1))};
    }
    friend bool operator==(const Prng&, const Prng&) = default;

private:
    std::uint64_t state_;
};

/// The wait before the next retry: `first`, then twice as long each time, at most `last`. Jitter shortens each wait to
/// between half of it and all of it.
class Backoff {
public:
    Backoff(Duration first, Duration last) : first_(first), last_(last) {}

    Duration next(Prng& chance) {
        // Comparing with half of `last_` instead of doubling first: the doubled value could overflow.
        step_ = step_ == Duration{} ? first_ : step_ > last_ / 2 ? last_ : step_ * 2;
        return chance.jitter(step_);
    }
    /// The next wait is `first` again.
    void reset() { step_ = {}; }
    friend bool operator==(const Backoff&, const Backoff&) = default;

private:
    Duration first_, last_, step_{};  // `step_` is the last wait before jitter; zero: there was none yet
};

}  // namespace understudy::client
