// The settings of a run that the caller chooses and the seed does not. They are separate from the drawn conditions
// because a failing run is shrunk by making them smaller while the seed stays the same.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include <understudy/sim/check/linear_search.hpp>
#include <understudy/view.hpp>

namespace understudy::sim {

using namespace std::chrono_literals;

/// Which runs have servers with disks: those that the seed selects, all, or none.
enum class Disks { drawn, always, never };

/// The caller's limits for one run.
struct RunLimits {
    Duration fault_phase = 30s;  ///< Length of the fault phase, in virtual time.
    Duration recovery_phase = 15s;    ///< Time for recovery and for all calls to end: 150 ping intervals.
    std::size_t clients = std::numeric_limits<std::size_t>::max();     ///< Upper bound per group.
    Disks disks = Disks::drawn;
    bool every_fault = true;                                           ///< Play the whole plan, or only the faults
    std::vector<std::size_t> keep{};                                   ///< whose numbers in the plan are listed here.
    SearchBounds bounds{.max_steps = 300'000, .max_states = 100'000};  ///< Of the linearizability search, for each key.

    /// Whether the fault with this number in the plan is played.
    bool plays(std::size_t number) const { return every_fault || std::ranges::find(keep, number) != keep.end(); }
};

}  // namespace understudy::sim
