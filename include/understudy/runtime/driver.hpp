// The driver joins a state machine with a transport. Its loop is the only coroutine that services and clients share. It
// waits until messages have arrived or the state machine's deadline has come, passes them to the state machine, and
// carries out the output. `run`, below, has the whole order.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/error.hpp>
#include <understudy/protocol/caller.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/output.hpp>
#include <understudy/replica/output.hpp>
#include <understudy/runtime/erased_transport.hpp>
#include <understudy/runtime/node.hpp>
#include <understudy/runtime/repeated_events.hpp>
#include <understudy/transport.hpp>
#include <understudy/wire/json.hpp>

namespace understudy::detail {

/// The state machine of a replica: it asks for journal batches, and it answers calls of the host in the same process
/// (`replica::local_peer`).
template <typename M>
concept Replicates = std::derived_from<typename M::Output, replica::Output>;

/// A state machine, its transport, and the data that passes between them. A node (`runtime/*_node.ipp`) owns one, and
/// `run` calls the functions of a turn.
template <StateMachine M>
class Driver {
public:
    using Output = typename M::Output;

    Driver(M state_machine, std::unique_ptr<TransportBase> carrier, Observer observer)
        : machine{std::move(state_machine)}, transport{std::move(carrier)}, observer_{std::move(observer)} {}

    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;

    M machine;
    std::unique_ptr<TransportBase> transport;
    bool running = false;  ///< Whether the loop runs, or is about to.

    bool stopped() const { return stopped_; }
    std::error_code stopped_by() const { return stopped_by_; }
    /// Ends the loop for good. Only the first call counts.
    void stop(std::error_code by) {
        if (std::exchange(stopped_, true)) return;
        stopped_by_ = by;
        transport->close();
    }

    /// Runs a step that the host asks for, between two turns. Its output leaves with the next turn, which `wake` starts
    /// at once.
    template <typename Step>
    void ask(Step step) {
        step(machine, transport->now(), output());
        transport->wake();
    }

    /// Emits an event. An exception of the observer leaves the executor's `run()`, as from any handler; the service
    /// continues.
    void emit(const Event& event) {
        if (!observer_ || silent_) return;
        try {
            observer_(event);
        } catch (...) {
            asio::post(transport->get_executor(),
                       [thrown = std::current_exception()] { std::rethrow_exception(thrown); });
        }
    }
    /// From now on the observer gets no events.
    void silence() { silent_ = true; }

    // ---- a turn -------------------------------------------------------------------------------------------

    /// Passes all that has arrived to the state machine.
    void receive(TransportEvents arrivals, Time now) {
        for (auto& arrival : arrivals)
            std::visit([&](auto& one) { take(one, now); }, arrival);
        transport->reuse(std::move(arrivals));
    }
    /// Passes one message to the state machine. The payload is not kept.
    void receive(const Peer& from, std::string_view payload, Time now) {
        if constexpr (requires { machine.receive(Caller{}, view_, now, output()); })
            if (receive_view(from, payload, now)) return;
        auto decoded = wire::decode(payload);
        if (auto* wrong = std::get_if<wire::DecodeError>(&decoded)) return refuse(from, *wrong);
        auto& [id, content] = std::get<wire::Decoded>(decoded);
        if (const auto* ping = std::get_if<Ping>(&content))
            // The view service would announce this name to other nodes, and they could not dial it.
            if (auto wrong = transport->name_fault(ping->server); !wrong.empty())
                return refuse(from, {id, error::bad_request, std::move(wrong), "view.ping"});
        machine.receive({from, std::move(id), std::move(content)}, now, output());
    }
    /// Lets the state machine do what is due, except for work of the host's store.
    void wake(Time now) {
        if constexpr (WorkingStateMachine<M>) machine.respond(now, output());
        else machine.wake(now, output());
        // Checked before anything leaves: a state machine that is in a wrong state must not send its output.
        machine.invariants();
    }
    /// The rest of a turn: the state machine calls the host's store, as much as a turn has time for. Its output leaves
    /// as that of `wake` does.
    void work() {
        while (machine.has_work()) machine.work(transport->now(), output());
        machine.end_work(transport->now(), output());
        machine.invariants();
    }
    /// What the turn has asked for so far.
    Output& output() { return *filling_; }

    /// Carries out the output; `node` gets what is for the host or its journal. What an observer adds meanwhile by a
    /// call of the service waits for the next turn. The journal batch is submitted before any message leaves, so that
    /// no message can depend on a batch that was never submitted (S9).
    template <typename N>
    void carry_out(N& node) {
        std::swap(filling_, doing_);
        if constexpr (Replicates<M>)
            if (doing_->journal) node.submit(*doing_->journal);
        send_all(node);
        if constexpr (requires { doing_->probes; })
            for (const auto& address : doing_->probes) transport->probe(address);
        if constexpr (requires { doing_->holds; })
            for (const auto& hold : doing_->holds) pause_or_resume(hold);
        emit_all(doing_->events);
        doing_->clear();
        if (buffer_.capacity() > kept_buffer) std::string{}.swap(buffer_);
    }

private:
    // ---- what arrives ----

    /// Passes on a message of every call. Returns false if the payload is none.
    bool receive_view(const Peer& from, std::string_view payload, Time now) {
        CallId id;
        const bool is_view = wire::decode_view(payload, id, view_);
        if (is_view) machine.receive(Caller{from, id}, view_, now, output());
        // The list keeps its memory from append to append. One append of many small entries would have it keep more
        // than the frame that it came in; so would a payload of which only the end is unusual.
        if (const auto* append = std::get_if<AppendView>(&view_); append && append->entries.capacity() > kept_entries)
            view_ = {};
        return is_view;
    }
    void take(Delivered& message, Time now) { receive(message.from, message.payload, now); }
    void take(Disconnected& gone, Time now) { machine.disconnected(gone.peer, now, output()); }
    void take(Probed& probed, Time now) { machine.probed(probed.address, probed.result, now, output()); }
    void take(Backlog& backlog, Time) {
        if constexpr (requires { machine.backlog(backlog.peer, backlog.full); })
            machine.backlog(backlog.peer, backlog.full);
    }
    void take(ProtocolError& broken, Time) {
        reached(broken.code);
        output().emit(Malformed{std::move(broken.peer), broken.code, std::move(broken.what)});
    }
    void take(ConnectionsRefused& refused, Time) { output().emit(std::move(refused)); }
    void take(ConnectionsAccepted& accepted, Time) { output().emit(accepted); }

    void refuse(const Address& peer, const wire::DecodeError& wrong) {
        reached(wrong.code);
        transport->malformed(peer);
        output().emit(Malformed{peer, wrong.code, wrong.text});
        if (wrong.answer) output().send(peer, wrong.id, wire::to_failure(wrong));
    }

    // ---- what leaves ----

    template <typename N>
    void send_all(N& node) {
        const Envelope* before = nullptr;
        for (auto& sent : doing_->outbox) {
            if constexpr (Replicates<M>)
                if (sent.peer == replica::local_peer) {
                    node.answer(std::move(sent));
                    continue;
                }
            if (!write_in_place(sent)) {
                if (!is_same_push(before, sent)) {
                    buffer_.clear();
                    wire::encode(buffer_, sent);
                }
                transport->send(sent.peer, buffer_);
                before = &sent;
            }
        }
    }

    /// Encodes a message where it is sent from, if the transport lets us and nobody else gets the same text.
    bool write_in_place(const Envelope& sent) {
        if (std::holds_alternative<ViewChanged>(sent.message)) return false;
        auto* const frame = transport->begin_frame(sent.peer);
        if (!frame) return false;
        try {
            wire::encode(*frame, sent);
        } catch (...) {
            transport->drop_frame();  // a part of a frame would spoil all that follows
            throw;
        }
        transport->end_frame();
        return true;
    }

    /// Whether this message pushes the same view as the one before. A view that is pushed to many peers is encoded
    /// once.
    static bool is_same_push(const Envelope* before, const Envelope& sent) {
        const auto* push = std::get_if<ViewChanged>(&sent.message);
        const auto* pushed = push && before ? std::get_if<ViewChanged>(&before->message) : nullptr;
        return pushed && *pushed == *push;
    }

    void pause_or_resume(const replica::Hold& hold) {
        if (hold.peer == replica::local_peer) return;  // a call of the host in this process has no connection to pause
        if (hold.on)
            transport->pause(hold.peer);
        else
            transport->resume(hold.peer);
    }

    void emit_all(const std::vector<Event>& events) {
        if constexpr (requires { M::emits_each_refusal; }) {
            for (const auto& event : events) emit(event);
        } else if (!events.empty() || !repeated_.empty()) {
            const Time now = transport->now();
            for (const auto& event : events)
                if (repeated_.is_new(event, now)) emit(event);
            repeated_.emit_due(now, [&](const Event& event) { emit(event); });
        }
    }

    static constexpr std::size_t kept_buffer = 1u << 20;
    static constexpr std::size_t kept_entries = 4096;

    Observer observer_;
    // One is filled while the other is carried out. These and the buffer keep their memory from turn to turn, up to a
    // bound.
    Output outputs_[2];
    Output *filling_ = &outputs_[0], *doing_ = &outputs_[1];
    std::string buffer_;
    MessageView view_;  // of the message that was received last
    RepeatedEvents repeated_;
    bool stopped_ = false;
    bool silent_ = false;
    std::error_code stopped_by_;
};

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
