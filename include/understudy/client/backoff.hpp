// Waits between tries that get longer and never fall into step with somebody else's.
#pragma once

#include <algorithm>
#include <cstdint>

#include <understudy/view.hpp>

namespace understudy::client {

/// Chance for a machine: a generator that is part of its value, so that a copy of the machine draws the same
/// numbers (splitmix64, Steele, Lea and Flood 2014).
class Chance {
public:
    explicit Chance(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        auto z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    /// Between half of `length` and all of it.
    Duration jitter(Duration length) {
        auto half = static_cast<std::uint64_t>(length.count()) / 2;
        return length - Duration{static_cast<Duration::rep>(next() % (half + 1))};
    }
    friend bool operator==(const Chance&, const Chance&) = default;

private:
    std::uint64_t state_;
};

/// The wait before the next try: `first`, then twice as long each time up to `last`, with jitter.
class Backoff {
public:
    Backoff(Duration first, Duration last) : first_(first), last_(last) {}

    Duration next(Chance& chance) {
        step_ = step_ == Duration{} ? first_ : step_ > last_ / 2 ? last_ : step_ * 2;
        return chance.jitter(step_);
    }
    void reset() { step_ = {}; }
    friend bool operator==(const Backoff&, const Backoff&) = default;

private:
    Duration first_, last_, step_{};
};

}  // namespace understudy::client
