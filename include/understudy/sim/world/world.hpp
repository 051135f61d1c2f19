// A simulated world: virtual time, random numbers from one seed, and a network whose faults the owner controls. It is
// what a test creates to run real services without sockets and clocks.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>

#include <understudy/sim/world/network.hpp>
#include <understudy/sim/world/random.hpp>
#include <understudy/sim/world/schedule.hpp>
#include <understudy/sim/world/transport.hpp>

namespace understudy::sim {

/// A deterministic world: everything in it follows from the seed and from the calls of its owner. It reads no clock and
/// opens no socket. Services run on `get_executor()` with transports of `network()`, and only while `run_…` or `step`
/// is called. Not thread-safe. It must outlive the services that run in it. Transport handles may outlive it; they are
/// closed then.
class World {
public:
    explicit World(std::uint64_t seed) : random_{seed}, network_{schedule_, random_.split("network")} {}

    asio::any_io_executor get_executor() { return schedule_.context().get_executor(); }
    Time now() const { return schedule_.now(); }
    /// A generator for the owner. Numbers drawn from it do not change what the network draws.
    Random& random() { return random_; }
    Network& network() { return network_; }
    Links& links() { return network_.links(); }

    /// Starts a coroutine. An exception that leaves it is thrown out of `run_…` or `step`.
    void spawn(asio::awaitable<void> coroutine) {
        asio::co_spawn(get_executor(), std::move(coroutine), [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
    }
    /// Runs `function` at `time`, before any coroutine that is resumed at that time.
    void at(Time time, std::function<void()> function) { schedule_.at(time, std::move(function)); }

    /// See `Schedule`.
    void set_limit(std::uint64_t handlers) { schedule_.set_limit(handlers); }
    bool step() { return schedule_.step(); }
    void run_until(Time time) { schedule_.run_until(time); }
    void run_for(Duration duration) { schedule_.run_for(duration); }
    template <std::predicate Predicate>
    bool run_until(Predicate holds, Duration limit) {
        return schedule_.run_until(std::move(holds), limit);
    }

    /// Faults of processes and machines: see `Network`.
    void crash(const std::string& name) { network_.crash(name); }
    void crash_at_send(const std::string& name, std::uint64_t count) { network_.crash_at_send(name, count); }
    void power_off(const std::string& name) { network_.power_off(name); }
    void slow_down(const std::string& name, Duration turn_time) { network_.slow_down(name, turn_time); }
    /// The process is busy for `length` in its present turn, like a store that needs this time for a command. See
    /// `Endpoint::work`.
    void work(const std::string& name, Duration length) {
        for (auto& endpoint : network_.of(name)) endpoint->work(length);
    }
    void pause(const std::string& name) { network_.pause(name); }
    void unpause(const std::string& name) { network_.unpause(name); }
    void set_clock(const std::string& name, double rate, Duration ahead = {}) { network_.set_clock(name, rate, ahead); }

    /// Equal for two runs of one seed with the same calls. If it differs, the run depended on a clock, a memory address
    /// or the order of a hash table.
    std::uint64_t event_hash() const { return schedule_.event_hash(); }
    /// Sets the trace, which is called for every delivery and fault from now on. May be empty.
    void trace(Trace trace) { schedule_.trace(std::move(trace)); }

private:
    Schedule schedule_;
    Random random_;
    Network network_;
};

inline SimTransport::SimTransport(World& world, TransportOptions options, std::string name)
    : SimTransport{world.network(), std::move(options), std::move(name)} {}

}  // namespace understudy::sim

namespace understudy {
using sim::SimTransport;
}
