// What whoever runs a trial decides, and the seed does not.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include <understudy/sim/check/linear_search.hpp>
#include <understudy/view.hpp>

namespace understudy::sim {

using namespace std::chrono_literals;

/// Which trials have servers with disks.
enum class Disks { drawn, always, never };

/// What is not left to the seed. A failing trial is shrunk by making these smaller.
struct TrialLimits {
    Duration trouble = 30s;  ///< How long there are faults.
    Duration peace = 15s;    ///< How soon all must be well after the last fault, and every call ended: 150 pings.
    std::size_t clients = std::numeric_limits<std::size_t>::max();     ///< At most so many in each group.
    Disks disks = Disks::drawn;
    bool every_fault = true;                                           ///< Of the plan; or only those of
    std::vector<std::size_t> keep{};                                   ///< these numbers.
    SearchBounds bounds{.max_steps = 300'000, .max_states = 100'000};  ///< Of the search, for each key.

    /// Whether the fault of that number in the plan is to happen.
    bool plays(std::size_t number) const { return every_fault || std::ranges::find(keep, number) != keep.end(); }
};

}  // namespace understudy::sim
