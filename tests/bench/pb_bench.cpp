// Replicated writes and reads of this library beside the limit (a relay that parses nothing) and beside Redis with one
// replica, in turns: every round measures each system once, and what is compared are the ratios within rounds.
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tests/bench/ours.hpp"
#include "tests/bench/raw.hpp"
#include "tests/bench/redis.hpp"

namespace {

using namespace understudy::bench;

struct Settings {
    std::vector<std::string> networks{"tcp", "unix"}, operations{"put"};
    std::vector<std::size_t> clients{1, 16, 64, 256}, bytes{100};
    std::string how = "connections";
    std::vector<std::string> systems{"ours", "raw", "redis"};
    int rounds = 5;
    double seconds = 0.7;
    bool one_cpu = false;
    double most_foreign = 0.1;
    std::string json;
};

/// The systems that are measured over one kind of sockets.
class Bench {
public:
    Bench(Network network, const Settings& settings) : network_{network}, settings_{settings} {
        folder_ = std::filesystem::temp_directory_path() / "pb_bench_XXXXXX";
        if (!mkdtemp(folder_.data())) fail("mkdtemp");
        ours_ = std::make_unique<Group>(network, folder_);
        if (measures("redis")) redis_ = std::make_unique<RedisGroup>(network, folder_);
    }
    ~Bench() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    using Rounds = std::map<System, std::vector<Sample>>;

    Rounds measure(const Shape& shape) {
        Rounds rounds;
        std::unique_ptr<RawGroup> raw;
        std::vector<System> systems{System::ours};
        if (measures("raw") && shape.operation == Operation::put) {
            raw = std::make_unique<RawGroup>(network_, folder_, RawSizes{shape.bytes});
            systems.push_back(System::raw);
        }
        if (redis_) systems.push_back(System::redis);
        if (redis_ && shape.in_flight > 1) systems.push_back(System::redis_batch);
        for (int round = 0, dropped = 0; round < settings_.rounds;) {
            std::ranges::shuffle(systems, random_);
            std::map<System, Sample> samples;
            for (const auto system : systems) samples[system] = measure(system, shape, raw.get());
            const bool disturbed = std::ranges::any_of(samples, [&](const auto& it) {
                return it.second.foreign_cpu / it.second.seconds > settings_.most_foreign;
            });
            if (disturbed && ++dropped <= 3 * settings_.rounds) continue;
            if (disturbed) std::cout << "  (others used the machine in this round)\n";
            for (const auto& [system, sample] : samples) rounds[system].push_back(sample);
            ++round;
        }
        std::error_code ignored;
        for (const char* name : {"/raw", "/raw_backup"}) std::filesystem::remove(folder_ + name, ignored);
        return rounds;
    }

private:
    bool measures(const std::string& system) const {
        return std::ranges::find(settings_.systems, system) != settings_.systems.end();
    }

    Sample measure(System system, Shape shape, const RawGroup* raw) const {
        if (system == System::redis && shape.in_flight > 1) {  // as many clients of Redis, since each WAIT blocks one
            shape.connections *= shape.in_flight;
            shape.in_flight = 1;
        }
        const auto servers = system == System::ours  ? ours_->processes()
                             : system == System::raw ? raw->processes()
                                                     : redis_->processes();
        for (const auto server : servers) pin(server, shape.one_cpu);
        return to_sample(output_of([&](int to) {
            pin(0, shape.one_cpu);
            Meter meter{settings_.seconds, servers};
            switch (system) {
                case System::ours: ours_->load(shape, meter); break;
                case System::raw: raw->load(shape, meter); break;
                case System::redis: redis_->load(shape, meter, false); break;
                case System::redis_batch: redis_->load(shape, meter, true); break;
            }
            const auto text = to_text(meter.sample());
            write_all(to, text.data(), text.size());
        }));
    }

    Network network_;
    const Settings& settings_;
    std::string folder_;
    std::unique_ptr<Group> ours_;
    std::unique_ptr<RedisGroup> redis_;
    std::mt19937 random_{std::random_device{}()};
};

// ---- what is printed --------------------------------------------------------------------------------------

std::vector<double> ratios(const std::vector<Sample>& ours, const std::vector<Sample>& other, auto figure) {
    std::vector<double> all;
    for (std::size_t i = 0; i < ours.size(); ++i)
        all.push_back(std::invoke(figure, ours[i]) / std::invoke(figure, other[i]));
    return all;
}
double median(const std::vector<Sample>& rounds, auto figure) {
    std::vector<double> all;
    for (const auto& sample : rounds) all.push_back(std::invoke(figure, sample));
    return quantile(all, 0.5);
}

void report(const Shape& shape, const Bench::Rounds& rounds, nlohmann::json& out) {
    std::cout << describe(shape) << '\n' << std::fixed;
    const auto& ours = rounds.at(System::ours);
    const auto print = [&](const char* name, const Estimate& it) {
        std::cout << "  " << name << ' ' << std::setprecision(2) << it.median << " (" << it.low << "-" << it.high
                  << ')';
    };
    for (const auto& [system, samples] : rounds) {
        const double rate = median(samples, &Sample::rate), p50 = median(samples, &Sample::p50),
                     p99 = median(samples, &Sample::p99), cpu = median(samples, &Sample::cpu_each);
        std::cout << "  " << std::left << std::setw(16) << to_string(system) << std::right << std::setprecision(0)
                  << std::setw(8) << rate << "/s  p50 " << std::setw(6) << p50 << " us  p99 " << std::setw(6) << p99
                  << " us  CPU " << std::setprecision(1) << std::setw(5) << cpu << " us ("
                  << median(samples, &Sample::client_cpu_each) << " of the clients)";
        nlohmann::json row;
        row["shape"] = describe(shape);
        row["system"] = to_string(system);
        row["rate"] = rate;
        row["p50_us"] = p50;
        row["p99_us"] = p99;
        row["cpu_us"] = cpu;
        if (system != System::ours) {
            const auto rate_ratio = estimate(ratios(ours, samples, &Sample::rate));
            const auto p50_ratio = estimate(ratios(ours, samples, &Sample::p50));
            const auto cpu_ratio = estimate(ratios(ours, samples, &Sample::cpu_each));
            std::cout << "  ours/this:";
            print("rate", rate_ratio);
            print("p50", p50_ratio);
            print("CPU", cpu_ratio);
            row["ours_by_this"] = {{"rate", {rate_ratio.median, rate_ratio.low, rate_ratio.high}},
                                   {"p50", {p50_ratio.median, p50_ratio.low, p50_ratio.high}},
                                   {"cpu", {cpu_ratio.median, cpu_ratio.low, cpu_ratio.high}}};
        }
        std::cout << std::endl;
        out.push_back(std::move(row));
    }
}

void run(const Settings& settings) {
    auto rows = nlohmann::json::array();
    for (const auto& network : settings.networks) {
        Bench bench{network == "tcp" ? Network::tcp : Network::unix_sockets, settings};
        for (const auto& operation : settings.operations)
            for (const auto bytes : settings.bytes)
                for (const auto clients : settings.clients) {
                    Shape shape;
                    shape.network = network == "tcp" ? Network::tcp : Network::unix_sockets;
                    shape.operation = operation == "get"      ? Operation::get
                                      : operation == "append" ? Operation::append
                                                              : Operation::put;
                    shape.bytes = bytes;
                    shape.one_cpu = settings.one_cpu;
                    (settings.how == "connections" ? shape.connections : shape.in_flight) = clients;
                    report(shape, bench.measure(shape), rows);
                }
    }
    if (!settings.json.empty()) std::ofstream{settings.json} << rows.dump(2) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    CLI::App app{"Measures replicated writes and reads beside a raw relay and Redis, in turns"};
    app.add_option("--network", settings.networks, "tcp, unix")
        ->delimiter(',')
        ->check(CLI::IsMember({"tcp", "unix"}))
        ->capture_default_str();
    app.add_option("--operation", settings.operations, "put, append, get")
        ->delimiter(',')
        ->check(CLI::IsMember({"put", "append", "get"}))
        ->capture_default_str();
    app.add_option("--clients", settings.clients, "How many calls are under way")
        ->delimiter(',')
        ->capture_default_str();
    app.add_option("--as", settings.how, "Each on a connection of its own, or all in flight on one")
        ->check(CLI::IsMember({"connections", "in_flight"}))
        ->capture_default_str();
    app.add_option("--bytes", settings.bytes, "Length of a value")->delimiter(',')->capture_default_str();
    app.add_option("--systems", settings.systems, "What to measure beside this library: raw, redis")
        ->delimiter(',')
        ->check(CLI::IsMember({"ours", "raw", "redis"}))
        ->capture_default_str();
    app.add_option("--rounds", settings.rounds, "How often each is measured")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--seconds", settings.seconds, "How long each time")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_flag("--one-cpu", settings.one_cpu, "Pin all processes to CPU 0");
    app.add_option("--most-foreign", settings.most_foreign,
                   "Rounds in which others use more than this share of a CPU are repeated")
        ->capture_default_str();
    app.add_option("--json", settings.json, "A file for the figures");
    CLI11_PARSE(app, argc, argv);
    try {
        run(settings);
    } catch (const std::exception& failure) {
        std::cerr << "pb_bench: " << failure.what() << '\n';
        return 1;
    }
}
