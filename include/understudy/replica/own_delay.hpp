// How slow a server's own disk is: its backups are measured by that (S7).
#pragma once

#include <algorithm>
#include <cstdint>

#include <understudy/view.hpp>

namespace understudy::replica {

/// How long batches take to reach stable storage: the longest of the last ones, and the one under way.
class OwnDelay {
public:
    void gave(std::uint64_t batch, Time now) {
        if (batch_ != 0) return;  // one at a time is measured
        batch_ = batch;
        given_at_ = now;
    }
    void persisted(std::uint64_t batch, Time now) {
        if (batch_ == 0 || batch < batch_) return;
        recent_ = std::max(now - given_at_, recent_ - recent_ / 8);
        batch_ = 0;
    }
    Duration so_far(Time now) const { return batch_ == 0 ? recent_ : std::max(recent_, now - given_at_); }

    /// S7: how long a backup may confirm nothing. A hung one is removed all the same, if later.
    static Duration ack_timeout(Duration own, Duration dead_after) {
        return std::max(dead_after / 2, std::min(own, dead_after * 10 / 3) * 3);
    }

    friend bool operator==(const OwnDelay&, const OwnDelay&) = default;

private:
    std::uint64_t batch_ = 0;  // 0: none is under way
    Time given_at_{};
    Duration recent_{};
};

}  // namespace understudy::replica
