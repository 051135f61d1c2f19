// Reads the segments of a log after its last incarnation has ended, in whatever way, and distinguishes a crash from
// damage.
//
// Only two facts are known about the last incarnation. Each frame says up to which number all frames were on stable
// storage when it was written. Each segment's header says the same of all frames before the segment (frame_log.hpp does
// not begin a segment earlier). The rules follow from these facts:
//
// - A segment that is not the last one counts up to the first number of the next one. All these frames were on stable
//   storage, so a missing or invalid one is damage. Bytes after them are ignored.
// - The last segment counts up to its first invalid frame. That frame is a torn tail, which a crash can leave behind,
//   if no later frame says that it was on stable storage and it is incomplete (`SegmentReader::incomplete`). Then it
//   and everything after it is dropped; this loses nothing that was reported as stable. Otherwise it is damage: a crash
//   does not give a complete frame a wrong checksum.
// - A segment gets its name after its header is on stable storage, so a segment without a valid header is damage.
// - A mark at the very end of the log is not needed any more: the header of the new segment says the same. Its number
//   is used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <understudy/journal/disk.hpp>
#include <understudy/journal/segment_name.hpp>
#include <understudy/journal/segment_reader.hpp>

namespace understudy::journal {

/// What a log knows about the file of a segment.
struct Segment {
    std::uint64_t number = 0;
    std::uint64_t first = 0;  ///< The number of its first frame.
    std::uint64_t bytes = 0;  ///< The size of the file.
    std::uint64_t used = 0;   ///< Bytes up to the end of its last valid frame that is not a mark; set by recovery.
};

/// The result of reading a log.
struct Recovered {
    std::vector<Segment> segments{};  ///< Oldest first.
    std::uint64_t synced = 0;         ///< All frames up to this number are proven to be on stable storage.
    std::uint64_t last = 0;           ///< The number of the last frame that is not a trailing mark; 0 if there is none.
};

/// Reads all segments with this prefix and calls `visit(number, payload)` for each frame except marks, in order. Throws
/// `Damaged`, `std::runtime_error` for another format version, and the exceptions of the disk and of `visit`. Changes
/// no file. O(bytes of the log).
template <Disk D, typename Visit>
Recovered read_segments(D& disk, const std::string& prefix, Visit& visit) {
    Recovered found;
    for (const auto& name : disk.list())
        if (const auto number = segment_number(prefix, name)) {
            const SegmentReader reader{disk, name, *number};
            found.segments.push_back({*number, reader.header().first, reader.size(), 0});
        }
    for (std::size_t i = 0; i < found.segments.size(); ++i) {
        const auto segment = found.segments[i].number, first = found.segments[i].first;
        const bool is_last = i + 1 == found.segments.size();
        const auto end = is_last ? std::numeric_limits<std::uint64_t>::max() : found.segments[i + 1].first;
        SegmentReader reader{disk, segment_name(prefix, segment), segment};
        if (end < first)
            throw reader.damaged("its frames begin with " + std::to_string(first) +
                                 ", and those of the next segment with " + std::to_string(end));
        found.last = found.synced = first - 1;
        found.segments[i].used = segment_header_bytes;
        while (reader.number() < end) {
            const auto frame = reader.next();
            if (!frame) break;
            found.synced = frame->header.synced;
            if (frame->header.kind == FrameKind::mark) continue;
            found.last = frame->header.number;
            found.segments[i].used = reader.offset();
            visit(found.last, frame->payload);
        }
        if (!is_last) {
            if (reader.number() < end)
                throw reader.damaged(reader.problem() + "; the next segment begins with frame " + std::to_string(end) +
                                     ", and all before it was on stable storage");
        } else if (!reader.at_end()) {
            if (const auto witness = reader.later_witness())
                throw reader.damaged(reader.problem() + "; " + *witness + " says that it was on stable storage");
            if (!reader.incomplete()) throw reader.damaged(reader.problem() + ", and it was written completely");
        }
    }
    return found;
}

}  // namespace understudy::journal
