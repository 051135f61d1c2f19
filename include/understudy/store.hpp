// The concepts `Store`, the state that a host replicates, and `StoreApi`, what a client needs to know of it.
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

#include <understudy/wire/host_json.hpp>

namespace understudy {

/// A store whose snapshot is one string.
template <typename S>
concept SimpleSnapshot = requires(S store, const S& fixed, std::string_view bytes) {
    { fixed.snapshot() } -> std::convertible_to<std::string>;
    store.restore(bytes);
};

/// A store whose snapshot is read and restored chunk by chunk.
template <typename S>
concept StreamingSnapshot = requires(S store, const S& fixed, std::string_view bytes, std::size_t max) {
    { fixed.snapshot().read(max) } -> std::convertible_to<std::string>;
    store.restore_begin();
    store.restore_chunk(bytes);
    store.restore_end();
};

// The parts of the two concepts. They are constants and not concepts, so that a compiler that reports a missing part
// ends at the line where `Store` or `StoreApi` names it, and prints the sentence that stands there.
namespace detail::store_part {

template <typename S>
inline constexpr bool types = requires {
    typename S::Command;
    typename S::Query;
    typename S::Reply;
};
template <typename S>
inline constexpr bool copy = std::copyable<S>;
template <typename S>
inline constexpr bool apply = requires(S store, const typename S::Command& command) {
    { store.apply(command) } -> std::convertible_to<typename S::Reply>;
};
template <typename S>
inline constexpr bool query = requires(const S& fixed, const typename S::Query& query) {
    { fixed.query(query) } -> std::convertible_to<typename S::Reply>;
};
template <typename S>
inline constexpr bool snapshot = requires(const S& fixed) { fixed.snapshot(); };
template <typename S>
inline constexpr bool restore = SimpleSnapshot<S> || StreamingSnapshot<S>;

// The store's own functions.
template <typename S>
concept DecodesCommand = requires(std::string_view text) {
    { S::decode_command(text) } -> std::convertible_to<typename S::Command>;
};
template <typename S>
concept DecodesQuery = requires(std::string_view text) {
    { S::decode_query(text) } -> std::convertible_to<typename S::Query>;
};
template <typename S>
concept EncodesReply = requires(const typename S::Reply& reply) {
    { S::encode(reply) } -> std::convertible_to<std::string>;
};
template <typename S>
concept EncodesCommand = requires(const typename S::Command& command) {
    { S::encode_command(command) } -> std::convertible_to<std::string>;
};
template <typename S>
concept EncodesQuery = requires(const typename S::Query& query) {
    { S::encode_query(query) } -> std::convertible_to<std::string>;
};
template <typename S>
concept DecodesReply = requires(std::string_view text) {
    { S::decode_reply(text) } -> std::convertible_to<typename S::Reply>;
};

// Those, or nlohmann's.
template <typename S>
inline constexpr bool decode_command = DecodesCommand<S> || wire::ReadsJson<typename S::Command>;
template <typename S>
inline constexpr bool decode_query = DecodesQuery<S> || wire::ReadsJson<typename S::Query>;
template <typename S>
inline constexpr bool encode = EncodesReply<S> || wire::WritesJson<typename S::Reply>;
template <typename S>
inline constexpr bool encode_command = EncodesCommand<S> || wire::WritesJson<typename S::Command>;
template <typename S>
inline constexpr bool encode_query = EncodesQuery<S> || wire::WritesJson<typename S::Query>;
template <typename S>
inline constexpr bool decode_reply = DecodesReply<S> || wire::ReadsJson<typename S::Reply>;

template <typename S>
inline constexpr bool json_is_known =
    (DecodesCommand<S> && DecodesQuery<S> && EncodesReply<S>) || wire::KnowsJson<S>;
template <typename S>
inline constexpr bool client_json_is_known =
    (EncodesCommand<S> && EncodesQuery<S> && DecodesReply<S>) || wire::KnowsJson<S>;

}  // namespace detail::store_part

/// A **Store** is the state that a host replicates.
///
/// It names the types `Command`, `Query` and `Reply`. They travel as JSON, through nlohmann's `to_json` and
/// `from_json`, or through the store's own static `decode_command`, `decode_query` and `encode` if it has them. It can
/// be copied. The library relies on these laws:
///  - `apply` is deterministic: the same commands in the same order give the same replies and the same snapshot bytes.
///    Otherwise the replicas diverge. It reads no clock, draws no random number and does not throw. For an impossible
///    command it returns a `Reply` that says so;
///  - `query` changes nothing;
///  - a snapshot keeps the state in which it was taken while the store goes on changing, and it is cheap to take;
///  - a store that is restored from a snapshot is indistinguishable from the store of which the snapshot was taken,
///    whatever it contained before. A joining server restores into a copy of the store that the host gave it, and keeps
///    its present state until the snapshot is complete.
///
/// A snapshot has one of two forms:
///  - simple: `std::string snapshot() const` and `void restore(std::string_view)`, for a state of up to some megabytes;
///  - streaming: `snapshot()` returns an object whose `std::string read(std::size_t max)` returns the next 1 to `max`
///    bytes, or an empty string at the end. The store has `restore_begin()`, `restore_chunk(std::string_view)` and
///    `restore_end()`. Chunks may be split at any byte. Restoring throws `std::exception` if the snapshot cannot be
///    read.
template <typename S>
concept Store =
    detail::store_part::types<S> &&     // Store: the type `Command`, `Query` or `Reply` is missing
    detail::store_part::copy<S> &&      // Store: it cannot be copied, but a snapshot is restored into a copy
    detail::store_part::apply<S> &&     // Store: `Reply apply(const Command&)` is missing
    detail::store_part::query<S> &&     // Store: `Reply query(const Query&) const` is missing
    detail::store_part::snapshot<S> &&  // Store: `snapshot() const` is missing
    detail::store_part::restore<S> &&   // Store: `restore(std::string_view)`, or the streaming form of it, is missing
    detail::store_part::json_is_known<S> &&   // Store: include <nlohmann/json.hpp> before, or write its own functions
    detail::store_part::decode_command<S> &&  // Store: `from_json` or `decode_command` of its `Command` is missing
    detail::store_part::decode_query<S> &&    // Store: `from_json` or `decode_query` of its `Query` is missing
    detail::store_part::encode<S>;            // Store: `to_json` or `encode` of its `Reply` is missing

/// A **StoreApi** is what a client has to know of a store: the types `Command`, `Query` and `Reply`, and the client's
/// half of their JSON. That is nlohmann's `to_json` of commands and queries and `from_json` of replies, or static
/// functions `encode_command`, `encode_query` and `decode_reply`. A program that is only a client declares these three
/// types and needs no store:
///
///     struct LockApi {
///         using Command = Acquire;
///         using Query = Owner;
///         using Reply = std::string;
///     };
///
/// A Store with both halves of its JSON is a StoreApi too.
template <typename S>
concept StoreApi =
    detail::store_part::types<S> &&              // StoreApi: the type `Command`, `Query` or `Reply` is missing
    detail::store_part::client_json_is_known<S> &&  // StoreApi: include <nlohmann/json.hpp> before, or write functions
    detail::store_part::encode_command<S> &&     // StoreApi: `to_json` or `encode_command` of `Command` is missing
    detail::store_part::encode_query<S> &&       // StoreApi: `to_json` or `encode_query` of `Query` is missing
    detail::store_part::decode_reply<S>;         // StoreApi: `from_json` or `decode_reply` of `Reply` is missing

}  // namespace understudy
