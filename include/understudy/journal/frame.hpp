// How a journal's bytes stand in its files. A segment file begins with a header of 64 bytes, and frames follow it
// without gaps. All numbers are little endian, all checksums CRC-32C.
//
//     segment header                              frame header
//      0  magic text, 16 bytes                     0  kind: "entr" or "mark"
//     16  format version, u32                      4  length of the payload, u32
//     20  zero, u32                                8  number, u64
//     24  salt, u64                               16  synced, u64
//     32  number of the segment, u64              24  checksum of the payload and its padding, u32
//     40  number of its first frame, u64          28  checksum of bytes 0 to 27, u32
//     48  zero, 12 bytes
//     60  checksum of bytes 0 to 59, u32
//
// A frame is a header and its payload, padded to a multiple of 32 bytes. So no header crosses a sector of the disk,
// which is written whole or not at all. The checksum of a frame's header begins with the segment's salt and the frame's
// offset: a copy of a frame that is stored in a payload is no frame there. Padding is not zero, so that where a frame
// has reached the disk no sector of it is zero unless the payload is.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <understudy/journal/crc32c.hpp>
#include <understudy/journal/little_endian.hpp>

namespace understudy::journal {

inline constexpr std::size_t sector_bytes = 512;
inline constexpr std::size_t frame_alignment = 32;
inline constexpr std::size_t frame_header_bytes = 32;
inline constexpr std::size_t segment_header_bytes = 64;
inline constexpr std::uint32_t format_version = 1;
inline constexpr std::string_view segment_magic{"understudy log\n\0", 16};

struct SegmentHeader {
    std::uint64_t salt = 0;     ///< Random, so that nobody can foresee the bytes of a frame.
    std::uint64_t segment = 0;  ///< Its own number, as in the file's name.
    std::uint64_t first = 0;    ///< The number of its first frame: all before were on stable storage when it began.
};

/// The kinds read as text in a dump of the file.
enum class FrameKind : std::uint32_t {
    entry = 0x72746e65,  ///< "entr": holds what was appended.
    mark = 0x6b72616d,   ///< "mark": holds nothing; its `synced` says that all before it is on stable storage.
};

struct FrameHeader {
    FrameKind kind = FrameKind::entry;
    std::uint32_t length = 0;  ///< Of the payload, without padding.
    std::uint64_t number = 0;
    std::uint64_t synced = 0;  ///< All frames up to this one were on stable storage when this one was written.
    std::uint32_t payload_checksum = 0;
};

/// What a payload of that length takes with its padding.
constexpr std::uint64_t padded_bytes(std::uint64_t length) {
    return (length + frame_alignment - 1) / frame_alignment * frame_alignment;
}
/// What a frame with such a payload takes in the file.
constexpr std::uint64_t frame_bytes(std::uint64_t length) { return frame_header_bytes + padded_bytes(length); }

inline bool all_zero(std::string_view bytes) {
    return std::ranges::all_of(bytes, [](char byte) { return byte == 0; });
}

namespace detail {
inline constexpr char padding = '.';

/// Of the first 28 bytes of a frame's header that stands there.
inline std::uint32_t frame_header_checksum(const char* header, std::uint64_t salt, std::uint64_t offset) {
    std::array<char, 16> place{};
    store(place.data(), salt);
    store(place.data() + 8, offset);
    return crc32c({header, 28}, crc32c({place.data(), place.size()}));
}
}  // namespace detail

/// The header with which a segment's file begins.
inline std::string encode(const SegmentHeader& header) {
    std::string bytes{segment_magic};
    bytes.resize(segment_header_bytes);
    store(bytes.data() + 16, format_version);
    store(bytes.data() + 24, header.salt);
    store(bytes.data() + 32, header.segment);
    store(bytes.data() + 40, header.first);
    store(bytes.data() + 60, crc32c({bytes.data(), 60}));
    return bytes;
}

/// Appends a frame that will stand at `offset` of a segment with that salt. `length` and `payload_checksum` of the
/// header are taken from the payload, which is below 4 GiB.
inline void append_frame(std::string& out, const FrameHeader& header, std::string_view payload, std::uint64_t salt,
                         std::uint64_t offset) {
    const auto start = out.size();
    out.append(frame_header_bytes, '\0');
    out.append(payload);
    out.append(padded_bytes(payload.size()) - payload.size(), detail::padding);
    char* const at = out.data() + start;
    store(at, static_cast<std::uint32_t>(header.kind));
    store(at + 4, static_cast<std::uint32_t>(payload.size()));
    store(at + 8, header.number);
    store(at + 16, header.synced);
    store(at + 24, crc32c({at + frame_header_bytes, padded_bytes(payload.size())}));
    store(at + 28, detail::frame_header_checksum(at, salt, offset));
}

/// The header of a frame that stands at `offset`; nothing if these bytes are none.
inline std::optional<FrameHeader> decode_frame_header(std::string_view bytes, std::uint64_t salt,
                                                      std::uint64_t offset) {
    if (bytes.size() < frame_header_bytes) return std::nullopt;
    const char* const at = bytes.data();
    const auto kind = static_cast<FrameKind>(load<std::uint32_t>(at));
    if (kind != FrameKind::entry && kind != FrameKind::mark) return std::nullopt;
    if (load<std::uint32_t>(at + 28) != detail::frame_header_checksum(at, salt, offset)) return std::nullopt;
    return FrameHeader{kind, load<std::uint32_t>(at + 4), load<std::uint64_t>(at + 8), load<std::uint64_t>(at + 16),
                       load<std::uint32_t>(at + 24)};
}

}  // namespace understudy::journal
