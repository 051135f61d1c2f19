// The workload of a run: which operations the simulated clients send, and the model that their answers are checked
// against. A host implements this concept to soak test its own store; `KvWorkload` is the one for the key/value store.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <understudy/kv_store.hpp>
#include <understudy/sim/check/kv_model.hpp>
#include <understudy/sim/check/linear_search.hpp>
#include <understudy/sim/check/store_model.hpp>
#include <understudy/sim/world/random.hpp>
#include <understudy/store.hpp>

namespace understudy::sim {

/// A **Workload** names the Store under test and the Model (model.hpp) that checks the client history.
///
///  - `initial()`: the store with which each server starts.
///  - `model()`: the model of a correct object, in the same initial state.
///  - `next(random, client, number)`: the client's next operation, a command or a query. Use `client` and `number` to
///    write unique values: the more the values differ, the more errors a check can find.
///  - `last(number)`: the queries, numbered from 0, that read the whole state at the end of a run; no value after the
///    last of them.
///  - `invariant(store)`: checks an invariant of the store that holds after any commands. Returns what is wrong; empty
///    if nothing is.
template <typename W>
concept Workload = Store<typename W::Store> && Model<typename W::Model> &&
    requires(W& workload, Random& random, const std::string& client, std::uint64_t number,
             const typename W::Store& store) {
    { workload.initial() } -> std::convertible_to<typename W::Store>;
    { workload.model() } -> std::convertible_to<typename W::Model>;
    { workload.next(random, client, number) } -> std::convertible_to<typename W::Model::Input>;
    { workload.last(number) } -> std::convertible_to<std::optional<typename W::Model::Input>>;
    { workload.invariant(store) } -> std::convertible_to<std::string>;
};

/// The workload for the key/value store: few keys, so that many operations conflict. Each value is unique, so an append
/// that takes effect twice is visible. One more key, the common key, gets only the values 0, 1 and 2 from all clients,
/// so that a `cas` often finds the value that it expects.
struct KvWorkload {
    using Store = KvStore;
    using Model = KvModel;
    using Input = Model::Input;

    std::uint64_t keys = 4;
    std::uint64_t cold_keys = 40;  ///< No client uses them: they make snapshots larger.

    Store initial() const {
        Store store;
        for (std::uint64_t number = 0; number < cold_keys; ++number)
            store.apply(kv::Put{"cold" + std::to_string(number), std::string(200, 'c')});
        return store;
    }
    Model model() const { return {}; }

    Input next(Random& random, const std::string& client, std::uint64_t number) const {
        if (random.below(8) == 0) return of_the_common_key(random);
        auto key = key_of(random.below(keys));
        auto value = client + "." + std::to_string(number) + ";";
        if (random.below(64) == 0) value.insert(0, 3'000, '.');  // above the smallest `max_command` that a run draws
        switch (random.below(16)) {
            case 0:
            case 1:
            case 2: return kv::Command{kv::Put{std::move(key), std::move(value)}};
            case 3: return kv::Command{kv::Erase{std::move(key)}};
            case 4: return kv::Command{kv::Cas{std::move(key), std::move(value), std::nullopt}};
            case 5: return kv::Command{kv::Cas{std::move(key), value, value}};  // fails: this value was never written
            case 6:
            case 7:
            case 8:
            case 9:
            case 10: return kv::Command{kv::Append{std::move(key), std::move(value)}};
            default: return kv::Query{kv::Get{std::move(key)}};
        }
    }
    std::optional<Input> last(std::uint64_t number) const {
        if (number == keys) return kv::Query{kv::Get{common_key}};
        if (number > keys) return std::nullopt;
        return kv::Query{kv::Get{key_of(number)}};
    }
    /// No value holds the same piece twice. A duplicate means that a command took effect twice.
    std::string invariant(const Store& store) const {
        for (std::uint64_t number = 0; number < keys; ++number) {
            const auto reply = store.query(kv::Get{key_of(number)});
            const auto* value = std::get_if<std::string>(&reply);
            std::set<std::string_view> seen;
            for (std::string_view rest = value ? *value : std::string_view{}; !rest.empty();) {
                const auto length = rest.find(';') + 1;
                if (!seen.insert(rest.substr(0, length)).second)
                    return key_of(number) + " has " + std::string{rest.substr(0, length)} + " twice: " + *value;
                rest.remove_prefix(length);
            }
        }
        return {};
    }

private:
    static constexpr const char* common_key = "common";
    static Input of_the_common_key(Random& random) {
        const auto any = [&] { return std::to_string(random.below(3)); };
        switch (random.below(8)) {
            case 0: return kv::Command{kv::Put{common_key, any()}};
            case 1: return kv::Command{kv::Erase{common_key}};
            case 2: return kv::Query{kv::Get{common_key}};
            default: return kv::Command{kv::Cas{common_key, any(), any()}};
        }
    }

    static std::string key_of(std::uint64_t number) { return "k" + std::to_string(number); }
};

static_assert(Workload<KvWorkload>);

}  // namespace understudy::sim
