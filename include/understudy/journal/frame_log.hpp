// A log of numbered frames in segment files, of which a part that was synced is never lost without a word.
//
// Each life of a process begins a new segment. What the last life wrote and may not have got to stable storage (its
// sync may have failed, and the kernel forgotten) is written into that segment once more before `recover` returns. A
// segment is begun under another name and renamed when all that it begins with is on stable storage, so that one that
// is seen can be believed: all before its first frame was on stable storage too. recovery.hpp has the rules of reading.
#pragma once

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

#include <understudy/core/check.hpp>
#include <understudy/journal/disk.hpp>
#include <understudy/journal/frame.hpp>
#include <understudy/journal/recovery.hpp>

namespace understudy::journal {

struct FrameLogOptions {
    std::uint64_t segment_bytes = 64u << 20;  ///< A segment without room for a frame is closed; it holds one at least.
    std::size_t max_frame = 64u << 20;        ///< Longer payloads are refused.
    std::size_t buffer_bytes = 1u << 20;      ///< Appended frames of so many bytes are handed to the disk unasked.
    std::size_t grow_bytes = 256u << 10;      ///< See `Disk::create`.
};

/// Numbers are consecutive, from 1 on. A process has one such object per prefix and directory; one thread at a time
/// uses it. What the disk throws comes through, and is thrown again by every later call that would change something: a
/// log whose disk has failed once stays failed.
template <Disk D>
class FrameLog {
public:
    /// The disk outlives the log. `salt` is a random number, a new one for each life.
    FrameLog(D& disk, std::string prefix, std::uint64_t salt, FrameLogOptions options = {})
        : disk_{disk}, prefix_{std::move(prefix)}, salt_{salt}, options_{options} {}

    /// To be called once, before all else. Calls `visit(number, payload)` for each frame that is there, in order, then
    /// `whole()`, and brings all of them to stable storage; then the log is ready for more. What these two throw comes
    /// through before the log is changed. Throws `Damaged`, and `std::runtime_error`
    /// for another format version; the frames visited until then are worth nothing. O(bytes of the log).
    template <typename Visit, typename Whole>
    void recover(Visit visit, Whole whole) {
        UNDERSTUDY_CHECK(!file_);
        guarded([&] {
            auto found = read_segments(disk_, prefix_, visit);
            whole();
            remove_unfinished();
            segments_ = std::move(found.segments);
            synced_ = found.synced;
            last_ = found.last;
            begin_segment(synced_ + 1, [&] { copy_unsynced(); });
            synced_ = last_;
            remove_superseded();
        });
    }

    template <typename Visit>
    void recover(Visit visit) {
        recover(std::move(visit), [] {});
    }

    /// Appends a frame and returns its number. It is in memory until `flush`, `sync` or many others. Throws
    /// `std::length_error`, with no effect, if the payload exceeds `max_frame`.
    std::uint64_t append(std::string_view payload) {
        if (payload.size() > options_.max_frame || payload.size() > std::numeric_limits<std::uint32_t>::max())
            throw std::length_error{"a frame of " + std::to_string(payload.size()) + " bytes exceeds the limit of " +
                                    std::to_string(options_.max_frame) + " bytes of " + prefix_};
        return guarded([&] { return append(FrameKind::entry, payload); });
    }
    /// Hands all frames to the kernel: they outlive the process, not the machine.
    void flush() {
        guarded([&] { write_buffer(); });
    }
    /// Brings all frames to stable storage: one write and one sync, nothing if all are there.
    void sync() {
        guarded([&] { bring_to_stable_storage(); });
    }
    /// Brings all frames to stable storage, and then a mark that says so: without it, damage to the last ones can look
    /// like a crash. To be called when nothing more comes for a while. A mark takes a number; a second one with nothing
    /// appended since is not written.
    void seal() {
        guarded([&] {
            if (sealed_ == last_) return;
            bring_to_stable_storage();
            sealed_ = append(FrameKind::mark, {});
            bring_to_stable_storage();
        });
    }

    /// Removes the segments all of whose frames have lower numbers, but never the present one.
    void remove_before(std::uint64_t number) {
        guarded([&] {
            while (segments_.size() > 1 && segments_[1].first <= number) remove_segment(0);
        });
    }

    /// The number of the oldest frame that is there, or of the next one if none is.
    std::uint64_t first() const { return segments_.empty() ? 1 : segments_.front().first; }
    /// The number of the last frame appended; 0: none was ever.
    std::uint64_t last() const { return last_; }
    /// All frames up to this one are on stable storage.
    std::uint64_t synced() const { return synced_; }
    /// The segments, oldest first. A frame stands in the last one whose `first` is not above its number.
    const std::vector<Segment>& segments() const { return segments_; }
    /// Bytes of the files; of the present one without what it has grown ahead.
    std::uint64_t bytes() const {
        std::uint64_t sum = 0;
        for (const auto& segment : segments_) sum += segment.bytes;
        return sum;
    }

private:
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
    /// Where the next frame of the segment will stand.
    std::uint64_t end() const { return segments_.back().bytes + buffer_.size(); }

    void write_buffer() {
        if (buffer_.empty()) return;
        file_->append(buffer_);
        segments_.back().bytes += buffer_.size();
        buffer_.clear();
    }
    void bring_to_stable_storage() {
        if (synced_ == last_) return;
        write_buffer();
        file_->sync();
        synced_ = last_;
    }

    void rotate() {
        bring_to_stable_storage();
        file_->close();
        begin_segment(last_ + 1, [] {});
    }
    /// All frames before `first` are on stable storage. `fill` puts those that the segment begins with.
    template <typename Fill>
    void begin_segment(std::uint64_t first, Fill fill) {
        const auto number = segments_.empty() ? 1 : segments_.back().number + 1;
        const auto name = segment_name(prefix_, number);
        const auto unfinished = name + std::string{unfinished_suffix};
        file_.emplace(disk_.create(unfinished, options_.grow_bytes));
        segments_.push_back({number, first, 0});
        sealed_ = first - 1;
        buffer_ = encode(SegmentHeader{salt_, number, first});
        fill();
        write_buffer();
        file_->sync();
        disk_.rename(unfinished, name);
        file_->renamed(name);
        disk_.sync_directory();
    }

    /// From the segment before, into the present one.
    void copy_unsynced() {
        if (last_ == synced_) return;
        const auto& segment = segments_[segments_.size() - 2];
        SegmentReader reader{disk_, segment_name(prefix_, segment.number), segment.number};
        while (reader.number() <= last_) {
            const auto frame = reader.next();
            if (!frame) throw reader.damaged(reader.problem() + ", and a moment ago it was there");
            if (frame->header.number > synced_)
                put({frame->header.kind, 0, frame->header.number, synced_, 0}, frame->payload);
        }
    }

    /// The directory is synced after each removal, so that a crash leaves no gap behind.
    void remove_segment(std::size_t place) {
        disk_.remove(segment_name(prefix_, segments_[place].number));
        disk_.sync_directory();
        segments_.erase(segments_.begin() + static_cast<std::ptrdiff_t>(place));
    }
    /// Those of which nothing counts any more.
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
    std::optional<typename D::File> file_;  // of the last segment
    std::vector<Segment> segments_;         // oldest first
    std::string buffer_;                    // what was appended to the file and not written
    std::uint64_t last_ = 0;
    std::uint64_t synced_ = 0;
    std::uint64_t sealed_ = 0;  // a mark, or a segment's header, says that all up to here is on stable storage
    std::exception_ptr failure_;
};

}  // namespace understudy::journal
