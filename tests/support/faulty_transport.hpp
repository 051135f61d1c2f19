// A proxy around any transport: it loses or delays messages while connections stay up. It is one type whatever it
// wraps, so the code above it is compiled once for all worlds.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/transport.hpp>

namespace understudy::test {

/// The faults of one node. The test may change them at any time.
struct Faults {
    using Rule = std::function<bool(const Address& peer, std::string_view payload)>;

    Rule lose_incoming;
    Rule lose_outgoing;
    Rule hold_incoming;
    std::size_t received = 0;  ///< Messages that were handed over to the owner.
    std::size_t pings = 0;     ///< How many of these were pings.
    std::vector<Delivered> held;
    bool released = false;
    std::function<void()> wake;

    /// Delivers the messages that were held back.
    void release() {
        hold_incoming = nullptr;
        released = true;
        if (wake) wake();
    }
};

/// A transport interface with virtual functions.
class Line {
public:
    virtual ~Line() = default;
    virtual asio::any_io_executor get_executor() const = 0;
    virtual Address local() const = 0;
    virtual Time now() const = 0;
    virtual std::uint64_t random() = 0;
    virtual void send(const Address& to, std::string payload) = 0;
    virtual asio::awaitable<TransportEvents> next(Time deadline) = 0;
    virtual void wake() = 0;
    virtual void probe(const Address& address) = 0;
    virtual void pause(const Address& peer) = 0;
    virtual void resume(const Address& peer) = 0;
    virtual void close() = 0;
};

template <Transport T>
class LineOver final : public Line {
public:
    explicit LineOver(T inner) : inner_{std::move(inner)} {}
    asio::any_io_executor get_executor() const override { return inner_.get_executor(); }
    Address local() const override { return inner_.local(); }
    Time now() const override { return inner_.now(); }
    std::uint64_t random() override { return inner_.random(); }
    void send(const Address& to, std::string payload) override { inner_.send(to, std::move(payload)); }
    asio::awaitable<TransportEvents> next(Time deadline) override { return inner_.next(deadline); }
    void wake() override { inner_.wake(); }
    void probe(const Address& address) override { inner_.probe(address); }
    void pause(const Address& peer) override { inner_.pause(peer); }
    void resume(const Address& peer) override { inner_.resume(peer); }
    void close() override { inner_.close(); }

private:
    T inner_;
};

class FaultyTransport {
public:
    // Excludes T = FaultyTransport: to check whether that is a Transport, the compiler would need this constructor.
    template <typename T>
        requires(!std::same_as<T, FaultyTransport> && Transport<T>)
    explicit FaultyTransport(T inner, std::shared_ptr<Faults> faults = std::make_shared<Faults>())
        : state_{std::make_shared<State>(std::make_unique<LineOver<T>>(std::move(inner)), std::move(faults))} {
        state_->faults->wake = [weak = std::weak_ptr{state_}] {
            if (auto state = weak.lock()) state->inner->wake();
        };
    }

    asio::any_io_executor get_executor() const { return state_->inner->get_executor(); }
    Address local() const { return state_->inner->local(); }
    Time now() const { return state_->inner->now(); }
    std::uint64_t random() { return state_->inner->random(); }
    void wake() { state_->inner->wake(); }
    void probe(const Address& address) { state_->inner->probe(address); }
    void pause(const Address& peer) { state_->inner->pause(peer); }
    void resume(const Address& peer) { state_->inner->resume(peer); }
    void close() { state_->inner->close(); }

    void send(const Address& to, std::string payload) {
        const auto& lost = state_->faults->lose_outgoing;
        if (!lost || !lost(to, payload)) state_->inner->send(to, std::move(payload));
    }
    asio::awaitable<TransportEvents> next(Time deadline) { return next(state_, deadline); }

private:
    struct State {
        State(std::unique_ptr<Line> line, std::shared_ptr<Faults> what)
            : inner{std::move(line)}, faults{std::move(what)} {}
        std::unique_ptr<Line> inner;
        std::shared_ptr<Faults> faults;
    };

    static asio::awaitable<TransportEvents> next(std::shared_ptr<State> state, Time deadline) {
        TransportEvents arrivals = co_await state->inner->next(deadline);
        filter(*state->faults, arrivals);
        co_return arrivals;
    }

    static void filter(Faults& faults, TransportEvents& arrivals) {
        TransportEvents passed;
        if (std::exchange(faults.released, false))
            for (auto& message : std::exchange(faults.held, {})) passed.emplace_back(std::move(message));
        for (auto& arrival : arrivals) {
            auto* message = std::get_if<Delivered>(&arrival);
            if (message && faults.lose_incoming && faults.lose_incoming(message->from, message->payload)) continue;
            if (message && faults.hold_incoming && faults.hold_incoming(message->from, message->payload)) {
                faults.held.push_back(std::move(*message));
                continue;
            }
            if (message) {
                ++faults.received;
                faults.pings += message->payload.find("\"view.ping\"") != std::string::npos;
            }
            passed.push_back(std::move(arrival));
        }
        arrivals = std::move(passed);
    }

    std::shared_ptr<State> state_;
};
static_assert(Transport<FaultyTransport>);

}  // namespace understudy::test
