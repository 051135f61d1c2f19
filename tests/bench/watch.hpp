// A group that must lose no server on a busy machine: its processes are stalled, the view service for long, the servers
// for less than the time after which they may be declared dead, and spinning processes use the CPUs. Any change of the
// view is a false failover, or follows from one.
#pragma once

#include <cmath>
#include <cstdio>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "tests/bench/writers.hpp"

namespace understudy::bench {

class Watch {
public:
    Watch(Group& group, const Process& writers, int answers, std::size_t clients)
        : group_{group}, answers_{clients}, from_{io_, answers}, view_{group.await_view(2, 1)} {
        const auto leader = group.leader(view_);
        parties_ = {{"view service", &group.views(), d / 10, 4 * d, Duration::max()},
                    // The last ping may have been sent one interval before the stall, and one more interval is left for
                    // the process to wake up.
                    {"primary", &group.server(leader), d / 50, d - 2 * interval, d - interval},
                    // The primary reports a backup that acknowledges nothing for D/2.
                    {"backup", &group.server(1 - leader), d / 50, d / 2 - interval, d / 2 - interval / 2},
                    {"writers", &writers, {}, {}, {}}};
    }

    /// Returns how often the view changed.
    std::size_t run(double length) {
        for (auto& endpoint : parties_)
            if (endpoint.longest > Duration{}) start(stall(endpoint));
        for (unsigned cpu = 0; cpu < std::thread::hardware_concurrency(); ++cpu) start(spin(static_cast<int>(cpu)));
        start(look_around());
        start(read_answers());
        admin_.async_watch(
            group_.view_service(), "main", [this](const ViewInfo& info) { seen(info.view); }, asio::detached);
        asio::signal_set asked_to_end{io_, SIGINT, SIGTERM};
        asked_to_end.async_wait([this](std::error_code, int) { io_.stop(); });
        io_.run_for(to_duration(length));
        report();
        return changes_;
    }

private:
    /// A process of the group, and how long it is stalled: up to `longest`; a late signal may make that longer.
    struct Endpoint {
        const char* name;
        const Process* process;
        Duration shortest, longest;
        Duration allowed;  ///< A longer stall may rightly cause a view change.
        /// By their length in tenths of D, rounded up; in whole D if longer than D.
        std::map<int, std::size_t> stalls{};
        std::size_t too_long = 0;
        double waited = 0;           ///< Seconds that it waited for a CPU since it began.
        std::deque<double> waits{};  ///< The same for the latest samples.
        double most_waited = 0;      ///< In one sample.
    };

    static constexpr Duration d = ViewOptions{}.ping_interval * ViewOptions{}.dead_pings;
    static constexpr Duration interval = ViewOptions{}.ping_interval;
    static constexpr Duration look = interval / 2;
    static constexpr std::size_t looks_kept = 40, stalls_kept = 12;

    void start(asio::awaitable<void> task) {
        asio::co_spawn(io_, std::move(task), [](std::exception_ptr thrown) {
            if (thrown) std::rethrow_exception(thrown);
        });
    }
    double random(double low, double high) { return std::uniform_real_distribution{low, high}(random_); }
    static double seconds(Duration duration) { return std::chrono::duration<double>{duration}.count(); }
    static double milliseconds(Duration duration) { return seconds(duration) * 1e3; }
    static Duration to_duration(double seconds) {
        return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{seconds});
    }
    double age() const { return seconds(Clock::now() - begun_); }
    asio::awaitable<void> sleep(Duration duration) {
        asio::steady_timer timer{io_, duration};
        co_await timer.async_wait(asio::use_awaitable);
    }

    /// The logarithm of the length is uniform, so short stalls are as frequent as long ones.
    asio::awaitable<void> stall(Endpoint& endpoint) {
        const double low = std::log(seconds(endpoint.shortest)), high = std::log(seconds(endpoint.longest));
        for (;;) {
            co_await sleep(to_duration(random(1, 10) * seconds(d)));
            const auto begun = Clock::now();
            const Process& process = *endpoint.process;
            process.signal_with(SIGSTOP);
            co_await sleep(to_duration(std::exp(random(low, high))));
            process.signal_with(SIGCONT);
            const Duration took = Clock::now() - begun;
            const auto unit = took <= d ? d / 10 : d;
            ++endpoint.stalls[static_cast<int>((took + unit - Duration{1}) / unit * (unit / (d / 10)))];
            recent_.push_back(std::string{endpoint.name} + ", from " + std::to_string(age() - seconds(took)) +
                              " s for " + std::to_string(milliseconds(took)) + " ms");
            if (recent_.size() > stalls_kept) recent_.pop_front();
            if (took <= endpoint.allowed) continue;
            ++endpoint.too_long;
            std::printf("%.3f s: stalled longer than planned: %s\n", age(), recent_.back().c_str());
        }
    }

    /// For a tenth of the time, runs one to three processes that only use this CPU.
    asio::awaitable<void> spin(int cpu) {
        for (;;) {
            const double length = random(0.2, 2);
            co_await sleep(to_duration(length * random(5, 13)));
            std::vector<Process> hogs;
            for (int n = static_cast<int>(random(1, 4)); n > 0; --n)
                hogs.emplace_back([cpu] {
                    pin_to(0, cpu);
                    for (volatile unsigned spins = 0;;) spins = spins + 1;
                });
            co_await sleep(to_duration(length));
            spun_ += static_cast<double>(hogs.size()) * length;
        }
    }

    /// Samples how long each process waits for a CPU; this process shows it by late timers.
    asio::awaitable<void> look_around() {
        for (auto& endpoint : parties_) endpoint.waited = waited_seconds(endpoint.process->id());
        for (double emitted = 0;;) {
            const auto due = Clock::now() + look;
            co_await sleep(look);
            late_ = std::max(late_, seconds(Clock::now() - due));
            for (auto& endpoint : parties_) {
                const double waited = waited_seconds(endpoint.process->id());
                endpoint.waits.push_back(waited - std::exchange(endpoint.waited, waited));
                endpoint.most_waited = std::max(endpoint.most_waited, endpoint.waits.back());
                if (endpoint.waits.size() > looks_kept) endpoint.waits.pop_front();
            }
            if (age() < emitted + 300) continue;
            emitted = age();
            report();
        }
    }

    asio::awaitable<void> read_answers() {
        std::vector<Answer> buffer(1024);
        for (;;) {  // writes of so few bytes are atomic, so the pipe holds whole answers
            const auto bytes = co_await from_.async_read_some(
                asio::buffer(buffer.data(), buffer.size() * sizeof(Answer)), asio::use_awaitable);
            const auto before = gaps_.of_all;
            for (std::size_t n = 0; n < bytes / sizeof(Answer); ++n) answers_.take(buffer[n], gaps_);
            // A stall of the primary and one of the backup, one after the other, are no longer than D.
            if (gaps_.of_all > std::max(before, std::chrono::nanoseconds{d}.count())) {
                std::printf("%.3f s: no write was answered for %.1f ms\n", age(),
                            static_cast<double>(gaps_.of_all) / 1e6);
                report_recent();
            }
            answered_ += bytes / sizeof(Answer);
        }
    }

    void seen(const View& view) {
        if (view.number <= view_.number) return;
        ++changes_;
        std::printf("%.3f s: FALSE FAILOVER: from %s to %s\n", age(), describe(view_).c_str(), describe(view).c_str());
        if (group_.leader(view) != group_.leader(view_)) {
            std::swap(parties_[1].process, parties_[2].process);
            std::swap(parties_[1].waited, parties_[2].waited);
        }
        view_ = view;
        report_recent();
        start(report_reason());
    }
    void report_recent() const {
        for (const auto& stall : recent_) std::printf("  stall: %s\n", stall.c_str());
        for (const auto& endpoint : parties_) {
            std::printf("  %s waited for a CPU, in ms, between the latest looks, every %.0f ms:", endpoint.name,
                        milliseconds(look));
            for (const double waited : endpoint.waits) std::printf(" %.0f", waited * 1e3);
            std::printf("\n");
        }
    }
    asio::awaitable<void> report_reason() {
        const auto status = co_await admin_.async_view_status(group_.view_service(), "main", asio::use_awaitable);
        for (const auto& event : status.events)
            if (event.age < 20 * d) std::printf("  %.0f ms ago: %s\n", milliseconds(event.age), event.text.c_str());
        std::fflush(stdout);
    }

    void report() const {
        std::printf(
            "%.0f s: %zu changes of the view; %zu writes answered, longest gap %.1f ms, for one client %.1f ms\n",
            age(), changes_, answered_, static_cast<double>(gaps_.of_all) / 1e6,
            static_cast<double>(gaps_.of_one) / 1e6);
        for (const auto& endpoint : parties_) {
            std::printf("  %s: waited for a CPU %.1f ms at most between looks, every %.0f ms", endpoint.name,
                        endpoint.most_waited * 1e3, milliseconds(look));
            for (const auto& [tenths, count] : endpoint.stalls)
                std::printf("%s%zu up to %.1f D", endpoint.stalls.begin()->first == tenths ? "; stalls: " : ", ", count,
                            tenths / 10.0);
            if (endpoint.too_long > 0) std::printf("; %zu of them longer than planned", endpoint.too_long);
            std::printf("\n");
        }
        std::printf("  spinning processes: %.0f s of work; this process woke %.1f ms late at most\n", spun_,
                    late_ * 1e3);
        std::fflush(stdout);
    }

    asio::io_context io_{1};
    Admin<net::AnyTransport> admin_{net::AnyTransport{io_}};
    Group& group_;
    Answers answers_;
    asio::posix::stream_descriptor from_;
    View view_;
    std::vector<Endpoint> parties_;
    std::mt19937_64 random_{std::random_device{}()};
    const Clock::time_point begun_ = Clock::now();
    std::deque<std::string> recent_;
    Gaps gaps_;
    std::size_t answered_ = 0, changes_ = 0;
    double late_ = 0, spun_ = 0;  // seconds
};

}  // namespace understudy::bench
