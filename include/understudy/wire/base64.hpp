// Base64 (RFC 4648, section 4) for bytes that are not UTF-8. Decoding is strict (standard alphabet, padding, no white
// space, unused bits zero), so that each byte string has exactly one base64 form.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace understudy::wire {

namespace detail {
inline constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline constexpr auto base64_values = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(64);
    for (std::size_t i = 0; i < base64_digits.size(); ++i)
        values[static_cast<unsigned char>(base64_digits[i])] = static_cast<std::uint8_t>(i);
    return values;
}();
}  // namespace detail

/// The length of the base64 text of so many bytes.
inline constexpr std::size_t base64_size(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

/// Appends the base64 text of `bytes`.
inline void append_base64(std::string& out, std::string_view bytes) {
    const auto start = out.size();
    out.resize(start + base64_size(bytes.size()));
    char* to = out.data() + start;
    const auto byte = [&](std::size_t i) { return std::uint32_t{static_cast<unsigned char>(bytes[i])}; };
    const auto put = [&to](std::uint32_t group, int digits) {
        for (int j = 0; j < digits; ++j) *to++ = detail::base64_digits[group >> (18 - 6 * j) & 63];
    };
    std::size_t i = 0;
    for (; i + 3 <= bytes.size(); i += 3) put(byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2), 4);
    if (bytes.size() - i == 1) put(byte(i) << 16, 2), *to++ = '=', *to++ = '=';
    if (bytes.size() - i == 2) put(byte(i) << 16 | byte(i + 1) << 8, 3), *to++ = '=';
}

/// The bytes that `text` stands for, or nothing if it is not strict base64.
inline std::optional<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    if (text.empty()) return std::string{};
    const auto digit = [&](std::size_t i) {
        return std::uint32_t{detail::base64_values[static_cast<unsigned char>(text[i])]};
    };
    const std::size_t padding = text.back() != '=' ? 0 : text[text.size() - 2] != '=' ? 1 : 2;
    std::string bytes(text.size() / 4 * 3 - padding, '\0');
    char* to = bytes.data();
    const auto put = [&to](std::uint32_t group, std::size_t count) {
        for (std::size_t j = 0; j < count; ++j) *to++ = static_cast<char>(group >> (16 - 8 * j) & 0xFF);
    };
    const auto last = text.size() - 4;
    std::uint32_t all = 0;  // all values or-ed: a character that is no digit has the value 64 and makes this exceed 63
    for (std::size_t i = 0; i < last; i += 4) {
        const std::uint32_t a = digit(i), b = digit(i + 1), c = digit(i + 2), d = digit(i + 3);
        all |= a | b | c | d;
        put(a << 18 | b << 12 | c << 6 | d, 3);
    }
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 4; ++j) {
        const auto value = j < 4 - padding ? digit(last + j) : 0;
        all |= value;
        group = group << 6 | (value & 63);
    }
    if (all > 63 || (group & ((1u << 8 * padding) - 1))) return std::nullopt;
    put(group, 3 - padding);
    return bytes;
}

}  // namespace understudy::wire
