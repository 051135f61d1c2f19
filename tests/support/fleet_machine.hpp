// A fleet joined directly with the view service's state machine, in virtual time: measures what the state machine alone
// costs, for more servers than one machine has connections for.
#pragma once

#include <malloc.h>
#include <time.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/view_service/state_machine.hpp>

#include "tests/support/fleet.hpp"

namespace understudy::test {

using namespace protocol;
using namespace view_service;

/// Bytes that are allocated now, as the allocator counts them.
inline double allocated_bytes() {
    const auto all = mallinfo2();
    return static_cast<double>(all.uordblks + all.hblkhd);
}

class FleetMachine {
public:
    FleetMachine(std::size_t servers, ViewOptions options)
        : fleet_{servers},
          silent_(servers),
          gap_{options.ping_interval / static_cast<std::int64_t>(servers)},
          machine_{std::make_unique<ViewStateMachine>(options, ClusterId{1}, now_)} {}

    const Fleet& fleet() const { return fleet_; }
    Time now() const { return now_; }
    /// Called when a server hears of a new view.
    std::function<void(std::size_t server)> on_news = [](std::size_t) {};

    double cpu = 0;         ///< Seconds spent in the state machine.
    std::size_t pings = 0;  ///< Pings that were answered.
    std::size_t lost = 0;   ///< Servers that the service declared lost.
    void measure() {
        cpu = 0;
        pings = 0;
    }
    void silence(std::size_t server) { silent_[server] = true; }

    /// Runs one turn per millisecond, which takes the pings that became due meanwhile, until `done()`.
    template <typename Done>
    void run(Done done) {
        for (; !done(); now_ += std::chrono::milliseconds{1}) turn();
    }
    void run_for(Duration length) {
        run([this, until = now_ + length] { return now_ >= until; });
    }
    /// The memory that the state machine occupies. Measured by destroying it.
    double memory() {
        const auto before = allocated_bytes();
        machine_.reset();
        return before - allocated_bytes();
    }

private:
    void turn() {
        arrived_.clear();
        for (; due_ <= now_; due_ += gap_, next_ = (next_ + 1) % fleet_.size()) {
            if (silent_[next_]) continue;
            const auto& ping = fleet_.next_ping(next_);
            arrived_.push_back({"#" + std::to_string(next_), make_call_id(Method::view_ping, ping.n), ping});
        }
        const auto before = cpu_seconds();
        for (auto& envelope : arrived_) machine_->receive(std::move(envelope), now_, output_);
        machine_->wake(now_, output_);
        cpu += cpu_seconds() - before;

        for (const auto& sent : output_.outbox) {
            const auto* answer = std::get_if<PingResult>(&sent.message);
            const auto* pushed = std::get_if<ViewChanged>(&sent.message);
            pings += answer != nullptr;
            const auto server = static_cast<std::size_t>(std::stoul(sent.peer.address().substr(1)));
            if ((answer || pushed) && fleet_.tell(server, answer ? answer->info : pushed->info)) on_news(server);
        }
        for (const auto& event : output_.events) lost += std::holds_alternative<ServerLost>(event);
        output_.clear();
    }
    static double cpu_seconds() {
        timespec now{};
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
    }

    Fleet fleet_;
    std::vector<bool> silent_;
    Duration gap_;
    Time now_{std::chrono::hours{1}};
    Time due_ = now_;
    std::size_t next_ = 0;
    std::unique_ptr<ViewStateMachine> machine_;
    std::vector<Envelope> arrived_;
    view_service::Output output_;
};

}  // namespace understudy::test
