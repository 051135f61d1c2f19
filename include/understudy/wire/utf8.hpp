// Well-formed UTF-8 (RFC 3629, Unicode table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF. Also the
// fast search for the bytes of a JSON string that need a closer look, on which the speed of reading and writing JSON
// depends.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace understudy::wire {

/// The length, 1 to 4, of the character that starts at `at`; 0 if the bytes there are not well-formed. Precondition:
/// `at < end`. The limits of the first two bytes exclude overlong forms, surrogates and characters above U+10FFFF.
inline std::size_t utf8_length(const char* at, const char* end) {
    const auto byte = [at](std::size_t i) { return static_cast<unsigned char>(at[i]); };
    const auto left = static_cast<std::size_t>(end - at);
    const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
        return i < left && byte(i) >= low && byte(i) <= high;
    };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first < 0xC2) return 0;
    if (first < 0xE0) return follows(1) ? 2 : 0;
    if (first < 0xF0) {
        const unsigned low = first == 0xE0 ? 0xA0 : 0x80, high = first == 0xED ? 0x9F : 0xBF;
        return follows(1, low, high) && follows(2) ? 3 : 0;
    }
    if (first > 0xF4) return 0;
    const unsigned low = first == 0xF0 ? 0x90 : 0x80, high = first == 0xF4 ? 0x8F : 0xBF;
    return follows(1, low, high) && follows(2) && follows(3) ? 4 : 0;
}

/// Appends one character. Precondition: `code` is no surrogate and at most U+10FFFF.
inline void append_utf8(std::string& out, std::uint32_t code) {
    const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    const auto tail = [&](int shift) { put(0x80 | (code >> shift & 0x3F)); };
    if (code < 0x80) return put(code);
    if (code < 0x800) return put(0xC0 | code >> 6), tail(0);
    if (code < 0x10000) return put(0xE0 | code >> 12), tail(6), tail(0);
    put(0xF0 | code >> 18), tail(12), tail(6), tail(0);
}

#ifdef __SSE2__
/// Marks each of 16 bytes that is a control character below 0x20, `"`, `\` or not ASCII. The first comparison finds all
/// but the backslash: it is signed, so bytes from 0x80 are negative, and the inverted bit makes 0x20 of a quote (0x22)
/// and 0x22 of a blank, while control characters stay below 0x20.
inline __m128i special_marks(__m128i block) {
    const auto low = _mm_cmplt_epi8(_mm_xor_si128(block, _mm_set1_epi8(0x02)), _mm_set1_epi8(0x21));
    return _mm_or_si128(low, _mm_cmpeq_epi8(block, _mm_set1_epi8('\\')));
}
/// The same as a bit for each byte.
inline unsigned special_bytes(__m128i block) {
    return static_cast<unsigned>(_mm_movemask_epi8(special_marks(block)));
}
inline __m128i sixteen_bytes(const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

/// Skips blocks of 64 bytes without such a byte. It decides once for each block, which pays in long strings alone.
[[gnu::noinline]] inline const char* skip_plain_blocks(const char* at, const char* end) {
    for (; end - at >= 64; at += 64) {
        const auto first = _mm_or_si128(special_marks(sixteen_bytes(at)), special_marks(sixteen_bytes(at + 16)));
        const auto second = _mm_or_si128(special_marks(sixteen_bytes(at + 32)), special_marks(sixteen_bytes(at + 48)));
        if (_mm_movemask_epi8(_mm_or_si128(first, second)) != 0) break;
    }
    return at;
}
#endif

/// The same as `skip_plain`, below, for a few bytes: eight at a time.
inline const char* skip_few_plain(const char* at, const char* end) {
    constexpr std::uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    for (; end - at >= 8; at += 8) {
        std::uint64_t word;
        std::memcpy(&word, at, 8);
        const auto quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        // The top bit of each byte is set if the byte is >= 0x80, below 0x20, or zero after the xor (a quote or
        // backslash). A borrow can set it wrongly, but only in bytes of higher value than one where it is set rightly.
        // So on a little-endian machine the lowest set bit is exact; on others the loop below finds the byte.
        const auto special =
            (word | ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) &
            tops;
        if (special == 0) continue;
        if constexpr (std::endian::native == std::endian::little) return at + std::countr_zero(special) / 8;
        break;
    }
    while (at != end && static_cast<unsigned char>(*at) >= 0x20 && static_cast<unsigned char>(*at) < 0x80 &&
           *at != '"' && *at != '\\')
        ++at;
    return at;
}

#ifdef __SSE2__
/// Goes on where `skip_plain` has skipped 16 bytes: looks at sixteen bytes at a time, and from a while on at 64.
[[gnu::noinline]] inline const char* skip_more_plain(const char* at, const char* end) {
    // Most strings are short, and `end` is far behind them. Only a string that turns out to be long is worth looking at
    // in blocks of 64 bytes: the last of them, which ends it, is looked at twice.
    const char* const soon = end - at > 256 ? at + 256 : end;
    for (; soon - at >= 16; at += 16)
        if (const auto special = special_bytes(sixteen_bytes(at))) return at + std::countr_zero(special);
    if (soon != end) {
        at = skip_plain_blocks(at, end);
        for (; end - at >= 16; at += 16)
            if (const auto special = special_bytes(sixteen_bytes(at))) return at + std::countr_zero(special);
    }
    if (at == end) return end;
    // The last 16 bytes, of which the first were skipped already.
    const auto special = special_bytes(sixteen_bytes(end - 16)) >> (16 - (end - at));
    return special ? at + std::countr_zero(special) : end;
}
#endif

/// Skips bytes that stand for themselves in a JSON string: ASCII from 0x20 on, without `"` and `\`. Returns the first
/// other byte, or `end`. Most strings end within sixteen bytes; these are not worth a call.
[[gnu::always_inline]] inline const char* skip_plain(const char* at, const char* end) {
#ifdef __SSE2__
    if (end - at >= 16) {
        const auto special = special_bytes(sixteen_bytes(at));
        return special ? at + std::countr_zero(special) : skip_more_plain(at + 16, end);
    }
#endif
    return skip_few_plain(at, end);
}

/// Copies what `skip_plain` would skip, moves `at` past it, and returns the end of the copy. It stores whole blocks, so
/// up to 16 bytes behind the returned place may be overwritten; the caller provides room for these.
inline char* copy_plain(char* to, const char*& at, const char* end) {
#ifdef __SSE2__
    const auto copied = [&](std::ptrdiff_t count) {
        at += count;
        return to += count;
    };
    if (end - at >= 16) {
        do {
            const auto block = sixteen_bytes(at);
            _mm_storeu_si128(reinterpret_cast<__m128i*>(to), block);
            if (const auto special = special_bytes(block)) return copied(std::countr_zero(special));
            copied(16);
        } while (end - at >= 16);
        // The last 16 bytes, of which the first were copied already.
        const auto left = end - at;
        const auto block = sixteen_bytes(end - 16);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + left - 16), block);
        const auto special = special_bytes(block) >> (16 - left);
        return copied(special ? std::countr_zero(special) : left);
    }
#endif
    const char* const stop = skip_plain(at, end);
    to = std::copy(at, stop, to);
    at = stop;
    return to;
}

}  // namespace understudy::wire
