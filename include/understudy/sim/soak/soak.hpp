// The soak test: many runs with consecutive seeds, and their totals. A run that fails is shrunk to the smallest run of
// the same seed that still fails, because the original has too many faults for a person to follow.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iomanip>
#include <map>
#include <numeric>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <understudy/protocol/coverage.hpp>
#include <understudy/sim/soak/soak_run.hpp>

namespace understudy::sim {

/// Counts, while it exists, how often each coverage point of the protocol (a place where a rule decides) was reached,
/// and how often each refusal was sent. At most one may exist at a time on a thread; it counts what happens on that
/// thread.
class Coverage {
public:
    Coverage() : before_{set_coverage_observer(&count)} { counts().clear(); }
    Coverage(const Coverage&) = delete;
    Coverage& operator=(const Coverage&) = delete;
    ~Coverage() { set_coverage_observer(before_); }

    std::map<std::string, std::uint64_t> hits() const { return {counts().begin(), counts().end()}; }

private:
    static std::unordered_map<std::string_view, std::uint64_t>& counts() {
        thread_local std::unordered_map<std::string_view, std::uint64_t> all;
        return all;
    }
    static void count(std::string_view place) { ++counts()[place]; }

    CoverageObserver before_;
};

/// Totals over all runs.
struct SoakSummary {
    std::uint64_t runs = 0;
    CallCounts calls{};
    std::uint64_t view_changes = 0, snapshots = 0, waits = 0, judged_again = 0, undecided = 0, repeated = 0;
    std::uint64_t recoveries = 0;
    std::uint64_t adoptions = 0;
    DiskCounts disks{};
    Duration virtual_time{};
    std::array<std::uint64_t, fault_names.size()> faults{};
    std::map<std::string, std::uint64_t> hits{};  ///< Counts by coverage point; refusals by the error's name.

    void add(const Outcome& outcome) {
        ++runs;
        calls.answered += outcome.calls.answered;
        calls.without_effect += outcome.calls.without_effect;
        calls.unknown += outcome.calls.unknown;
        calls.deaths += outcome.calls.deaths;
        calls.dumps += outcome.calls.dumps;
        view_changes += outcome.view_changes;
        snapshots += outcome.snapshots;
        waits += outcome.waits;
        judged_again += outcome.judged_again;
        undecided += outcome.undecided;
        recoveries += outcome.recoveries;
        adoptions += outcome.adoptions;
        disks += outcome.disks;
        virtual_time += outcome.virtual_time;
        for (std::size_t kind = 0; kind < faults.size(); ++kind) faults[kind] += outcome.faults[kind];
    }
};

inline std::ostream& operator<<(std::ostream& out, const SoakSummary& summary) {
    const auto hours = std::chrono::duration<double, std::ratio<3600>>(summary.virtual_time).count();
    std::ostringstream text;
    text << std::fixed << std::setprecision(1) << summary.runs << " runs, " << hours << " virtual hours, "
         << summary.view_changes << " views, " << summary.snapshots << " snapshots installed\n"
         << "calls: " << summary.calls.answered << " answered, " << summary.calls.unknown << " of unknown outcome, "
         << summary.calls.without_effect << " without effect, " << summary.calls.dumps << " dumps; "
         << summary.calls.deaths << " clients died\n"
         << summary.waits << " groups waited for a lost state and were forced on (" << summary.judged_again
         << " checked again), " << summary.undecided << " histories were too hard to check, " << summary.repeated
         << " runs were repeated and came out the same\n"
         << "disks: " << summary.disks.restarts << " restarts from one, " << summary.recoveries
         << " groups went on from one (R5), " << summary.disks.power_cuts << " power cuts, " << summary.disks.failures
         << " failures, " << summary.disks.replaced << " lost, " << summary.disks.snapshots
         << " snapshots in journals\n"
         << summary.adoptions << " groups were adopted after the record had been put back (R7)\n"
         << "faults:";
    for (std::size_t kind = 0; kind < summary.faults.size(); ++kind)
        text << ' ' << fault_names[kind] << ' ' << summary.faults[kind];
    return out << text.str() << '\n';
}

/// Executes one run with this seed. With `twice`, executes a good run a second time and reports a violation if the
/// event hashes differ: then the simulation is not deterministic, and a failing seed could not be reproduced.
template <Workload W>
Outcome run_seed(std::uint64_t seed, const W& workload, const RunLimits& limits = {}, bool twice = false) {
    auto outcome = SoakRun<W>{seed, workload, limits}.run();
    if (!twice || !outcome.good()) return outcome;
    if (SoakRun<W>{seed, workload, limits}.run().event_hash != outcome.event_hash)
        outcome.violation = "two runs of this seed differ: a clock, an address or the order of a hash table got in";
    return outcome;
}

namespace detail {
/// The limits without `count` of the played faults, from position `first` on.
inline RunLimits without(RunLimits limits, std::size_t first, std::size_t count) {
    const auto begin = limits.keep.begin() + static_cast<std::ptrdiff_t>(first);
    const auto left = static_cast<std::size_t>(limits.keep.end() - begin);
    limits.keep.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(count, left)));
    return limits;
}
}  // namespace detail

/// Shrinks a failed run: a shorter fault phase first, then fewer clients, then fewer faults. Returns the smallest
/// limits that still fail, and their outcome; its violation may be another one than at first. Executes at most `tries`
/// runs. The fault phase is shortened first because every later attempt then costs less.
template <Workload W>
std::pair<RunLimits, Outcome> shrink(const Outcome& failed, const W& workload, RunLimits limits,
                                       std::size_t tries = 200) {
    auto best = std::pair{limits, failed};
    const auto attempt = [&](RunLimits smaller) {
        if (tries == 0) return false;
        --tries;
        auto outcome = run_seed(failed.seed, workload, smaller);
        if (outcome.good()) return false;
        best = {std::move(smaller), std::move(outcome)};
        return true;
    };
    while (best.first.fault_phase > 500ms) {
        auto smaller = best.first;
        smaller.fault_phase /= 2;
        if (!attempt(std::move(smaller))) break;
    }
    while (best.first.clients > 1) {
        auto smaller = best.first;
        smaller.clients = std::min<std::size_t>(smaller.clients, 5) - 1;
        if (!attempt(std::move(smaller))) break;
    }
    // Name the played faults by number, so that single faults can be left out.
    if (std::exchange(best.first.every_fault, false)) {
        best.first.keep.resize(best.second.plan.size());
        std::iota(best.first.keep.begin(), best.first.keep.end(), std::size_t{0});
    }
    // Leave out blocks of faults, half of them first, then smaller blocks down to single faults.
    for (auto size = std::max<std::size_t>(best.first.keep.size() / 2, 1); size > 0; size /= 2)
        for (std::size_t first = 0; first < best.first.keep.size();)
            if (!attempt(detail::without(best.first, first, size))) first += size;
    return best;
}

/// Executes the runs with seeds `from`, `from + 1`, … until `more(summary)` returns false or a run fails. Returns the
/// outcome of the last run (a good one if no run was executed) and fills in `summary`. Every `repeat_each`-th run is
/// executed twice (0: none).
template <Workload W>
Outcome soak(const W& workload, std::uint64_t from, std::function<bool(const SoakSummary&)> more, SoakSummary& summary,
             const RunLimits& limits = {}, std::uint64_t repeat_each = 100) {
    Coverage coverage;
    Outcome outcome;
    for (auto seed = from; outcome.good() && more(summary); ++seed) {
        const bool twice = repeat_each != 0 && summary.runs % repeat_each == 0;
        outcome = run_seed(seed, workload, limits, twice);
        summary.add(outcome);
        summary.repeated += twice;
    }
    summary.hits = coverage.hits();
    return outcome;
}

/// For a host's unit test: executes `runs` runs of a workload over its own Store. Returns the first violation,
/// shrunk, with its seed; empty if there is none. A complete test is `CHECK(soak(MyWorkload{}, 100) == "")`.
template <Workload W>
std::string soak(const W& workload, std::uint64_t runs, std::uint64_t from = 1) {
    SoakSummary summary;
    const auto failed = soak(
        workload, from, [&](const SoakSummary& so_far) { return so_far.runs < runs; }, summary);
    if (failed.good()) return {};
    const auto least = shrink(failed, workload, {}).second;
    const auto seed = std::to_string(failed.seed);
    return "seed " + seed + ": " + least.violation + "\n" + least.evidence + "again: soak(workload, 1, " + seed + ")\n";
}

}  // namespace understudy::sim
