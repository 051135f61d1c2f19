// How long to leave an address alone that could not be reached.
#pragma once

#include <algorithm>
#include <cstdint>

#include <understudy/view.hpp>

namespace understudy::net {

/// Doubles with each failure in a row.
class Backoff {
public:
    /// What is left of the wait, zero if it is over.
    Duration left(Time now) const { return std::max(Duration{}, until_ - now); }

    /// Begins the next wait: half to all of a length that doubles from `first` up to `last`. `chance` makes the
    /// difference, so that those who lost the same peer do not come back in step.
    void lengthen(Time now, Duration first, Duration last, std::uint64_t chance) {
        length_ = length_ == Duration{} ? first : length_ < last / 2 ? length_ * 2 : last;
        const auto half = std::max<Duration::rep>(length_.count() / 2, 1);
        until_ = after(now, Duration{half + static_cast<Duration::rep>(chance % static_cast<std::uint64_t>(half))});
    }

private:
    Duration length_{};
    Time until_{};
};

}  // namespace understudy::net
