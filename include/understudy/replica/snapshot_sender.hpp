// Sends a snapshot to one backup, a window of chunks ahead of what the backup has acknowledged (S8).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <understudy/replica/snapshot_transfer.hpp>

namespace understudy::replica {

/// The transfer to one backup, if there is one, and the next chunk to send. A transfer may also rest: the backup has
/// gone, or it is not known yet whether it still needs one; then `begin` goes on with it, if that is possible. All
/// functions that speak of chunks need a transfer.
template <TextStore S>
class SnapshotSender {
public:
    bool has_transfer() const { return transfer_.has_value(); }
    const SnapshotId& id() const { return transfer_->id(); }
    /// Bytes of the snapshot that the backup has acknowledged; 0 without a transfer.
    std::uint64_t acknowledged_bytes() const { return transfer_ ? transfer_->acknowledged_bytes() : 0; }

    /// Begins a transfer of the present state. `may_go_on`: if a transfer rests, and the entries after its snapshot are
    /// still in the log, that one goes on instead. Returns whether it does.
    bool begin(const ReplicatedState<S>& state, Incarnation by, bool may_go_on) {
        const bool goes_on = may_go_on && transfer_ && state.log.has(transfer_->id().at);
        if (!goes_on) transfer_.emplace(state, by);
        rewind();
        return goes_on;
    }
    /// No snapshot is needed any more.
    void drop() { transfer_.reset(); }
    /// Take and give a transfer that goes on when the backup comes back in a later view.
    std::optional<OutgoingSnapshot<S>> take() { return std::exchange(transfer_, std::nullopt); }
    void give(OutgoingSnapshot<S> transfer) { transfer_ = std::move(transfer); }

    /// Whether an answer acknowledges less than an earlier one did. Such an answer must have no effect.
    bool is_old(std::uint64_t next) const { return next < transfer_->acknowledged(); }
    /// The backup has all chunks before `next`, which must not be old. Returns false if that chunk cannot be given
    /// (`OutgoingSnapshot::acknowledge`).
    bool acknowledge(std::uint64_t next, std::size_t chunk_bytes) {
        if (!transfer_->acknowledge(next, chunk_bytes)) return false;
        next_chunk_ = std::max(next_chunk_, transfer_->acknowledged());
        return true;
    }
    /// The backup refused a chunk and wants `next`. Goes on there; returns false if that chunk cannot be given.
    bool go_back(std::uint64_t next, std::size_t chunk_bytes) {
        if (!transfer_->acknowledge(next, chunk_bytes)) return false;
        next_chunk_ = next;
        return true;
    }
    /// What is not acknowledged is sent again.
    void rewind() { next_chunk_ = transfer_ ? transfer_->acknowledged() : 0; }
    /// Whether the backup has acknowledged all chunks.
    bool complete() const { return transfer_->complete(); }

    /// Whether another chunk may be sent: at most `window` chunks are under way.
    bool has_room(std::size_t window) const {
        return transfer_->can_send(next_chunk_) && next_chunk_ < transfer_->acknowledged() + window;
    }
    /// Puts the next chunk into a message. `has_room` must be true.
    void take_chunk(Install& install, std::size_t chunk_bytes) {
        install.snapshot = transfer_->id();
        install.chunk = next_chunk_;
        install.data = transfer_->chunk(next_chunk_, chunk_bytes);
        install.last = transfer_->is_last(next_chunk_);
        ++next_chunk_;
    }

    friend bool operator==(const SnapshotSender&, const SnapshotSender&) = default;

private:
    std::optional<OutgoingSnapshot<S>> transfer_;
    std::uint64_t next_chunk_ = 0;
};

}  // namespace understudy::replica
