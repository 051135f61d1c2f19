// What a checker must know of an object whose clients it judges: how it behaves when one thing happens after the other.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>

#include <understudy/sim/check/history.hpp>

namespace understudy::sim {

/// A **Model** says what a correct object does, one operation after the other.
///
///  - `step(state, input, output)` carries out `input` and says whether `*output` is what the object answers then;
///    without an output whatever it answers is right. After a `false` the state is of no use to anybody.
///  - `changes_nothing(input, output)`: whether an operation with this answer (or with any, if there is none) leaves
///    every state as it is. `false` is always safe.
///  - optional `key(input)`, any ordered value: operations of different keys have nothing to do with each other,
///    so each key is judged by itself.
///  - optional, and together, what spares the search from trying open operations that explain nothing:
///    `resets(input, output)`: neither the state after it nor that it answers so (if there is an answer) depend on the
///    state before; `found(input, output)`: the one state before that this answer fits, if there is only one.
///  - `hash(state)`, and states compare by `==`.
///  - `describe(input)` and `describe(output)`, for people.
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

/// A model that has the optional part too.
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
