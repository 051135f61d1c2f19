// One server's journal in the files of one directory: a log of batches, and the snapshot from which it goes on.
//
//     log-NUMBER.log            the batches, in segments (frame_log.hpp)
//     snapshot-NUMBER.log       a snapshot that became whole before the frame of that number was written
//     snapshot.new              one that is being written
//     lock                      held while a process uses the directory
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

/// A batch on its way to the disk.
struct PendingBatch {
    std::uint64_t number = 0;
    std::string payload;
    std::vector<SnapshotPiece> pieces;
    std::optional<HardState> standing;
    Position last;  ///< Of the log with this batch.
};

/// A turn can make several snapshots whole: one that was received, and then a forced view that drops all. Only the last
/// one is kept, so that none gets a name together with the standing of a later moment.
inline void keep_last_whole(std::vector<SnapshotPiece>& pieces) {
    const auto whole = std::find_if(pieces.rbegin(), pieces.rend(), [](const auto& piece) { return piece.last; });
    const auto begin = std::find_if(whole, pieces.rend(), [](const auto& piece) { return piece.n == 0; });
    if (begin == pieces.rend()) return;
    for (auto before = std::next(begin); before != pieces.rend(); ++before)
        if (before->last && before->replaces) whole->replaces = true;
    pieces.erase(pieces.begin(), std::prev(begin.base()));
}

inline PendingBatch make_pending(JournalBatch& batch, const replica::Log& log) {
    PendingBatch pending{batch.number, {}, std::move(batch.pieces), {}, *log.position(batch.through)};
    keep_last_whole(pending.pieces);
    encode_batch(pending.payload, batch, log);
    pending.standing = std::move(batch.standing);
    return pending;
}

/// Blocks. After the disk has failed every call throws the same again.
template <Disk D>
class ReplicaFiles {
public:
    ReplicaFiles(D disk, std::uint64_t salt, FrameLogOptions options = {})
        : disk_{std::move(disk)}, options_{options}, log_{disk_, "log", salt, options}, writer_{disk_, salt} {}
    ReplicaFiles(ReplicaFiles&&) = delete;

    /// Tells all that is there. To be called once, before all else.
    void read(replica::JournalReader& to) {
        remove_unfinished();
        std::uint64_t whole = 0;
        std::optional<HardState> standing;  // of the batch that made the snapshot whole
        if (const auto snapshots = list_snapshots(disk_); !snapshots.empty()) {
            whole = snapshots.back();
            auto end = read_snapshot(disk_, whole, [&](const SnapshotPiece& piece) {
                snapshot_at_ = piece.at;
                return to.snapshot(piece);
            });
            void_before_ = end.void_before;
            standing = std::move(end.standing);
        }
        std::vector<Extent> extents;
        std::vector<EntryView> entries;
        auto left = log_bytes();
        const auto visit = [&](std::uint64_t number, std::string_view payload) {
            auto batch = decode_batch(payload, entries);
            const auto wrong = [&]() -> std::string {
                if (!batch) return "it is no batch of a replica";
                batch->number = number;
                extents.push_back({number, number < void_before_ ? 0 : batch->through});
                if (batch->standing) standing_ = *batch->standing;
                last_number_ = number;
                left -= std::min(left, frame_bytes(payload.size()));
                to.to_come(left);
                if (number >= void_before_) return to.batch(*batch, entries);
                if (batch->standing) to.standing(std::move(*batch->standing));
                return {};
            }();
            if (!wrong.empty()) throw std::runtime_error{unreadable(number, wrong)};
        };
        log_.recover(visit, [&] {
            if (standing && last_number_ < whole) {  // a crash took the batch's frame, or it was never written
                standing_ = standing;
                to.standing(std::move(*standing));
            }
            if (const auto wrong = to.whole(); !wrong.empty()) throw std::runtime_error{wrong};
        });
        for (const auto& extent : extents) note(extent);
        found_ = whole;
    }

    /// Hands a batch to the kernel. Once a snapshot is whole it also brings everything to stable storage, and removes
    /// what that makes superfluous: a journal does not grow for ever, however seldom `sync` is called.
    void write(const PendingBatch& batch) {
        std::uint64_t whole = 0;  // the frame before which a snapshot becomes whole
        for (const auto& piece : batch.pieces) {
            if (piece.last) log_.sync();  // so that no later life gives a number anew that is before the snapshot's
            const auto next = last_number_ + 1;
            const auto& standing = batch.standing ? batch.standing : standing_;
            if (!writer_.add(piece, next, {piece.replaces ? next : void_before_, standing})) continue;
            if (piece.replaces) forget_entries_before(next);
            snapshot_at_ = piece.at;
            whole = next;
        }
        const auto segment = log_.segments().back().number;
        if (whole != 0) log_.begin_next_segment();  // what the snapshot contains can go now
        last_number_ = log_.append(batch.payload);
        note({last_number_, batch.last.index});
        if (batch.standing) {
            standing_ = *batch.standing;
            whole = std::max(whole, std::exchange(found_, 0));
        } else if (log_.segments().back().number != segment) {
            repeat_standing(batch.last);
        }
        log_.flush();
        if (whole == 0) return;
        log_.sync();
        remove_old(whole);
    }
    /// Brings all that was written to stable storage.
    void sync() { log_.sync(); }
    /// As `sync`, when nothing more is to come for a while: from then on damage to any byte is found out.
    void seal() { log_.seal(); }

    std::uint64_t bytes() const { return log_.bytes(); }

    /// That a reader found something wrong with a batch.
    std::string unreadable(std::uint64_t number, const std::string& wrong) const {
        return "frame " + std::to_string(number) + " of " + disk_.path("log-*.log") + " cannot be used: " + wrong +
               ". Was it written with another store, or is a part of the directory missing? (docs/durability.md)";
    }

private:
    /// How far the entries of a frame, or of all frames of a segment, go.
    struct Extent {
        std::uint64_t number = 0;
        Index through = 0;
    };

    /// Of all frames that are there, or less: a segment may have grown ahead of its frames.
    std::uint64_t log_bytes() const {
        std::uint64_t bytes = 0;
        for (const auto& name : disk_.list())
            if (segment_number("log", name)) {
                const auto size = disk_.size(name);
                bytes += size - std::min<std::uint64_t>(size, segment_header_bytes + options_.grow_bytes);
            }
        return bytes;
    }

    /// So that every segment says whose it is, and older ones can go.
    void repeat_standing(Position last) {
        JournalBatch repeated;
        repeated.standing = standing_;
        repeated.prev = last;
        repeated.through = last.index;
        std::string payload;
        encode_batch(payload, repeated, replica::Log{});
        last_number_ = log_.append(payload);
    }

    /// Their segments go with the next snapshot, whatever indexes they have.
    void forget_entries_before(std::uint64_t number) {
        void_before_ = number;
        for (auto& extent : extents_) extent.through = 0;
    }
    void note(Extent extent) {
        const auto& segments = log_.segments();
        auto segment = std::ranges::upper_bound(segments, extent.number, {}, &Segment::first);
        const auto first = segment == segments.begin() ? 0 : std::prev(segment)->first;
        if (extents_.empty() || extents_.back().number != first) extents_.push_back({first, 0});
        extents_.back().through = std::max(extents_.back().through, extent.through);
    }

    /// Keeps what the snapshot that became whole before frame `whole` does not contain.
    void remove_old(std::uint64_t whole) {
        while (extents_.size() > 1 && extents_.front().through <= snapshot_at_.index) extents_.erase(extents_.begin());
        if (whole != 0 && !extents_.empty()) log_.remove_before(extents_.front().number);
        for (const auto before : list_snapshots(disk_))
            if (before != whole) disk_.remove(segment_name(snapshot_prefix, before));
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
    std::optional<HardState> standing_;
    std::vector<Extent> extents_;  // of the segments, oldest first
    Position snapshot_at_;         // of the newest whole snapshot
    std::uint64_t void_before_ = 0;  // entries in frames before this one do not count
    std::uint64_t last_number_ = 0;  // of a batch; marks take numbers too, which a later life uses again
    std::uint64_t found_ = 0;      // the frame before which the snapshot became whole that `read` has found: what that
                                   // makes superfluous is kept until this life has said whose all this is
};

}  // namespace understudy::journal
