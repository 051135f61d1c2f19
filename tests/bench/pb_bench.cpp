// Replicated writes and reads of this library beside two limits (a relay that parses nothing, and a bare data path over
// Asio) and beside Redis with one replica, alternating: every round measures each system once, and the ratios within
// rounds are compared.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tests/bench/charts.hpp"
#include "tests/bench/plans.hpp"
#include "tests/bench/report.hpp"
#include "tests/bench/summary.hpp"
#include "tests/bench/turns.hpp"

namespace {

using namespace understudy::bench;

struct Settings {
    std::vector<std::string> networks{"tcp", "unix"}, operations{"put"}, how{"connections"};
    std::vector<std::size_t> clients{1, 16, 64, 256}, bytes{100};
    std::vector<std::string> systems{"ours", "raw", "prototype", "redis"};
    Turns turns;
    bool one_cpu = false, all = false, targets = false;
    std::string json, plot, summary;
};

/// The most bytes in flight at once: limits the memory of all processes.
constexpr std::size_t most_bytes = 16u << 20;

/// Every combination of what the settings name.
Plan combinations(const Settings& settings, Network network) {
    std::vector<Operation> operations;
    for (const auto& name : settings.operations)
        operations.push_back(*std::ranges::find(all_operations, name, [](auto it) { return to_string(it); }));
    Plan plan{network, {}};
    for (const auto bytes : settings.bytes)
        for (const auto& how : settings.how)
            for (const auto clients : settings.clients) {
                Shape shape{.network = network, .bytes = bytes, .one_cpu = settings.one_cpu};
                (how == "connections" ? shape.connections : shape.in_flight) = clients;
                const bool same = how == "in_flight" && clients == 1 && settings.how.size() > 1;
                if (!same && clients * bytes <= most_bytes) plan.steps.push_back({shape, operations});
            }
    return plan;
}

/// A sentence about the rounds.
std::string describe_rounds(const Turns& turns) {
    std::ostringstream text;
    text << "Medians of " << turns.rounds << " rounds of " << turns.seconds
         << " s; a ratio is understudy's figure ÷ the other's within a round, with the 90% interval of its median.";
    return text.str();
}

void run(const Settings& settings) {
    std::optional<Charts> charts;
    if (!settings.plot.empty()) charts.emplace(settings.plot);
    std::vector<Plan> plans;
    if (settings.targets)
        plans = targets();
    else
        for (const auto& name : settings.networks)
            plans.push_back(combinations(settings, name == "tcp" ? Network::tcp : Network::unix_sockets));
    const auto uncounted = PerfCounters::missing();
    if (!uncounted.empty()) std::printf("%s\n", uncounted.c_str());
    Report report;
    for (const auto& plan : plans) {
        Bench bench{plan.network, settings.turns, plan.operations()};
        for (const auto& [shape, operations] : plan.steps)
            report.add(shape, operations, bench.measure(shape, operations));
    }
    const auto summary = Summary{report.rows(), describe_rounds(settings.turns)}.text();
    std::printf("\n%s", summary.c_str());
    if (!settings.summary.empty()) std::ofstream{settings.summary} << summary;
    if (!settings.json.empty()) std::ofstream{settings.json} << report.rows().dump(2) << '\n';
    if (charts) charts->draw_all(report.rows());
}

/// Adds an option for a list of values, each of which is checked.
void add_list(CLI::App& app, const char* name, auto& list, const char* says, std::vector<std::string> allowed = {}) {
    auto* option = app.add_option(name, list, says)->delimiter(',')->capture_default_str();
    if (!allowed.empty()) option->check(CLI::IsMember(std::move(allowed)));
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    auto& turns = settings.turns;
    CLI::App app{
        "Measures replicated writes and reads beside a raw relay, a bare data path over Asio (prototype) and Redis,\n"
        "in turns. In the end it prints the figures as Markdown, with the machine that they are of."};
    add_list(app, "--network", settings.networks, "tcp, unix", {"tcp", "unix"});
    add_list(app, "--operation", settings.operations,
             "put, append, get (confirmed by a round), get_lease: in the same rounds, also compared with the first",
             {"put", "append", "get", "get_lease"});
    add_list(app, "--clients", settings.clients, "How many calls are under way");
    add_list(app, "--as", settings.how, "Each on a connection of its own, or all in flight on one",
             {"connections", "in_flight"});
    add_list(app, "--bytes", settings.bytes,
             "Length of a value, up to a mebibyte; what would have more than 16 MiB under way is left out");
    add_list(app, "--systems", settings.systems, "What to measure beside this library: raw, prototype, redis",
             {"ours", "raw", "prototype", "redis"});
    app.add_option("--rounds", turns.rounds, "How often each is measured")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--seconds", turns.seconds, "How long each time")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_flag("--one-cpu", settings.one_cpu, "Pin all processes to CPU 0");
    auto* all = app.add_flag("--all", settings.all, "All operations, sizes and ways of having calls under way");
    app.add_flag("--targets", settings.targets,
                 "The shapes of docs/performance.md, in seven to twelve minutes: instead of what the options say of "
                 "them, and repeating no more rounds than count")
        ->excludes(all);
    app.add_option("--most-foreign", turns.most_foreign,
                   "Rounds in which others use more than this share of a CPU are repeated")
        ->capture_default_str();
    app.add_option("--summary", settings.summary, "A file for the tables that are printed in the end");
    app.add_option("--json", settings.json, "A file for the figures");
    app.add_option("--plot", settings.plot, "A folder for charts, drawn by gnuplot");
    CLI11_PARSE(app, argc, argv);
    if (settings.all) {
        settings.operations = {"put", "append", "get", "get_lease"};
        settings.bytes = {16, 100, 1u << 10, 64u << 10, 1u << 20};
        settings.how = {"connections", "in_flight"};
    }
    if (settings.targets) turns.most_repeated = 1;
    const auto measured = [&](const char* name) { return std::ranges::count(settings.systems, name) > 0; };
    turns.raw = measured("raw");
    turns.prototype = measured("prototype");
    turns.redis = measured("redis");
    try {
        if (std::ranges::any_of(settings.bytes, [](auto it) { return it == 0 || it > (1u << 20); }))
            throw std::runtime_error{"a value has 1 byte to 1 MiB"};
        run(settings);
    } catch (const std::exception& failure) {
        std::cerr << "pb_bench: " << failure.what() << '\n';
        return 1;
    }
}
