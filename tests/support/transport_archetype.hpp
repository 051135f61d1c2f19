// The types with the fewest operations that satisfy the concept Transport, joined by a network in memory. A service
// that compiles and works over them requires no more of a transport than the concept states. Time stands still until a
// test advances it.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/async/completion_handler.hpp>
#include <understudy/transport.hpp>

namespace understudy::test {

class MemoryNetwork;

/// One node's end of the network.
struct MemoryNode {
    MemoryNetwork* network;  // valid while the node is not closed
    asio::any_io_executor executor;
    Address local;    // also the name of a node that only dials
    bool dialled = true;
    TransportEvents arrived;
    bool woken = false;
    bool closed = false;
    Time deadline = never;
    detail::CompletionHandler<TransportEvents> pending;
    std::set<Address> paused;
    std::size_t wakes = 0;

    void ring();
    void close();
    TransportEvents take() {  // called when the waiter runs, so that everything that arrived until then comes together
        woken = false;
        return std::exchange(arrived, {});
    }
};

/// Delivers every message in order and at once, except to nodes that have disconnected. Move time with `advance`.
class MemoryNetwork {
public:
    explicit MemoryNetwork(asio::io_context& io) : io_{io} {}
    MemoryNetwork(const MemoryNetwork&) = delete;
    MemoryNetwork& operator=(const MemoryNetwork&) = delete;
    /// Ends as an execution context does: waiting operations are destroyed, not completed.
    ~MemoryNetwork() {
        for (auto& [address, weak] : std::exchange(nodes_, {}))
            if (auto node = weak.lock()) {
                node->closed = true;
                auto dropped = std::exchange(node->pending, {});
            }
    }

    Time now() const { return now_; }
    std::uint64_t random() { return ++drawn_; }
    asio::io_context& io() { return io_; }

    void attach(const std::shared_ptr<MemoryNode>& node) { nodes_[node->local] = node; }
    Address stranger() { return "stranger-" + std::to_string(++strangers_); }
    std::shared_ptr<MemoryNode> find(const Address& address) {
        auto found = nodes_.find(address);
        auto node = found == nodes_.end() ? nullptr : found->second.lock();
        return node && !node->closed ? node : nullptr;
    }
    void deliver(const Address& to, TransportEvent arrival) {
        if (auto node = find(to)) {
            node->arrived.push_back(std::move(arrival));
            node->ring();
        }
    }
    /// Notifies every node that has spoken with `address` that `address` has disconnected.
    void disconnected(const Address& address) {
        for (const auto& peer : std::exchange(talked_[address], {})) {
            talked_[peer].erase(address);
            deliver(peer, Disconnected{address, "closed"});
        }
    }
    void talk(const Address& a, const Address& b) {
        talked_[a].insert(b);
        talked_[b].insert(a);
    }

    /// Runs whatever is ready, and no more.
    void settle() {
        io_.restart();
        io_.poll();
    }
    /// Advances the time by `by` in steps, and runs whatever falls due.
    void advance(Duration by, Duration step = std::chrono::milliseconds{5}) {
        settle();
        for (auto end = now_ + by; now_ < end; settle()) {
            now_ += step;
            for (auto& [address, weak] : std::map{nodes_})
                if (auto node = weak.lock(); node && node->deadline <= now_) node->ring();
        }
    }
    /// Advances the time until `done()`; returns false if that takes more than `limit`.
    template <typename Done>
    bool until(Done done, Duration limit = std::chrono::seconds{60}) {
        settle();
        for (auto end = now_ + limit; !done(); advance(std::chrono::milliseconds{5}))
            if (now_ >= end) return false;
        return true;
    }

private:
    asio::io_context& io_;
    Time now_ = Time{} + std::chrono::seconds{1};
    std::uint64_t drawn_ = 0, strangers_ = 0;
    std::map<Address, std::weak_ptr<MemoryNode>> nodes_;
    std::map<Address, std::set<Address>> talked_;
};

inline void MemoryNode::ring() {
    if (!pending) {
        woken = true;
        return;
    }
    woken = false;
    deadline = never;
    if (closed) return std::exchange(pending, {}).post(executor, error::closed, {});
    std::exchange(pending, {}).post(executor, {}, {});
}
inline void MemoryNode::close() {
    if (std::exchange(closed, true)) return;
    arrived.clear();
    network->disconnected(local);
    ring();
}

struct NextOperation {
    std::shared_ptr<MemoryNode> node;

    struct Cancel {
        std::weak_ptr<MemoryNode> node;
        void operator()(asio::cancellation_type) const {
            if (auto alive = node.lock(); alive && alive->pending)
                std::exchange(alive->pending, {}).post(alive->executor, asio::error::operation_aborted, {});
        }
    };
    template <typename Handler>
    void operator()(Handler handler, Time deadline) const {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) slot.assign(Cancel{node});
        node->pending = {std::move(handler), node->executor, [node = node](std::error_code& ec, TransportEvents&&) {
                             return ec ? TransportEvents{} : node->take();
                         }};
        node->deadline = deadline;
        if (node->woken || node->closed || !node->arrived.empty() || deadline <= node->network->now())
            node->ring();
    }
};

class ArchetypeTransport {
public:
    /// A node without a name only dials.
    explicit ArchetypeTransport(MemoryNetwork& network, Address name = {})
        : node_{std::make_shared<MemoryNode>()} {
        node_->network = &network;
        node_->executor = network.io().get_executor();
        node_->dialled = !name.empty();
        node_->local = name.empty() ? network.stranger() : std::move(name);
        network.attach(node_);
    }
    ArchetypeTransport(ArchetypeTransport&&) = default;
    ArchetypeTransport& operator=(ArchetypeTransport&&) = default;
    ~ArchetypeTransport() {
        if (node_) node_->close();
    }

    asio::any_io_executor get_executor() const { return node_->executor; }
    Address local() const { return node_->dialled ? node_->local : Address{}; }
    Time now() const { return node_->network->now(); }
    std::uint64_t random() { return node_->network->random(); }

    void send(const Address& to, const std::string& payload) {
        auto& network = *node_->network;
        if (node_->closed) return;
        if (!network.find(to)) return network.deliver(node_->local, Disconnected{to, "refused"});
        network.talk(node_->local, to);
        network.deliver(to, Delivered{node_->local, payload});
    }
    asio::awaitable<TransportEvents> next(Time deadline) {
        return asio::async_initiate<const asio::use_awaitable_t<>, void(std::error_code, TransportEvents)>(
            NextOperation{node_}, asio::use_awaitable, deadline);
    }
    void wake() {
        ++node_->wakes;
        node_->ring();
    }
    void probe(const Address& address) {
        auto& network = *node_->network;
        const auto result = network.find(address) ? ProbeResult::alive : ProbeResult::refused;
        network.deliver(node_->local, Probed{address, result});
    }
    void pause(const Address& peer) { node_->paused.insert(peer); }
    void resume(const Address& peer) { node_->paused.erase(peer); }
    void close() { node_->close(); }

private:
    std::shared_ptr<MemoryNode> node_;
};
static_assert(Transport<ArchetypeTransport>);

}  // namespace understudy::test
