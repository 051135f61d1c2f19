// The names of segment files: PREFIX-0123456789abcdef.log. While a segment is being created, `.new` follows the name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace understudy::journal {

inline constexpr std::string_view unfinished_suffix = ".new";

/// The last `digits` hexadecimal digits of a number.
inline std::string hexadecimal(std::uint64_t number, std::size_t digits) {
    std::string text(digits, '0');
    for (auto at = text.rbegin(); at != text.rend(); ++at, number >>= 4) *at = "0123456789abcdef"[number & 0xF];
    return text;
}

inline std::string segment_name(std::string_view prefix, std::uint64_t number) {
    return std::string{prefix} + "-" + hexadecimal(number, 16) + ".log";
}

/// The number of the segment whose file has this name; `nullopt` if it is not the name of a segment.
inline std::optional<std::uint64_t> segment_number(std::string_view prefix, std::string_view name) {
    constexpr std::string_view digits = "0123456789abcdef";
    if (!name.starts_with(prefix) || name.size() != prefix.size() + 21) return std::nullopt;
    std::uint64_t number = 0;
    for (const char digit : name.substr(prefix.size() + 1, 16)) {
        const auto value = digits.find(digit);
        if (value == digits.npos) return std::nullopt;
        number = number << 4 | value;
    }
    return name == segment_name(prefix, number) ? std::optional{number} : std::nullopt;
}

/// Whether this is the name of a segment whose creation was not completed.
inline bool is_unfinished_segment(std::string_view prefix, std::string_view name) {
    return name.ends_with(unfinished_suffix) &&
           segment_number(prefix, name.substr(0, name.size() - unfinished_suffix.size()));
}

}  // namespace understudy::journal
