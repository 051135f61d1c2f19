// Lesson 7: the same with the library's own tools. You describe what clients do with your Store. The library checks
// that the Store satisfies the requirements of stores, runs it in clusters under every kind of fault, and checks the
// results that the clients saw.
// `7_soak_your_store [TRIALS]`; in a unit test it is one line: CHECK(soak(Workload{}, 100) == "").
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <understudy/sim/laws/store_laws.hpp>
#include <understudy/sim/soak/soak.hpp>

#include "ledger_workload.hpp"

namespace us = understudy;
using ledger::Ask;
using ledger::Op;

int main(int count, char** arguments) {
    const std::vector<ledger::Command> commands{{Op::open, "ada", {}, 0},
                                                {Op::open, "bob", {}, 0},
                                                {Op::deposit, "ada", {}, 1'000},
                                                {Op::transfer, "ada", "bob", 7},
                                                {Op::transfer, "bob", "ada", 700}};
    const std::vector<ledger::Query> queries{{Ask::balance, "ada"}, {Ask::balance, "nobody"}, {Ask::total, {}}};
    for (const auto& broken : us::sim::broken_store_laws(ledger::Ledger{}, commands, queries, 1)) {
        std::cout << broken << '\n';
        return 1;
    }
    const auto runs = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 8;
    const auto wrong = us::sim::soak(ledger::Workload{}, runs);
    std::cout << (wrong.empty() ? std::to_string(runs) + " clusters under faults, and the accounts are right" : wrong)
              << '\n';
    return wrong.empty() ? 0 : 1;
}
