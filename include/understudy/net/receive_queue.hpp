// The receive queue of a transport, with one waiter (`next`). The first event posts a completion; events that become
// ready before it runs join the same batch, which is one turn. A turn sets up and tears down almost nothing: the timer
// of the deadline stays armed as long as it expires early enough, and the events of one turn reuse the memory of
// earlier ones.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/base/check.hpp>
#include <understudy/base/fair_queue.hpp>
#include <understudy/error.hpp>
#include <understudy/net/arrival_pool.hpp>
#include <understudy/net/descriptor.hpp>
#include <understudy/transport.hpp>

namespace understudy::net {

/// Collects transport events and hands them to `next`, one batch a turn. Takes fairly from the connections (see
/// `FairQueue`). Not thread-safe: it runs on the executor.
class ReceiveQueue : public std::enable_shared_from_this<ReceiveQueue> {
public:
    using Queue = understudy::detail::FairQueue<TransportEvent>;
    using Source = Queue::SourcePointer;  ///< One connection; turns take from the sources in rotation.

    /// `max_turn` is the size of a turn in bytes. `after_turn` is called at the end of each turn: when the coroutine
    /// that received the events has suspended again, in `next` or elsewhere.
    ReceiveQueue(const asio::any_io_executor& executor, std::size_t max_turn, std::function<void()> after_turn)
        : executor_{executor},
          timer_{executor},
          queue_{max_turn},
          after_turn_{std::move(after_turn)} {}

    /// Whether this connection may add more before its waiting events are handled.
    bool may_deliver(const Source& source) const { return queue_.may_add(*source); }
    /// Whether a turn is running; `after_turn` follows.
    bool in_turn() const { return in_turn_; }
    bool closed() const { return closed_; }
    /// Whether a message is being handled while it lies in the buffer of its connection.
    bool handling() const { return handling_; }

    /// Adds an event that belongs to no connection; it comes with the next turn. Ignored after `close`.
    void push(TransportEvent arrival) {
        if (closed_) return;
        queue_.push(std::move(arrival));
        notify();
    }
    /// As `push`, but the event follows everything that this connection has delivered before.
    void push(const Source& source, TransportEvent arrival) {
        if (closed_) return;
        queue_.push(source, std::move(arrival), sizeof(TransportEvent));
        notify();
    }
    /// Adds a message. It does not notify the waiter; `delivered` does, once the connection has added all it has read.
    /// A message that may be in the next turn is handled at once, if turns are handled (`handle_turns`) and none is
    /// under way: so it need not be copied.
    void deliver(const Source& source, const Peer& from, std::string_view payload) {
        if (closed_) return;
        const auto weight = sizeof(TransportEvent) + payload.size();
        if (!handler_ || !waiter_ || in_turn_ || cancelled_ || !queue_.try_handle_now(source, weight))
            return queue_.push(source, pool_.fill(from, payload), weight);
        if (!read_at_) read_at_ = boot_time();
        InTurn handling{handling_};
        handler_->message(from, payload, *read_at_);
    }
    /// Holds back (`on`) or releases the events of this connection that wait beyond the next turn.
    void bar(const Source& source, bool on) {
        queue_.bar(source, on);
        if (!on && !queue_.empty()) notify();
    }
    /// One connection has added all it has read. Notifies the waiter. If recent turns had a single active connection,
    /// the turn begins at once, within this call: waiting for others would only add latency.
    void delivered() {
        read_at_.reset();
        if (queue_.empty()) return;
        ++reads_;
        if (waiter_ && !notified_ && alone_.at_once()) return answer();
        notify();
    }
    /// From now on turns go to `handler` while a `next` is pending; see the concept `Transport`. Null: to `next` again.
    void handle_turns(TurnHandler* handler) { handler_ = handler; }
    /// Takes back the events that `next` returned, to use their memory again.
    void reuse(TransportEvents&& used) { pool_.take_back(std::move(used)); }
    /// The memory that waits to be used again.
    ArrivalPool& pool() { return pool_; }

    /// Completes the pending call of `next`, or the following one if none is pending.
    void wake() {
        woken_ = true;
        notify();
    }

    /// Drops all events. The pending `next`, and each later one, ends with `error::closed`.
    void close() {
        closed_ = true;
        queue_.clear();
        after_turn_ = nullptr;
        notify();
        if (!waiter_) disarm();
    }

    /// See the concept `Transport`. Completes with the events of one turn, or with none once `deadline` has passed or
    /// `wake` was called. One call at a time. Throws `std::system_error`: `asio::error::operation_aborted` if cancelled
    /// (terminal cancellation), which loses no event, and `error::closed` after `close`. The coroutine that awaits it
    /// must run on the transport's executor.
    asio::awaitable<TransportEvents> next(Time deadline) {
        return asio::async_initiate<const asio::use_awaitable_t<>, Signature>(Initiation{shared_from_this(), deadline},
                                                                              asio::use_awaitable);
    }

private:
    using Signature = void(std::error_code, TransportEvents);
    using Handler = asio::async_result<asio::use_awaitable_t<>, Signature>::handler_type;

    struct Waiter {
        Handler handler;
        Time deadline;
    };

    struct Initiation {
        std::shared_ptr<ReceiveQueue> queue;
        Time deadline;
        void operator()(Handler handler) const { queue->await(std::move(handler), deadline); }
    };

    // The handler of the timer's wait owns the waiter. If the execution context is destroyed while the wait is pending,
    // the handler is destroyed, and with it the suspended coroutine. Otherwise there would be a cycle: the coroutine
    // would keep this object alive, and this object the coroutine.
    class Wait {
    public:
        Wait(std::shared_ptr<ReceiveQueue> queue, std::uint64_t number) : queue_{std::move(queue)}, number_{number} {}
        Wait(Wait&& other) noexcept = default;
        Wait& operator=(Wait&& other) = delete;
        ~Wait() {
            if (queue_ && queue_->armed_ == number_) queue_->abandon();
        }
        void operator()(std::error_code) {
            auto queue = std::move(queue_);
            if (queue->armed_ == number_) queue->expire();
        }

    private:
        std::shared_ptr<ReceiveQueue> queue_;
        std::uint64_t number_;
    };

    // Predicts whether a turn will have messages of one connection only. It says so after four such turns in a row.
    // Every 16th turn waits for others all the same, to see whether any delivered meanwhile; one turn with several
    // connections is enough to make the following turns wait too.
    class Alone {
    public:
        bool at_once() { return alone_for_ >= sure_after && ++turns_ % looks_each != 0; }
        void waited(std::size_t readers) { alone_for_ = readers > 1 ? 0 : alone_for_ + 1; }

    private:
        static constexpr std::uint64_t sure_after = 4, looks_each = 16;
        std::uint64_t alone_for_ = 0, turns_ = 0;
    };

    void await(Handler handler, Time deadline) {
        UNDERSTUDY_CHECK(!waiter_);  // one `next` at a time
        auto slot = asio::get_associated_cancellation_slot(handler);
        waiter_.emplace(Waiter{std::move(handler), deadline});
        if (slot.is_connected())
            slot.assign([weak = weak_from_this()](asio::cancellation_type type) {
                auto queue = weak.lock();
                if (queue && (type & asio::cancellation_type::terminal) != asio::cancellation_type::none)
                    queue->cancel();
            });
        await_turn(deadline);
    }
    void await_turn(Time deadline) {
        arm(deadline);
        if (turn_is_due()) notify();
    }
    bool turn_is_due() const {
        return waiter_ && (!queue_.empty() || woken_ || closed_ || cancelled_ || boot_time() >= waiter_->deadline);
    }

    void cancel() {
        cancelled_ = true;
        notify();
    }

    // Posts the completion instead of calling it: handlers that are ready run first, and their events join this turn.
    void notify() {
        if (!waiter_ || notified_) return;
        notified_ = true;
        asio::post(executor_, [queue = shared_from_this()] {
            queue->notified_ = false;
            if (queue->reads_ > 0) queue->alone_.waited(queue->reads_);
            // Mostly another turn came first: a wake-up while calls complete belongs to the turn that follows. It is
            // posted all the same, for a host that waits in a handler, by running its context, for a call of its own.
            if (queue->turn_is_due()) queue->answer();
        });
    }

    void answer() {
        reads_ = 0;
        if (!waiter_ || in_turn_) return;
        if (handler_ && !closed_ && !cancelled_) return handle_turn();
        finish();
    }
    void finish() {
        if (closed_) return complete(error::closed, {});
        if (cancelled_) return complete(asio::error::operation_aborted, {});
        complete({}, queue_.take(pool_.empty_turn()));
    }

    // What the host does in `complete` may close this queue, or run its executor, so that other turns come within.
    void handle_turn() {
        if (!queue_.take_handled()) {
            InTurn turn{in_turn_};
            handler_->arrived(queue_.take(pool_.empty_turn()));
        }
        {
            Completing completing{*this};
            handler_->complete();
        }
        if (!waiter_) return;
        if (closed_ || cancelled_) return finish();
        woken_ = false;
        std::optional<Time> next;
        {
            Turn turn{*this};
            next = handler_->turn();
        }
        if (closed_ || cancelled_) return finish();
        if (!next) return complete({}, {});
        waiter_->deadline = *next;
        await_turn(*next);
    }

    // Order matters: everything about the old waiter is reset first, since the handler may call `next` again at once.
    // `woken_` stays set if this call failed: the wake-up then applies to the following `next`.
    void complete(std::error_code fault, TransportEvents events) {
        auto handler = std::move(waiter_->handler);
        waiter_.reset();
        if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected()) slot.clear();
        cancelled_ = false;
        if (closed_) disarm();
        if (!fault) woken_ = false;
        Turn turn{*this};
        handler(fault, std::move(events));
    }

    // The coroutine runs within the handler until it suspends; so the end of this scope is the end of the turn.
    struct Turn {
        explicit Turn(ReceiveQueue& queue) : queue_{queue} { queue_.in_turn_ = true; }
        ~Turn() {
            queue_.in_turn_ = false;
            if (queue_.after_turn_) queue_.after_turn_();
        }
        ReceiveQueue& queue_;
    };

    struct InTurn {
        explicit InTurn(bool& flag) : flag_{flag} { flag_ = true; }
        ~InTurn() { flag_ = false; }
        bool& flag_;
    };
    // Guards the call of `complete`, in which handlers of the host run. If one throws, the exception leaves the
    // executor's `run()`, and `handle_turn` with it. Then this posts the turn that was to follow: without it, messages
    // that were handled already would be answered only when something else starts a turn.
    struct Completing {
        explicit Completing(ReceiveQueue& queue) : queue_{queue} {}
        ~Completing() {
            if (std::uncaught_exceptions() > uncaught_) queue_.wake();
        }
        ReceiveQueue& queue_;
        int uncaught_ = std::uncaught_exceptions();
    };

    // A timer that expires early costs one extra wait; to set it anew for each turn would cost more.
    void arm(Time deadline) {
        if (armed_ != 0 && armed_until_ <= deadline) return;
        const auto now = boot_time();
        // At most `longest_wait`: the deadline counts boot time, the timer steady time, and the two differ after the
        // machine has slept. The bound also prevents an overflow of the time point.
        const auto wait = std::clamp(deadline > now ? deadline - now : Duration{}, Duration{}, longest_wait);
        armed_ = ++waits_;
        armed_until_ = std::min(deadline, now + longest_wait);
        timer_.expires_after(std::chrono::ceil<std::chrono::steady_clock::duration>(wait));
        timer_.async_wait(Wait{shared_from_this(), armed_});
    }

    void disarm() {
        armed_ = 0;
        timer_.cancel();
    }

    void expire() {
        armed_ = 0;
        if (!waiter_) return;
        if (boot_time() >= waiter_->deadline) {
            arm(never);  // a waiter is always owned by a wait; see `Wait`
            notify();
        } else {
            arm(waiter_->deadline);
        }
    }

    // The execution context is being destroyed: destroys the waiter, and with it the suspended coroutine.
    void abandon() {
        armed_ = 0;
        auto forgotten = std::exchange(waiter_, std::nullopt);
    }

    static constexpr Duration longest_wait = std::chrono::minutes{1};

    asio::any_io_executor executor_;
    asio::steady_timer timer_;
    Queue queue_;
    std::function<void()> after_turn_;
    ArrivalPool pool_;
    Alone alone_;
    std::size_t reads_ = 0;  // connections that delivered since the last turn
    std::optional<Waiter> waiter_;
    TurnHandler* handler_ = nullptr;
    std::optional<Time> read_at_;  // when the connection was read that delivers now
    Time armed_until_{};
    std::uint64_t armed_ = 0;  // the number of the current wait; handlers of older waits do nothing; 0: none
    std::uint64_t waits_ = 0;
    bool notified_ = false;  // a completion is posted
    bool woken_ = false;
    bool cancelled_ = false;
    bool in_turn_ = false;
    bool handling_ = false;
    bool closed_ = false;
};

}  // namespace understudy::net
