// JSON objects by field lists: one list of members for each type serves both the encoder and the decoder, so the two
// cannot disagree.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <understudy/wire/values.hpp>

namespace understudy::wire {

/// The type `U`, const or not. A field list gets a const value when it is written, and a mutable one when it is read.
template <typename T, typename U>
concept Like = std::same_as<std::remove_const_t<T>, U>;

template <typename T, typename... U>
concept LikeAny = (Like<T, U> || ...);

// A field list is a function `fields(visitor, value)`. It calls `visitor.required(name, member)` or
// `visitor.optional(name, member)` for each member of `value`, always in the same order. An optional member is not
// written when it has its default value, and a `null` in its place is read as absent. A list has at most 32 members,
// since the reader has one bit for each.

/// True if an optional member has the value with which it is left out.
template <typename T>
bool has_default(const T& value) {
    if constexpr (requires { value.text; }) return value.text.empty();
    else if constexpr (requires { value.has_value(); }) return !value.has_value();
    else return value == T{};
}

/// The visitor that writes the members. Its functions are inlined, so that a name is written by a few stores.
struct FieldWriter {
    Writer& to;
    char before = '{';  // what stands before the name of the next member

    template <typename T>
    [[gnu::always_inline]] void required(std::string_view name, const T& member) {
        to.name(std::exchange(before, ','), name);
        write(to, member);
    }
    template <typename T>
    [[gnu::always_inline]] void optional(std::string_view name, const T& member) {
        if (!has_default(member)) required(name, member);
    }
};

/// The visitor that reads one member of the text. It goes over the whole field list, finds the field called `name`,
/// reads the value into it, and refuses a member that stands there twice.
struct FieldReader {
    Reader& in;
    std::string_view name;   // of the member in the text
    std::uint32_t& seen;     // one bit for each field of the list: set if it was read before
    std::uint32_t bit = 1;   // the bit of the field that is visited next
    bool found = false;      // the list has a field of this name
    bool good = true;        // and its value was read

    template <typename T>
    void required(std::string_view field, T&& member) {
        if (matches(field)) done(read(in, std::forward<T>(member)), field);
    }
    template <typename T>
    void optional(std::string_view field, T&& member) {
        if (matches(field)) done(in.scan.peek() == Kind::null ? skip() : read(in, std::forward<T>(member)), field);
    }

private:
    bool matches(std::string_view field) {
        const auto mine = std::exchange(bit, bit << 1);
        if (found || name != field) return false;
        found = true;
        if (seen & mine) return done(in.complain("stands there twice"), field);
        seen |= mine;
        return true;
    }
    bool skip() { return !in.scan.value().empty(); }
    bool done(bool was_good, std::string_view field) {
        good = was_good || in.within(field);
        return good;
    }
};

/// The visitor that, after all members were read, reports the first required field that was missing.
struct FieldCheck {
    Reader& in;
    std::uint32_t seen;
    bool good = true;

    template <typename T>
    void required(std::string_view field, T&&) {
        if (good && !(seen & 1)) good = in.complain("missing") || in.within(field);
        seen >>= 1;
    }
    template <typename T>
    void optional(std::string_view, T&&) {
        seen >>= 1;
    }
};

template <typename T>
concept HasFields = requires(FieldCheck check, T& value) { fields(check, value); };

/// Writes a value as a JSON object.
template <HasFields T>
void write(Writer& to, const T& value) {
    FieldWriter writer{to};
    fields(writer, value);
    to.put(writer.before == '{' ? "{}" : "}");
}
/// Appends a value as a JSON object.
template <HasFields T>
void append_json(std::string& out, const T& value) {
    Writer to{out};
    write(to, value);
    to.flush();
}

/// Reads a JSON object with its members in any order. Members that are not in the list are skipped, so that a later
/// version may add some. Members that are absent leave their fields as they were. O(members of the text × fields).
template <HasFields T>
bool read(Reader& in, T&& value) {
    if (in.scan.peek() != Kind::object) return in.refuse("an object");
    std::uint32_t seen = 0;
    const bool walked = in.scan.members([&](std::string_view name) {
        FieldReader reader{in, name, seen};
        fields(reader, value);
        return reader.found ? reader.good : !in.scan.value().empty();
    });
    FieldCheck check{in, seen};
    if (walked) fields(check, value);
    return walked && check.good;
}

}  // namespace understudy::wire
