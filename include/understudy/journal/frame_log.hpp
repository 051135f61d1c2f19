// A log of numbered frames in segment files. A frame that was synced is never lost silently: it is read back, or the
// loss is reported as damage.
//
// Each incarnation of a process begins a new segment. Some frames of the last incarnation may not be on stable storage
// although they can be read (its sync may have failed, and the kernel may have dropped the data). `recover` writes
// those frames into the new segment once more. A segment is created under a temporary name, and renamed when all frames
// that it begins with are on stable storage. So a segment that has its final name proves that all frames before its
// first one are on stable storage. recovery.hpp has the rules of reading.
//
// Without merging, each start would leave one more file. So while the last segments are small, the new segment replaces
// them: it gets all their frames, and then the name and the number of the first of them. After that rename each of the
// others contains only frames that the new one has too. They are removed, the oldest first. A segment counts up to the
// first number of the next one, so each frame is read exactly once, whichever of them a crash leaves behind.
//
// A commit mark is a frame without payload; it says that all frames before it are on stable storage. A commit mark that
// `checkpoint` appends while the log is idle is called a checkpoint mark.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/journal/disk.hpp>
#include <understudy/journal/frame.hpp>
#include <understudy/journal/recovery.hpp>

namespace understudy::journal {

struct FrameLogOptions {
    std::uint64_t segment_bytes = 64u << 20;  ///< Maximum size of a segment; one with a single frame may be larger.
    std::size_t max_frame = 64u << 20;        ///< Maximum size of a payload; longer ones are refused.
    std::size_t buffer_bytes = 1u << 20;      ///< Buffered frames of this size are written without a `flush`.
    std::size_t grow_bytes = 256u << 10;      ///< The `step` of `Disk::create`.
    /// Small segments are merged at a start, up to this size together, and at most up to `segment_bytes`.
    std::uint64_t merge_bytes = 4u << 20;
};

/// A log of frames with consecutive numbers, from 1 on. There must be one object only per prefix and directory. One
/// thread at a time may use it. Exceptions of the disk are passed on, and every later call that would change something
/// throws the same exception again: after a failed write or sync the content of the disk is unknown, so a log that has
/// failed once stays failed.
template <Disk D>
class FrameLog {
public:
    /// The disk must outlive the log. `salt` is a random number, a new one for each incarnation.
    FrameLog(D& disk, std::string prefix, std::uint64_t salt, FrameLogOptions options = {})
        : disk_{disk}, prefix_{std::move(prefix)}, salt_{salt}, options_{options} {}

    /// Reads the log. Call it once, before everything else. Calls `visit(number, payload)` for each frame except marks,
    /// in order, and then `complete()`; after that it brings all frames to stable storage, and the log accepts new
    /// ones. Exceptions of `visit` and `complete` are passed on, and the files are not changed then. Throws `Damaged`,
    /// and `std::runtime_error` for another format version; the frames visited before that must not be used. O(bytes of
    /// the log).
    template <typename Visit, typename Complete>
    void recover(Visit visit, Complete complete) {
        UNDERSTUDY_CHECK(!file_);
        guarded([&] {
            auto found = read_segments(disk_, prefix_, visit);
            complete();
            remove_unfinished();
            segments_ = std::move(found.segments);
            synced_ = found.synced;
            last_ = found.last;
            if (const auto place = first_to_merge(); place < segments_.size())
                merge_from(place);
            else
                begin_segment(next_number(), synced_ + 1, [&] { copy(segments_.size() - 2, synced_ + 1); });
            synced_ = last_;
            remove_superseded();
        });
    }

    /// As above, without `complete`.
    template <typename Visit>
    void recover(Visit visit) {
        recover(std::move(visit), [] {});
    }

    /// Appends a frame and returns its number. The frame stays in memory until `flush`, `sync`, or until the buffer is
    /// full (`buffer_bytes`). Throws `std::length_error`, without effect, if the payload exceeds `max_frame`.
    std::uint64_t append(std::string_view payload) {
        if (payload.size() > options_.max_frame || payload.size() > std::numeric_limits<std::uint32_t>::max())
            throw std::length_error{"a frame of " + std::to_string(payload.size()) + " bytes exceeds the limit of " +
                                    std::to_string(options_.max_frame) + " bytes of " + prefix_};
        return guarded([&] { return append(FrameKind::entry, payload); });
    }
    /// Hands all frames to the kernel. They survive the end of the process, but not a crash of the machine.
    void flush() {
        guarded([&] { write_buffer(); });
    }
    /// Brings all frames to stable storage, with at most one write and one sync. Does nothing if they are there
    /// already.
    void sync() {
        guarded([&] { bring_to_stable_storage(); });
    }
    /// Brings all frames to stable storage, and then appends a checkpoint mark and syncs it. Without the mark, damage
    /// to the last frames can look like a crash, and would go unnoticed. Call it when nothing more comes for a while. A
    /// mark takes a number. Does nothing if nothing was appended since the last mark.
    void checkpoint() {
        guarded([&] {
            if (checkpointed_ == last_) return;
            bring_to_stable_storage();
            checkpointed_ = append(FrameKind::mark, {});
            bring_to_stable_storage();
        });
    }

    /// Begins a new segment, so that the frames before can be removed independently of those that follow. Brings all
    /// appended frames to stable storage. Does nothing if the current segment is empty.
    void begin_next_segment() {
        guarded([&] {
            if (last_ >= segments_.back().first) rotate();
        });
    }

    /// Removes each segment whose frames all have numbers below `number`, but never the current segment.
    void remove_before(std::uint64_t number) {
        guarded([&] {
            while (segments_.size() > 1 && segments_[1].first <= number) remove_segment(0);
        });
    }

    /// The number of the oldest frame in the log, or of the next frame if the log is empty.
    std::uint64_t first() const { return segments_.empty() ? 1 : segments_.front().first; }
    /// The number of the last frame; 0 if there never was one.
    std::uint64_t last() const { return last_; }
    /// All frames up to this number are on stable storage.
    std::uint64_t synced() const { return synced_; }
    /// The segments, oldest first. A frame is in the last segment whose `first` is not above its number.
    const std::vector<Segment>& segments() const { return segments_; }
    /// Bytes of all files. The zeros ahead of the appended bytes in the current file do not count.
    std::uint64_t bytes() const {
        std::uint64_t sum = 0;
        for (const auto& segment : segments_) sum += segment.bytes;
        return sum;
    }

private:
    /// Stores the first exception, and throws it again in every later call.
    template <typename Function>
    auto guarded(Function function) {
        if (failure_) std::rethrow_exception(failure_);
        try {
            return function();
        } catch (...) {
            failure_ = std::current_exception();
            throw;
        }
    }

    std::uint64_t append(FrameKind kind, std::string_view payload) {
        UNDERSTUDY_CHECK(file_.has_value());
        const bool has_frames = last_ >= segments_.back().first;
        if (has_frames && end() + frame_bytes(payload.size()) > options_.segment_bytes) rotate();
        put({kind, 0, last_ + 1, synced_, 0}, payload);
        return ++last_;
    }
    void put(const FrameHeader& header, std::string_view payload) {
        append_frame(buffer_, header, payload, salt_, end());
        if (buffer_.size() >= options_.buffer_bytes) write_buffer();
    }
    /// The offset of the next frame in the current segment.
    std::uint64_t end() const { return segments_.back().bytes + buffer_.size(); }

    void write_buffer() {
        if (buffer_.empty()) return;
        file_->append(buffer_);
        segments_.back().bytes += buffer_.size();
        if (buffer_.capacity() > 4 * options_.buffer_bytes) std::string{}.swap(buffer_);  // after a large frame
        buffer_.clear();
    }
    void bring_to_stable_storage() {
        if (synced_ == last_) return;
        write_buffer();
        file_->sync();
        synced_ = last_;
    }

    // Syncs first: the new segment's header says that all frames before it are on stable storage.
    void rotate() {
        bring_to_stable_storage();
        file_->close();
        begin_segment(next_number(), last_ + 1, [] {});
    }
    std::uint64_t next_number() const { return segments_.empty() ? 1 : segments_.back().number + 1; }
    /// Begins a segment and makes it the current one. All frames before `first` must be on stable storage. `fill` puts
    /// the frames with which the segment begins. The file is renamed only after these are synced, and replaces a file
    /// of the same number.
    template <typename Fill>
    void begin_segment(std::uint64_t number, std::uint64_t first, Fill fill) {
        const auto name = segment_name(prefix_, number);
        const auto unfinished = name + std::string{unfinished_suffix};
        file_.emplace(disk_.create(unfinished, options_.grow_bytes));
        segments_.push_back({number, first, 0, 0});
        checkpointed_ = first - 1;
        buffer_ = encode(SegmentHeader{salt_, number, first});
        fill();
        write_buffer();
        file_->sync();
        disk_.rename(unfinished, name);
        file_->renamed(name);
        disk_.sync_directory();
    }

    /// Selects the segments to merge at a start: those from the returned place on; none if it is `segments_.size()`.
    /// Each of them is small (`grow_bytes`), or at most twice as large as all segments after it together. So few
    /// segments remain, and each frame is copied only a few times over many starts.
    std::size_t first_to_merge() const {
        const auto most = std::min(options_.merge_bytes, options_.segment_bytes);
        const auto small = std::max<std::uint64_t>(options_.grow_bytes, 4096);
        auto place = segments_.size();
        for (std::uint64_t bytes = 0; place > 0; --place) {
            const auto used = segments_[place - 1].used;
            if (bytes + used > most || (bytes > 0 && used > std::max(small, 2 * bytes))) break;
            bytes += used;
        }
        const bool alone = place + 1 == segments_.size();
        return alone && segments_.back().used > small ? segments_.size() : place;
    }
    /// Replaces the segments from `place` on by one. A commit mark is added at its end, unless its last frame is a mark
    /// already. Without it, damage to the last copied frame could look like a crash. The mark is true: all copied
    /// frames are on stable storage when the segment gets its name.
    void merge_from(std::size_t place) {
        const std::vector<Segment> old{segments_.begin() + static_cast<std::ptrdiff_t>(place), segments_.end()};
        const auto first = old.front().first;
        begin_segment(old.front().number, first, [&] {
            auto kind = FrameKind::mark;
            for (auto from = place; from + 1 < segments_.size(); ++from) kind = copy(from, first).value_or(kind);
            if (kind != FrameKind::mark) {
                put({FrameKind::mark, 0, last_ + 1, last_, 0}, {});
                ++last_;
            }
            checkpointed_ = last_;
        });
        for (std::size_t i = 1; i < old.size(); ++i) remove_segment(place + 1);
        segments_.erase(segments_.begin() + static_cast<std::ptrdiff_t>(place));  // its file was replaced
    }

    /// Copies the valid frames of the segment at `place`, from number `begin` on, into the current segment. The new
    /// segment gets its name only when all of it is on stable storage, so each copied frame may say (`synced`) that all
    /// frames before it are. Returns the kind of the last copied frame, or `nullopt` if there was none.
    std::optional<FrameKind> copy(std::size_t place, std::uint64_t begin) {
        const auto& segment = segments_[place];
        const bool is_last = place + 2 == segments_.size();
        const auto end = is_last ? last_ + 1 : segments_[place + 1].first;
        std::optional<FrameKind> kind;
        if (end <= begin) return kind;
        SegmentReader reader{disk_, segment_name(prefix_, segment.number), segment.number};
        while (reader.number() < end) {
            const auto frame = reader.next();
            if (!frame) throw reader.damaged(reader.problem() + ", and a moment ago it was there");
            const auto number = frame->header.number;
            if (number < begin) continue;
            kind = frame->header.kind;
            put({*kind, 0, number, number - 1, 0}, frame->payload);
        }
        return kind;
    }

    /// Removes one file and syncs the directory. Without the sync, a crash could undo an earlier removal and preserve a
    /// later one, which would leave a gap in the log.
    void remove_segment(std::size_t place) {
        disk_.remove(segment_name(prefix_, segments_[place].number));
        disk_.sync_directory();
        segments_.erase(segments_.begin() + static_cast<std::ptrdiff_t>(place));
    }
    /// Removes the segments that have no valid frame: the next segment begins with the same number.
    void remove_superseded() {
        for (auto place = segments_.size() - 1; place-- > 0;)
            if (segments_[place].first == segments_[place + 1].first) remove_segment(place);
    }
    void remove_unfinished() {
        for (const auto& name : disk_.list())
            if (is_unfinished_segment(prefix_, name)) disk_.remove(name);
    }

    D& disk_;
    std::string prefix_;
    std::uint64_t salt_;
    FrameLogOptions options_;
    std::optional<typename D::File> file_;  // of the current segment, the last one
    std::vector<Segment> segments_;         // oldest first
    std::string buffer_;                    // frames that were appended and not written to the file yet
    std::uint64_t last_ = 0;
    std::uint64_t synced_ = 0;
    // a mark or a segment's header says that all up to this number is on stable storage
    std::uint64_t checkpointed_ = 0;
    std::exception_ptr failure_;
};

}  // namespace understudy::journal
