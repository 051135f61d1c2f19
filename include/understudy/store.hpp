// The host's state machine, and the form in which the rules see it.
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace understudy {

/// A **Store** is a host's replicated state.
///
/// It names the types `Command`, `Query` and `Reply`, which travel as JSON through nlohmann's usual
/// `to_json`/`from_json` (or, if it has them, through the store's own static `decode_command`, `decode_query`
/// and `encode`). Laws, which the library relies on:
///  - `apply` is deterministic: the same commands in the same order give the same replies and the same snapshot
///    bytes. It reads no clock, draws no random number, and does not throw: an impossible command has a Reply for that.
///  - `query` changes nothing.
///  - a snapshot stays as it was taken while the store moves on, and is cheap to take.
///  - a store restored from a snapshot cannot be told from the one it was taken of, whatever it was copied from: a
///    joining server restores into a copy of the store as the host gave it, and keeps its own until that is whole.
///
/// A snapshot comes in one of two forms:
///  - simple: `std::string snapshot() const` and `void restore(std::string_view)`, for state of up to some megabytes;
///  - streaming: `snapshot()` returns an object whose `std::string read(std::size_t max)` gives the next bytes
///    (1 to `max` of them; none at the end), and the store has `restore_begin()`, `restore_chunk(std::string_view)`
///    and `restore_end()`. Chunks may be split anywhere. A snapshot that cannot be read throws `std::exception`.
template <typename S>
concept Store = std::copyable<S> &&
    requires(S store, const S& fixed, const typename S::Command& command, const typename S::Query& query) {
    typename S::Reply;
    { store.apply(command) } -> std::convertible_to<typename S::Reply>;
    { fixed.query(query) } -> std::convertible_to<typename S::Reply>;
    fixed.snapshot();
};

/// A store whose snapshot is one string.
template <typename S>
concept SimpleSnapshot = requires(S store, const S& fixed, std::string_view bytes) {
    { fixed.snapshot() } -> std::convertible_to<std::string>;
    store.restore(bytes);
};

/// A store whose snapshot is read and restored piece by piece.
template <typename S>
concept StreamingSnapshot = requires(S store, const S& fixed, std::string_view bytes, std::size_t max) {
    { fixed.snapshot().read(max) } -> std::convertible_to<std::string>;
    store.restore_begin();
    store.restore_chunk(bytes);
    store.restore_end();
};

/// A text in, or what was wrong with it.
struct TextOutcome {
    bool ok = true;
    std::string text;  ///< The reply as JSON text, or a sentence that says what was wrong and what was expected.
};

/// The form in which `ReplicaRules` sees a store: JSON text in and out, nothing thrown. `wire::TypedStore` makes one of
/// any Store. `check` decodes a command without applying it: the primary asks before it logs; after that `apply` is
/// total, and an outcome that is not ok means that the store broke its laws.
/// `restore_begin`, `restore_chunk`… and `restore_end` return an empty string or what was wrong.
template <typename S>
concept TextStore = std::copyable<S> && requires(S store, const S& fixed, std::string_view text, std::size_t max) {
    { fixed.check(text) } -> std::same_as<std::string>;
    { store.apply(text) } -> std::same_as<TextOutcome>;
    { fixed.query(text) } -> std::same_as<TextOutcome>;
    { fixed.snapshot().read(max) } -> std::same_as<std::string>;
    { store.restore_begin() } -> std::same_as<std::string>;
    { store.restore_chunk(text) } -> std::same_as<std::string>;
    { store.restore_end() } -> std::same_as<std::string>;
};

}  // namespace understudy
