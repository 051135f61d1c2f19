// The loop of a driver, the only coroutine that services and clients share. It waits until messages have arrived or the
// state machine's deadline has come, and takes a turn. `run`, below, has the whole order. A transport may call turns as
// plain functions instead (`CalledTurns`).
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/error.hpp>
#include <understudy/protocol/output.hpp>
#include <understudy/runtime/driver.hpp>
#include <understudy/runtime/erased_transport.hpp>
#include <understudy/runtime/node.hpp>
#include <understudy/transport.hpp>

namespace understudy::detail {

/// A node whose loop `run` runs. It composes a driver with what is particular to a kind of service or client.
///
/// | function | of | called |
/// | --- | --- | --- |
/// | `storage.load()` | a view service with a store | before the first turn of a run |
/// | `deadline()` | all | to know when the next turn is due even if nothing arrives |
/// | `before_wake(now, out)` | replica | when the messages are passed on: pass on what the journal has done |
/// | `storage.store()` | a view service with a store | when a turn has changed something, before its output leaves |
/// | `submit(batch)` | replica | before any message of the turn leaves |
/// | `answer(envelope)` | replica | for each answer to a call of the host |
/// | `after_turn()` | all | when the output was carried out: complete what the state machine has finished |
/// | `complete_calls()` | client | before a turn that the transport calls: run the handlers of finished calls |
/// | `end_calls()` | all | when the loop has ended: complete the calls that wait |
/// | `drop_calls()` | all | when the loop was destroyed: destroy the calls that wait |
template <typename N>
concept Driven = std::derived_from<N, Node> && requires(N& node, const N& fixed) {
    requires std::same_as<decltype(node.driver), Driver<typename N::Machine>>;
    { fixed.deadline() } -> std::same_as<Time>;
    node.after_turn();
    node.end_calls();
    node.drop_calls();
};

/// A node with durable state. No other turn begins while it stores: for the state machine this is time in which it did
/// not run.
template <typename N>
concept StoresChanges = requires(N& node) {
    { node.storage.load() } -> std::same_as<asio::awaitable<void>>;
    { node.storage.store() } -> std::same_as<asio::awaitable<void>>;
};

/// Owns a node while its loop runs, and already before the loop has started. If the loop is destroyed before it ended,
/// the destructor drops the calls that wait.
template <typename N>
class RunGuard {
public:
    explicit RunGuard(std::shared_ptr<N> node) : node_{std::move(node)} { node_->driver.running = true; }
    RunGuard(RunGuard&&) = default;
    RunGuard& operator=(RunGuard&&) = delete;
    ~RunGuard() {
        if (!node_) return;
        node_->driver.running = false;
        node_->drop_calls();
    }
    N* operator->() const { return node_.get(); }
    N& operator*() const { return *node_; }

private:
    std::shared_ptr<N> node_;
};

// ---- the steps of a turn ----

template <Driven N>
void receive(N& node, TransportEvents arrivals) {
    node.threads.turn();
    node.driver.receive(std::move(arrivals), node.driver.transport->now());
}
template <Driven N>
void wake(N& node) {
    auto& driver = node.driver;
    const Time now = driver.transport->now();
    if constexpr (Replicates<typename N::Machine>) node.before_wake(now, driver.output());
    driver.wake(now);
}
template <Driven N>
bool must_store(const N& node) {
    if constexpr (StoresChanges<N>) return node.driver.machine.has_changes();
    else return false;
}
template <Driven N>
void finish_turn(N& node) {
    node.driver.carry_out(node);
    node.after_turn();
}
template <Driven N>
bool has_work(const N& node) {
    if constexpr (WorkingStateMachine<typename N::Machine>) return node.driver.machine.has_work();
    else return false;
}
template <Driven N>
void work(N& node) {
    if constexpr (WorkingStateMachine<typename N::Machine>) {
        node.driver.work();
        finish_turn(node);
    }
}
/// Whether the messages of the turn should leave before its work. They leave only when the turn ends.
template <Driven N>
bool works_slowly(const N& node) {
    if constexpr (WorkingStateMachine<typename N::Machine>) return node.driver.machine.works_slowly();
    else return false;
}

/// Takes the turns of a node that its transport calls (`TurnHandler`). What needs a coroutine is left to `run`.
template <Driven N>
class CalledTurns final : public TurnHandler {
public:
    /// The step with which the coroutine goes on when `next` has completed.
    enum class Step { receive, store, work };

    explicit CalledTurns(N& node) : node_{node}, called_{transport().handle_turns(this)} {}
    CalledTurns(const CalledTurns&) = delete;
    CalledTurns& operator=(const CalledTurns&) = delete;
    ~CalledTurns() {
        if (called_) transport().handle_turns(nullptr);
    }

    /// What was thrown in the last turn. It is kept until the loop ends.
    std::exception_ptr thrown() const { return thrown_; }
    /// Where the last turn was left off. Throws what was thrown in it.
    Step left_off() {
        if (thrown_) std::rethrow_exception(thrown_);
        return std::exchange(left_off_, Step::receive);
    }

    void message(const Peer& from, std::string_view payload, Time now) override {
        guarded([&] {
            node_.threads.turn();
            node_.driver.receive(from, payload, now);
        });
    }
    void arrived(TransportEvents&& events) override {
        guarded([&] { receive(node_, std::move(events)); });
    }
    void complete() override {
        if constexpr (requires { node_.complete_calls(); }) node_.complete_calls();
    }
    std::optional<Time> turn() override {
        std::optional<Time> next;
        guarded([&] { next = take_turn(); });
        return next;
    }

private:
    TransportBase& transport() const { return *node_.driver.transport; }

    std::optional<Time> take_turn() {
        wake(node_);
        if (must_store(node_)) return leave_off(Step::store);
        finish_turn(node_);
        if (!node_.driver.stopped() && has_work(node_)) {
            if (works_slowly(node_)) return leave_off(Step::work);
            work(node_);
        }
        return node_.deadline();
    }
    std::optional<Time> leave_off(Step step) {
        left_off_ = step;
        return std::nullopt;
    }
    // An exception ends the loop, so the coroutine has to get it. Nothing is done after it.
    template <typename Step>
    void guarded(Step step) {
        if (thrown_) return;
        try {
            step();
        } catch (...) {
            thrown_ = std::current_exception();
        }
    }

    N& node_;
    Step left_off_ = Step::receive;
    std::exception_ptr thrown_;
    bool called_;
};

/// The loop, turn by turn. It ends when the driver is stopped, or with the exception of its transport. If that means
/// cancellation, the loop can be started again. A transport that can call turns itself does so; then `next` completes
/// only for what a plain function cannot do: to wait.
template <Driven N>
asio::awaitable<void> run(RunGuard<N> node) {
    using Step = typename CalledTurns<N>::Step;
    auto& driver = node->driver;
    std::exception_ptr thrown;
    std::optional<CalledTurns<N>> turns;
    try {
        if constexpr (StoresChanges<N>) co_await node->storage.load();
        turns.emplace(*node);
        while (!driver.stopped()) {
            TransportEvents arrivals = co_await driver.transport->next(node->deadline());
            const auto step = turns->left_off();
            if (step == Step::receive) {
                receive(*node, std::move(arrivals));
                wake(*node);
            }
            if (step != Step::work) {
                if constexpr (StoresChanges<N>) {
                    if (must_store(*node)) co_await node->storage.store();
                    // Stopped while storing: no message may leave and no event may be emitted any more.
                    if (driver.stopped()) break;
                }
                finish_turn(*node);
                if (!has_work(*node)) continue;
                // If the store is slow, let the messages leave first: they do when this coroutine waits.
                if (works_slowly(*node)) co_await asio::post(node->executor(), asio::use_awaitable);
            }
            if (driver.stopped()) break;
            work(*node);
        }
    } catch (...) {
        thrown = std::current_exception();
    }
    // If the loop was cancelled while a turn was called, what was thrown in that turn is still to be told.
    if (turns && turns->thrown()) thrown = turns->thrown();
    turns.reset();
    // Calls complete however the loop ended. A deliberate stop takes precedence over an exception, since `stop` closes
    // the transport, which makes a pending `next` throw.
    node->end_calls();
    if (driver.stopped_by()) throw std::system_error{driver.stopped_by()};
    if (thrown && !driver.stopped()) std::rethrow_exception(thrown);
}

inline asio::awaitable<void> fail(std::error_code ec) {
    throw std::system_error{ec};
    co_return;
}

/// Implements `begin_run` for every node.
template <Driven N>
asio::awaitable<void> begin_run_of(N& node) {
    if (node.driver.running) return fail(asio::error::already_started);
    if (node.driver.stopped()) return fail(error::closed);
    return run(RunGuard<N>{std::static_pointer_cast<N>(node.shared_from_this())});
}

/// Starts the loop of a client, unless it is running. If the transport fails, the loop and the pending calls end; the
/// next call starts the loop again.
template <Driven N>
void run_in_background(N& node) {
    struct Ended {
        void operator()(std::exception_ptr thrown) const {
            try {
                if (thrown) std::rethrow_exception(thrown);
            } catch (const std::system_error&) {
            }
        }
    };
    if (!node.driver.running) asio::co_spawn(node.executor(), begin_run_of(node), Ended{});
}

}  // namespace understudy::detail
