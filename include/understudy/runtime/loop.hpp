// The loop that joins a machine with a transport: the only coroutine that the services and clients share.
// It waits until something has arrived or the machine's deadline has come, tells the machine, and does what it says.
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
#include <understudy/protocol/effects.hpp>
#include <understudy/runtime/erased_transport.hpp>
#include <understudy/runtime/node.hpp>
#include <understudy/runtime/repeated_events.hpp>
#include <understudy/transport.hpp>
#include <understudy/wire/json.hpp>

namespace understudy::detail {

/// A machine, its transport, and what passes between them, behind the interface `N`. A service derives from it.
template <Machine M, std::derived_from<Node> N = Node>
class Party : public N {
public:
    Party(M rules, std::unique_ptr<TransportBase> carrier, Observer observer)
        : machine{std::move(rules)}, transport{std::move(carrier)}, observer_{std::move(observer)} {}

    M machine;
    std::unique_ptr<TransportBase> transport;
    bool running = false;

    asio::any_io_executor executor() override { return transport->get_executor(); }
    Address local() const override { return transport->local(); }
    bool stopped() const { return stopped_; }
    /// From now on nobody is told of anything.
    void silence() { silent_ = true; }
    std::error_code stopped_by() const { return stopped_by_; }

    void stop(std::error_code by = {}) override {
        if (std::exchange(stopped_, true)) return;
        stopped_by_ = by;
        was_stopped();
        transport->close();
    }

    /// A step that the host asks for, between two turns. Its effects leave with the next turn, which follows at once.
    template <typename Step>
    void ask(Step step) {
        this->threads.called(*this);
        step(machine, transport->now(), effects_);
        transport->wake();
    }

    /// One turn: all that has arrived and one `wake`. Then `end_turn` does everything that the machine wants done.
    void begin_turn(Arrivals arrivals) {
        this->threads.turn();
        const Time now = transport->now();
        for (auto& arrival : arrivals)
            std::visit([&](auto& one) { take(one, now); }, arrival);
        transport->reuse(std::move(arrivals));
        about_to_wake(now, effects_);
        if constexpr (WorkingMachine<M>) machine.respond(now, effects_);
        else machine.wake(now, effects_);
        machine.invariants();  // before anything leaves: a machine that is wrong says nothing more
    }
    void end_turn() {
        carry_out();
        turn_ended();
    }

    /// The rest of a turn: the machine's work for the host's code, as far as a turn has time for it.
    void work() {
        while (machine.has_work()) machine.work(transport->now(), effects_);
        machine.end_work(transport->now(), effects_);
        machine.invariants();
        end_turn();
    }

    virtual Time deadline() const { return machine.deadline(); }  ///< When there is something to do anyhow.
    virtual void run_ended() {}    ///< The loop has ended: complete what waits for it.
    virtual void run_dropped() {}  ///< The loop was destroyed: forget what waits for it.

protected:
    virtual void answered(Envelope) {}  ///< The machine answers a call of the host's own.
    virtual void turn_ended() {}        ///< See what the machine has finished.
    virtual void about_to_wake(Time, Effects&) {}  ///< Tell the machine what else has happened.
    virtual void keep(JournalBatch&) {}            ///< Hand this to stable storage, before anything leaves.
    virtual void was_stopped() {}                  ///< From now on no other thread may need the executor.

    /// What an observer throws leaves the executor's `run()`, as from any handler; the service goes on.
    void tell(const Event& event) {
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
            if (auto wrong = transport->name_fault(ping->server); !wrong.empty())  // others would be told to dial it
                return refuse(message.from, {id, error::bad_request, std::move(wrong), "view.ping"});
        machine.receive({std::move(message.from), std::move(id), std::move(content)}, now, effects_);
    }
    void take(Gone& gone, Time now) { machine.gone(gone.peer, now, effects_); }
    void take(Probed& probed, Time now) { machine.probed(probed.address, probed.result, now, effects_); }
    void take(Backlog& backlog, Time) {
        if constexpr (requires { machine.backlog(backlog.peer, backlog.full); })
            machine.backlog(backlog.peer, backlog.full);
    }
    void take(Broken& broken, Time) {
        reached(broken.code);
        effects_.tell(Malformed{std::move(broken.peer), broken.code, std::move(broken.what)});
    }

    void take(ConnectionsRefused& refused, Time) { effects_.tell(std::move(refused)); }
    void take(ConnectionsAccepted& accepted, Time) { effects_.tell(accepted); }

    void refuse(const Address& peer, const wire::DecodeError& wrong) {
        reached(wrong.code);
        transport->malformed(peer);
        effects_.tell(Malformed{peer, wrong.code, wrong.text});
        if (wrong.answer) effects_.send(peer, wrong.id, wire::to_failure(wrong));
    }

    /// An observer may call back into the service: what that adds waits for the next turn.
    void carry_out() {
        std::swap(effects_, doing_);
        if (doing_.journal) keep(*doing_.journal);
        const Envelope* before = nullptr;
        for (auto& sent : doing_.outbox) {
            if (sent.peer == local_peer) answered(std::move(sent));
            else if (is_same_push(before, sent)) transport->send(sent.peer, buffer_);
            else send(sent);
            before = &sent;
        }
        for (const auto& address : doing_.probes) transport->probe(address);
        for (const auto& hold : doing_.holds) {
            if (hold.peer == local_peer) continue;  // a host's own calls have no connection that could be held
            if (hold.on) transport->pause(hold.peer);
            else transport->resume(hold.peer);
        }
        tell_all(doing_.events);
        doing_.clear();
        if (buffer_.capacity() > kept_buffer) std::string{}.swap(buffer_);
    }

    /// A view that is pushed to many is encoded once.
    static bool is_same_push(const Envelope* before, const Envelope& sent) {
        const auto* push = std::get_if<ViewChanged>(&sent.message);
        const auto* pushed = push && before ? std::get_if<ViewChanged>(&before->message) : nullptr;
        return pushed && *pushed == *push;
    }

    void tell_all(const std::vector<Event>& events) {
        if constexpr (requires { M::tells_each_refusal; }) {
            for (const auto& event : events) tell(event);
        } else if (!events.empty() || !repeated_.empty()) {
            const Time now = transport->now();
            for (const auto& event : events)
                if (repeated_.is_new(event, now)) tell(event);
            repeated_.tell_due(now, [&](const Event& event) { tell(event); });
        }
    }

    void send(const Envelope& envelope) {
        buffer_.clear();
        wire::encode(buffer_, envelope);
        transport->send(envelope.peer, buffer_);
    }

    static constexpr std::size_t kept_buffer = 1u << 20;

    Observer observer_;
    Effects effects_, doing_;  // these and the buffer keep their memory from turn to turn, up to a bound
    std::string buffer_;
    RepeatedEvents repeated_;
    bool stopped_ = false;
    bool silent_ = false;
    std::error_code stopped_by_;
};

/// Owns a party while its loop is under way, and before it has begun.
template <typename P>
class Running {
public:
    explicit Running(std::shared_ptr<P> party) : party_{std::move(party)} { party_->running = true; }
    Running(Running&&) = default;
    Running& operator=(Running&&) = delete;
    ~Running() {
        if (!party_) return;
        party_->running = false;
        party_->run_dropped();
    }
    P* operator->() const { return party_.get(); }

private:
    std::shared_ptr<P> party_;
};

/// A party that remembers: `prepare()` comes before the first turn, and what a turn leaves to store is stored before
/// that turn is carried out. No other turn begins meanwhile: to the machine that is time in which it did not run.
template <typename P>
concept Remembers = requires(P& party) {
    { party.prepare() } -> std::same_as<asio::awaitable<void>>;
    { party.has_unstored() } -> std::same_as<bool>;
    { party.store() } -> std::same_as<asio::awaitable<void>>;
};

template <typename P>
concept Works = WorkingMachine<decltype(std::declval<P&>().machine)>;

/// The loop. It ends when the party is stopped, or with what its transport threw (which, if it was cancelled, means
/// that the loop can be started again).
template <typename P>
asio::awaitable<void> run(Running<P> party) {
    std::exception_ptr thrown;
    try {
        if constexpr (Remembers<P>) co_await party->prepare();
        while (!party->stopped()) {
            Arrivals arrivals = co_await party->transport->next(party->deadline());
            party->begin_turn(std::move(arrivals));
            if constexpr (Remembers<P>) {
                if (party->has_unstored()) co_await party->store();
                if (party->stopped()) break;  // meanwhile: nothing may leave, and nobody be told, any more
            }
            party->end_turn();
            if constexpr (Works<P>) {
                if (!party->machine.has_work()) continue;
                // What was sent leaves when this coroutine waits.
                if (party->machine.works_slowly()) co_await asio::post(party->executor(), asio::use_awaitable);
                if (!party->stopped()) party->work();
            }
        }
    } catch (...) {
        thrown = std::current_exception();
    }
    party->run_ended();
    if (party->stopped_by()) throw std::system_error{party->stopped_by()};
    if (thrown && !party->stopped()) std::rethrow_exception(thrown);
}

inline asio::awaitable<void> fail(std::error_code ec) {
    throw std::system_error{ec};
    co_return;
}

/// `begin_run` of every party.
template <typename P>
asio::awaitable<void> begin_run_of(P& party) {
    if (party.running) return fail(asio::error::already_started);
    if (party.stopped()) return fail(error::closed);
    return run(Running<P>{std::static_pointer_cast<P>(party.shared_from_this())});
}

/// Starts the loop of a client, unless it is under way. A transport that fails ends it and with it the calls; the next
/// call starts it again.
template <typename P>
void run_in_background(P& party) {
    struct Ended {
        void operator()(std::exception_ptr thrown) const {
            try {
                if (thrown) std::rethrow_exception(thrown);
            } catch (const std::system_error&) {
            }
        }
    };
    if (!party.running) asio::co_spawn(party.executor(), begin_run_of(party), Ended{});
}

}  // namespace understudy::detail
