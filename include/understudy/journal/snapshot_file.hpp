// Stores snapshots in files. Each is a segment of frames: its position, its pieces, and a mark that ends it. The number
// in the file's name says before which frame of the log the snapshot was complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/journal/batch_codec.hpp>
#include <understudy/journal/disk.hpp>
#include <understudy/journal/frame.hpp>
#include <understudy/journal/segment_name.hpp>
#include <understudy/journal/segment_reader.hpp>
#include <understudy/journal/varint.hpp>
#include <understudy/protocol/journal_batch.hpp>

namespace understudy::journal {

inline constexpr std::string_view snapshot_prefix = "snapshot";

/// The content of the mark that ends a snapshot (its checkpoint mark).
struct SnapshotEnd {
    std::uint64_t invalidated_before = 0;  ///< Entries in frames of the log before this number are invalidated.
    /// The hard state after the batch that completes the snapshot. The batch's frame is written after the snapshot has
    /// its name. If a crash takes that frame, the state would otherwise be found under an older view.
    std::optional<HardState> hard_state;
};

/// Encodes the payload of the mark.
inline std::string encode_snapshot_end(const SnapshotEnd& end) {
    std::string out;
    put_varint(out, end.invalidated_before);
    if (end.hard_state) detail::put_hard_state(out, *end.hard_state);
    return out;
}
/// The inverse of `encode_snapshot_end`. Returns `nullopt` if the payload is malformed.
inline std::optional<SnapshotEnd> decode_snapshot_end(std::string_view payload) {
    VarintReader in{payload};
    SnapshotEnd end{in.number(), {}};
    if (in.left() != 0) end.hard_state = detail::read_hard_state(in);
    if (!in.ok() || in.left() != 0) return std::nullopt;
    return end;
}

/// Writes snapshots, one at a time. A snapshot is written under a temporary name. Once it has its final name, it is
/// complete and on stable storage.
template <Disk D>
class SnapshotWriter {
public:
    SnapshotWriter(D& disk, std::uint64_t salt) : disk_{disk}, salt_{salt} {}

    /// Writes a piece. Piece 0 begins a new snapshot and drops an incomplete one. The last piece completes the
    /// snapshot: it is synced and gets its name, with the number `before` of the next frame of the log. Returns whether
    /// that happened. Exceptions of the disk are passed on.
    bool add(const SnapshotPiece& piece, std::uint64_t before, const SnapshotEnd& end) {
        if (piece.n == 0) begin(piece.at);
        put(FrameKind::entry, piece.data);
        if (!piece.last) {
            if (offset_ - synced_ >= sync_bytes) sync();  // keeps the last sync short; log entries wait for that one
            return false;
        }
        put(FrameKind::mark, encode_snapshot_end(end));
        sync();
        file_->close();
        file_.reset();
        disk_.rename(unfinished_name(), segment_name(snapshot_prefix, before));
        disk_.sync_directory();
        return true;
    }

    static std::string unfinished_name() { return std::string{snapshot_prefix} + std::string{unfinished_suffix}; }

private:
    static constexpr std::uint64_t sync_bytes = 4u << 20;

    void begin(Position at) {
        if (file_) {
            file_->close();
            file_.reset();
            disk_.remove(unfinished_name());
        }
        file_.emplace(disk_.create(unfinished_name(), 0));
        file_->append(encode(SegmentHeader{salt_, 0, 1}));
        offset_ = segment_header_bytes;
        synced_ = number_ = 0;
        std::string position;
        put_varint(position, at.view);
        put_varint(position, at.index);
        put(FrameKind::entry, position);
    }
    void put(FrameKind kind, std::string_view payload) {
        buffer_.clear();
        append_frame(buffer_, {kind, 0, ++number_, 0, 0}, payload, salt_, offset_);
        file_->append(buffer_);
        offset_ += buffer_.size();
    }
    void sync() {
        file_->sync();
        synced_ = offset_;
    }

    D& disk_;
    std::uint64_t salt_;
    std::optional<typename D::File> file_;
    std::uint64_t number_ = 0;  // of the last frame
    std::uint64_t offset_ = 0;
    std::uint64_t synced_ = 0;
    std::string buffer_;
};

/// Reads a snapshot and calls `visit(piece)` for each of its pieces; `visit` returns what is wrong with it, or an empty
/// string. Returns the content of the mark. Throws `Damaged` if a frame is invalid, the mark is missing or `visit`
/// found something wrong; passes on the exceptions of the disk. `before` is the number in the file's name.
template <Disk D, typename Visit>
SnapshotEnd read_snapshot(D& disk, std::uint64_t before, Visit visit) {
    SegmentReader reader{disk, segment_name(snapshot_prefix, before), 0};
    const auto next = [&] {
        auto frame = reader.next();
        if (!frame) throw reader.damaged(reader.problem());
        return *frame;
    };
    VarintReader position{next().payload};
    SnapshotPiece piece;
    piece.at.view = position.number();
    piece.at.index = position.number();
    const auto deliver = [&] {
        if (const auto wrong = visit(std::as_const(piece)); !wrong.empty()) throw reader.damaged(wrong);
        ++piece.n;
    };
    // A piece is passed on only after the next frame was read, because that frame shows whether the piece is the last.
    for (bool held = false;; held = true) {
        const auto frame = next();
        piece.last = frame.header.kind == FrameKind::mark;
        if (!held && piece.last) throw reader.damaged("the snapshot has no piece");
        if (held) deliver();
        if (piece.last) {
            auto end = decode_snapshot_end(frame.payload);
            if (!end) throw reader.damaged("the snapshot's mark cannot be read");
            return std::move(*end);
        }
        piece.data = frame.payload;
    }
}

/// The numbers in the names of all complete snapshots, in ascending order.
template <Disk D>
std::vector<std::uint64_t> list_snapshots(D& disk) {
    std::vector<std::uint64_t> found;
    for (const auto& name : disk.list())
        if (const auto before = segment_number(snapshot_prefix, name)) found.push_back(*before);
    return found;
}

}  // namespace understudy::journal
