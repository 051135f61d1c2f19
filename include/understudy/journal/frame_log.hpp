// A log of numbered frames in segment files, of which a part that was synced is never lost without a word.
//
// Each life of a process begins a new segment. What the last life wrote and may not have got to stable storage (its
// sync may have failed, and the kernel forgotten) is written into that segment once more before `recover` returns. A
// segment is begun under another name and renamed when all that it begins with is on stable storage, so that one that
// is seen can be believed: all before its first frame was on stable storage too. recovery.hpp has the rules of reading.
//
// So that starts do not leave a file each, the new segment takes the place of the last ones while these are small: it
// gets all their frames, and then the name and the number of the first of them. After that rename each of the others
// holds only what the new one has too. They are removed from the oldest on: a segment counts up to the first number of
// the next one, so whatever a crash leaves of them, each frame is read once.
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
    std::uint64_t segment_bytes = 64u << 20;  ///< A segment without room for a frame is closed; it holds one at least.
    std::size_t max_frame = 64u << 20;        ///< Longer payloads are refused.
    std::size_t buffer_bytes = 1u << 20;      ///< Appended frames of so many bytes are handed to the disk unasked.
    std::size_t grow_bytes = 256u << 10;      ///< See `Disk::create`.
    /// Segments of so many bytes together, but no more than one may have, are written anew as one at a start.
    std::uint64_t merge_bytes = 4u << 20;
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
            if (const auto place = first_to_merge(); place < segments_.size())
                merge_from(place);
            else
                begin_segment(next_number(), synced_ + 1, [&] { copy(segments_.size() - 2, synced_ + 1); });
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

    /// What is appended from now on stands in a segment of its own, so that all before can be removed without it. All
    /// that was appended is brought to stable storage.
    void begin_next_segment() {
        guarded([&] {
            if (last_ >= segments_.back().first) rotate();
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
        if (buffer_.capacity() > 4 * options_.buffer_bytes) std::string{}.swap(buffer_);  // that was a large one
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
        begin_segment(next_number(), last_ + 1, [] {});
    }
    std::uint64_t next_number() const { return segments_.empty() ? 1 : segments_.back().number + 1; }
    /// All frames before `first` are on stable storage. `fill` puts those that the segment begins with. It is the last
    /// one of the list then, and takes the place of a file of its number.
    template <typename Fill>
    void begin_segment(std::uint64_t number, std::uint64_t first, Fill fill) {
        const auto name = segment_name(prefix_, number);
        const auto unfinished = name + std::string{unfinished_suffix};
        file_.emplace(disk_.create(unfinished, options_.grow_bytes));
        segments_.push_back({number, first, 0, 0});
        sealed_ = first - 1;
        buffer_ = encode(SegmentHeader{salt_, number, first});
        fill();
        write_buffer();
        file_->sync();
        disk_.rename(unfinished, name);
        file_->renamed(name);
        disk_.sync_directory();
    }

    /// The place of the oldest of the segments that one is to replace; their number if none is. Each is small, or at
    /// most twice as large as all after it together: so few segments remain, and a frame is copied a few times.
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
    /// One segment for those from that place on. A mark ends it: without one, damage to its last frame could look like
    /// a crash, and all that was copied is on stable storage when the segment has its name. (It may end with one.)
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
            sealed_ = last_;
        });
        for (std::size_t i = 1; i < old.size(); ++i) remove_segment(place + 1);
        segments_.erase(segments_.begin() + static_cast<std::ptrdiff_t>(place));  // its file was replaced
    }

    /// What counts of the segment at that place, from the frame `begin` on, into the present one. That is read only if
    /// all of it is on stable storage, so each frame may say that all before it was. Gives the kind of the last one.
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
