// What a run of the soak has found, and how much it has seen.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <understudy/sim/disk/server_disk.hpp>
#include <understudy/sim/soak/fault.hpp>
#include <understudy/sim/soak/simulated_clients.hpp>
#include <understudy/view.hpp>

namespace understudy::sim {

/// The result of a run.
struct Outcome {
    std::uint64_t seed = 0;
    std::string violation{};  ///< The first violation, as a sentence. Empty if there was none.
    std::string evidence{};   ///< If a client history was wrong: the smallest wrong part of it.
    std::vector<Fault> plan{};
    std::array<std::uint64_t, fault_names.size()> faults{};
    CallCounts calls{};
    std::uint64_t view_changes = 0;
    std::uint64_t snapshots = 0;
    std::uint64_t waits = 0;         ///< Groups that had to wait for lost state (R4) and were forced.
    std::uint64_t judged_again = 0;  ///< Forced groups whose client history was checked again at the end.
    std::uint64_t recoveries = 0;    ///< Groups that continued from a member's journal (R5).
    std::uint64_t adoptions = 0;     ///< Groups adopted after an older record was restored (R7).
    DiskCounts disks{};
    std::uint64_t undecided = 0;     ///< Keys whose history could not be checked within `bounds`.
    Duration virtual_time{};
    std::uint64_t event_hash = 0;

    bool good() const { return violation.empty(); }
};

}  // namespace understudy::sim
