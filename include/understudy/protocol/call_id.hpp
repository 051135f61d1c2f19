// The methods of the protocol, and request ids that contain the method. An answer carries only the id of its request.
// With the method in the low bits of the id, an answer can be decoded without a table of pending requests.
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

/// Every method on the wire. The numbers are private to one node: they travel only in request ids, which come back to
/// it.
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
    view_changed,  // a notification: it is never part of an id
};

/// The number of low bits of an id that hold the method.
inline constexpr int method_bits = 5;

inline constexpr std::array<std::string_view, 18> method_names{
    "",           "view.ping", "view.get", "view.watch", "view.status",    "view.promote",    "view.force",  "pb.open",
    "pb.execute", "pb.query",  "pb.dump",  "pb.status",  "replica.append", "replica.install", "view.adopt",
    "pb.close",   "view.remove", "view.changed"};
static_assert(method_names.size() <= 1u << method_bits);
static_assert(method_names.size() == static_cast<std::size_t>(Method::view_changed) + 1);
/// The name of the method on the wire. Empty for `none`.
constexpr std::string_view to_string(Method method) { return method_names[static_cast<std::size_t>(method)]; }

/// The inverse of `to_string`. `none` for an unknown name.
constexpr Method find_method(std::string_view name) {
    for (std::size_t i = 1; i < method_names.size(); ++i)
        if (method_names[i] == name) return static_cast<Method>(i);
    return Method::none;
}

/// The id of a node's `n`-th request, as decimal digits. `n` must be below 2^48. Then the id is below 2^53, and every
/// JSON library reads the number exactly.
inline CallId make_call_id(Method method, std::uint64_t n) {
    return std::to_string(n << method_bits | static_cast<std::uint64_t>(method));
}

/// The arguments of `make_call_id`, read back from an id. The method is `none` if the id does not have that form.
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
