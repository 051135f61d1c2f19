// The concept `TextStore`: the form in which the replica's state machine uses a store. The state machine knows no type
// of the host and no JSON library.
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

namespace understudy {

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
