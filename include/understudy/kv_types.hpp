// What can be asked of the key/value store, and what it answers: plain comparable values.
// Keys and values are any bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace understudy::kv {

// Part of the replicated state machine: all replicas must agree on these.
inline constexpr std::size_t max_key = 64u << 10;    ///< Bytes of a key.
inline constexpr std::size_t max_value = 2u << 20;   ///< Bytes of a value, also of one that grew by appends.
inline constexpr std::size_t max_page = 10'000;      ///< Keys in one page,
inline constexpr std::size_t max_page_bytes = 1u << 20;  ///< and their bytes, but for the first.
inline constexpr std::size_t default_page = 1'000;

// A byte takes at most six in JSON (\u0000), so that any key with any value fits the smallest usual frame.
static_assert(6 * (max_key + max_value) + 4096 <= 16u << 20);

/// Sets the value; answers nothing.
struct Put {
    std::string key, value;
    friend bool operator==(const Put&, const Put&) = default;
};
/// Adds to the end of the value, or sets it; answers the new length in bytes, or `TooLarge`.
struct Append {
    std::string key, value;
    friend bool operator==(const Append&, const Append&) = default;
};
/// Answers whether the key was there.
struct Erase {
    std::string key;
    friend bool operator==(const Erase&, const Erase&) = default;
};
/// Compare and set: sets the value if it is `expect` now, or, with nothing expected, if the key does not exist.
struct Cas {
    std::string key, value;
    std::optional<std::string> expect;
    friend bool operator==(const Cas&, const Cas&) = default;
};
using Command = std::variant<Put, Append, Erase, Cas>;

/// Answers the value, or nothing.
struct Get {
    std::string key;
    friend bool operator==(const Get&, const Get&) = default;
};
/// Answers the keys that start with `prefix` and come after `after`, in order, at most `limit` of them and of
/// `max_page_bytes`. There are no more only when a page is empty.
struct Keys {
    std::string prefix;
    std::optional<std::string> after;
    std::size_t limit = default_page;
    friend bool operator==(const Keys&, const Keys&) = default;
};
using Query = std::variant<Get, Keys>;

/// The answer to `Cas`: whether it was set, and the value as it is now.
struct CasResult {
    bool ok = false;
    std::optional<std::string> value;
    friend bool operator==(const CasResult&, const CasResult&) = default;
};
/// Nothing was changed, because a key or value would exceed `limit` bytes.
struct TooLarge {
    std::uint64_t limit = 0;
    friend bool operator==(const TooLarge&, const TooLarge&) = default;
};
using Page = std::vector<std::string>;
using Reply = std::variant<std::monostate, bool, std::uint64_t, std::string, Page, CasResult, TooLarge>;

/// One key with its value, as a snapshot lists them.
struct Record {
    std::string key, value;
    friend bool operator==(const Record&, const Record&) = default;
};

}  // namespace understudy::kv
