// What the processor counts while a system works: instructions, and what its caches lacked; by perf_event_open(2).
#pragma once

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace understudy::bench {

/// What is counted, in user space only.
struct PerfEvent {
    std::string_view name;
    std::uint32_t type;
    std::uint64_t config;
};
inline constexpr std::array perf_events{
    PerfEvent{"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
    PerfEvent{"L1i misses", PERF_TYPE_HW_CACHE,
              PERF_COUNT_HW_CACHE_L1I | PERF_COUNT_HW_CACHE_OP_READ << 8 | PERF_COUNT_HW_CACHE_RESULT_MISS << 16},
    PerfEvent{"cache misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES}};

/// One number for each event; below 0: it could not be counted.
using PerfCounts = std::array<double, perf_events.size()>;
inline constexpr PerfCounts nothing_counted = [] {
    PerfCounts counts{};
    counts.fill(-1);
    return counts;
}();

/// Counts events of all threads of some processes, and of those that they start meanwhile.
class PerfCounters {
public:
    explicit PerfCounters(const std::vector<pid_t>& processes) {
        std::vector<pid_t> threads;
        for (const auto process : processes) add_threads(process, threads);
        for (std::size_t n = 0; n < perf_events.size(); ++n)
            for (const auto thread : threads) {
                const int counter = open_counter(perf_events[n], thread);
                if (counter < 0) {  // what a thread lacks makes the sum wrong
                    close_all(counters_[n]);
                    break;
                }
                counters_[n].push_back(counter);
            }
    }
    PerfCounters(PerfCounters&& other) noexcept : counters_{std::exchange(other.counters_, {})} {}
    PerfCounters& operator=(PerfCounters&&) = delete;
    ~PerfCounters() {
        for (auto& counters : counters_) close_all(counters);
    }

    void start() const {
        for (const auto& counters : counters_)
            for (const int counter : counters) ioctl(counter, PERF_EVENT_IOC_ENABLE, 0);
    }
    /// What was counted since `start`.
    PerfCounts stop() const {
        for (const auto& counters : counters_)
            for (const int counter : counters) ioctl(counter, PERF_EVENT_IOC_DISABLE, 0);
        PerfCounts counts = nothing_counted;
        for (std::size_t n = 0; n < counts.size(); ++n) {
            if (!counters_[n].empty()) counts[n] = 0;
            for (const int counter : counters_[n]) counts[n] += read_counter(counter);
        }
        return counts;
    }

    /// A sentence about the events that this machine does not count, and why; empty if it counts all.
    static std::string missing() {
        std::map<std::string, std::string> events;  // by the reason
        for (const auto& event : perf_events)
            if (const int counter = open_counter(event, 0); counter < 0) {
                auto& names = events[std::generic_category().message(errno)];
                names += (names.empty() ? "" : ", ") + std::string{event.name};
            } else {
                close(counter);
            }
        std::string text;
        for (const auto& [why, names] : events)
            text += (text.empty() ? "" : " ") + ("Not available on this machine: " + names + " (" + why + ").");
        return text;
    }

private:
    static int open_counter(const PerfEvent& event, pid_t thread) {
        perf_event_attr wanted{};
        wanted.size = sizeof wanted;
        wanted.type = event.type;
        wanted.config = event.config;
        wanted.disabled = wanted.inherit = wanted.exclude_kernel = wanted.exclude_hv = 1;
        wanted.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
        return static_cast<int>(syscall(SYS_perf_event_open, &wanted, thread, -1, -1, PERF_FLAG_FD_CLOEXEC));
    }
    // Where there are more events than registers they take turns, and what each has missed is estimated.
    static double read_counter(int counter) {
        std::uint64_t values[3]{};  // the count, the time in which it was wanted, the time in which it was counted
        if (::read(counter, values, sizeof values) != static_cast<ssize_t>(sizeof values) || values[2] == 0) return 0;
        return static_cast<double>(values[0]) * static_cast<double>(values[1]) / static_cast<double>(values[2]);
    }
    static void add_threads(pid_t process, std::vector<pid_t>& threads) {
        std::error_code gone;
        const auto folder = "/proc/" + std::to_string(process) + "/task";
        for (const auto& entry : std::filesystem::directory_iterator{folder, gone})
            threads.push_back(std::atoi(entry.path().filename().c_str()));
    }
    static void close_all(std::vector<int>& counters) {
        for (const int counter : counters) close(counter);
        counters.clear();
    }

    std::array<std::vector<int>, perf_events.size()> counters_;
};

}  // namespace understudy::bench
