// Computes CRC-32C, the checksum of everything that a journal stores. It uses the processor's instruction where there
// is one (SSE4.2), and otherwise tables, eight bytes at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <understudy/journal/little_endian.hpp>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define UNDERSTUDY_CRC32C_SSE42 1
#endif

namespace understudy::journal {

namespace detail {

using Crc32cTables = std::array<std::array<std::uint32_t, 256>, 8>;

// "Slicing by 8": table k has what a byte contributes to the checksum after k further bytes. 0x82F63B78 is Castagnoli's
// polynomial in reversed bit order.
constexpr Crc32cTables make_crc32c_tables() {
    Crc32cTables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        auto crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0u);
        tables[0][byte] = crc;
    }
    for (std::size_t k = 1; k < tables.size(); ++k)
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const auto crc = tables[k - 1][byte];
            tables[k][byte] = crc >> 8 ^ tables[0][crc & 0xFF];
        }
    return tables;
}
inline constexpr auto crc32c_tables = make_crc32c_tables();

/// Continues a checksum. The functions in this namespace take and return checksums with inverted bits.
inline std::uint32_t crc32c_by_tables(std::uint32_t crc, std::string_view bytes) {
    const auto& table = crc32c_tables;
    for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
        const auto word = load<std::uint64_t>(bytes.data()) ^ crc;
        crc = 0;
        for (std::size_t i = 0; i < 8; ++i) crc ^= table[7 - i][word >> (8 * i) & 0xFF];
    }
    for (const char byte : bytes) crc = crc >> 8 ^ table[0][(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
    return crc;
}

#ifdef UNDERSTUDY_CRC32C_SSE42
__attribute__((target("sse4.2"))) inline std::uint32_t crc32c_by_instruction(std::uint32_t crc,
                                                                             std::string_view bytes) {
    std::uint64_t wide = crc;
    for (; bytes.size() >= 8; bytes.remove_prefix(8))
        wide = __builtin_ia32_crc32di(wide, load<std::uint64_t>(bytes.data()));
    crc = static_cast<std::uint32_t>(wide);
    for (const char byte : bytes) crc = __builtin_ia32_crc32qi(crc, static_cast<unsigned char>(byte));
    return crc;
}
inline bool has_crc32c_instruction() { return __builtin_cpu_supports("sse4.2") != 0; }
#endif

}  // namespace detail

/// The CRC-32C of `bytes`. If `before` is the checksum of preceding bytes, the result is the checksum of both together.
inline std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0) {
#ifdef UNDERSTUDY_CRC32C_SSE42
    static const bool by_instruction = detail::has_crc32c_instruction();
    if (by_instruction) return ~detail::crc32c_by_instruction(~before, bytes);
#endif
    return ~detail::crc32c_by_tables(~before, bytes);
}

}  // namespace understudy::journal
