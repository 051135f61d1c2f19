// Trials by the thousand, `sim_soak --seeds 20000`; or one of them, told from beginning to end:
// `sim_soak --seed 7 --trace`.
#include <chrono>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <examples/ledger.hpp>
#include <tests/soak/ledger_workload.hpp>
#include <understudy/sim/soak.hpp>

namespace us = understudy;
using namespace std::chrono_literals;

namespace {

struct Options {
    std::uint64_t seeds = 0;
    std::uint64_t from = 1;
    std::optional<std::uint64_t> seed;
    std::string time;
    bool trace = false;
    bool ledger = false;
    bool quiet = false;
    bool coverage = false;
    std::uint64_t repeat_each = 100;
    double trouble = 20;
    std::optional<std::size_t> clients;
    std::optional<std::vector<std::size_t>> keep;

    us::sim::TrialLimits limits() const {
        us::sim::TrialLimits limits;
        limits.trouble = us::Duration{static_cast<us::Duration::rep>(trouble * 1e9)};
        if (clients) limits.clients = *clients;
        limits.every_fault = !keep;
        if (keep) limits.keep = *keep;
        return limits;
    }
};

double seconds(us::Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// The one command that runs it again.
std::string command(const Options& options, std::uint64_t seed, const us::sim::TrialLimits& limits) {
    std::ostringstream text;
    text << "sim_soak --seed " << seed << (options.ledger ? " --ledger" : "");
    if (limits.trouble != us::sim::TrialLimits{}.trouble) text << " --trouble " << seconds(limits.trouble);
    if (limits.clients < 100) text << " --clients " << limits.clients;
    if (limits.every_fault) return text.str();
    text << " --keep ";
    for (std::size_t i = 0; i < limits.keep.size(); ++i) text << (i == 0 ? "" : ",") << limits.keep[i];
    if (limits.keep.empty()) text << "none";
    return text.str();
}

template <typename W>
int report(const Options& options, const W& workload, const us::sim::Outcome& failed) {
    std::cout << "\nFAILED: seed " << failed.seed << ": " << failed.violation << "\n"
              << "again:  " << command(options, failed.seed, options.limits()) << "\n"
              << std::flush;
    const auto [limits, least] = us::sim::shrink(failed, workload, options.limits());
    std::cout << "\nThe least of it that fails: " << least.violation << "\n" << least.evidence;
    for (std::size_t number = 0; number < least.plan.size(); ++number)
        if (limits.plays(number)) std::cout << "  " << describe(least.plan[number]) << "\n";
    std::cout << "told:   " << command(options, failed.seed, limits) << " --trace\n";
    return 1;
}

template <typename W>
int run_one(const Options& options, const W& workload) {
    us::sim::Narrator narrator;
    if (options.trace)
        narrator = [](us::Time time, const std::string& text) {
            std::cout << std::fixed << std::setprecision(6) << std::setw(12) << seconds(time - us::sim::Schedule::start)
                      << " s  " << text << "\n";
        };
    us::sim::Trial<W> trial{*options.seed, workload, options.limits(), narrator};
    const auto outcome = trial.run();
    std::cout << "seed " << outcome.seed << ": " << (outcome.good() ? "good" : outcome.violation) << ", "
              << outcome.calls.answered << " calls answered, " << outcome.view_changes << " views, hash " << std::hex
              << outcome.event_hash << std::dec << "\n"
              << outcome.evidence;
    return outcome.good() ? 0 : 1;
}

/// `10m`, `90s`, `2h`; a number alone is seconds.
std::chrono::seconds parse_time(const std::string& text) {
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
    const auto more = [&](const us::sim::SoakSummary& so_far) {
        if (!options.quiet && spent() - told > 10) {
            told = spent();
            std::cout << "seed " << options.from + so_far.trials << ": " << seconds(so_far.virtual_time) / 3600
                      << " virtual hours, " << seconds(so_far.virtual_time) / told << " times real time\n"
                      << std::flush;
        }
        return (seeds == 0 || so_far.trials < seeds) && spent() < static_cast<double>(time.count());
    };
    std::cout << "from seed " << options.from << ", " << options.trouble << " s of trouble each\n";
    us::sim::SoakSummary summary;
    const auto outcome = us::sim::soak(workload, options.from, more, summary, options.limits(), options.repeat_each);
    std::cout << summary << seconds(summary.virtual_time) / spent() << " times real time on one core\n";
    if (options.coverage)
        for (const auto& [place, count] : summary.hits) std::cout << "reached " << count << " " << place << "\n";
    if (!outcome.good()) return report(options, workload, outcome);
    std::cout << "no violation; go on with --from " << options.from + summary.trials << "\n";
    return 0;
}

template <typename W>
int run(const Options& options, const W& workload) {
    return options.seed ? run_one(options, workload) : run_many(options, workload);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{
        "Runs simulated clusters in trouble and checks what came of it.\n"
        "Exit code 0: nothing was violated; 1: something was, and the command to run it again is printed."};
    app.add_option("--seeds", options.seeds, "How many trials (100, if no time is given)");
    app.add_option("--from", options.from, "The first seed")->capture_default_str();
    app.add_option("--seed", options.seed, "Run this seed alone");
    app.add_option("--time", options.time, "Stop after this long: 90s, 10m, 2h");
    app.add_flag("--trace", options.trace, "With --seed: tell every event and frame, one a line");
    app.add_flag("--ledger", options.ledger, "Try a ledger instead of the key/value store");
    app.add_flag("--quiet", options.quiet, "No progress");
    app.add_flag("--coverage", options.coverage, "Print how often each rule and each refusal was reached");
    app.add_option("--repeat-each", options.repeat_each, "Run every N-th seed twice and compare (0: none)");
    app.add_option("--trouble", options.trouble, "Seconds of faults in each trial")->capture_default_str();
    app.add_option("--clients", options.clients, "At most so many clients in each group");
    std::string keep;
    app.add_option("--keep", keep, "Only these faults of the plan: 3,7,9 or none");
    CLI11_PARSE(app, argc, argv);
    if (!keep.empty()) {
        options.keep.emplace();
        std::istringstream numbers{keep == "none" ? "" : keep};
        for (std::string number; std::getline(numbers, number, ',');) options.keep->push_back(std::stoul(number));
    }
    return options.ledger ? run(options, us::test::LedgerWorkload{}) : run(options, us::sim::KvWorkload{});
}
