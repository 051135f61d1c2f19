// A sequential specification for any Store, made from the Store itself, so that a host can check its clients without
// writing a model.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include <understudy/sim/disk/snapshot_bytes.hpp>
#include <understudy/sim/world/random.hpp>
#include <understudy/store.hpp>
#include <understudy/wire/store_text.hpp>
#include <understudy/wire/typed_store.hpp>

namespace understudy::sim {

/// A Model (model.hpp) of a Store that meets its requirements (store.hpp). States are equal if their snapshots are
/// equal; replies are compared by `==`. It finds errors of the replication. It cannot find errors of the Store, because
/// the model makes the same errors. If each operation has one key, derive from it and add `key(input)`: the check is
/// then much faster.
template <Store S>
requires std::equality_comparable<typename S::Reply> &&(SimpleSnapshot<S> || StreamingSnapshot<S>)struct StoreModel {
    using Input = std::variant<typename S::Command, typename S::Query>;
    using Output = typename S::Reply;

    struct State {
        S store;
        std::string bytes;
        friend bool operator==(const State& a, const State& b) { return a.bytes == b.bytes; }
    };

    /// The store with which the group started.
    S first{};

    // These also work for a store whose `Command` and `Query` are the same type.
    static Input command(typename S::Command command) { return Input{std::in_place_index<0>, std::move(command)}; }
    static Input query(typename S::Query query) { return Input{std::in_place_index<1>, std::move(query)}; }

    State initial() const { return {first, snapshot_bytes(first)}; }

    bool step(State& state, const Input& input, const Output* output) const {
        if (input.index() == 1) return !output || Output{state.store.query(std::get<1>(input))} == *output;
        const Output answer = state.store.apply(std::get<0>(input));
        if (output && !(answer == *output)) return false;
        state.bytes = snapshot_bytes(state.store);
        return true;
    }

    /// Only queries are known to change nothing.
    bool changes_nothing(const Input& input, const Output*) const { return input.index() == 1; }
    std::uint64_t hash(const State& state) const { return mix(0, state.bytes); }

    /// The JSON text as it is sent, shortened.
    std::string describe(const Input& input) const {
        return shortened(input.index() == 0 ? wire::encode_command<S>(std::get<0>(input))
                                            : wire::encode_query<S>(std::get<1>(input)));
    }
    std::string describe(const Output& output) const { return shortened(wire::TypedStore<S>::encode(output)); }

private:
    static std::string shortened(std::string text) {
        constexpr std::size_t most = 72;
        if (text.size() > most) text.replace(most, text.npos, "...");
        return text;
    }
};

}  // namespace understudy::sim
