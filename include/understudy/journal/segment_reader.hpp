// Reads the frames of one segment file in order. Where a frame is invalid, it finds out whether a crash can be the
// cause.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/journal/damaged.hpp>
#include <understudy/journal/disk.hpp>
#include <understudy/journal/frame.hpp>
#include <understudy/journal/segment_name.hpp>

namespace understudy::journal {

/// A frame that was read. `payload` is valid until the next call of a function of the reader that reads.
struct Frame {
    FrameHeader header;
    std::string_view payload;
};

/// Reads one segment. The disk must outlive it. All functions that read pass on the disk's exceptions.
template <Disk D>
class SegmentReader {
public:
    /// Reads the header of the file `name`, which must be the segment of this number. Throws `Damaged` if the header is
    /// missing, invalid or of another segment, and `std::runtime_error` if it has another format version.
    SegmentReader(D& disk, std::string name, std::uint64_t segment)
        : disk_{disk}, name_{std::move(name)}, size_{disk_.size(name_)} {
        header_ = read_header(segment);
        number_ = header_.first;
        offset_ = segment_header_bytes;
    }

    const SegmentHeader& header() const { return header_; }
    std::uint64_t size() const { return size_; }
    /// The number that the next frame must have.
    std::uint64_t number() const { return number_; }
    bool at_end() const { return offset_ == size_; }
    /// The offset at which the next frame must begin.
    std::uint64_t offset() const { return offset_; }

    /// Reads the frame with the number `number()` and advances. Returns `nullopt`, without advancing, if there is no
    /// valid one; then `problem()` says why.
    std::optional<Frame> next() {
        const auto bytes = view(offset_, frame_header_bytes);
        const auto header = decode_frame_header(bytes, header_.salt, offset_);
        if (!header) return fail(missing_header(bytes));
        if (header->number != number_ || header->synced >= header->number)
            return fail("frame " + std::to_string(header->number) + " stands there (synced " +
                        std::to_string(header->synced) + "), where frame " + std::to_string(number_) +
                        " was expected");
        if (frame_bytes(header->length) > size_ - offset_)
            return fail("frame " + std::to_string(number_) + " has " + std::to_string(frame_bytes(header->length)) +
                        " bytes, but the file ends after " + std::to_string(size_ - offset_));
        const auto payload = view(offset_ + frame_header_bytes, padded_bytes(header->length));
        if (const auto checksum = crc32c(payload); checksum != header->payload_checksum)
            return fail("the payload of frame " + std::to_string(number_) + " has the checksum " +
                        hexadecimal(checksum, 8) + ", and " + hexadecimal(header->payload_checksum, 8) +
                        " was expected");
        offset_ += frame_bytes(header->length);
        ++number_;
        return Frame{*header, payload.substr(0, header->length)};
    }

    /// What is wrong with the bytes in which `next` found no frame.
    const std::string& problem() const { return problem_; }

    /// Whether these bytes can be a frame that has reached the disk only in part, or not at all: the file ends within
    /// the frame, or in one of the sectors that it covers all its bytes are zero. The reason: a sector is written
    /// completely or not at all, and before that it was zero or beyond the end of the file.
    bool incomplete() {
        const auto bytes = view(offset_, frame_header_bytes);
        if (bytes.size() < frame_header_bytes || all_zero(bytes)) return true;
        const auto header = decode_frame_header(bytes, header_.salt, offset_);
        if (!header) return false;
        const auto end = offset_ + frame_bytes(header->length);
        if (end > size_) return true;
        for (auto at = offset_; at < end;) {
            const auto part = std::min(end, (at / sector_bytes + 1) * sector_bytes) - at;
            if (all_zero(view(at, part))) return true;
            at += part;
        }
        return false;
    }

    /// Searches the rest of the file for a frame whose `synced` says that frame `number()` was on stable storage.
    /// Returns its description for the error text, like "frame 7 at offset 320". O(rest of the file).
    std::optional<std::string> later_witness() {
        for (auto at = offset_ + frame_alignment; at + frame_header_bytes <= size_; at += frame_alignment) {
            const auto header = decode_frame_header(view(at, frame_header_bytes), header_.salt, at);
            if (header && header->synced >= number_)
                return "frame " + std::to_string(header->number) + " at offset " + std::to_string(at);
        }
        return std::nullopt;
    }

    /// The exception for damage at `offset()` of this file.
    Damaged damaged(const std::string& finding) const { return {disk_.path(name_), offset_, finding}; }

private:
    static constexpr std::size_t window_bytes = 256u << 10;

    /// The bytes of the file from `offset` on; fewer than `length` at the end of the file. They are valid until the
    /// next call. The file is read in windows of `window_bytes`, so that small frames do not cost a system call each.
    std::string_view view(std::uint64_t offset, std::uint64_t length) {
        const auto wanted = std::min(length, size_ - std::min(offset, size_));
        if (offset < window_start_ || offset + wanted > window_start_ + window_.size()) {
            const auto most = std::max<std::uint64_t>(wanted, window_bytes);
            window_ = disk_.read(name_, offset, static_cast<std::size_t>(most));
            window_start_ = offset;
            if (window_.size() < wanted)  // the file has become shorter since it was opened
                fail_disk("read " + std::to_string(wanted) + " bytes of", disk_.path(name_), EIO);
        }
        return std::string_view{window_}.substr(offset - window_start_, wanted);
    }

    SegmentHeader read_header(std::uint64_t segment) {
        const auto bytes = disk_.read(name_, 0, segment_header_bytes);
        if (bytes.size() < segment_header_bytes)
            throw damaged("the file has " + std::to_string(size_) + " bytes, and a segment begins with a header of " +
                          std::to_string(segment_header_bytes));
        if (!bytes.starts_with(segment_magic)) throw damaged("the magic text of a segment is not there");
        if (const auto found = load<std::uint32_t>(bytes.data() + 60), computed = crc32c({bytes.data(), 60});
            found != computed)
            throw damaged("the segment's header has the checksum " + hexadecimal(computed, 8) + ", and " +
                          hexadecimal(found, 8) + " was expected");
        if (const auto version = load<std::uint32_t>(bytes.data() + 16); version != format_version)
            throw std::runtime_error{disk_.path(name_) + " has format version " + std::to_string(version) +
                                     ", and this program reads version " + std::to_string(format_version) +
                                     ": start the version of the program that wrote it"};
        const auto number = load<std::uint64_t>(bytes.data() + 32);
        if (number != segment)
            throw damaged("this is the file of segment " + std::to_string(number) + " under another name");
        return {load<std::uint64_t>(bytes.data() + 24), number, load<std::uint64_t>(bytes.data() + 40)};
    }

    std::string missing_header(std::string_view bytes) const {
        const auto expected = ", where frame " + std::to_string(number_) + " was expected";
        if (at_end()) return "the file ends" + expected;
        if (bytes.size() < frame_header_bytes) return std::to_string(bytes.size()) + " bytes are left" + expected;
        if (all_zero(bytes)) return "there are zeros" + expected;
        return "there is no valid header" + expected;
    }

    std::nullopt_t fail(std::string problem) {
        problem_ = std::move(problem);
        return std::nullopt;
    }

    D& disk_;
    std::string name_;
    std::uint64_t size_;
    SegmentHeader header_;
    std::uint64_t number_ = 0;
    std::uint64_t offset_ = 0;
    std::string problem_;
    std::string window_;
    std::uint64_t window_start_ = 0;
};

}  // namespace understudy::journal
