// Reads JSON text only in the form in which this library writes it: whole pieces of text are compared, and nothing is
// skipped or reordered. The fast paths of messages (fast_decoder.hpp) and of the key/value store consist of these
// steps. A step that meets another form, valid or not, gives up without an error, and a general decoder reads the text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/wire/base64.hpp>
#include <understudy/wire/hex.hpp>
#include <understudy/wire/scan.hpp>
#include <understudy/wire/utf8.hpp>

namespace understudy::wire {

/// Walks over one text. Every step consumes what it names, or returns false. After a false the position in the text is
/// unspecified and the whole reading must be given up; only `literal`, `name` and `plain` consume nothing then.
class FastScanner {
public:
    explicit FastScanner(std::string_view text) : at_{text.data()}, end_{at_ + text.size()} {}

    /// Consumes `text` if it comes next.
    template <std::size_t size>
    bool literal(const char (&text)[size]) {
        return piece({text, size - 1});
    }
    /// The same for a text that need not be a literal. If its length is a constant, the comparison is as fast.
    [[gnu::always_inline]] bool piece(std::string_view text) {
        if (left() < text.size() || std::memcmp(at_, text.data(), text.size()) != 0) return false;
        at_ += text.size();
        return true;
    }

    /// Consumes the name of a member with what stands around it: `before`, which is a brace or a comma, the quotes and
    /// the colon. It is inlined, so that the comparison of a literal becomes a few comparisons of numbers.
    [[gnu::always_inline]] bool name(char before, std::string_view name) {
        const char ahead[] = {before, '"'};
        const auto size = name.size();
        if (left() < size + 4 || std::memcmp(at_, ahead, 2) != 0 || std::memcmp(at_ + 2, name.data(), size) != 0 ||
            std::memcmp(at_ + 2 + size, "\":", 2) != 0)
            return false;
        at_ += size + 4;
        return true;
    }

    /// Reads a number of at most 19 digits, which cannot overflow. Leading zeros are no JSON.
    bool number(std::uint64_t& number) {
        // In local variables: the compiler would store members and `number` again for each digit.
        const char *const start = at_, *const end = end_;
        const char* at = start;
        std::uint64_t value = 0;
        for (; at != end; ++at) {
            const auto digit = static_cast<unsigned char>(*at - '0');
            if (digit > 9) break;
            value = value * 10 + digit;
        }
        at_ = at;
        number = value;
        const auto digits = at - start;
        return digits > 0 && digits <= 19 && (*start != '0' || digits == 1);
    }

    /// Reads 16 lower-case hexadecimal digits in quotes, 18 characters.
    bool hex(std::uint64_t& value) {
        constexpr auto size = hex_digits + 2;
        if (left() < size || at_[0] != '"' || at_[size - 1] != '"' || !read_hex(at_ + 1, value)) return false;
        at_ += size;
        return true;
    }

    /// Reads a string of ASCII without escapes. `text` is a view into the text that is read.
    bool plain(std::string_view& text) {
        const char* const stop = plain_end(at_, end_);
        if (!stop) return false;
        text = {at_ + 1, static_cast<std::size_t>(stop - at_ - 2)};
        at_ = stop;
        return true;
    }

    /// Reads bytes in the forms that `encode_bytes` and `encode_bulk` write. `bytes` then refers to the text or,
    /// where something had to be decoded, to `room`.
    bool bytes(std::string_view& bytes, std::string& room) {
        if (plain(bytes)) return true;
        if (literal(R"({"b64":)")) {
            auto decoded = plain(bytes) && literal("}") ? decode_base64(bytes) : std::nullopt;
            if (!decoded) return false;
            room = std::move(*decoded);
        } else if (!unescape(room)) {
            return false;
        }
        bytes = room;
        return true;
    }

    /// Any JSON value, as a view of its text. Most values are strings or objects of strings, which need no full
    /// scanner. Every other value is checked by the scanner: text that is no JSON must not reach a store or a log.
    bool json(std::string_view& value) {
        const char* const start = at_;
        if (std::string_view text; !plain(text) && !object_of_strings()) {
            Scanner scan{{start, static_cast<std::size_t>(end_ - start)}};
            value = scan.value();
            at_ = scan.mark();
            return !value.empty();
        }
        value = {start, static_cast<std::size_t>(at_ - start)};
        return true;
    }

    const char* mark() const { return at_; }
    bool at_end() const { return at_ == end_; }

private:
    std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

    /// Reads a string and unescapes it in one pass. Returns false for escapes that are rare (`\u`, `\b`, `\f`, `\/`):
    /// the general decoder reads these. The text is collected in a buffer on the stack, since appending each piece to
    /// the string would cost more.
    bool unescape(std::string& out) {
        // One step adds at most a piece and one character; `copy_plain` may write 16 bytes more.
        constexpr std::size_t piece = 2048, slack = 32;
        if (at_ == end_ || *at_ != '"') return false;
        char buffer[4096];
        char* to = buffer;
        out.clear();
        for (const char* at = at_ + 1; at != end_;) {
            if (buffer + sizeof buffer - to < std::ptrdiff_t{piece + slack}) out.append(buffer, to), to = buffer;
            to = copy_plain(to, at, end_ - at > std::ptrdiff_t{piece} ? at + piece : end_);
            if (at == end_) return false;
            if (*at == '"') {
                out.append(buffer, to);
                at_ = at + 1;
                return true;
            }
            if (*at == '\\') {
                if (end_ - at < 2) return false;
                const char meant = unescaped(at[1]);
                if (meant == '\0') return false;
                *to++ = meant;
                at += 2;
            } else if (static_cast<unsigned char>(*at) < 0x20) {
                return false;
            } else if (static_cast<unsigned char>(*at) >= 0x80) {
                const auto length = utf8_length(at, end_);
                if (length == 0) return false;
                to = std::copy_n(at, length, to);
                at += length;
            }
        }
        return false;
    }
    static char unescaped(char escape) {
        switch (escape) {
            case '"':
            case '\\': return escape;
            case 'n': return '\n';
            case 'r': return '\r';
            case 't': return '\t';
            default: return '\0';
        }
    }

    bool object_of_strings() {
        const char* at = at_;
        const char* const end = end_;
        if (at == end || *at != '{') return false;
        do {
            at = plain_end(at + 1, end);
            if (!at || at == end || *at != ':') return false;
            at = plain_end(at + 1, end);
            if (!at || at == end) return false;
        } while (*at == ',');
        if (*at != '}') return false;
        at_ = at + 1;
        return true;
    }

    /// The end of the string of ASCII without escapes that starts at `at`, behind its closing quote; null if there is
    /// none.
    [[gnu::always_inline]] static const char* plain_end(const char* at, const char* end) {
        if (at == end || *at != '"') return nullptr;
        const char* const stop = skip_plain(at + 1, end);
        return stop != end && *stop == '"' ? stop + 1 : nullptr;
    }

    const char* at_;
    const char* end_;
};

}  // namespace understudy::wire
