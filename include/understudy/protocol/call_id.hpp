// The methods of the protocol, and ids that name one: an answer carries only its id, so whoever makes an id
// writes into its low bits which method it called, and nobody needs a table of calls to read an answer.
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include <understudy/protocol/message.hpp>

namespace understudy::protocol {

/// Every method of the wire. The numbers are local to one party: they travel only in ids that it gets back.
enum class Method : std::uint8_t {
    none = 0,
    view_ping,
    view_get,
    view_watch,
    view_status,
    view_promote,
    view_force,
    pb_open,
    pb_execute,
    pb_query,
    pb_dump,
    pb_status,
    replica_append,
    replica_install,
    view_adopt,
    pb_close,
    view_remove,
    view_changed,  // a notification: it never stands in an id
};

/// How many low bits of an id's number hold the method.
inline constexpr int method_bits = 5;

inline constexpr std::array<std::string_view, 18> method_names{
    "",           "view.ping", "view.get", "view.watch", "view.status",    "view.promote",    "view.force",  "pb.open",
    "pb.execute", "pb.query",  "pb.dump",  "pb.status",  "replica.append", "replica.install", "view.adopt",
    "pb.close",   "view.remove", "view.changed"};
static_assert(method_names.size() <= 1u << method_bits);
static_assert(method_names.size() == static_cast<std::size_t>(Method::view_changed) + 1);
/// The method's name on the wire; empty for `none`.
constexpr std::string_view to_string(Method method) { return method_names[static_cast<std::size_t>(method)]; }

/// The inverse of `to_string`; `none` for a name that is not one.
constexpr Method find_method(std::string_view name) {
    for (std::size_t i = 1; i < method_names.size(); ++i)
        if (method_names[i] == name) return static_cast<Method>(i);
    return Method::none;
}

/// The id of a party's `n`-th call, as decimal digits; `n` is below 2^48, so that every JSON library reads the
/// number as it was written (below 2^53).
inline CallId make_call_id(Method method, std::uint64_t n) {
    return std::to_string(n << method_bits | static_cast<std::uint64_t>(method));
}

/// What `make_call_id` was given. Method `none` if the id is not of that form.
struct CallName {
    Method method = Method::none;
    std::uint64_t n = 0;
    friend bool operator==(const CallName&, const CallName&) = default;
};
inline CallName read_call_id(std::string_view id) {
    std::uint64_t number = 0;
    auto [end, fault] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (fault != std::errc{} || end != id.data() + id.size()) return {};
    auto method = number & ((1u << method_bits) - 1);
    if (method == 0 || method >= method_names.size()) return {};
    return {static_cast<Method>(method), number >> method_bits};
}
inline Method call_method(std::string_view id) { return read_call_id(id).method; }
inline std::uint64_t call_number(std::string_view id) { return read_call_id(id).n; }

}  // namespace understudy::protocol
