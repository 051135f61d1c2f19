// The worlds in which a scenario runs: simulation with a seed, unix sockets, TCP on loopback. One test body runs in all
// of them and sees them as one type.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <tests/support/faulty_transport.hpp>
#include <tests/support/setting.hpp>
#include <understudy/sim/world/world.hpp>

namespace understudy::test {

class Harness {
public:
    virtual ~Harness() = default;
    virtual asio::any_io_executor executor() = 0;
    virtual Time now() const = 0;
    virtual std::uint64_t random() = 0;
    virtual Address address(const std::string& name) const = 0;
    virtual FaultyTransport listen(const Address& address, std::shared_ptr<Faults> faults) = 0;
    virtual FaultyTransport dial(const std::string& name, std::shared_ptr<Faults> faults) = 0;
    /// Runs until the condition holds; returns whether it does. In simulation at most `limit`; over sockets
    /// the limit is always 30 s.
    virtual bool until(std::function<bool()> condition, Duration limit) = 0;
    virtual void pass(Duration length) = 0;
};

/// Virtual time, one seed.
class SimHarness final : public Harness {
public:
    using Carrier = SimTransport;

    explicit SimHarness(std::uint64_t seed) : world_{seed} {}

    asio::any_io_executor executor() override { return world_.get_executor(); }
    Time now() const override { return world_.now(); }
    std::uint64_t random() override { return world_.random()(); }
    Address address(const std::string& name) const override { return "sim://" + name; }
    Carrier listen(const Address& address) { return world_.network().transport(address); }
    Carrier dial(const std::string& name) { return world_.network().client(name); }
    FaultyTransport listen(const Address& address, std::shared_ptr<Faults> faults) override {
        return FaultyTransport{listen(address), std::move(faults)};
    }
    FaultyTransport dial(const std::string& name, std::shared_ptr<Faults> faults) override {
        return FaultyTransport{dial(name), std::move(faults)};
    }

    bool until(std::function<bool()> condition, Duration limit) override {
        return world_.run_until(std::move(condition), limit);
    }
    void pass(Duration length) override { world_.run_for(length); }

private:
    sim::World world_;
};

/// Runs the body in simulation, on UNDERSTUDY_SEEDS seeds starting with UNDERSTUDY_FROM.
template <typename Body>
void in_simulation(Body body, std::uint64_t seeds = 10) {
    const auto from = setting("UNDERSTUDY_FROM", 1);
    const auto count = setting("UNDERSTUDY_SEEDS", seeds);
    for (auto seed = from; seed < from + count; ++seed) {
        CAPTURE(seed);
        SimHarness harness{seed};
        body(harness);
    }
}

/// Runs the body in simulation and over both kinds of sockets.
void in_every_world(const std::function<void(Harness&)>& body, std::uint64_t seeds = 10);

}  // namespace understudy::test
