// Decides when a journal syncs what it has written, and so what it may promise.
#pragma once

#include <algorithm>

#include <understudy/view.hpp>

namespace understudy::journal {

/// When written batches are brought to stable storage.
struct SyncPolicy {
    /// Before a batch counts as persisted. No crash takes back a write that was answered, and a group that died as a
    /// whole recovers by itself.
    static constexpr SyncPolicy always() { return {Duration{}}; }
    /// Once per interval. The end of a process loses nothing. A crash of the machine loses what was written during one
    /// interval and during the last sync. So a server may not claim that it has recovered its state (S9), and after the
    /// death of a whole group an operator decides. With an interval of 0 or less this is `always`.
    static constexpr SyncPolicy every(Duration interval) { return {std::max(interval, Duration{})}; }
    /// When the kernel decides, or when the journal syncs for another reason: it is idle, or a segment or a snapshot is
    /// complete. In all else as `every`.
    static constexpr SyncPolicy never() { return {Duration::max()}; }

    /// Whether a batch counts as persisted only after it is on stable storage. Only then may a later incarnation claim
    /// that it continues this one's state.
    constexpr bool promises() const { return interval == Duration{}; }

    Duration interval{};  ///< The default, 0, is `always`.

    friend constexpr bool operator==(const SyncPolicy&, const SyncPolicy&) = default;
};

/// Computes when a journal must sync or seal by its policy. It is told the time and what the journal did, and reads no
/// clock itself, so it works with real and with simulated time.
class SyncSchedule {
public:
    /// At `start` everything must be on stable storage. After a time of `idle` without a write the log is to be sealed.
    SyncSchedule(SyncPolicy policy, Duration idle, Time start)
        : policy_{policy}, idle_{idle}, written_at_{start}, synced_at_{start} {}

    const SyncPolicy& policy() const { return policy_; }

    /// A batch was handed to the kernel.
    void wrote(Time now) {
        written_at_ = now;
        synced_ = checkpointed_ = false;
    }
    /// Everything written so far is synced; `now` is when the sync began.
    void syncs(Time now) {
        synced_at_ = now;
        synced_ = true;
    }
    /// The log is sealed, which includes a sync.
    void checkpoints(Time now) {
        syncs(now);
        checkpointed_ = true;
    }

    /// When a sync is due; `never` if everything is synced. It counts from the last sync, so that no batch waits for
    /// longer than the interval.
    Time sync_due() const { return synced_ ? never : after(synced_at_, policy_.interval); }
    /// When the log is to be sealed; `never` if it is sealed.
    Time checkpoint_due() const { return checkpointed_ ? never : after(written_at_, idle_); }
    /// When a sync or a seal is due even if no further batch comes.
    Time next() const { return std::min(sync_due(), checkpoint_due()); }

private:
    SyncPolicy policy_;
    Duration idle_;
    Time written_at_;
    Time synced_at_;
    bool synced_ = true;
    bool checkpointed_ = false;
};

}  // namespace understudy::journal
