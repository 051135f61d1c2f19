// The results of a benchmark's rounds: printed, and stored as JSON.
#pragma once

#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/bench/statistics.hpp"
#include "tests/bench/turns.hpp"

namespace understudy::bench {

/// The median with its 90% interval.
inline nlohmann::json to_json(const Estimate& it) {
    return {{"median", it.median}, {"low", it.low}, {"high", it.high}};
}

class Report {
public:
    const nlohmann::json& rows() const { return rows_; }

    /// Adds everything that was measured in the same rounds.
    void add(Shape shape, const std::vector<Operation>& operations, const Rounds& rounds) {
        for (const auto operation : operations) {
            shape.operation = operation;
            std::printf("%s\n", describe(shape).c_str());
            if (rounds.disturbed > 0) std::printf("  (others used the machine in %d rounds)\n", rounds.disturbed);
            for (const auto system : all_systems) {
                const auto found = rounds.samples.find(peer(system, operation));
                if (found == rounds.samples.end()) continue;
                add_row(shape, system, rounds.samples.at({System::ours, operation}), found->second);
                rows_.back()["disturbed"] = rounds.disturbed;
            }
        }
        for (std::size_t n = 1; n < operations.size(); ++n) add_ratio(shape, operations[n], operations[0], rounds);
        std::fflush(stdout);
    }

private:
    using Figure = std::function<double(const Sample&)>;

    static Estimate figure(const std::vector<Sample>& rounds, const Figure& figure) {
        std::vector<double> all;
        for (const auto& sample : rounds) all.push_back(figure(sample));
        return estimate(all);
    }
    static Estimate ratio(const std::vector<Sample>& one, const std::vector<Sample>& other, const Figure& figure) {
        std::vector<double> all;
        for (std::size_t n = 0; n < one.size(); ++n) all.push_back(figure(one[n]) / figure(other[n]));
        return estimate(all);
    }
    static void print(const char* name, const Estimate& it) {
        std::printf(" %s %.2f (%.2f-%.2f)", name, it.median, it.low, it.high);
    }
    /// The name of the system for this operation. A read waits for no replica, so a batch of reads is plain pipelining.
    static std::string name_of(System system, Operation operation) {
        return std::string{system == System::redis_batch && reads(operation) ? "Redis, pipelined" : to_string(system)};
    }
    static nlohmann::json head(const Shape& shape) {
        return {{"shape", describe(shape)},
                {"network", to_string(shape.network)},
                {"operation", to_string(shape.operation)},
                {"connections", shape.connections},
                {"in_flight", shape.in_flight},
                {"bytes", shape.bytes},
                {"one_cpu", shape.one_cpu}};
    }

    void add_row(const Shape& shape, System system, const std::vector<Sample>& ours,
                 const std::vector<Sample>& samples) {
        const auto rate = figure(samples, &Sample::rate), p50 = figure(samples, &Sample::p50),
                   p99 = figure(samples, &Sample::p99), cpu = figure(samples, &Sample::cpu_each),
                   client = figure(samples, &Sample::client_cpu_each);
        std::printf("  %-16s %8.0f/s  p50 %6.0f us  p99 %6.0f us  CPU %5.1f us (%.1f of the clients)",
                    name_of(system, shape.operation).c_str(), rate.median, p50.median, p99.median, cpu.median,
                    client.median);
        auto row = head(shape);
        row["system"] = name_of(system, shape.operation);
        row["rounds"] = samples.size();
        row["rate"] = to_json(rate);
        row["p50_us"] = to_json(p50);
        row["p99_us"] = to_json(p99);
        row["cpu_us"] = to_json(cpu);
        row["client_cpu_us"] = to_json(client);
        for (std::size_t n = 0; n < perf_events.size(); ++n) {
            const auto count = figure(samples, [n](const Sample& it) { return it.count_each(n); });
            if (count.median < 0) continue;
            std::printf("  %.1f %s", count.median, std::string{perf_events[n].name}.c_str());
            row["counts"][std::string{perf_events[n].name}] = to_json(count);
        }
        if (system != System::ours) {
            const auto rates = ratio(ours, samples, &Sample::rate), p50s = ratio(ours, samples, &Sample::p50),
                       cpus = ratio(ours, samples, &Sample::cpu_each);
            std::printf("  ours/this:");
            print("rate", rates);
            print("p50", p50s);
            print("CPU", cpus);
            row["ours_by_this"] = {{"rate", to_json(rates)}, {"p50", to_json(p50s)}, {"cpu", to_json(cpus)}};
        }
        std::printf("\n");
        rows_.push_back(std::move(row));
    }

    /// The ratio of two operations of this library.
    void add_ratio(Shape shape, Operation one, Operation other, const Rounds& rounds) {
        const auto& ones = rounds.samples.at({System::ours, one});
        const auto& others = rounds.samples.at({System::ours, other});
        const auto rate = ratio(ones, others, &Sample::rate), cpu = ratio(ones, others, &Sample::cpu_each);
        std::printf("  understudy, %s by %s:", std::string{to_string(one)}.c_str(),
                    std::string{to_string(other)}.c_str());
        print("rate", rate);
        print("CPU", cpu);
        std::printf("\n");
        shape.operation = one;
        auto row = head(shape);
        row["by"] = to_string(other);
        row["ratio"] = {{"rate", to_json(rate)}, {"cpu", to_json(cpu)}};
        rows_.push_back(std::move(row));
    }

    nlohmann::json rows_ = nlohmann::json::array();
};

}  // namespace understudy::bench
