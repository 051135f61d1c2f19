// The concept `TextStore`: the form in which the replica's state machine uses a store. The state machine knows no type
// of the host and no JSON library.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace understudy {

/// The outcome of an operation on JSON text: the reply, or what was wrong.
struct TextOutcome {
    bool ok = true;
    std::string text;  ///< The reply as JSON text, or a sentence: what was wrong and what was expected.
};

/// What a store found out about a command's text when it prepared it, in a form of its own; all zeros if nothing. It
/// depends on the text alone and says nothing that the text does not say. The log keeps it with the command, so that
/// `apply` need not read the text a second time. It is plain, since a log has many of them.
struct PreparedCommand {
    std::array<std::uint32_t, 4> words{};
    friend bool operator==(const PreparedCommand&, const PreparedCommand&) = default;
};

/// The outcome of `prepare`.
struct Preparation {
    std::string wrong;  ///< Why the command must not be logged, or empty.
    PreparedCommand command;
};

/// The form in which `ReplicaStateMachine` uses a store: JSON text in, JSON text out, no exceptions. `wire::TypedStore`
/// makes one of any Store.
///
/// `prepare` checks a command without applying it. The primary calls it before it logs the command, so that every
/// logged command can be applied. `apply` gets what it returned for the same text, or all zeros, as on a backup: the
/// outcome must be the same. If `apply` of a logged command is not ok, the store has broken its laws. `restore_begin`,
/// `restore_chunk` and `restore_end` return what was wrong, or an empty string.
template <typename S>
concept TextStore = std::copyable<S> && requires(S store, const S& fixed, std::string_view text,
                                                 const PreparedCommand& prepared, std::size_t max) {
    { fixed.prepare(text) } -> std::same_as<Preparation>;
    { store.apply(text, prepared) } -> std::same_as<TextOutcome>;
    { fixed.query(text) } -> std::same_as<TextOutcome>;
    { fixed.snapshot().read(max) } -> std::same_as<std::string>;
    { store.restore_begin() } -> std::same_as<std::string>;
    { store.restore_chunk(text) } -> std::same_as<std::string>;
    { store.restore_end() } -> std::same_as<std::string>;
};

}  // namespace understudy
