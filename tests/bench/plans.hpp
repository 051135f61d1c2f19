// What a benchmark measures: shapes of one kind of sockets, and the operations that take their turns with each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "tests/bench/shape.hpp"

namespace understudy::bench {

/// Operations that are measured in the same rounds.
struct Step {
    Shape shape;
    std::vector<Operation> operations;
};
struct Plan {
    Network network = Network::tcp;
    std::vector<Step> steps;

    /// All operations of all steps, once each.
    std::vector<Operation> operations() const {
        std::vector<Operation> all;
        for (const auto operation : all_operations)
            for (const auto& step : steps)
                if (std::ranges::find(step.operations, operation) != step.operations.end()) {
                    all.push_back(operation);
                    break;
                }
        return all;
    }
};

/// The shapes that docs/performance.md states: puts over connections with one call each, of one client with many calls
/// in flight, and of one client on one CPU; reads beside puts; and long values.
inline std::vector<Plan> targets() {
    using enum Operation;
    Plan tcp{Network::tcp, {}}, unix_sockets{Network::unix_sockets, {}};
    for (auto* plan : {&tcp, &unix_sockets}) {
        const auto add = [&](Shape shape, std::vector<Operation> operations = {put}) {
            shape.network = plan->network;
            plan->steps.push_back({shape, std::move(operations)});
        };
        add({.connections = 16});
        add({.connections = 64}, {put, get, get_lease});
        add({.connections = 256});
        if (plan->network == Network::tcp) {
            for (const std::size_t calls : {64u, 256u}) add({.in_flight = calls});
            for (const std::size_t bytes : {64u << 10, 1u << 20})
                add({.connections = 16, .bytes = bytes}, {put, append, get_lease});
        }
        add({.one_cpu = true});
    }
    return {tcp, unix_sockets};
}

}  // namespace understudy::bench
