// What the segments of a log hold after its last life has ended in whatever way.
//
// This alone is known of a life that ended: a frame says up to which number all was on stable storage when it was
// written, and a segment's header says the same of all before its first frame (frame_log.hpp begins no segment sooner).
// From that follow the rules:
//
// - A segment counts up to the first number of the next one. All of that was on stable storage, so any frame of it that
//   is missing or invalid is damage. What stands behind it is ignored.
// - The last segment counts up to its first invalid frame. That is a torn tail, as a crash leaves it behind, if no
//   later frame says that it was on stable storage, and it is incomplete (`SegmentReader::incomplete`). It and all
//   behind it is dropped. Otherwise it is damage: a crash does not give a whole frame a wrong checksum.
// - A segment gets its name when its header is on stable storage, so a segment without a valid header is damage.
// - A mark at the very end has done its work: the new segment's header says the same, and its number is used again.
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

/// A segment's file, as a log keeps it in mind.
struct Segment {
    std::uint64_t number = 0;
    std::uint64_t first = 0;  ///< The number of its first frame.
    std::uint64_t bytes = 0;  ///< The size of the file.
    std::uint64_t used = 0;   ///< Of these, up to the end of its last frame that counts; known after recovery.
};

struct Recovered {
    std::vector<Segment> segments{};  ///< Oldest first.
    std::uint64_t synced = 0;         ///< All frames up to this one were surely on stable storage.
    std::uint64_t last = 0;           ///< The last frame that is there; 0: none was ever.
};

/// Reads all segments with that prefix and calls `visit(number, payload)` for each frame but marks, in order. Throws
/// `Damaged`, `std::runtime_error` for another format version, and what the disk throws. Changes nothing.
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
            if (!reader.incomplete()) throw reader.damaged(reader.problem() + ", and it was written whole");
        }
    }
    return found;
}

}  // namespace understudy::journal
