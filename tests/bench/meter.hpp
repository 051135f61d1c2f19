// A client measures itself and its servers: for a fixed time, after a warm-up.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "tests/bench/perf_counters.hpp"
#include "tests/bench/processes.hpp"
#include "tests/bench/statistics.hpp"

namespace understudy::bench {

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point begun) {
    return std::chrono::duration<double>(Clock::now() - begun).count();
}

/// One measurement. CPU is in seconds.
struct Sample {
    double seconds = 0, operations = 0;
    double p50 = 0, p99 = 0;  ///< Microseconds.
    double client_cpu = 0, server_cpu = 0;
    double foreign_cpu = 0;               ///< CPU time that other processes used meanwhile.
    PerfCounts counts = nothing_counted;  ///< Of the clients and the servers.

    double rate() const { return operations / seconds; }
    double client_cpu_each() const { return client_cpu / operations * 1e6; }
    double cpu_each() const { return (client_cpu + server_cpu) / operations * 1e6; }
    /// How often event `n` happened for an operation; below 0 if it was not counted.
    double count_each(std::size_t n) const { return counts[n] < 0 ? -1 : counts[n] / operations; }
};

inline std::string to_text(const Sample& it) {
    std::ostringstream text;
    for (const double value : {it.seconds, it.operations, it.p50, it.p99, it.client_cpu, it.server_cpu, it.foreign_cpu})
        text << value << ' ';
    for (const double count : it.counts) text << count << ' ';
    return text.str();
}
inline Sample to_sample(const std::string& text) {
    Sample it;
    std::istringstream in{text};
    in >> it.seconds >> it.operations >> it.p50 >> it.p99 >> it.client_cpu >> it.server_cpu >> it.foreign_cpu;
    for (double& count : it.counts) in >> count;
    return it;
}

class Meter {
public:
    Meter(double seconds, std::vector<pid_t> servers)
        : seconds_{seconds}, servers_{std::move(servers)}, counters_{all_processes()} {
        latencies_.resize(1u << 21);  // touches the memory now, and not while it measures
        latencies_.clear();
    }

    /// Records a completed operation; returns false once the measurement is complete.
    bool done(Clock::time_point asked, Clock::time_point now) {
        if (state_ == State::over) return false;
        if (state_ == State::idle) {
            state_ = State::warming;
            until_ = now + warm_up;
        } else if (now >= until_) {
            if (state_ == State::measuring) return finish(now), false;
            begin(now);
        } else if (state_ == State::measuring) {
            latencies_.push_back(static_cast<std::uint32_t>((now - asked).count()));
        }
        return true;
    }
    bool over() const { return state_ == State::over; }
    const Sample& sample() const { return sample_; }

private:
    enum class State { idle, warming, measuring, over };
    static constexpr auto warm_up = std::chrono::milliseconds{150};

    void begin(Clock::time_point now) {
        state_ = State::measuring;
        begun_ = now;
        until_ = now + std::chrono::nanoseconds{static_cast<std::int64_t>(seconds_ * 1e9)};
        read_cpu(-1);
        counters_.start();
    }
    void finish(Clock::time_point now) {
        state_ = State::over;
        sample_.counts = counters_.stop();
        read_cpu(+1);
        sample_.seconds = std::chrono::duration<double>(now - begun_).count();
        sample_.operations = static_cast<double>(latencies_.size());
        sample_.p50 = quantile(latencies_, 0.5) / 1e3;
        sample_.p99 = quantile(latencies_, 0.99) / 1e3;
    }
    std::vector<pid_t> all_processes() const {
        auto all = servers_;
        all.push_back(getpid());
        return all;
    }
    void read_cpu(int sign) {
        const double own = cpu_seconds(getpid());
        double servers = 0;
        for (const auto server : servers_) servers += cpu_seconds(server);
        sample_.client_cpu += sign * own;
        sample_.server_cpu += sign * servers;
        sample_.foreign_cpu += sign * (busy_seconds() - own - servers);
    }

    double seconds_;
    std::vector<pid_t> servers_;
    PerfCounters counters_;
    State state_ = State::idle;
    Clock::time_point begun_, until_;
    std::vector<std::uint32_t> latencies_;  // in nanoseconds
    Sample sample_;
};

}  // namespace understudy::bench
