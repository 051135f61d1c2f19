// Makes text that peers choose safe to print: a name must not end a line of a log or move the cursor of a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace understudy {

namespace detail {

/// The length in bytes of the character at `at` if it must not be printed, otherwise 0. Such are control characters
/// (C0, DEL, C1) and Unicode characters that end a line or change the direction of writing. The text is UTF-8.
constexpr std::size_t unprintable_at(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t ahead) {
        return at + ahead < text.size() ? static_cast<unsigned char>(text[at + ahead]) : 0u;
    };
    if (byte(0) < 0x20 || byte(0) == 0x7f) return 1;
    if (byte(0) == 0xc2 && byte(1) >= 0x80 && byte(1) < 0xa0) return 2;
    if (byte(0) != 0xe2) return 0;
    const bool mark = byte(2) == 0x8e || byte(2) == 0x8f || (byte(2) >= 0xa8 && byte(2) <= 0xae);
    const bool isolate = byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9;
    return (byte(1) == 0x80 && mark) || isolate ? 3 : 0;
}

}  // namespace detail

constexpr bool is_printable(std::string_view text) {
    for (std::size_t at = 0; at < text.size(); ++at)
        if (detail::unprintable_at(text, at) != 0) return false;
    return true;
}

/// The text with each byte of such a character replaced by an escape like `\x1b`. If `lines` is true, line ends are
/// kept, because they come from the library itself.
inline std::string printable(std::string_view text, bool lines = false) {
    if (is_printable(text)) return std::string{text};
    constexpr std::string_view digits = "0123456789abcdef";
    std::string safe;
    for (std::size_t at = 0; at < text.size();) {
        auto bytes = lines && text[at] == '\n' ? 0 : detail::unprintable_at(text, at);
        if (bytes == 0) safe += text[at++];
        for (; bytes > 0; --bytes, ++at) {
            const auto byte = static_cast<unsigned char>(text[at]);
            safe += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return safe;
}

inline constexpr std::size_t max_group_name = 255;  ///< In bytes.
inline constexpr std::size_t max_server_name = 1024;

constexpr bool is_group_name(std::string_view name) {
    return !name.empty() && name.size() <= max_group_name && is_printable(name);
}
constexpr bool is_server_name(std::string_view name) {
    return !name.empty() && name.size() <= max_server_name && is_printable(name);
}

}  // namespace understudy
