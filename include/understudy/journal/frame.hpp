// The format of a journal's files. A segment file begins with a header of 64 bytes; frames follow it without gaps. All
// numbers are little endian, all checksums are CRC-32C.
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
// A frame is a header and its payload, padded to a multiple of 32 bytes. So no header crosses a sector of the disk; a
// sector is written completely or not at all. The checksum of a frame's header also covers the segment's salt and the
// frame's offset: otherwise a copy of a frame inside a payload could be taken for a frame. Padding is not zero. So a
// sector of a frame that has reached the disk is zero only if the payload is zero there; recovery relies on this to
// detect an incomplete frame (`SegmentReader::incomplete`).
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
    std::uint64_t salt = 0;     ///< Random, so that a client cannot construct a payload that looks like a frame.
    std::uint64_t segment = 0;  ///< The segment's number, as in the file's name.
    std::uint64_t first = 0;    ///< The number of its first frame. All frames before it are on stable storage.
};

/// The kind of a frame. The values read as text in a hex dump of the file. In a log, a mark is a commit mark: it has no
/// payload, and its `synced` says that all frames before it are on stable storage. In a snapshot file, the mark ends
/// the snapshot and has a payload (`SnapshotEnd`).
enum class FrameKind : std::uint32_t {
    entry = 0x72746e65,  ///< "entr": has the appended payload.
    mark = 0x6b72616d,   ///< "mark".
};

struct FrameHeader {
    FrameKind kind = FrameKind::entry;
    std::uint32_t length = 0;  ///< The length of the payload in bytes, without padding.
    std::uint64_t number = 0;
    std::uint64_t synced = 0;  ///< All frames up to this one were on stable storage when this one was written.
    std::uint32_t payload_checksum = 0;
};

/// The size of a payload of this length with its padding, in bytes.
constexpr std::uint64_t padded_bytes(std::uint64_t length) {
    return (length + frame_alignment - 1) / frame_alignment * frame_alignment;
}
/// The size in the file of a frame with a payload of this length, in bytes.
constexpr std::uint64_t frame_bytes(std::uint64_t length) { return frame_header_bytes + padded_bytes(length); }

inline bool all_zero(std::string_view bytes) {
    return std::ranges::all_of(bytes, [](char byte) { return byte == 0; });
}

namespace detail {
inline constexpr char padding = '.';

/// The checksum of the first 28 bytes of a frame header that is at `offset` of a segment with this salt.
inline std::uint32_t frame_header_checksum(const char* header, std::uint64_t salt, std::uint64_t offset) {
    std::array<char, 16> place{};
    store(place.data(), salt);
    store(place.data() + 8, offset);
    return crc32c({header, 28}, crc32c({place.data(), place.size()}));
}
}  // namespace detail

/// The bytes of a segment's header.
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

/// Appends a frame to `out` that will be at `offset` of a segment with this salt. `length` and `payload_checksum` of
/// `header` are ignored and computed from the payload, which must be smaller than 4 GiB.
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

/// Decodes the header of a frame at `offset`. Returns `nullopt` if these bytes are not a valid header.
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
