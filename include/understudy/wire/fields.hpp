// Objects by their fields: one list of members for each type, from which it is both written and read.
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

/// `T`, const or not: a field list serves the writer and the reader.
template <typename T, typename U>
concept Like = std::same_as<std::remove_const_t<T>, U>;

// A field list is a function `fields(visitor, value)` that names each member of `value` with
// `visitor.required(name, member)` or `visitor.optional(name, member)`; the latter is left out when it has its default
// value, and `null` in its place counts as absent. Visitors are told the members always in the same order.

template <typename T>
bool has_default(const T& value) {
    if constexpr (requires { value.text; }) return value.text.empty();
    else if constexpr (requires { value.has_value(); }) return !value.has_value();
    else return value == T{};
}

struct FieldWriter {
    Writer to;

    template <typename T>
    void required(std::string_view name, const T& member) {
        to.name(name);
        write(to, member);
    }
    template <typename T>
    void optional(std::string_view name, const T& member) {
        if (!has_default(member)) required(name, member);
    }
};

/// Reads the one member that the text has next into its field.
struct FieldReader {
    Reader& in;
    std::string_view name;
    std::uint32_t& seen;  // one bit for each field
    std::uint32_t bit = 1;
    bool found = false;
    bool good = true;

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

/// Complains about the first required field that was not there.
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

template <HasFields T>
void write(Writer to, const T& value) {
    to.out.push_back('{');
    FieldWriter writer{to};
    fields(writer, value);
    to.out.push_back('}');
}

/// Members that are not in the list are skipped.
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
