// Numbers of 64 bits as 16 lower-case hexadecimal digits. Every message carries one, so it is written and read eight
// digits at a time, with one digit in each byte of a word.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace understudy::wire {

inline constexpr std::size_t hex_digits = 16;

namespace detail {
/// The bytes of a word in the reverse order. Compilers know the pattern as one instruction.
constexpr std::uint64_t reversed(std::uint64_t word) {
    word = word << 32 | word >> 32;
    word = (word & 0x0000FFFF0000FFFFu) << 16 | (word >> 16 & 0x0000FFFF0000FFFFu);
    return (word & 0x00FF00FF00FF00FFu) << 8 | (word >> 8 & 0x00FF00FF00FF00FFu);
}
/// From the first byte of a word in memory being its highest to what this machine has, and back.
constexpr std::uint64_t big_endian(std::uint64_t word) {
    return std::endian::native == std::endian::big ? word : reversed(word);
}

/// The digits of a number, the first one in the highest byte.
constexpr std::uint64_t eight_digits(std::uint32_t number) {
    std::uint64_t each = number;  // becomes four bits in each byte
    each = (each << 16 | each) & 0x0000FFFF0000FFFFu;
    each = (each << 8 | each) & 0x00FF00FF00FF00FFu;
    each = (each << 4 | each) & 0x0F0F0F0F0F0F0F0Fu;
    const std::uint64_t letters = (each + 0x0606060606060606u) >> 4 & 0x0101010101010101u;  // 1 from ten on
    return each + 0x3030303030303030u + letters * ('a' - '0' - 10);
}
/// The number of these digits; any number if they are none.
constexpr std::uint32_t number_of(std::uint64_t digits) {
    const std::uint64_t letters = digits >> 6 & 0x0101010101010101u;
    std::uint64_t each = (digits & 0x0F0F0F0F0F0F0F0Fu) + letters * 9;
    each = (each | each >> 4) & 0x00FF00FF00FF00FFu;
    each = (each | each >> 8) & 0x0000FFFF0000FFFFu;
    return static_cast<std::uint32_t>(each | each >> 16);
}
}  // namespace detail

/// Writes the digits of `value` at `to`.
inline void write_hex(char* to, std::uint64_t value) {
    const std::uint64_t digits[] = {detail::big_endian(detail::eight_digits(static_cast<std::uint32_t>(value >> 32))),
                                    detail::big_endian(detail::eight_digits(static_cast<std::uint32_t>(value)))};
    std::memcpy(to, digits, sizeof digits);
}
/// Reads the digits at `at`. Returns false if these are not what `write_hex` writes.
inline bool read_hex(const char* at, std::uint64_t& value) {
    std::uint64_t digits[2];
    std::memcpy(digits, at, sizeof digits);
    const auto high = detail::big_endian(digits[0]), low = detail::big_endian(digits[1]);
    const auto first = detail::number_of(high), second = detail::number_of(low);
    value = std::uint64_t{first} << 32 | second;
    return detail::eight_digits(first) == high && detail::eight_digits(second) == low;
}

}  // namespace understudy::wire
