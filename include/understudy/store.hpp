// The concept `Store`: the state that a host replicates. Also `TextStore`, the form in which the replica's state
// machine uses it.
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace understudy {

/// A **Store** is the state that a host replicates.
///
/// It names the types `Command`, `Query` and `Reply`. They travel as JSON, through nlohmann's `to_json` and
/// `from_json`, or through the store's own static `decode_command`, `decode_query` and `encode` if it has them. The
/// library relies on these laws:
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

/// A store whose snapshot is read and restored chunk by chunk.
template <typename S>
concept StreamingSnapshot = requires(S store, const S& fixed, std::string_view bytes, std::size_t max) {
    { fixed.snapshot().read(max) } -> std::convertible_to<std::string>;
    store.restore_begin();
    store.restore_chunk(bytes);
    store.restore_end();
};

/// The outcome of an operation on JSON text: the reply, or what was wrong.
struct TextOutcome {
    bool ok = true;
    std::string text;  ///< The reply as JSON text, or a sentence: what was wrong and what was expected.
};

/// The form in which `ReplicaStateMachine` uses a store: JSON text in, JSON text out, no exceptions. `wire::TypedStore`
/// makes one of any Store.
///
/// `check` decodes a command without applying it. The primary calls it before it logs the command, so that every logged
/// command can be applied. If `apply` of a logged command is not ok, the store has broken its laws. `restore_begin`,
/// `restore_chunk` and `restore_end` return what was wrong, or an empty string.
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
