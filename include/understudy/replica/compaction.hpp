// When a journal gets a snapshot of its own, so that it does not grow for ever, and how that is read out.
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

/// Reads a snapshot of the applied state into the journal, a piece in each turn, once what was written since the last
/// one exceeds that one and `journal_bytes`, be it entries or what starts and views say of the server: so writing
/// snapshots at most doubles what is written, and a journal holds about two copies of the state and `journal_bytes`.
template <TextStore S>
class Compaction {
public:
    /// `written`: bytes of what follows the snapshot that a restart began from; `size`: the bytes of that.
    void restore(std::uint64_t written, std::uint64_t size) {
        before_ = written;
        size_ = size;
    }

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
    void persisted(std::uint64_t number) {
        while (!under_way_.empty() && under_way_.front() <= number) under_way_.pop_front();
    }
    /// Another snapshot takes the place of all that the journal has.
    void abandon(const ReplicatedState<S>& state) {
        if (snapshot_) reached("S9: a snapshot that is received ends one that is written");
        snapshot_.reset();
        before_ = 0;
        since_ = state.durable.bytes();
    }

    /// Whether the next piece can be given out at once.
    bool due(const ReplicaOptions& options) const { return snapshot_ && under_way_.size() < options.chunk_window; }

    friend bool operator==(const Compaction&, const Compaction&) = default;

private:
    void finish() {
        size_ = snapshot_->acknowledged_bytes();
        since_ = begun_;
        before_ = 0;
        snapshot_.reset();
    }

    std::optional<OutgoingSnapshot<S>> snapshot_;
    std::uint64_t next_ = 0;
    std::deque<std::uint64_t> under_way_;  // batches with pieces that are not on stable storage yet
    std::uint64_t before_ = 0, since_ = 0, begun_ = 0;  // bytes as `Durable` counts them
    std::uint64_t size_ = 0;
};

}  // namespace understudy::replica
