// The latency of writes in phases that another process announces: with a backup, without one, and while one joins.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/bench/memory.hpp"
#include "tests/bench/meter.hpp"

namespace understudy::bench {

enum class Phase : int { warm_up, before, alone, during, over };
inline constexpr std::size_t phases = 4;

/// The writes of one phase. Times in microseconds.
struct PhaseSample {
    double seconds = 0, operations = 0, p50 = 0, p99 = 0, most = 0;
    double rate() const { return operations / seconds; }
};

/// A process with clients that write until they are stopped.
class Writers {
public:
    /// `write(done)` runs in that process; it calls `done(asked, now)` for each answer and returns when that is false.
    using Done = std::function<bool(Clock::time_point asked, Clock::time_point now)>;
    explicit Writers(const std::function<void(const Done&)>& write) {
        int ends[2];
        must(pipe(ends), "pipe");
        process_ = Process{[&] {
            close(ends[0]);
            std::array<std::vector<std::uint32_t>, phases> latencies;
            write([&](Clock::time_point asked, Clock::time_point now) {
                const auto phase = phase_->load();
                if (phase == Phase::over) return false;
                latencies[static_cast<std::size_t>(phase)].push_back(static_cast<std::uint32_t>((now - asked).count()));
                return true;
            });
            std::ostringstream text;
            for (const auto& all : latencies)
                text << all.size() << ' ' << quantile(all, 0.5) / 1e3 << ' ' << quantile(all, 0.99) / 1e3 << ' '
                     << quantile(all, 1.0) / 1e3 << ' ';
            write_all(ends[1], text.str().data(), text.str().size());
        }};
        close(ends[1]);
        results_ = ends[0];
        begun_[0] = Clock::now();
    }
    Writers(const Writers&) = delete;
    Writers& operator=(const Writers&) = delete;
    ~Writers() { close(results_); }

    void enter(Phase phase) {
        begun_[static_cast<std::size_t>(phase)] = Clock::now();
        phase_->store(phase);
    }
    /// Ends the writing and returns the samples.
    std::array<PhaseSample, phases> finish() {
        enter(Phase::over);
        std::string text;
        char buffer[1024];
        for (ssize_t count; (count = read(results_, buffer, sizeof buffer)) > 0;)
            text.append(buffer, static_cast<std::size_t>(count));
        if (process_.wait() != 0) throw std::runtime_error{"the writers failed"};
        std::array<PhaseSample, phases> all;
        std::istringstream from{text};
        for (std::size_t n = 0; n < phases; ++n) {
            auto& it = all[n];
            it.seconds = std::chrono::duration<double>(begun_[n + 1] - begun_[n]).count();
            from >> it.operations >> it.p50 >> it.p99 >> it.most;
        }
        return all;
    }

private:
    Common<std::atomic<Phase>> phase_;
    std::array<Clock::time_point, phases + 1> begun_{};
    Process process_;
    int results_ = -1;
};

}  // namespace understudy::bench
