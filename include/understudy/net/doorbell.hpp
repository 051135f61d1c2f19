// The one place where a transport's owner waits. Arrivals gather here; the first of them rings, and by the time the
// owner comes to the door everything that was ready meanwhile stands there too: that is how a turn gets its batch.
// Nothing is set up or torn down per turn: the deadline's timer stays armed while it is not later than needed, and
// what was read in a former turn gives its memory to the next.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
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

/// Gathers arrivals and hands them to `next`, turn by turn.
class Doorbell : public std::enable_shared_from_this<Doorbell> {
public:
    using Queue = understudy::detail::FairQueue<Arrival>;
    using Source = Queue::SourcePointer;  ///< A connection, from which turns take fairly.

    /// `after_turn` is called when the owner has got its arrivals and waits again, for the next ones or something else.
    Doorbell(const asio::any_io_executor& executor, std::size_t max_turn, std::function<void()> after_turn)
        : executor_{executor},
          timer_{executor},
          queue_{max_turn},
          after_turn_{std::move(after_turn)} {}

    /// Whether more of that connection may be delivered before it was served.
    bool may_deliver(const Source& source) const { return queue_.may_add(*source); }
    /// Whether the owner is at work right now; `after_turn` will follow.
    bool in_turn() const { return in_turn_; }
    bool closed() const { return closed_; }

    void push(Arrival arrival) {
        if (closed_) return;
        queue_.push(std::move(arrival));
        ring();
    }
    /// As `push`, but behind all that this connection has delivered.
    void push(const Source& source, Arrival arrival) {
        if (closed_) return;
        queue_.push(source, std::move(arrival), sizeof(Arrival));
        ring();
    }
    /// Rings only with `delivered`, once one connection has given all that it had.
    void deliver(const Source& source, const Address& from, std::string_view payload) {
        if (!closed_) queue_.push(source, pool_.fill(from, payload), sizeof(Arrival) + payload.size());
    }
    /// Nothing of what a barred connection has waiting is handed over.
    void bar(const Source& source, bool on) {
        queue_.bar(source, on);
        if (!on && !queue_.empty()) ring();
    }
    /// Where mostly one connection is active, nothing else can be ready: its turn begins at once.
    void delivered() {
        if (queue_.empty()) return;
        ++reads_;
        if (waiter_ && !rung_ && alone_.at_once()) return answer();
        ring();
    }
    /// Takes back what `next` gave.
    void reuse(Arrivals&& used) { pool_.take_back(std::move(used)); }

    /// Ends the present or the next `next`.
    void wake() {
        woken_ = true;
        ring();
    }

    void close() {
        closed_ = true;
        queue_.clear();
        after_turn_ = nullptr;
        ring();
        if (!waiter_) disarm();
    }

    /// As the concept `Transport` says. The coroutine that awaits it runs on the transport's executor.
    asio::awaitable<Arrivals> next(Time deadline) {
        return asio::async_initiate<const asio::use_awaitable_t<>, Signature>(Initiation{shared_from_this(), deadline},
                                                                              asio::use_awaitable);
    }

private:
    using Signature = void(std::error_code, Arrivals);
    using Handler = asio::async_result<asio::use_awaitable_t<>, Signature>::handler_type;

    struct Waiter {
        Handler handler;
        Time deadline;
    };

    struct Initiation {
        std::shared_ptr<Doorbell> bell;
        Time deadline;
        void operator()(Handler handler) const { bell->await(std::move(handler), deadline); }
    };

    // The timer's wait owns the waiter: if the execution context ends before the wait does, the coroutine
    // that waits here goes with it, instead of keeping itself alive through this object.
    class Wait {
    public:
        Wait(std::shared_ptr<Doorbell> bell, std::uint64_t number) : bell_{std::move(bell)}, number_{number} {}
        Wait(Wait&& other) noexcept = default;
        Wait& operator=(Wait&& other) = delete;
        ~Wait() {
            if (bell_ && bell_->armed_ == number_) bell_->abandon();
        }
        void operator()(std::error_code) {
            auto bell = std::move(bell_);
            if (bell->armed_ == number_) bell->expire();
        }

    private:
        std::shared_ptr<Doorbell> bell_;
        std::uint64_t number_;
    };

    // Guesses whether a turn will have one reader only. Every now and then a turn waits for others to see whether any
    // came meanwhile; one that finds some is enough to have the next turns wait too.
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
                auto bell = weak.lock();
                if (bell && (type & asio::cancellation_type::terminal) != asio::cancellation_type::none) bell->cancel();
            });
        arm(deadline);
        if (!queue_.empty() || woken_ || closed_ || boot_time() >= deadline) ring();
    }

    void cancel() {
        cancelled_ = true;
        ring();
    }

    // Posted, not called: what else is ready runs first and joins this turn.
    void ring() {
        if (!waiter_ || rung_) return;
        rung_ = true;
        asio::post(executor_, [bell = shared_from_this()] {
            bell->rung_ = false;
            if (bell->reads_ > 0) bell->alone_.waited(bell->reads_);
            bell->answer();
        });
    }

    void answer() {
        reads_ = 0;
        if (!waiter_) return;
        if (closed_) return complete(error::closed);
        if (cancelled_) return complete(asio::error::operation_aborted);
        complete({});
    }

    void complete(std::error_code fault) {
        auto handler = std::move(waiter_->handler);
        waiter_.reset();
        if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected()) slot.clear();
        cancelled_ = false;
        if (closed_) disarm();
        if (!fault) woken_ = false;
        Turn turn{*this};
        handler(fault, fault ? Arrivals{} : queue_.take(pool_.empty_turn()));
    }

    struct Turn {
        explicit Turn(Doorbell& bell) : bell_{bell} { bell_.in_turn_ = true; }
        ~Turn() {
            bell_.in_turn_ = false;
            if (bell_.after_turn_) bell_.after_turn_();
        }
        Doorbell& bell_;
    };

    void arm(Time deadline) {
        if (armed_ != 0 && armed_until_ <= deadline) return;
        const auto now = boot_time();
        // Bounded, because the two clocks part when the machine sleeps, and because time points overflow.
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
            arm(never);  // a waiter is always owned by a wait
            ring();
        } else {
            arm(waiter_->deadline);
        }
    }

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
    Time armed_until_{};
    std::uint64_t armed_ = 0;  // the number of the wait that counts; 0: none
    std::uint64_t waits_ = 0;
    bool rung_ = false;
    bool woken_ = false;
    bool cancelled_ = false;
    bool in_turn_ = false;
    bool closed_ = false;
};

}  // namespace understudy::net
