// JSON texts, written: strings with their escapes, numbers, and what error texts quote.
#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

#include <understudy/wire/utf8.hpp>

namespace understudy::wire {

/// Appends `text` as a JSON string and returns true; if it is not UTF-8, appends nothing and returns false.
inline bool append_string(std::string& out, std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    constexpr std::size_t piece = 1024, slack = 32;  // one step adds a piece at most, and then an escape
    char buffer[4096];
    char* to = buffer;
    const auto start = out.size();
    const char* at = text.data();
    const char* const end = at + text.size();
    *to++ = '"';
    while (at != end) {
        if (buffer + sizeof buffer - to < std::ptrdiff_t{piece + slack}) out.append(buffer, to), to = buffer;
        to = copy_plain(to, at, end - at > std::ptrdiff_t{piece} ? at + piece : end);
        if (at == end) break;
        const auto byte = static_cast<unsigned char>(*at);
        if (byte >= 0x80) {
            const auto length = utf8_length(at, end);
            if (length == 0) return out.resize(start), false;
            to = std::copy_n(at, length, to);
            at += length;
            continue;
        }
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;  // the piece ends, and nothing else
        *to++ = '\\';
        switch (*at++) {
            case '"': *to++ = '"'; break;
            case '\\': *to++ = '\\'; break;
            case '\n': *to++ = 'n'; break;
            case '\r': *to++ = 'r'; break;
            case '\t': *to++ = 't'; break;
            default:
                for (const char digit : {'u', '0', '0', hex[byte >> 4], hex[byte & 15]}) *to++ = digit;
        }
    }
    *to++ = '"';
    out.append(buffer, to);
    return true;
}

/// Appends a sentence for people as a JSON string; what is not UTF-8 in it becomes `?`.
inline void append_prose(std::string& out, std::string_view text) {
    if (append_string(out, text)) return;
    std::string clean{text};
    for (auto& byte : clean)
        if (static_cast<unsigned char>(byte) >= 0x80) byte = '?';
    append_string(out, clean);
}

template <std::integral Number>
void append_number(std::string& out, Number value) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

/// At most 80 bytes of what somebody sent, whole characters, fit to stand in a line of text.
inline std::string quoted(std::string_view text) {
    std::size_t limit = 80;
    while (limit > 77 && limit < text.size() && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
    std::string shown{text.substr(0, limit)};
    for (auto& byte : shown)
        if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7F) byte = '?';
    if (text.size() > limit) shown += "...";
    return shown;
}

}  // namespace understudy::wire
