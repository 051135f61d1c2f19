// How slow a server's own disk is. A primary with a slow disk gives its backups more time to confirm (S7): they
// probably have the same kind of disk.
#pragma once

#include <algorithm>
#include <cstdint>

#include <understudy/view.hpp>

namespace understudy::replica {

/// Measures how long a journal batch takes to reach stable storage. It keeps a maximum that decays: each measured batch
/// lowers it by an eighth, unless that batch took longer. All operations take O(1).
class OwnDelay {
public:
    /// Batch number `batch` is submitted to the journal. Numbers start at 1.
    void submitted(std::uint64_t batch, Time now) {
        if (batch_ != 0) return;  // one batch at a time is measured
        batch_ = batch;
        submitted_at_ = now;
    }
    /// Batches up to and including number `batch` are on stable storage at `now`.
    void persisted(std::uint64_t batch, Time now) {
        if (batch_ == 0 || batch < batch_) return;
        recent_ = std::max(now - submitted_at_, recent_ - recent_ / 8);
        batch_ = 0;
    }
    /// The delay as known at `now`. A batch that is still being written counts with the time that it has taken so far,
    /// so that a disk that hangs shows before it answers.
    Duration so_far(Time now) const { return batch_ == 0 ? recent_ : std::max(recent_, now - submitted_at_); }

    /// S7: how long a backup may confirm nothing before it is reported unreachable. `own` is this server's own delay,
    /// `dead_after` is D. The result is three times `own`, but at least D/2 and at most 10 D. Because of the upper
    /// bound a backup that hangs is removed even if this server is very slow, only later.
    static Duration ack_timeout(Duration own, Duration dead_after) {
        return std::max(dead_after / 2, std::min(own, dead_after * 10 / 3) * 3);
    }

    friend bool operator==(const OwnDelay&, const OwnDelay&) = default;

private:
    std::uint64_t batch_ = 0;  // the batch that is being measured; 0: none
    Time submitted_at_{};
    Duration recent_{};
};

}  // namespace understudy::replica
