// The driver joins a state machine with a transport. Its loop is the only coroutine that services and clients share. It
// waits until messages have arrived or the state machine's deadline has come, passes them to the state machine, and
// carries out the output.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
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
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/output.hpp>
#include <understudy/replica/output.hpp>
#include <understudy/runtime/erased_transport.hpp>
#include <understudy/runtime/node.hpp>
#include <understudy/runtime/repeated_events.hpp>
#include <understudy/transport.hpp>
#include <understudy/wire/json.hpp>

namespace understudy::detail {

/// A state machine, its transport, and the data that passes between them, with the interface `N` for the host's side.
/// Each kind of service and client derives its driver from this.
template <StateMachine M, std::derived_from<Node> N = Node>
class Driver : public N {
public:
    Driver(M state_machine, std::unique_ptr<TransportBase> carrier, Observer observer)
        : machine{std::move(state_machine)}, transport{std::move(carrier)}, observer_{std::move(observer)} {}

    M machine;
    std::unique_ptr<TransportBase> transport;
    bool running = false;

    asio::any_io_executor executor() override { return transport->get_executor(); }
    Address local() const override { return transport->local(); }
    bool stopped() const { return stopped_; }
    /// From now on the observer gets no events.
    void silence() { silent_ = true; }
    std::error_code stopped_by() const { return stopped_by_; }

    void stop(std::error_code by = {}) override {
        if (std::exchange(stopped_, true)) return;
        stopped_by_ = by;
        was_stopped();
        transport->close();
    }

    /// Runs a step that the host asks for, between two turns. Its output leaves with the next turn, which `wake` starts
    /// at once.
    template <typename Step>
    void ask(Step step) {
        this->threads.called(*this);
        step(machine, transport->now(), output_);
        transport->wake();
    }

    /// The first half of a turn: passes all events that have arrived to the state machine, and calls `respond` or
    /// `wake` once. `end_turn` then carries out the output. Between the two, a view service stores its changes.
    void begin_turn(TransportEvents arrivals) {
        this->threads.turn();
        const Time now = transport->now();
        for (auto& arrival : arrivals)
            std::visit([&](auto& one) { take(one, now); }, arrival);
        transport->reuse(std::move(arrivals));
        about_to_wake(now, output_);
        if constexpr (WorkingStateMachine<M>) machine.respond(now, output_);
        else machine.wake(now, output_);
        // Checked before anything leaves: a state machine that is in a wrong state must not send its output.
        machine.invariants();
    }
    void end_turn() {
        carry_out();
        turn_ended();
    }

    /// The rest of a turn: the state machine calls the host's store, as much as a turn has time for. Its output leaves
    /// as that of a turn does.
    void work() {
        while (machine.has_work()) machine.work(transport->now(), output_);
        machine.end_work(transport->now(), output_);
        machine.invariants();
        end_turn();
    }

    /// When the next turn is due even if nothing arrives.
    virtual Time deadline() const { return machine.deadline(); }
    virtual void run_ended() {}    ///< Called when the loop has ended: complete what waits for it.
    virtual void run_dropped() {}  ///< Called when the loop was destroyed: drop what waits for it.

protected:
    virtual void answered(Envelope) {}  ///< The state machine answers a call of the host.
    virtual void turn_ended() {}        ///< Take what the state machine has finished.
    /// Pass other events, such as those of the journal, to the state machine.
    virtual void about_to_wake(Time, typename M::Output&) {}
    /// Submit this batch to stable storage, before any message leaves.
    virtual void persist(JournalBatch&) {}
    virtual void was_stopped() {}                  ///< From now on no other thread may use the executor.

    /// Emits an event. An exception of the observer leaves the executor's `run()`, as from any handler; the service
    /// continues.
    void emit(const Event& event) {
        if (!observer_ || silent_) return;
        try {
            observer_(event);
        } catch (...) {
            asio::post(this->executor(), [thrown = std::current_exception()] { std::rethrow_exception(thrown); });
        }
    }

private:
    void take(Delivered& message, Time now) {
        auto decoded = wire::decode(message.payload);
        if (auto* wrong = std::get_if<wire::DecodeError>(&decoded)) return refuse(message.from, *wrong);
        auto& [id, content] = std::get<wire::Decoded>(decoded);
        if (const auto* ping = std::get_if<Ping>(&content))
            // The view service would announce this name to other nodes, and they could not dial it.
            if (auto wrong = transport->name_fault(ping->server); !wrong.empty())
                return refuse(message.from, {id, error::bad_request, std::move(wrong), "view.ping"});
        machine.receive({std::move(message.from), std::move(id), std::move(content)}, now, output_);
    }
    void take(Disconnected& gone, Time now) { machine.disconnected(gone.peer, now, output_); }
    void take(Probed& probed, Time now) { machine.probed(probed.address, probed.result, now, output_); }
    void take(Backlog& backlog, Time) {
        if constexpr (requires { machine.backlog(backlog.peer, backlog.full); })
            machine.backlog(backlog.peer, backlog.full);
    }
    void take(ProtocolError& broken, Time) {
        reached(broken.code);
        output_.emit(Malformed{std::move(broken.peer), broken.code, std::move(broken.what)});
    }

    void take(ConnectionsRefused& refused, Time) { output_.emit(std::move(refused)); }
    void take(ConnectionsAccepted& accepted, Time) { output_.emit(accepted); }

    void refuse(const Address& peer, const wire::DecodeError& wrong) {
        reached(wrong.code);
        transport->malformed(peer);
        output_.emit(Malformed{peer, wrong.code, wrong.text});
        if (wrong.answer) output_.send(peer, wrong.id, wire::to_failure(wrong));
    }

    /// Carries out the output. `output_` is swapped out first, because an observer may call the service: what such a
    /// call adds waits for the next turn. The journal batch is submitted before any message leaves, so that no message
    /// can depend on a batch that was never submitted (S9).
    void carry_out() {
        std::swap(output_, doing_);
        if constexpr (requires { doing_.journal; })
            if (doing_.journal) persist(*doing_.journal);
        const Envelope* before = nullptr;
        for (auto& sent : doing_.outbox) {
            if (sent.peer == replica::local_peer) answered(std::move(sent));
            else if (is_same_push(before, sent)) transport->send(sent.peer, buffer_);
            else send(sent);
            before = &sent;
        }
        if constexpr (requires { doing_.probes; })
            for (const auto& address : doing_.probes) transport->probe(address);
        if constexpr (requires { doing_.holds; })
            for (const auto& hold : doing_.holds) {
                // A call of the host in this process has no connection to pause.
                if (hold.peer == replica::local_peer) continue;
                if (hold.on) transport->pause(hold.peer);
                else transport->resume(hold.peer);
            }
        emit_all(doing_.events);
        doing_.clear();
        if (buffer_.capacity() > kept_buffer) std::string{}.swap(buffer_);
    }

    /// Whether this message pushes the same view as the one before. A view that is pushed to many peers is encoded
    /// once.
    static bool is_same_push(const Envelope* before, const Envelope& sent) {
        const auto* push = std::get_if<ViewChanged>(&sent.message);
        const auto* pushed = push && before ? std::get_if<ViewChanged>(&before->message) : nullptr;
        return pushed && *pushed == *push;
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

    void send(const Envelope& envelope) {
        buffer_.clear();
        wire::encode(buffer_, envelope);
        transport->send(envelope.peer, buffer_);
    }

    static constexpr std::size_t kept_buffer = 1u << 20;

    Observer observer_;
    // Swapped each turn. These and the buffer keep their memory from turn to turn, up to a bound.
    typename M::Output output_, doing_;
    std::string buffer_;
    RepeatedEvents repeated_;
    bool stopped_ = false;
    bool silent_ = false;
    std::error_code stopped_by_;
};

/// Owns a driver while its loop runs, and already before the loop has started. If the loop is destroyed before it
/// ended, the destructor has the waiting calls dropped.
template <typename P>
class Running {
public:
    explicit Running(std::shared_ptr<P> driver) : driver_{std::move(driver)} { driver_->running = true; }
    Running(Running&&) = default;
    Running& operator=(Running&&) = delete;
    ~Running() {
        if (!driver_) return;
        driver_->running = false;
        driver_->run_dropped();
    }
    P* operator->() const { return driver_.get(); }

private:
    std::shared_ptr<P> driver_;
};

/// A driver with durable state. `prepare()` is awaited before the first turn. What a turn changes is stored, by
/// `store()`, before the output of that turn is carried out. No other turn begins while storing: for the state machine
/// this is time in which it did not run.
template <typename P>
concept Remembers = requires(P& driver) {
    { driver.prepare() } -> std::same_as<asio::awaitable<void>>;
    { driver.has_unstored() } -> std::same_as<bool>;
    { driver.store() } -> std::same_as<asio::awaitable<void>>;
};

template <typename P>
concept Works = WorkingStateMachine<decltype(std::declval<P&>().machine)>;

/// The loop. It ends when the driver is stopped, or with the exception of its transport. If that means cancellation,
/// the loop can be started again.
template <typename P>
asio::awaitable<void> run(Running<P> driver) {
    std::exception_ptr thrown;
    try {
        if constexpr (Remembers<P>) co_await driver->prepare();
        while (!driver->stopped()) {
            TransportEvents arrivals = co_await driver->transport->next(driver->deadline());
            driver->begin_turn(std::move(arrivals));
            if constexpr (Remembers<P>) {
                if (driver->has_unstored()) co_await driver->store();
                // Stopped while storing: no message may leave and no event may be emitted any more.
                if (driver->stopped()) break;
            }
            driver->end_turn();
            if constexpr (Works<P>) {
                if (!driver->machine.has_work()) continue;
                // The messages sent so far leave only when this coroutine waits. If the store is slow, let them leave
                // first.
                if (driver->machine.works_slowly()) co_await asio::post(driver->executor(), asio::use_awaitable);
                if (!driver->stopped()) driver->work();
            }
        }
    } catch (...) {
        thrown = std::current_exception();
    }
    // Calls complete however the loop ended. A deliberate stop takes precedence over an exception, since `stop` closes
    // the transport, which makes a pending `next` throw.
    driver->run_ended();
    if (driver->stopped_by()) throw std::system_error{driver->stopped_by()};
    if (thrown && !driver->stopped()) std::rethrow_exception(thrown);
}

inline asio::awaitable<void> fail(std::error_code ec) {
    throw std::system_error{ec};
    co_return;
}

/// Implements `begin_run` for every driver.
template <typename P>
asio::awaitable<void> begin_run_of(P& driver) {
    if (driver.running) return fail(asio::error::already_started);
    if (driver.stopped()) return fail(error::closed);
    return run(Running<P>{std::static_pointer_cast<P>(driver.shared_from_this())});
}

/// Starts the loop of a client, unless it is running. If the transport fails, the loop and the pending calls end; the
/// next call starts the loop again.
template <typename P>
void run_in_background(P& driver) {
    struct Ended {
        void operator()(std::exception_ptr thrown) const {
            try {
                if (thrown) std::rethrow_exception(thrown);
            } catch (const std::system_error&) {
            }
        }
    };
    if (!driver.running) asio::co_spawn(driver.executor(), begin_run_of(driver), Ended{});
}

}  // namespace understudy::detail
