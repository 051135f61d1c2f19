// When a journal brings what it wrote to stable storage, and so what it may promise.
#pragma once

#include <algorithm>

#include <understudy/view.hpp>

namespace understudy::journal {

/// When what was written is brought to stable storage.
struct SyncPolicy {
    /// Before it counts: no crash takes back what was answered, and a group that died as a whole comes back by itself.
    static constexpr SyncPolicy always() { return {Duration{}}; }
    /// Once in an interval: the death of a process takes nothing back, that of a machine what was written in so long,
    /// and while the last sync ran. A server may then not say that it recovered its state (S9): after the death of a
    /// whole group an operator decides. Of no time it is `always`.
    static constexpr SyncPolicy every(Duration interval) { return {std::max(interval, Duration{})}; }
    /// When the kernel likes, or when the journal has something else to sync for: nothing has come for a while, a
    /// segment or a snapshot is complete. Else as `every`.
    static constexpr SyncPolicy never() { return {Duration::max()}; }

    /// Nothing counts before it is on stable storage: only then may a later life say that it goes on from this one.
    constexpr bool promises() const { return interval == Duration{}; }

    Duration interval{};  ///< By itself: `always`.

    friend constexpr bool operator==(const SyncPolicy&, const SyncPolicy&) = default;
};

/// When a journal has to act by its policy. It knows of what its holder tells it alone, and so works on any clock.
class SyncSchedule {
public:
    /// All that there is at the start is on stable storage. After `idle` without anything new the log is to be sealed.
    SyncSchedule(SyncPolicy policy, Duration idle, Time start)
        : policy_{policy}, idle_{idle}, written_at_{start}, synced_at_{start} {}

    const SyncPolicy& policy() const { return policy_; }

    /// Something was handed to the kernel.
    void wrote(Time now) {
        written_at_ = now;
        synced_ = sealed_ = false;
    }
    /// A sync begins, of all that was written.
    void syncs(Time now) {
        synced_at_ = now;
        synced_ = true;
    }
    /// The log is sealed, which syncs it too.
    void seals(Time now) {
        syncs(now);
        sealed_ = true;
    }

    /// When a sync is due, counted from the last one, so that nothing waits for longer than the interval.
    Time sync_due() const { return synced_ ? never : after(synced_at_, policy_.interval); }
    Time seal_due() const { return sealed_ ? never : after(written_at_, idle_); }
    /// When there is something to do though nothing comes.
    Time next() const { return std::min(sync_due(), seal_due()); }

private:
    SyncPolicy policy_;
    Duration idle_;
    Time written_at_;
    Time synced_at_;
    bool synced_ = true;
    bool sealed_ = false;
};

}  // namespace understudy::journal
