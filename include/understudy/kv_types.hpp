// The commands and queries of the key/value store, and its replies, as plain comparable values. Keys and values are
// arbitrary bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace understudy::kv {

// These bounds are part of the replicated state machine: if two replicas differed in them, their states would diverge.
inline constexpr std::size_t max_key = 64u << 10;    ///< Bytes of a key.
inline constexpr std::size_t max_value = 2u << 20;   ///< Bytes of a value, also of one that grew by appends.
inline constexpr std::size_t max_page = 10'000;      ///< Keys in one page.
/// Bytes of the keys in one page; the first key is always included.
inline constexpr std::size_t max_page_bytes = 1u << 20;
inline constexpr std::size_t default_page = 1'000;

// A byte takes at most six bytes in JSON (\u0000). So any key with any value fits a frame of the default `max_frame`.
static_assert(6 * (max_key + max_value) + 4096 <= 16u << 20);

/// Sets the value. The reply is empty (`std::monostate`).
struct Put {
    std::string key, value;
    friend bool operator==(const Put&, const Put&) = default;
};
/// Appends to the value, or sets it if the key does not exist. The reply is the new length in bytes, or `TooLarge`.
struct Append {
    std::string key, value;
    friend bool operator==(const Append&, const Append&) = default;
};
/// Removes the key. The reply says whether it existed.
struct Erase {
    std::string key;
    friend bool operator==(const Erase&, const Erase&) = default;
};
/// Compare and set: sets the value if the present value is `expect`. If `expect` is empty, sets it only if the key does
/// not exist.
struct Cas {
    std::string key, value;
    std::optional<std::string> expect;
    friend bool operator==(const Cas&, const Cas&) = default;
};
using Command = std::variant<Put, Append, Erase, Cas>;

/// Reads a value. The reply is the value, or empty (`std::monostate`) if the key does not exist.
struct Get {
    std::string key;
    friend bool operator==(const Get&, const Get&) = default;
};
/// Reads keys in order: those that start with `prefix` and come after `after`, at most `limit` of them and at most
/// `max_page_bytes`. Only an empty page says that no keys are left.
struct Keys {
    std::string prefix;
    std::optional<std::string> after;
    std::size_t limit = default_page;
    friend bool operator==(const Keys&, const Keys&) = default;
};
using Query = std::variant<Get, Keys>;

/// The reply to `Cas`: whether the value was set, and the value that the key has now.
struct CasResult {
    bool ok = false;
    std::optional<std::string> value;
    friend bool operator==(const CasResult&, const CasResult&) = default;
};
/// Nothing was changed, because a key or value would be longer than `limit` bytes.
struct TooLarge {
    std::uint64_t limit = 0;
    friend bool operator==(const TooLarge&, const TooLarge&) = default;
};
using Page = std::vector<std::string>;
using Reply = std::variant<std::monostate, bool, std::uint64_t, std::string, Page, CasResult, TooLarge>;

/// One key and its value, as a snapshot lists them.
struct Record {
    std::string key, value;
    friend bool operator==(const Record&, const Record&) = default;
};

}  // namespace understudy::kv
