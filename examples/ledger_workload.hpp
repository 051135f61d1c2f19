// A workload that moves money between a few accounts under faults: a transfer may fail, but the total must not change.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <understudy/sim/check/store_model.hpp>
#include <understudy/sim/soak/workload.hpp>

#include "ledger.hpp"

namespace ledger {

/// Four accounts, and transfers between them.
struct Workload {
    using Store = Ledger;
    using Model = understudy::sim::StoreModel<Store>;
    using Input = Model::Input;

    static constexpr std::uint64_t accounts = 4;
    static constexpr Cents each = 1'000;

    Store initial() const {
        Store store;
        for (std::uint64_t number = 0; number < accounts; ++number) {
            store.apply({Op::open, account(number), {}, 0});
            store.apply({Op::deposit, account(number), {}, each});
        }
        return store;
    }
    Model model() const { return {initial()}; }

    Input next(understudy::sim::Random& random, const std::string&, std::uint64_t) const {
        if (random.below(3) == 0) return ask(account(random.below(accounts)));
        const auto amount = static_cast<Cents>(1 + random.below(400));
        return Command{Op::transfer, account(random.below(accounts)), account(random.below(accounts)), amount};
    }
    std::optional<Input> last(std::uint64_t number) const {
        if (number >= accounts) return std::nullopt;
        return ask(account(number));
    }
    std::string invariant(const Store& store) const {
        const auto total = store.query({Ask::total, {}}).balance.value_or(0);
        const auto right = static_cast<Cents>(accounts) * each;
        return total == right ? ""
                              : "there are " + std::to_string(total) + " cents instead of " + std::to_string(right);
    }

private:
    static std::string account(std::uint64_t number) { return "account" + std::to_string(number); }
    static Input ask(std::string name) { return Query{Ask::balance, std::move(name)}; }
};

}  // namespace ledger
