// What clients do during a trial, and how what they saw is judged.
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

/// A **Workload** names the Store that is tried and the Model (linear_search.hpp) that its clients are judged by.
///
///  - `initial()`: the store as a server starts with it.
///  - `next(random, client, number)`: a client's next operation, a command or a query. `client` and `number` make it
///    possible to write what nobody else writes; the more different the values, the more a check can find.
///  - `last(number)`: the queries with which everything can be read in the end, from number 0 on; nothing after them.
///  - `law(store)`: what is wrong with a store whatever was done to it; empty if nothing is.
template <typename W>
concept Workload = Store<typename W::Store> && Model<typename W::Model> &&
    requires(W& workload, Random& random, const std::string& client, std::uint64_t number,
             const typename W::Store& store) {
    { workload.initial() } -> std::convertible_to<typename W::Store>;
    { workload.model() } -> std::convertible_to<typename W::Model>;
    { workload.next(random, client, number) } -> std::convertible_to<typename W::Model::Input>;
    { workload.last(number) } -> std::convertible_to<std::optional<typename W::Model::Input>>;
    { workload.law(store) } -> std::convertible_to<std::string>;
};

/// Few and hot keys of the key/value store. Each value written to them is one that nobody else writes, so that a second
/// effect of an append shows; but to one more key, where everybody writes the same few, so that a cas finds what it
/// expects.
struct KvWorkload {
    using Store = KvStore;
    using Model = KvModel;
    using Input = Model::Input;

    std::uint64_t keys = 4;
    std::uint64_t cold_keys = 40;  ///< That nobody asks for: a snapshot takes a while.

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
        if (random.below(64) == 0) value.insert(0, 3'000, '.');  // more than a server may be set to take
        switch (random.below(16)) {
            case 0:
            case 1:
            case 2: return kv::Command{kv::Put{std::move(key), std::move(value)}};
            case 3: return kv::Command{kv::Erase{std::move(key)}};
            case 4: return kv::Command{kv::Cas{std::move(key), std::move(value), std::nullopt}};
            case 5: return kv::Command{kv::Cas{std::move(key), value, value}};  // nobody has written that yet
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
    std::string law(const Store& store) const {
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
