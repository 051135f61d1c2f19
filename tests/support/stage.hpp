// The worlds in which a scenario is played: simulation with a seed, unix sockets, TCP on loopback. One test body serves all.
#pragma once

#include <cstdlib>
#include <string>
#include <utility>

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <tests/support/net.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/net/unix.hpp>
#include <understudy/sim/world.hpp>

namespace understudy::test {

/// Virtual time, one seed.
class SimStage {
public:
    using Carrier = SimTransport;
    static constexpr bool is_virtual = true;

    explicit SimStage(std::uint64_t seed) : world_{seed} {}

    asio::any_io_executor executor() { return world_.get_executor(); }
    Time now() const { return world_.now(); }
    std::uint64_t random() { return world_.random()(); }
    Address address(const std::string& name) const { return "sim://" + name; }
    Carrier listen(const Address& address) { return world_.network().transport(address); }
    Carrier dial(const std::string& name) { return world_.network().client(name); }

    /// Whether it comes to hold within the time, which is a verdict here.
    template <typename Condition>
    bool until(Condition condition, Duration limit) {
        return world_.run_until(std::move(condition), limit);
    }
    void pass(Duration length) { world_.run_for(length); }

private:
    sim::World world_;
};

/// Real sockets in real time: only events count, and are waited for up to 30 s.
template <typename Transport>
class SocketStage {
public:
    using Carrier = Transport;
    static constexpr bool is_virtual = false;

    asio::any_io_executor executor() { return io_.get_executor(); }
    Time now() const { return net::boot_time(); }
    std::uint64_t random() { return random_(); }
    Address address(const std::string& name) const {
        return std::is_same_v<Transport, net::UnixTransport> ? folder_.address(name) : "tcp://127.0.0.1:0";
    }
    Carrier listen(const Address& address) { return Carrier{io_, address}; }
    Carrier dial(const std::string&) { return Carrier{io_}; }

    template <typename Condition>
    bool until(Condition condition, Duration) {
        return run_until(io_, std::move(condition));
    }
    void pass(Duration length) {
        io_.restart();
        io_.run_for(length);
    }

private:
    TemporaryFolder folder_;
    asio::io_context io_;
    sim::Random random_{20240607};
};
using UnixStage = SocketStage<net::UnixTransport>;
using TcpStage = SocketStage<net::TcpTransport>;

inline std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// Plays the body in simulation, on UNDERSTUDY_SEEDS seeds from UNDERSTUDY_FROM on.
template <typename Body>
void in_simulation(Body body, std::uint64_t seeds = 10) {
    const auto from = setting("UNDERSTUDY_FROM", 1);
    const auto count = setting("UNDERSTUDY_SEEDS", seeds);
    for (auto seed = from; seed < from + count; ++seed) {
        CAPTURE(seed);
        SimStage stage{seed};
        body(stage);
    }
}

/// Plays the body in simulation and over both kinds of sockets.
template <typename Body>
void in_every_world(Body body, std::uint64_t seeds = 10) {
    SUBCASE("in simulation") { in_simulation(body, seeds); }
    SUBCASE("over unix sockets") {
        UnixStage stage;
        body(stage);
    }
    SUBCASE("over TCP") {
        TcpStage stage;
        body(stage);
    }
}

}  // namespace understudy::test
