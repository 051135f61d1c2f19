// The JSON forms of the values that messages consist of: numbers, strings, tokens, durations, positions and lists. Each
// type has a `write` and a `read` here; objects are built on these by fields.hpp.
#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <understudy/error.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/wire/bytes.hpp>
#include <understudy/wire/scan.hpp>
#include <understudy/wire/text.hpp>
#include <understudy/wire/writer.hpp>

namespace understudy::wire {

// ---- where from ------------------------------------------------------------------------------------------

/// Reads typed values from a scanner. A `read` that fails returns false. Then either the scanner has failed (the text
/// is no JSON), or `problem` says what was expected and found, and `place` says where. The functions that set these
/// are not inlined, since every member of every message calls them.
struct Reader {
    Scanner& scan;
    std::string place{};    ///< Where the fault is, for example `entries[2].at`.
    std::string problem{};  ///< For example `expected an array, found a string`.

    /// Reports that the next value has the wrong type. Returns false.
    [[gnu::noinline]] bool refuse(std::string_view expected) {
        const auto kind = scan.peek();
        if (kind == Kind::none) return scan.value().empty() && false;  // no JSON: `value` makes the scanner fail
        return complain("expected " + std::string{expected} + ", found " + std::string{describe(kind)});
    }
    /// Reports that a value has the right type but is not allowed, and quotes it. Returns false.
    [[gnu::noinline]] bool refuse(std::string_view expected, std::string_view found) {
        return complain("expected " + std::string{expected} + ", found " + wire::quoted(found));
    }
    /// Sets `problem`. Returns false.
    [[gnu::noinline]] bool complain(std::string_view what) {
        problem = what;
        return false;
    }
    /// Puts a member's name, or an element's number, in front of `place`; called from the inside out after a fault.
    /// Returns false.
    [[gnu::noinline]] bool within(std::string_view step) {
        const bool joins = !place.empty() && place.front() != '[';
        place = std::string{step} + (joins ? "." : "") + place;
        return false;
    }
    [[gnu::noinline]] bool within(std::size_t element) { return within("[" + std::to_string(element) + "]"); }
};

// ---- wrappers for the different meanings of a std::string ------------------------------------------------

/// JSON text, written and read unchanged. An empty text is written as `null`.
template <typename S>
struct Json {
    S& text;
};
/// Bytes: a string or {"b64":"..."}. A string without a wrapper is text and must be UTF-8: other bytes would be written
/// as base64, and that form is not read back as text.
template <typename S>
struct Bytes {
    S& text;
};
/// Human-readable text. It is always written as a string; if it is not UTF-8, its non-ASCII bytes are replaced
/// (`append_prose`).
template <typename S>
struct HumanText {
    S& text;
};
template <typename S> Json(S&) -> Json<S>;
template <typename S> Bytes(S&) -> Bytes<S>;
template <typename S> HumanText(S&) -> HumanText<S>;

inline void write(Writer& to, Json<const std::string_view> it) {
    to.put(it.text.empty() ? std::string_view{"null"} : it.text);
}
inline void write(Writer& to, Json<const std::string> it) {
    const std::string_view text{it.text};
    write(to, Json{text});
}
inline bool read(Reader& in, Json<std::string> it) {
    const auto text = in.scan.value();
    it.text.assign(text);
    return !text.empty();
}
inline void write(Writer& to, Bytes<const std::string> it) { encode_bulk(to.out(), it.text); }
inline bool read(Reader& in, Bytes<std::string> it) {
    const auto kind = in.scan.peek();
    if (kind != Kind::string && kind != Kind::object) return in.refuse("a string or {\"b64\": ...}");
    return scan_bytes(in.scan, it.text) || in.complain("expected the one member b64 with strict base64");
}
inline void write(Writer& to, HumanText<const std::string> it) { append_prose(to.out(), it.text); }
inline bool read(Reader& in, HumanText<std::string> it) {
    return in.scan.peek() == Kind::string ? in.scan.string(it.text) : in.refuse("a string");
}

// ---- scalars ---------------------------------------------------------------------------------------------

inline void write(Writer& to, const std::string& text) { to.string(text); }
inline bool read(Reader& in, std::string& text) { return read(in, HumanText{text}); }

inline void write(Writer& to, bool value) { to.put(value ? "true" : "false"); }
inline bool read(Reader& in, bool& value) {
    if (in.scan.peek() != Kind::boolean) return in.refuse("a boolean");
    const auto text = in.scan.value();
    value = text == "true";
    return !text.empty();
}

/// The types that are written as whole numbers.
template <typename T>
concept Whole = std::same_as<T, std::uint64_t> || std::same_as<T, int>;

template <Whole T>
void write(Writer& to, T value) {
    to.number(value);
}
/// Reads a whole number and never rounds: a fraction or an exponent is refused even if the value is whole (`1.0`).
template <Whole T>
bool read(Reader& in, T& value) {
    constexpr std::string_view expected = std::is_signed_v<T> ? "an integer" : "an unsigned integer";
    if (in.scan.peek() != Kind::number) return in.refuse(expected);
    const auto text = in.scan.value();
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty()) return false;
    if (fault == std::errc::result_out_of_range)
        return in.refuse(std::string{expected} + " of at most " + (sizeof(T) == 8 ? "64" : "32") + " bits", text);
    return (fault == std::errc{} && end == text.data() + text.size()) || in.refuse(expected, text);
}

/// Random 64-bit tokens. They are written as a string of 16 hexadecimal digits, because many JSON libraries round
/// numbers above 2^53.
template <typename T>
concept Token = std::same_as<T, Incarnation> || std::same_as<T, ClusterId>;

template <Token T>
void write(Writer& to, T token) {
    to.hex(static_cast<std::uint64_t>(token));
}
template <Token T>
bool read(Reader& in, T& token) {
    std::string text;
    if (in.scan.peek() != Kind::string) return in.refuse("a string of 16 hexadecimal digits");
    if (!in.scan.string(text)) return false;
    const auto value = text.size() == 16 ? from_hex(text) : std::nullopt;
    token = static_cast<T>(value.value_or(0));
    return value.has_value() || in.refuse("16 hexadecimal digits", text);
}

/// Writes a duration in milliseconds with up to six decimals, that is, to the nanosecond. A negative one becomes 0.
inline void write(Writer& to, Duration duration) {
    const auto count = std::max<Duration::rep>(duration.count(), 0);
    to.number(count / 1'000'000);
    auto rest = count % 1'000'000;
    if (rest == 0) return;
    to.put(".");
    for (auto unit = 100'000; rest > 0; unit /= 10) {
        to.number(rest / unit);
        rest %= unit;
    }
}
/// Reads milliseconds. Digits after the sixth decimal are ignored. Negative numbers, exponents and durations of 2^63
/// nanoseconds or more are refused.
inline bool read(Reader& in, Duration& duration) {
    constexpr std::string_view expected = "milliseconds, below 2^63 nanoseconds and without an exponent";
    if (in.scan.peek() != Kind::number) return in.refuse("a number of milliseconds");
    const auto text = in.scan.value();
    if (text.empty()) return false;
    const char* const end = text.data() + text.size();
    std::uint64_t whole = 0;
    auto [at, fault] = std::from_chars(text.data(), end, whole);
    if (fault != std::errc{} || whole > 9'223'372'036'854) return in.refuse(expected, text);
    std::uint64_t rest = 0;
    if (at != end && *at == '.')
        for (auto unit = 100'000u; ++at != end && *at >= '0' && *at <= '9'; unit /= 10)
            rest += static_cast<unsigned>(*at - '0') * unit;
    const auto count = whole * 1'000'000 + rest;
    duration = Duration{static_cast<Duration::rep>(count)};
    return (at == end && count <= std::uint64_t(Duration::max().count())) || in.refuse(expected, text);
}

/// Enumerations with three values, which are written by name.
template <typename T>
concept Named = std::same_as<T, Role> || std::same_as<T, EntryKind>;

constexpr std::string_view to_string(EntryKind kind) {
    return kind == EntryKind::open ? "open" : kind == EntryKind::close ? "close" : "command";
}
template <Named T>
void write(Writer& to, T value) {
    to.put("\"").put(to_string(value)).put("\"");
}
// The names found wrong on the way are the ones that the error text lists.
template <Named T>
bool read(Reader& in, T& value) {
    std::string text;
    if (!read(in, text)) return false;
    std::string expected;
    for (int i = 0; i < 3; ++i) {
        value = static_cast<T>(i);
        if (to_string(value) == text) return true;
        expected += (i == 0 ? "" : i == 1 ? ", " : " or ") + std::string{to_string(value)};
    }
    return in.refuse(expected, text);
}

// ---- pairs and lists -------------------------------------------------------------------------------------

/// Writes a position as [view, index].
inline void write(Writer& to, const Position& position) { to.pair(position.view, position.index); }
inline bool read(Reader& in, Position& position) {
    if (in.scan.peek() != Kind::array) return in.refuse("[view, index]");
    int count = 0;
    const bool good = in.scan.elements([&] {
        if (++count > 2) return in.complain("expected [view, index], found more than two elements");
        return read(in, count == 1 ? position.view : position.index) || in.within(std::size_t(count) - 1);
    });
    return good && (count == 2 || in.complain("expected [view, index], found fewer than two elements"));
}

// An absent value is never written: `FieldWriter` leaves its member out.
template <typename T>
void write(Writer& to, const std::optional<T>& value) {
    write(to, *value);
}
template <typename T>
bool read(Reader& in, std::optional<T>& value) {
    return read(in, value.emplace());
}

template <typename T>
void write(Writer& to, const std::vector<T>& list) {
    to.put("[");
    for (const auto& element : list) {
        if (&element != list.data()) to.put(",");
        write(to, element);
    }
    to.put("]");
}
template <typename T>
bool read(Reader& in, std::vector<T>& list) {
    if (in.scan.peek() != Kind::array) return in.refuse("an array");
    list.clear();
    return in.scan.elements([&] { return read(in, list.emplace_back()) || in.within(list.size() - 1); });
}

/// Writes pairs of a name and a value as one object.
void write_pairs(Writer& to, const auto& pairs) {
    to.put("{");
    for (bool first = true; const auto& [name, value] : pairs) {
        if (!std::exchange(first, false)) to.put(",");
        write(to, name);
        to.put(":");
        write(to, value);
    }
    to.put("}");
}

}  // namespace understudy::wire
