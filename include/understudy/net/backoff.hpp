// Computes how long to wait before an address that could not be reached is dialled again.
#pragma once

#include <algorithm>
#include <cstdint>

#include <understudy/view.hpp>

namespace understudy::net {

/// Exponential backoff with jitter: the wait doubles with each failure in a row.
class Backoff {
public:
    /// The remaining part of the wait; zero if the wait is over.
    Duration left(Time now) const { return std::max(Duration{}, until_ - now); }

    /// Begins the next wait. Its nominal length is `first` at the first call, and doubles with each call up to `last`.
    /// The actual wait lies between half of the nominal length and all of it; the random number `chance` selects the
    /// point. Without this jitter, all nodes that lost the same peer would dial it again at the same moments.
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
