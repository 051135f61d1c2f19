// A server's journal as the files of one directory: the newest snapshot, and the log of the batches after it.
//
//     log-NUMBER.log            the batches, in segments (frame_log.hpp); NUMBER is the segment's
//     snapshot-NUMBER.log       a snapshot that was complete before the frame NUMBER of the log was written
//     snapshot.new              a snapshot that is being written
//     lock                      locked while a process uses the directory
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/journal/batch_codec.hpp>
#include <understudy/journal/disk.hpp>
#include <understudy/journal/frame_log.hpp>
#include <understudy/journal/snapshot_file.hpp>
#include <understudy/replica/recovery.hpp>

namespace understudy::journal {

/// An encoded batch that was submitted and not yet written.
struct PendingBatch {
    std::uint64_t number = 0;
    std::string payload;  ///< The encoded batch (batch_codec.hpp), without `pieces`.
    std::vector<SnapshotPiece> pieces;
    std::optional<HardState> hard_state;  ///< The hard state, when it changed.
    Position last;                      ///< The last position of the log with this batch.
};

/// Drops the pieces of every snapshot before the last complete one of a batch. One turn can complete several snapshots:
/// one that was received, and then the empty one of a forced view that drops everything. A batch has one hard state,
/// which belongs to the end of the turn; without this, an earlier snapshot would be stored with that later hard state.
inline void keep_last_whole(std::vector<SnapshotPiece>& pieces) {
    const auto complete = std::find_if(pieces.rbegin(), pieces.rend(), [](const auto& piece) { return piece.last; });
    const auto begin = std::find_if(complete, pieces.rend(), [](const auto& piece) { return piece.n == 0; });
    if (begin == pieces.rend()) return;
    // If a dropped snapshot replaced everything, the remaining one must too: older entries would come back otherwise.
    for (auto before = std::next(begin); before != pieces.rend(); ++before)
        if (before->last && before->replaces) complete->replaces = true;
    pieces.erase(pieces.begin(), std::prev(begin.base()));
}

/// Encodes a batch for the disk thread. Moves the pieces and the hard state out of `batch`.
inline PendingBatch make_pending(JournalBatch& batch, const replica::Log& log) {
    PendingBatch pending{batch.number, {}, std::move(batch.pieces), {}, *log.position(batch.through)};
    keep_last_whole(pending.pieces);
    encode_batch(pending.payload, batch, log);
    pending.hard_state = std::move(batch.hard_state);
    return pending;
}

/// Writes a replica's batches to a disk and reads them back (rule S9). All calls block; one thread at a time. After the
/// disk has failed, every later call that uses the log throws the same exception again.
template <Disk D>
class ReplicaFiles {
public:
    /// `salt` is a random number, a new one for each incarnation.
    ReplicaFiles(D disk, std::uint64_t salt, FrameLogOptions options = {})
        : disk_{std::move(disk)}, options_{options}, log_{disk_, "log", salt, options}, writer_{disk_, salt} {}
    ReplicaFiles(ReplicaFiles&&) = delete;

    /// Reads everything and calls `to` for it: the pieces of the newest snapshot, then the batches, then `complete`.
    /// Call it once, before everything else. Batches that a later snapshot has invalidated are passed on as their hard
    /// state only. Throws `Damaged` for files in a state that no crash can cause, and `std::runtime_error` if `to`
    /// finds something wrong with a batch, or for another format version. O(bytes of the files).
    void read(replica::JournalReader& to) {
        remove_unfinished();
        std::uint64_t complete = 0;
        std::optional<HardState> hard_state;  // the hard state of the batch that completed the snapshot
        if (const auto snapshots = list_snapshots(disk_); !snapshots.empty()) {
            complete = snapshots.back();
            auto end = read_snapshot(disk_, complete, [&](const SnapshotPiece& piece) {
                snapshot_at_ = piece.at;
                return to.snapshot(piece);
            });
            invalidated_before_ = end.invalidated_before;
            hard_state = std::move(end.hard_state);
        }
        std::vector<Extent> extents;
        std::vector<EntryView> entries;
        auto left = log_bytes();
        const auto visit = [&](std::uint64_t number, std::string_view payload) {
            auto batch = decode_batch(payload, entries);
            const auto wrong = [&]() -> std::string {
                if (!batch) return "it is no batch of a replica";
                batch->number = number;
                extents.push_back({number, number < invalidated_before_ ? 0 : batch->through});
                if (batch->hard_state) hard_state_ = *batch->hard_state;
                last_number_ = number;
                left -= std::min(left, frame_bytes(payload.size()));
                to.to_come(left);
                if (number >= invalidated_before_) return to.batch(*batch, entries);
                if (batch->hard_state) to.hard_state(std::move(*batch->hard_state));
                return {};
            }();
            if (!wrong.empty()) throw std::runtime_error{unreadable(number, wrong)};
        };
        log_.recover(visit, [&] {
            // The batch that completed the snapshot is missing: a crash took its frame, or it was never written.
            // Without the hard state from the snapshot, the new state would be found under an older view.
            if (hard_state && last_number_ < complete) {
                hard_state_ = hard_state;
                to.hard_state(std::move(*hard_state));
            }
            if (const auto wrong = to.complete(); !wrong.empty()) throw std::runtime_error{wrong};
        });
        for (const auto& extent : extents) note(extent);
        found_ = complete;
    }

    /// Hands a batch to the kernel. If the batch completes a snapshot, this also brings everything to stable storage
    /// and removes the files that the snapshot supersedes. So the journal's size is bounded, however rarely `sync` is
    /// called.
    void write(const PendingBatch& batch) {
        std::uint64_t complete = 0;  // the number of the frame before which a snapshot becomes complete
        for (const auto& piece : batch.pieces) {
            // The snapshot's name is the number of the next frame, so all frames before it must be on stable storage
            // first. Otherwise a crash could lose some of them, the next incarnation would reuse their numbers, and its
            // frames would count as older than the snapshot.
            if (piece.last) log_.sync();
            const auto next = last_number_ + 1;
            const auto& hard_state = batch.hard_state ? batch.hard_state : hard_state_;
            if (!writer_.add(piece, next, {piece.replaces ? next : invalidated_before_, hard_state})) continue;
            if (piece.replaces) forget_entries_before(next);
            snapshot_at_ = piece.at;
            complete = next;
        }
        const auto segment = log_.segments().back().number;
        if (complete != 0) log_.begin_next_segment();  // so that the segments before can be removed
        last_number_ = log_.append(batch.payload);
        note({last_number_, batch.last.index});
        if (batch.hard_state) {
            hard_state_ = *batch.hard_state;
            // This incarnation has written its hard state, so files that the recovered snapshot supersedes may go too.
            complete = std::max(complete, std::exchange(found_, 0));
        } else if (log_.segments().back().number != segment) {
            repeat_hard_state(batch.last);
        }
        log_.flush();
        if (complete == 0) return;
        log_.sync();
        remove_old(complete);
    }
    /// Brings all written batches to stable storage.
    void sync() { log_.sync(); }
    /// As `sync`, and writes a checkpoint mark: from then on, damage to any byte is detected. Call it when nothing more
    /// comes for a while.
    void checkpoint() { log_.checkpoint(); }

    /// Bytes of the log's files, without snapshots.
    std::uint64_t bytes() const { return log_.bytes(); }

    /// The error text for a batch in which a reader found something wrong.
    std::string unreadable(std::uint64_t number, const std::string& wrong) const {
        return "frame " + std::to_string(number) + " of " + disk_.path("log-*.log") + " cannot be used: " + wrong +
               ". Was it written with another store, or is a part of the directory missing? (docs/durability.md)";
    }

private:
    /// The highest entry index of a frame, or of all frames of the segment that begins with frame `number`.
    struct Extent {
        std::uint64_t number = 0;
        Index through = 0;
    };

    /// A lower bound of the bytes of all frames, for `JournalReader::to_come`. A segment may have grown ahead of its
    /// frames, so up to `grow_bytes` of each are not counted.
    std::uint64_t log_bytes() const {
        std::uint64_t bytes = 0;
        for (const auto& name : disk_.list())
            if (segment_number("log", name)) {
                const auto size = disk_.size(name);
                bytes += size - std::min<std::uint64_t>(size, segment_header_bytes + options_.grow_bytes);
            }
        return bytes;
    }

    /// Writes the hard state again, as a batch without entries, after the first batch of a new segment. So each segment
    /// has the hard state, and older segments can be removed.
    void repeat_hard_state(Position last) {
        JournalBatch repeated;
        repeated.hard_state = hard_state_;
        repeated.prev = last;
        repeated.through = last.index;
        std::string payload;
        encode_batch(payload, repeated, replica::Log{});
        last_number_ = log_.append(payload);
    }

    /// A snapshot replaced everything: invalidates the entries in all frames before this number. Their segments can be
    /// removed with this snapshot, whatever indexes the entries have.
    void forget_entries_before(std::uint64_t number) {
        invalidated_before_ = number;
        for (auto& extent : extents_) extent.through = 0;
    }
    /// Adds the extent of a frame to that of its segment. O(log segments).
    void note(Extent extent) {
        const auto& segments = log_.segments();
        auto segment = std::ranges::upper_bound(segments, extent.number, {}, &Segment::first);
        const auto first = segment == segments.begin() ? 0 : std::prev(segment)->first;
        if (extents_.empty() || extents_.back().number != first) extents_.push_back({first, 0});
        extents_.back().through = std::max(extents_.back().through, extent.through);
    }

    /// Removes the oldest segments as long as the snapshot contains all their entries, and all other snapshots.
    /// `complete` is the number in the snapshot's name.
    void remove_old(std::uint64_t complete) {
        while (extents_.size() > 1 && extents_.front().through <= snapshot_at_.index) extents_.erase(extents_.begin());
        if (complete != 0 && !extents_.empty()) log_.remove_before(extents_.front().number);
        for (const auto before : list_snapshots(disk_))
            if (before != complete) disk_.remove(segment_name(snapshot_prefix, before));
    }
    void remove_unfinished() {
        const auto unfinished = SnapshotWriter<D>::unfinished_name();
        if (const auto names = disk_.list(); std::ranges::find(names, unfinished) != names.end())
            disk_.remove(unfinished);
    }

    D disk_;
    FrameLogOptions options_;
    FrameLog<D> log_;
    SnapshotWriter<D> writer_;
    std::optional<HardState> hard_state_;
    std::vector<Extent> extents_;    // of the segments, oldest first
    Position snapshot_at_;           // the last position in the newest complete snapshot
    std::uint64_t invalidated_before_ = 0;  // entries in frames before this number are invalidated
    std::uint64_t last_number_ = 0;  // the last frame of a batch; trailing marks have numbers too, which are used again
    std::uint64_t found_ = 0;        // the number in the name of the snapshot that `read` found. The files that it
                                     // supersedes stay until this incarnation has written its hard state
};

}  // namespace understudy::journal
