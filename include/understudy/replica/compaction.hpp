// Decides when a journal gets a new snapshot, so that it does not grow without bound, and reads that snapshot out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include <understudy/options.hpp>
#include <understudy/replica/snapshot_transfer.hpp>

namespace understudy::replica {

/// Writes a snapshot of the applied state into the journal, one piece per turn. It starts one when the bytes written
/// since the last snapshot exceed both the size of that snapshot and `journal_bytes`. Log entries and hard states count
/// as written bytes. So snapshots at most double what is written, and a journal holds about two copies of the state and
/// `journal_bytes`.
template <TextStore S>
class Compaction {
public:
    /// After a restart. `written`: bytes that the journal holds after its snapshot. `size`: bytes of that snapshot.
    void restore(std::uint64_t written, std::uint64_t size) {
        before_ = written;
        size_ = size;
    }

    /// Called once per turn: starts a snapshot if one is needed, and submits the next piece if the disk keeps up. Does
    /// nothing without a journal.
    void wake(ReplicatedState<S>& state, const ReplicaOptions& options, Incarnation by) {
        if (!state.durable.in_use()) return;
        const auto written = before_ + state.durable.bytes() - since_;
        if (!snapshot_ && written > std::max<std::uint64_t>(options.journal_bytes, size_)) {
            reached("S9: a journal gets a snapshot of its own");
            snapshot_.emplace(state, by);
            begun_ = state.durable.bytes();
            next_ = 0;
        }
        if (!due(options)) return;
        SnapshotPiece piece{snapshot_->id().at, next_, snapshot_->chunk(next_, options.chunk_bytes)};
        piece.last = snapshot_->is_last(next_);
        snapshot_->acknowledge(++next_, options.chunk_bytes);
        state.durable.add(std::move(piece));
        under_way_.push_back(state.durable.batches() + 1);
        if (snapshot_->complete()) finish();
    }
    /// All batches up to `number` are on stable storage.
    void persisted(std::uint64_t number) {
        while (!under_way_.empty() && under_way_.front() <= number) under_way_.pop_front();
    }
    /// A received snapshot, or an empty state, replaces everything in the journal. The snapshot being written is void.
    void abandon(const ReplicatedState<S>& state) {
        if (snapshot_) reached("S9: a snapshot that is received ends one that is written");
        snapshot_.reset();
        before_ = 0;
        since_ = state.durable.bytes();
    }

    /// Whether the next piece can be submitted at once. At most `chunk_window` pieces may be on their way to the disk:
    /// otherwise a large state would be queued in memory.
    bool due(const ReplicaOptions& options) const { return snapshot_ && under_way_.size() < options.chunk_window; }

    friend bool operator==(const Compaction&, const Compaction&) = default;

private:
    // Bytes written while the snapshot was being read out follow it in the journal, so they count towards the next one.
    void finish() {
        size_ = snapshot_->acknowledged_bytes();
        since_ = begun_;
        before_ = 0;
        snapshot_.reset();
    }

    std::optional<OutgoingSnapshot<S>> snapshot_;
    std::uint64_t next_ = 0;
    std::deque<std::uint64_t> under_way_;  // batches whose pieces are not on stable storage yet
    // Bytes written, as `Durable` counts them: by earlier incarnations, up to the last snapshot, and up to the start of
    // the snapshot that is being written.
    std::uint64_t before_ = 0, since_ = 0, begun_ = 0;
    std::uint64_t size_ = 0;  // bytes of the last snapshot
};

}  // namespace understudy::replica
