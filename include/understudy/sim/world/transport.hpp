// The transport of the simulated network. It models the same concept as the socket transports, so the services run
// unchanged in a simulated world.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>

#include <understudy/options.hpp>
#include <understudy/sim/world/network.hpp>
#include <understudy/transport.hpp>

namespace understudy::sim {

class World;

/// A Transport over a simulated network; see the concept for the operations. It uses the world's executor, time and
/// random numbers. After a crash of its process, `next` throws `error::closed` and all other calls are ignored. The
/// destructor closes it. A paused process is suspended only in `next`; other coroutines of a host go on running.
class SimTransport {
public:
    /// With `options.listen` it is a server with that name (or `options.advertise`); otherwise a client, called `name`
    /// or `client-N`. Throws `std::system_error` with `error::invalid_options` or `address_in_use`.
    SimTransport(Network& network, TransportOptions options, std::string name = {})
        : network_{&network}, endpoint_{network.open(std::move(options), std::move(name))} {}
    SimTransport(World& world, TransportOptions options, std::string name = {});

    SimTransport(SimTransport&& other) noexcept = default;
    SimTransport& operator=(SimTransport&& other) noexcept {
        SimTransport taken{std::move(other)};
        std::swap(network_, taken.network_);
        std::swap(endpoint_, taken.endpoint_);
        return *this;
    }
    ~SimTransport() { close(); }

    asio::any_io_executor get_executor() const { return endpoint_->executor(); }
    /// The address that peers dial; empty for a client.
    Address local() const { return endpoint_->options().listen.empty() ? Address{} : endpoint_->name(); }
    std::size_t max_frame() const { return endpoint_->options().max_frame; }
    /// The name by which links and faults refer to this node.
    const std::string& name() const { return endpoint_->name(); }
    Time now() const { return endpoint_->now(); }
    std::uint64_t random() { return endpoint_->random()(); }

    void send(const Address& to, std::string payload) {
        if (!alive()) return;
        // While the process is busy (`World::work`), its frames leave only at the end of this time, as they would with
        // a real slow store.
        if (endpoint_->is_free()) return network_->send(endpoint_, to, std::move(payload));
        endpoint_->when_free([network = network_, endpoint = endpoint_, to, text = std::move(payload)] {
            if (!endpoint->closed()) network->send(endpoint, to, text);
        });
    }
    asio::awaitable<TransportEvents> next(Time deadline) { return next(network_, endpoint_, deadline); }
    void wake() { endpoint_->wake(); }
    void probe(const Address& address) {
        if (alive()) network_->probe(endpoint_, address);
    }
    void pause(const Address& peer) {
        if (alive()) network_->pause_reading(*endpoint_, peer);
    }
    void resume(const Address& peer) {
        if (alive()) network_->resume_reading(*endpoint_, peer);
    }
    void close() {
        if (alive()) network_->close(endpoint_);
    }

private:
    bool alive() const { return endpoint_ && !endpoint_->closed(); }

    // The endpoint must outlive the handle while this coroutine waits, so it is kept as a parameter.
    static asio::awaitable<TransportEvents> next(Network* network, std::shared_ptr<Endpoint> endpoint, Time deadline) {
        co_await Endpoint::wait(endpoint, deadline);
        co_return network->take(*endpoint);
    }

    Network* network_;  // valid while the endpoint is not closed
    std::shared_ptr<Endpoint> endpoint_;
};

static_assert(understudy::Transport<SimTransport>);

inline SimTransport Network::transport(Address address) {
    TransportOptions options;
    options.listen = std::move(address);
    return SimTransport{*this, std::move(options)};
}
inline SimTransport Network::client(std::string name) { return SimTransport{*this, {}, std::move(name)}; }

}  // namespace understudy::sim
