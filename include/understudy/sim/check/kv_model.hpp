// The sequential specification of one key of the key/value store. It is written a second time, simply and without
// KvStore's code, so that it also finds errors of KvStore itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <understudy/kv_types.hpp>
#include <understudy/sim/check/timeline.hpp>
#include <understudy/sim/world/random.hpp>

namespace understudy::sim {

namespace detail {
template <typename Function>
auto visit_kv(const std::variant<kv::Command, kv::Query>& input, Function&& function) {
    return std::visit([&](const auto& half) { return std::visit(function, half); }, input);
}
}  // namespace detail

/// A Model (model.hpp) of put, append, erase, cas and get, one key at a time. `kv::Keys` reads many keys at once, so it
/// throws `std::invalid_argument`; check histories that contain it with `StoreModel<KvStore>`.
struct KvModel {
    using Input = std::variant<kv::Command, kv::Query>;
    using Output = kv::Reply;
    using State = std::optional<std::string>;

    State initial() const { return {}; }

    bool step(State& state, const Input& input, const Output* output) const {
        const Output answer = detail::visit_kv(input, [&](const auto& concrete) { return run(state, concrete); });
        return !output || *output == answer;
    }

    /// True for queries, and for commands whose answer shows that they changed nothing: a failed cas, an erase of a
    /// missing key, a refused size.
    bool changes_nothing(const Input& input, const Output* output) const {
        if (input.index() == 1) return true;
        if (!output) return false;
        const auto* cas = std::get_if<kv::CasResult>(output);
        const auto* erased = std::get_if<bool>(output);
        return (cas && !cas->ok) || (erased && !*erased) || std::holds_alternative<kv::TooLarge>(*output);
    }

    std::string key(const Input& input) const {
        return detail::visit_kv(input, [](const auto& concrete) -> std::string {
            if constexpr (requires { concrete.key; })
                return concrete.key;
            else
                throw std::invalid_argument("KvModel judges each key by itself: no kv::Keys");
        });
    }

    /// True for a put, and for an erase without an answer: the answer of an erase depends on the state before.
    bool resets(const Input& input, const Output* output) const {
        return detail::visit_kv(input, [&](const auto& concrete) {
            using Concrete = std::decay_t<decltype(concrete)>;
            if (exceeds(concrete) != 0) return false;
            return std::is_same_v<Concrete, kv::Put> || (std::is_same_v<Concrete, kv::Erase> && !output);
        });
    }
    /// The state that a get, a cas or an erase must have found, by its answer.
    std::optional<State> found(const Input& input, const Output& output) const {
        if (input.index() == 1) {
            if (const auto* value = std::get_if<std::string>(&output)) return State{*value};
            return State{};
        }
        if (const auto* cas = std::get_if<kv::CasResult>(&output)) {
            if (!cas->ok) return cas->value;
            if (const auto* won = std::get_if<kv::Cas>(&std::get<0>(input))) return won->expect;
        }
        if (const auto* erased = std::get_if<bool>(&output); erased && !*erased) return State{};
        return {};
    }

    std::uint64_t hash(const State& state) const { return state ? mix(1, *state) : 0; }

    std::string describe(const Input& input) const {
        return detail::visit_kv(input, [](const auto& concrete) { return text_of(concrete); });
    }
    std::string describe(const Output& output) const {
        return std::visit([](const auto& concrete) { return text_of(concrete); }, output);
    }

private:
    template <typename Concrete>
    /// The limit that the command exceeds; 0 if it exceeds none.
    static std::size_t exceeds(const Concrete& command) {
        if constexpr (requires { command.key; })
            if (command.key.size() > kv::max_key) return kv::max_key;
        if constexpr (requires { command.value; })
            if (command.value.size() > kv::max_value) return kv::max_value;
        return 0;
    }

    template <typename Command>
    static Output run(State& state, const Command& command) {
        if constexpr (std::is_same_v<Command, kv::Get>) {
            if (!state) return std::monostate{};
            return *state;
        } else if constexpr (std::is_same_v<Command, kv::Keys>) {
            throw std::invalid_argument("KvModel judges each key by itself: no kv::Keys");
        } else {
            if (const auto limit = exceeds(command)) return kv::TooLarge{limit};
            return change(state, command);
        }
    }
    static Output change(State& state, const kv::Put& put) {
        state = put.value;
        return std::monostate{};
    }
    static Output change(State& state, const kv::Append& append) {
        if ((state ? state->size() : 0) + append.value.size() > kv::max_value) return kv::TooLarge{kv::max_value};
        if (!state) state.emplace();
        *state += append.value;
        return std::uint64_t{state->size()};
    }
    static Output change(State& state, const kv::Erase&) { return std::exchange(state, std::nullopt).has_value(); }
    static Output change(State& state, const kv::Cas& cas) {
        if (state != cas.expect) return kv::CasResult{false, state};
        state = cas.value;
        return kv::CasResult{true, state};
    }

    // ---- human-readable text ----

    static std::string quoted(const std::string& text) { return detail::quoted_for_people(text); }
    static std::string quoted(const std::optional<std::string>& text) { return text ? quoted(*text) : "nothing"; }

    static std::string text_of(const kv::Put& put) { return "put " + quoted(put.key) + " " + quoted(put.value); }
    static std::string text_of(const kv::Append& append) {
        return "append " + quoted(append.key) + " " + quoted(append.value);
    }
    static std::string text_of(const kv::Erase& erase) { return "erase " + quoted(erase.key); }
    static std::string text_of(const kv::Cas& cas) {
        return "cas " + quoted(cas.key) + " " + quoted(cas.expect) + " to " + quoted(cas.value);
    }
    static std::string text_of(const kv::Get& get) { return "get " + quoted(get.key); }
    static std::string text_of(const kv::Keys& keys) { return "keys " + quoted(keys.prefix); }

    static std::string text_of(std::monostate) { return "nothing"; }
    static std::string text_of(bool yes) { return yes ? "true" : "false"; }
    static std::string text_of(std::uint64_t length) { return std::to_string(length) + " bytes"; }
    static std::string text_of(const std::string& value) { return quoted(value); }
    static std::string text_of(const kv::Page& keys) { return std::to_string(keys.size()) + " keys"; }
    static std::string text_of(const kv::CasResult& result) {
        return (result.ok ? "set: " : "not set: ") + quoted(result.value);
    }
    static std::string text_of(const kv::TooLarge&) { return "too large"; }
};

}  // namespace understudy::sim
