// The sequential specification of an object: what it answers when operations come one after the other. The
// linearizability check compares the clients' answers with it.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>

#include <understudy/sim/check/history.hpp>

namespace understudy::sim {

/// A **Model** is a sequential specification. It names `Input`, `Output` and `State`, and has
///
///  - `initial()`: the first state.
///  - `step(state, input, output)`: executes `input` and returns whether the object then answers `*output`. If `output`
///    is null, any answer is right. After `false` the state must not be used.
///  - `changes_nothing(input, output)`: whether an operation with this answer (or with any answer, if null) leaves
///    every state as it is. `false` is always safe.
///  - optional `key(input)`, any ordered value: operations of different keys are independent, so each key is checked
///    separately. This saves much time.
///  - optional, both or none; they save the search from trying useless open operations. `resets(input, output)`:
///    neither the state after the operation nor this answer (if there is one) depends on the state before.
///    `found(input, output)`: the state before, if only one state gives this answer.
///  - `hash(state)`; states compare by `==`.
///  - `describe(input)` and `describe(output)`: human-readable text.
template <typename M>
concept Model = std::equality_comparable<typename M::State> && std::copyable<typename M::State> &&
    requires(const M& model, typename M::State& state, const typename M::State& fixed, const typename M::Input& input,
             const typename M::Output* output) {
    { model.initial() } -> std::convertible_to<typename M::State>;
    { model.step(state, input, output) } -> std::same_as<bool>;
    { model.changes_nothing(input, output) } -> std::same_as<bool>;
    { model.hash(fixed) } -> std::convertible_to<std::uint64_t>;
    { model.describe(input) } -> std::convertible_to<std::string>;
    { model.describe(*output) } -> std::convertible_to<std::string>;
};

/// A model with the optional pair `resets` and `found`.
template <typename M>
concept RevealingModel = Model<M> &&
    requires(const M& model, const typename M::Input& input, const typename M::Output* output) {
    { model.resets(input, output) } -> std::same_as<bool>;
    { model.found(input, *output) } -> std::same_as<std::optional<typename M::State>>;
};

template <Model M>
using OperationOf = Operation<typename M::Input, typename M::Output>;
template <Model M>
using HistoryOf = History<typename M::Input, typename M::Output>;

}  // namespace understudy::sim
