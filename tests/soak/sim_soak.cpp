// Runs by the thousand, `sim_soak --seeds 20000`; or one run with its whole trace: `sim_soak --seed 7 --trace`.
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <tests/soak/options.hpp>

using namespace understudy::test;

int main(int argc, char** argv) {
    Options options;
    CLI::App app{
        "Runs simulated clusters under faults and checks the results.\n"
        "Exit code 0: nothing was violated; 1: something was, and the command to run it again is printed."};
    std::vector<std::string> stores;
    for (const auto& [name, soak] : soaks()) stores.push_back(name);
    app.add_option("--store", options.store, "What is replicated")->check(CLI::IsMember(stores))->capture_default_str();
    app.add_option("--seeds", options.seeds, "How many runs (100, if no time is given)");
    app.add_option("--from", options.from, "The first seed")->capture_default_str();
    app.add_option("--seed", options.seed, "Run this seed alone");
    app.add_option("--time", options.time, "Stop after this long: 90s, 10m, 2h");
    app.add_flag("--trace", options.trace, "With --seed: print every event and frame, one per line");
    app.add_flag("--quiet", options.quiet, "No progress");
    app.add_flag("!--no-shrink", options.shrink, "Do not look for the least that fails");
    app.add_flag("--coverage", options.coverage, "Print how often each rule and each refusal was reached");
    app.add_option("--repeat-each", options.repeat_each, "Run every N-th seed twice and compare (0: none)");
    app.add_option("--trouble", options.trouble, "Seconds of faults in each run")->capture_default_str();
    app.add_option("--disks", options.disks, "Whether servers have disks: always, never, or as the seed wants (drawn)")
        ->transform(CLI::CheckedTransformer(disk_choices()))
        ->default_str("drawn");
    app.add_option("--clients", options.clients, "At most so many clients in each group");
    std::string keep;
    app.add_option("--keep", keep, "Only these faults of the plan: 3,7,9 or none");
    CLI11_PARSE(app, argc, argv);
    if (!keep.empty()) {
        options.keep.emplace();
        std::istringstream numbers{keep == "none" ? "" : keep};
        for (std::string number; std::getline(numbers, number, ',');) options.keep->push_back(std::stoul(number));
    }
    return soaks().at(options.store)(options);
}
