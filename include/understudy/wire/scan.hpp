// A validating JSON scanner (RFC 8259). One pass checks grammar, UTF-8 and nesting depth, and gives the text of values
// as it stands. So a command or a reply, which only the store understands, is forwarded as the text that was received.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <understudy/wire/text.hpp>
#include <understudy/wire/utf8.hpp>

namespace understudy::wire {

/// The type of a value, known from its first byte; `none` if no value starts there.
enum class Kind { none, object, array, string, number, boolean, null };

/// The type with its article, for error texts.
constexpr std::string_view describe(Kind kind) {
    switch (kind) {
        case Kind::object: return "an object";
        case Kind::array: return "an array";
        case Kind::string: return "a string";
        case Kind::number: return "a number";
        case Kind::boolean: return "a boolean";
        case Kind::null: return "null";
        case Kind::none: break;
    }
    return "nothing";
}

/// Appends the unescaped text of a JSON string. `raw` is the part between the quotes and must have been validated by
/// the scanner: escapes are not checked again.
inline void append_unescaped(std::string& out, std::string_view raw) {
    const auto hex4 = [&raw](std::size_t at) {
        std::uint32_t code = 0;
        std::from_chars(raw.data() + at, raw.data() + at + 4, code, 16);
        return code;
    };
    for (std::size_t at = 0; at < raw.size();) {
        const auto backslash = std::min(raw.find('\\', at), raw.size());
        out.append(raw, at, backslash - at);
        if (backslash == raw.size()) break;
        const char escape = raw[backslash + 1];
        at = backslash + 2;
        switch (escape) {
            case 'b': out.push_back('\b'); break;
            case 'f': out.push_back('\f'); break;
            case 'n': out.push_back('\n'); break;
            case 'r': out.push_back('\r'); break;
            case 't': out.push_back('\t'); break;
            case 'u': {
                auto code = hex4(at);
                at += 4;
                if (code >= 0xD800 && code <= 0xDBFF) {  // a surrogate pair: two escapes, one character
                    code = 0x10000 + ((code - 0xD800) << 10) + (hex4(at + 2) - 0xDC00);
                    at += 6;
                }
                append_utf8(out, code);
                break;
            }
            default: out.push_back(escape);
        }
    }
}

/// Walks over one JSON text. A step that finds no JSON returns false (or an empty text) and makes `ok()` false;
/// `error()` says what was expected and where. A callback that returns false ends the walk, but leaves `ok()` true. The
/// text must outlive the scanner. Without `rewind` all steps together take time linear in the length of the text.
class Scanner {
public:
    /// The deepest nesting of a value that is consumed as a whole. Nesting that a caller walks through with `members`
    /// and `elements` is not counted; the types of messages bound it.
    static constexpr int max_depth = 64;

    explicit Scanner(std::string_view text) : begin_{text.data()}, at_{begin_}, end_{begin_ + text.size()} {}

    /// The type of the next value; consumes only white space.
    Kind peek() {
        skip_space();
        switch (at_ == end_ ? '\0' : *at_) {
            case '{': return Kind::object;
            case '[': return Kind::array;
            case '"': return Kind::string;
            case 't': case 'f': return Kind::boolean;
            case 'n': return Kind::null;
            case '-': case '0': case '1': case '2': case '3': case '4':
            case '5': case '6': case '7': case '8': case '9': return Kind::number;
            default: return Kind::none;
        }
    }

    /// Consumes any value as a whole and returns its text. The result is empty only if the text is no JSON or nests too
    /// deep. Uses a loop and a bit for each level, not recursion, so hostile input cannot exhaust the stack.
    std::string_view value() {
        skip_space();
        const char* const start = at_;
        std::uint64_t open = 0;  // one bit for each open container, the innermost lowest: 1 is an object, 0 an array
        int depth = 0;
        static_assert(max_depth <= 64);
        do {
            const Kind kind = peek();
            if (kind == Kind::object || kind == Kind::array) {
                if (depth == max_depth) return fail("at most 64 levels of nesting"), std::string_view{};
                const bool object = kind == Kind::object;
                ++at_;
                if (!take(object ? '}' : ']')) {
                    open = open << 1 | static_cast<std::uint64_t>(object);
                    ++depth;
                    if (object && !skip_name()) return {};
                    continue;
                }
            } else if (!scalar(kind)) {
                return {};
            }
            for (; depth > 0 && take(open & 1 ? '}' : ']'); --depth) open >>= 1;
            if (depth == 0) break;
            if (!take(',')) return fail(open & 1 ? "',' or '}'" : "',' or ']'"), std::string_view{};
            if (open & 1 && !skip_name()) return {};
        } while (true);
        return {start, static_cast<std::size_t>(at_ - start)};
    }

    /// Consumes an object. `on_member(name)` is called for each member and must consume its value from this scanner, or
    /// return false to end the walk. The name is unescaped and valid until the next step. Names may repeat: the caller
    /// decides what that means.
    template <typename OnMember>
    bool members(OnMember&& on_member) {
        std::string_view name;
        for (bool more = begin('{', '}', "an object"); more; more = another('}', "',' or '}'"))
            if (!next_name(name) || !on_member(name)) return false;
        return ok();
    }

    /// Consumes an array. `on_element()` is called for each element and must consume it from this scanner, or return
    /// false to end the walk.
    template <typename OnElement>
    bool elements(OnElement&& on_element) {
        for (bool more = begin('[', ']', "an array"); more; more = another(']', "',' or ']'"))
            if (!on_element()) return false;
        return ok();
    }

    /// Consumes a string and assigns its unescaped text to `out`.
    bool string(std::string& out) {
        std::string_view raw;
        bool escaped = false;
        if (!string_inside(raw, escaped, "a string")) return false;
        if (!escaped) return out.assign(raw), true;
        out.clear();
        append_unescaped(out, raw);
        return true;
    }

    /// True if only white space is left; otherwise the scanner fails.
    bool end() {
        skip_space();
        return at_ == end_ || fail("nothing after the value");
    }

    /// The current place in the text.
    const char* mark() const { return at_; }
    /// Goes back to a place that `mark` returned; a failure since then is cleared.
    void rewind(const char* mark) {
        at_ = mark;
        expected_ = nullptr;
    }

    /// True as long as everything consumed was JSON.
    bool ok() const { return expected_ == nullptr; }
    /// Human-readable text such as `offset 17: expected a value, found 'x'`.
    std::string error() const {
        const auto byte = at_ == end_ ? 0u : static_cast<unsigned char>(*at_);
        constexpr std::string_view hex = "0123456789abcdef";
        std::string found = "the end";
        if (at_ != end_ && byte >= 0x20 && byte < 0x7F) found = {'\'', *at_, '\''};
        else if (at_ != end_) found = {'b', 'y', 't', 'e', ' ', '0', 'x', hex[byte >> 4], hex[byte & 15]};
        return "offset " + std::to_string(at_ - begin_) + ": expected " + (expected_ ? expected_ : "nothing") +
               ", found " + found;
    }

private:
    // Only the first fault counts; later ones are its consequences.
    bool fail(const char* expected) {
        if (!expected_) expected_ = expected;
        return false;
    }

    void skip_space() {
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
    }

    bool take(char wanted) {
        skip_space();
        if (at_ == end_ || *at_ != wanted) return false;
        ++at_;
        return true;
    }

    // The common parts of `members` and `elements` are not inlined, since these are instantiated for every message.

    /// Consumes what opens a container. False if the container is empty (then it is consumed) or none starts here.
    [[gnu::noinline]] bool begin(char open, char close, const char* what) {
        return (take(open) || fail(what)) && !take(close);
    }
    /// Consumes the comma before another member or element and returns true, or consumes what closes the container and
    /// returns false.
    [[gnu::noinline]] bool another(char close, const char* expected) {
        if (take(',')) return true;
        if (!take(close)) fail(expected);
        return false;
    }
    [[gnu::noinline]] bool next_name(std::string_view& name) {
        bool escaped = false;
        if (!string_inside(name, escaped, "a member's name") || !colon()) return false;
        if (escaped) name_.clear(), append_unescaped(name_, name), name = name_;
        return true;
    }

    bool colon() { return take(':') || fail("':'"); }

    bool skip_name() {
        std::string_view raw;
        bool escaped = false;
        return string_inside(raw, escaped, "a member's name") && colon();
    }

    bool scalar(Kind kind) {
        std::string_view raw;
        bool escaped = false;
        switch (kind) {
            case Kind::string: return string_inside(raw, escaped, "a string");
            case Kind::number: return number();
            case Kind::boolean: return literal(*at_ == 't' ? "true" : "false");
            case Kind::null: return literal("null");
            default: return fail("a value");
        }
    }

    bool literal(std::string_view word) {
        for (const char letter : word) {
            if (at_ == end_ || *at_ != letter) return fail("true, false or null");
            ++at_;
        }
        return true;
    }

    bool digits() {
        const char* const start = at_;
        while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
        return at_ != start || fail("a digit");
    }

    bool next_is(char wanted) const { return at_ != end_ && *at_ == wanted; }

    bool number() {
        if (next_is('-')) ++at_;
        // After a leading zero the number ends. A digit behind it is not consumed, and the caller, which expects a
        // comma, a bracket or the end there, fails.
        if (next_is('0')) ++at_;
        else if (!digits()) return false;
        if (next_is('.') && (++at_, !digits())) return false;
        if (!next_is('e') && !next_is('E')) return true;
        ++at_;
        if (next_is('+') || next_is('-')) ++at_;
        return digits();
    }

    // Consumes a string. `raw` is the text between the quotes; `escaped` says whether it contains escapes, so that the
    // usual string without any is not copied.
    bool string_inside(std::string_view& raw, bool& escaped, const char* what) {
        if (!take('"')) return fail(what);
        const char* const start = at_;
        while (true) {
            at_ = skip_plain(at_, end_);
            if (at_ == end_) return fail("the closing quote of a string");
            if (*at_ == '"') break;
            if (*at_ == '\\') {
                escaped = true;
                if (!escape()) return false;
            } else if (static_cast<unsigned char>(*at_) < 0x20) {
                return fail("an escape in place of a control character");
            } else if (const auto length = utf8_length(at_, end_)) {
                at_ += length;
            } else {
                return fail("well-formed UTF-8");
            }
        }
        raw = {start, static_cast<std::size_t>(at_ - start)};
        ++at_;
        return true;
    }

    // Consumes one escape; of a surrogate pair both. A lone surrogate is no character and has no UTF-8 form.
    bool escape() {
        ++at_;
        if (at_ == end_ || !std::strchr("\"\\/bfnrtu", *at_) || *at_ == '\0') return fail("an escape");
        if (*at_++ != 'u') return true;
        std::uint32_t code = 0;
        if (!hex4(code)) return false;
        if (code >= 0xDC00 && code <= 0xDFFF) return fail("a high surrogate before a low one");
        if (code < 0xD800 || code > 0xDBFF) return true;
        if (!next_is('\\') || end_ - at_ < 2 || at_[1] != 'u') return fail("a low surrogate after a high one");
        at_ += 2;
        if (!hex4(code)) return false;
        return (code >= 0xDC00 && code <= 0xDFFF) || fail("a low surrogate after a high one");
    }

    bool hex4(std::uint32_t& code) {
        for (int i = 0; i < 4; ++i, ++at_) {
            const char digit = at_ == end_ ? ' ' : *at_;
            const char lower = static_cast<char>(digit | 0x20);
            if (digit >= '0' && digit <= '9') code = code << 4 | static_cast<std::uint32_t>(digit - '0');
            else if (lower >= 'a' && lower <= 'f') code = code << 4 | static_cast<std::uint32_t>(lower - 'a' + 10);
            else return fail("four hexadecimal digits");
        }
        code &= 0xFFFF;  // `code` came with the first escape of a pair: only the four new digits count
        return true;
    }

    const char* begin_;
    const char* at_;
    const char* end_;
    const char* expected_ = nullptr;
    std::string name_;
};

/// Checks that `text` is one JSON text. Returns an empty string, or what is wrong as human-readable text.
inline std::string check_json(std::string_view text) {
    Scanner scan{text};
    return !scan.value().empty() && scan.end() ? std::string{} : scan.error();
}

}  // namespace understudy::wire
