// The methods of the protocol, and request ids that contain the method. An answer carries only the id of its request.
// With the method in the low bits of the id, an answer can be decoded without a table of pending requests.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <understudy/base/namespaces.hpp>

namespace understudy::protocol {

/// The id of a JSON-RPC request. An answer repeats it to the letter, whatever a client has chosen: `17` and `"17"` are
/// different ids. This implementation chooses numbers, so those are kept as such: copying them costs nothing, while a
/// text would be allocated for each call. Empty for a notification.
class CallId {
public:
    CallId() = default;
    explicit CallId(std::uint64_t number) : number_{number} {}
    /// The id with this JSON text. An empty text gives the empty id.
    template <std::convertible_to<std::string_view> Text>
    CallId(const Text& text) : CallId{from_text(text)} {}

    bool empty() const { return number_ == none; }
    bool is_number() const { return number_ < other; }
    /// The number of an id for which `is_number` is true.
    std::uint64_t number() const { return number_; }
    /// The JSON text of any other id that is not empty.
    std::string_view text() const { return *text_; }
    /// The JSON text of any id.
    std::string json() const { return empty() ? "" : is_number() ? std::to_string(number_) : *text_; }

    friend std::strong_ordering operator<=>(const CallId& a, const CallId& b) {
        if (a.number_ != b.number_ || !a.text_) return a.number_ <=> b.number_;
        return *a.text_ <=> *b.text_;
    }
    friend bool operator==(const CallId& a, const CallId& b) { return (a <=> b) == 0; }

private:
    // Numbers have at most 19 digits, so these two are none.
    static constexpr std::uint64_t none = ~std::uint64_t{0}, other = none - 1;
    static constexpr std::size_t most_digits = 19;

    static CallId from_text(std::string_view text) {
        CallId id;
        const auto is_digit = [](char byte) { return byte >= '0' && byte <= '9'; };
        if (text.empty()) return id;
        const bool leading_zero = text.front() == '0' && text.size() > 1;
        if (text.size() > most_digits || leading_zero || !std::ranges::all_of(text, is_digit)) {
            id.number_ = other;
            id.text_ = std::make_shared<const std::string>(text);
            return id;
        }
        id.number_ = 0;
        for (const char digit : text) id.number_ = id.number_ * 10 + static_cast<std::uint64_t>(digit - '0');
        return id;
    }

    std::uint64_t number_ = none;
    std::shared_ptr<const std::string> text_;
};

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

/// The id of a node's `n`-th request. `n` must be below 2^48. Then the id is below 2^53, and every JSON library reads
/// the number exactly.
inline CallId make_call_id(Method method, std::uint64_t n) {
    return CallId{n << method_bits | static_cast<std::uint64_t>(method)};
}

/// The arguments of `make_call_id`, read back from an id. The method is `none` if the id does not have that form.
struct CallName {
    Method method = Method::none;
    std::uint64_t n = 0;
    friend bool operator==(const CallName&, const CallName&) = default;
};
inline CallName read_call_id(const CallId& id) {
    if (!id.is_number()) return {};
    const auto method = id.number() & ((1u << method_bits) - 1);
    if (method == 0 || method >= method_names.size()) return {};
    return {static_cast<Method>(method), id.number() >> method_bits};
}
inline Method call_method(const CallId& id) { return read_call_id(id).method; }
inline std::uint64_t call_number(const CallId& id) { return read_call_id(id).n; }

}  // namespace understudy::protocol
