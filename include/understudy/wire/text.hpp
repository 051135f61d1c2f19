// Writing JSON text: strings with their escapes, numbers, and the quotations in error texts.
#pragma once

#include <algorithm>
#include <bit>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

#include <understudy/wire/utf8.hpp>

namespace understudy::wire {

/// Appends `text` as a JSON string and returns true. If it is not UTF-8, appends nothing and returns false. Only the
/// characters that JSON requires to be escaped are escaped. Pieces are collected in a buffer on the stack, so that the
/// string grows in few steps.
inline bool append_string(std::string& out, std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    // One step adds at most a piece and one escape or character; `copy_plain` may write 16 bytes more.
    constexpr std::size_t piece = 1024, slack = 32, block = 16u << 10;
    char buffer[4096];
    char* to = buffer;
    const auto start = out.size();
    const char* at = text.data();
    const char* const end = at + text.size();
    bool plain = text.size() > piece;  // the last piece had no character that needs a closer look
    if (plain && out.capacity() < start + text.size() + 2) out.reserve(std::bit_ceil(start + text.size() + 2));
    *to++ = '"';
    while (at != end) {
        if (plain && end - at > std::ptrdiff_t{piece}) {
            // A long text without escapes is copied but once. A block is read twice, the second time from the cache.
            const char* const stop = skip_plain(at, end - at > std::ptrdiff_t{block} ? at + block : end);
            if (stop - at >= std::ptrdiff_t{piece}) {
                out.append(buffer, to).append(at, stop);
                to = buffer;
                at = stop;
                continue;
            }
        }
        if (buffer + sizeof buffer - to < std::ptrdiff_t{piece + slack}) out.append(buffer, to), to = buffer;
        const char* const from = at;
        to = copy_plain(to, at, end - at > std::ptrdiff_t{piece} ? at + piece : end);
        plain = at - from == std::ptrdiff_t{piece};
        if (at == end) break;
        const auto byte = static_cast<unsigned char>(*at);
        if (byte >= 0x80) {
            const auto length = utf8_length(at, end);
            if (length == 0) return out.resize(start), false;
            to = std::copy_n(at, length, to);
            at += length;
            continue;
        }
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;  // only the piece ended here: go on with the next
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

/// Appends human-readable text as a JSON string. If it is not UTF-8, each byte that is not ASCII becomes `?`: an error
/// text may quote what a peer sent, and must be sendable all the same.
inline void append_prose(std::string& out, std::string_view text) {
    if (append_string(out, text)) return;
    std::string clean{text};
    for (auto& byte : clean)
        if (static_cast<unsigned char>(byte) >= 0x80) byte = '?';
    append_string(out, clean);
}

/// Appends an integer in decimal digits.
template <std::integral Number>
void append_number(std::string& out, Number value) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

/// What a peer sent, in a form that fits into a line of an error text or a trace: the first 80 bytes at most, followed
/// by `...` if that is not all. A UTF-8 character is not cut in two, and control characters become `?`.
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
