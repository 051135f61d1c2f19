// One run or many, for any workload, and the output about them.
#pragma once

#include <chrono>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>

#include <tests/soak/options.hpp>
#include <understudy/sim/soak/soak.hpp>

namespace understudy::test {

inline double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// The command that repeats exactly this run.
inline std::string command(const Options& options, std::uint64_t seed, const sim::RunLimits& limits) {
    std::ostringstream text;
    text << "sim_soak" << (options.store == "kv" ? "" : " --store " + options.store) << " --seed " << seed;
    if (limits.fault_phase != sim::RunLimits{}.fault_phase) text << " --trouble " << seconds(limits.fault_phase);
    if (limits.clients < 100) text << " --clients " << limits.clients;
    for (const auto& [name, disks] : disk_choices())
        if (limits.disks == disks && disks != sim::Disks::drawn) text << " --disks " << name;
    if (limits.every_fault) return text.str();
    text << " --keep ";
    for (std::size_t i = 0; i < limits.keep.size(); ++i) text << (i == 0 ? "" : ",") << limits.keep[i];
    if (limits.keep.empty()) text << "none";
    return text.str();
}

template <typename W>
int report(const Options& options, const W& workload, const sim::Outcome& failed) {
    std::cout << "\nFAILED: seed " << failed.seed << ": " << failed.violation << "\n"
              << "again:  " << command(options, failed.seed, options.limits()) << "\n"
              << std::flush;
    if (!options.shrink) {
        std::cout << failed.evidence;
        return 1;
    }
    const auto [limits, least] = sim::shrink(failed, workload, options.limits());
    std::cout << "\nThe least of it that fails: " << least.violation << "\n" << least.evidence;
    for (std::size_t number = 0; number < least.plan.size(); ++number)
        if (limits.plays(number)) std::cout << "  " << describe(least.plan[number]) << "\n";
    std::cout << "told:   " << command(options, failed.seed, limits) << " --trace\n";
    return 1;
}

template <typename W>
int run_one(const Options& options, const W& workload) {
    sim::Narrator narrator;
    if (options.trace)
        narrator = [](Time time, const std::string& text) {
            std::cout << std::fixed << std::setprecision(6) << std::setw(12) << seconds(time - sim::Schedule::start)
                      << " s  " << text << "\n";
        };
    sim::SoakRun<W> run{*options.seed, workload, options.limits(), narrator};
    const auto outcome = run.run();
    std::cout << "seed " << outcome.seed << ": " << (outcome.good() ? "good" : outcome.violation) << ", "
              << outcome.calls.answered << " calls answered, " << outcome.view_changes << " views, hash " << std::hex
              << outcome.event_hash << std::dec << "\n"
              << outcome.evidence;
    return outcome.good() ? 0 : 1;
}

/// `10m`, `90s`, `2h`; a number alone means seconds.
inline std::chrono::seconds parse_time(const std::string& text) {
    std::size_t end = 0;
    const double number = std::stod(text, &end);
    const auto unit = text.substr(end);
    const double factor = unit == "h" ? 3600 : unit == "m" ? 60 : 1;
    return std::chrono::seconds{static_cast<std::int64_t>(number * factor)};
}

template <typename W>
int run_many(const Options& options, const W& workload) {
    const auto begun = std::chrono::steady_clock::now();
    const auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(); };
    const auto time = options.time.empty() ? std::chrono::seconds::max() : parse_time(options.time);
    const auto seeds = options.seeds != 0 || !options.time.empty() ? options.seeds : 100;
    double told = 0;
    const auto more = [&](const sim::SoakSummary& so_far) {
        if (!options.quiet && spent() - told > 10) {
            told = spent();
            std::cout << "seed " << options.from + so_far.runs << ": " << seconds(so_far.virtual_time) / 3600
                      << " virtual hours, " << seconds(so_far.virtual_time) / told << " times real time\n"
                      << std::flush;
        }
        return (seeds == 0 || so_far.runs < seeds) && spent() < static_cast<double>(time.count());
    };
    std::cout << "from seed " << options.from << ", " << options.trouble << " s of faults each\n";
    sim::SoakSummary summary;
    const auto outcome = sim::soak(workload, options.from, more, summary, options.limits(), options.repeat_each);
    std::cout << summary << seconds(summary.virtual_time) / spent() << " times real time on one core\n";
    if (options.coverage)
        for (const auto& [place, count] : summary.hits) std::cout << "reached " << count << " " << place << "\n";
    if (!outcome.good()) return report(options, workload, outcome);
    std::cout << "no violation; go on with --from " << options.from + summary.runs << "\n";
    return 0;
}

template <typename W>
int run(const Options& options, const W& workload) {
    return options.seed ? run_one(options, workload) : run_many(options, workload);
}

}  // namespace understudy::test
