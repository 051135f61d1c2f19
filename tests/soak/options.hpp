// What `sim_soak` is asked to do, and the workloads that it knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <understudy/sim/trial_limits.hpp>

namespace understudy::test {

struct Options {
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
    std::optional<std::size_t> clients;
    std::optional<std::vector<std::size_t>> keep;

    sim::TrialLimits limits() const {
        sim::TrialLimits limits;
        limits.trouble = Duration{static_cast<Duration::rep>(trouble * 1e9)};
        if (clients) limits.clients = *clients;
        limits.every_fault = !keep;
        if (keep) limits.keep = *keep;
        return limits;
    }
};

/// Trials of the key/value store, compiled apart from the command line; the result is the program's exit code.
int soak_kv(const Options& options);

}  // namespace understudy::test
