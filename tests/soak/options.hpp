// The options of `sim_soak`, and the stores that it knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <understudy/sim/soak/run_limits.hpp>

namespace understudy::test {

struct Options {
    std::string store = "kv";
    std::uint64_t seeds = 0;
    std::uint64_t from = 1;
    std::optional<std::uint64_t> seed;
    std::string time;
    bool trace = false;
    bool quiet = false;
    bool shrink = true;
    bool coverage = false;
    std::uint64_t repeat_each = 100;
    double trouble = 30;
    sim::Disks disks = sim::Disks::drawn;
    std::optional<std::size_t> clients;
    std::optional<std::vector<std::size_t>> keep;

    sim::RunLimits limits() const {
        sim::RunLimits limits;
        limits.fault_phase = Duration{static_cast<Duration::rep>(trouble * 1e9)};
        if (clients) limits.clients = *clients;
        limits.disks = disks;
        limits.every_fault = !keep;
        if (keep) limits.keep = *keep;
        return limits;
    }
};

/// The names that the command line uses.
inline const std::map<std::string, sim::Disks>& disk_choices() {
    static const std::map<std::string, sim::Disks> all{
        {"always", sim::Disks::always}, {"drawn", sim::Disks::drawn}, {"never", sim::Disks::never}};
    return all;
}

/// Runs one store; the result is the program's exit code.
using Soak = int (*)(const Options& options);

/// The soaks by the name of their store. Each is compiled separately and registers itself.
inline std::map<std::string, Soak>& soaks() {
    static std::map<std::string, Soak> all;
    return all;
}

}  // namespace understudy::test
