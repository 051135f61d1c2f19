// The process side of a simulated transport: its receive queue, the pending `next` and its wake-ups, and the node's
// clock. It does not depend on the network, which puts transport events into it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/base/check.hpp>
#include <understudy/base/fair_queue.hpp>
#include <understudy/error.hpp>
#include <understudy/options.hpp>
#include <understudy/sim/world/schedule.hpp>
#include <understudy/transport.hpp>

namespace understudy::sim {

using ConnectionId = std::uint64_t;
using EndpointId = std::uint64_t;

/// Names one end of a connection. Side 0 dialled, side 1 accepted.
struct EndName {
    ConnectionId connection = 0;  // 0: none
    std::size_t side = 0;
};

/// A node's clock, derived from the world's time. It may run fast or slow and may leap ahead, but never goes back.
/// Durations that would overflow are clamped.
class Clock {
public:
    /// What the clock shows at this time of the world.
    Time read(Time world) const { return node_ + scaled(world - world_, rate_); }

    /// The world's time at which the clock will show `node`, or slightly more because of rounding. Not before `world`.
    Time when(Time node, Time world) const {
        const auto ahead = node - read(world);
        if (node == never || ahead <= Duration{}) return node == never ? never : world;
        return rate_ == 1 ? after(world, ahead) : after(world, scaled(ahead, 1 / rate_) + Duration{1});
    }

    /// From `world` on the clock runs at `rate`, after a leap of `ahead`.
    void set(Time world, double rate, Duration ahead) {
        UNDERSTUDY_CHECK(rate > 0 && ahead >= Duration{});
        node_ = after(read(world), ahead);
        world_ = world;
        rate_ = rate;
    }

private:
    static Duration scaled(Duration duration, double rate) {
        if (rate == 1) return duration;
        const double nanoseconds = static_cast<double>(duration.count()) * rate;
        return nanoseconds < 9e18 ? Duration{static_cast<Duration::rep>(nanoseconds)} : Duration::max() - Duration{1};
    }

    Time world_{};
    Time node_{};
    double rate_ = 1;
};

/// The state of a node that survives crashes of its process.
struct Node {
    Clock clock;
    Duration turn_time{};          // time that each turn takes; the next one begins after it
    std::uint64_t sends_left = 0;  // the process dies instead of its n-th send from now; 0: never
    bool off = false;
};

/// One transport event in a receive queue, with the end that sent it: its send queue counts `bytes` until the event is
/// taken.
struct Item {
    TransportEvent arrival;
    EndName sender;
    std::size_t bytes = 0;
};

/// The entry of a connection in the fair receive queue.
using Source = understudy::detail::FairQueue<Item>::SourcePointer;

/// Backoff of dials to one address: no dial before `not_before`.
struct Backoff {
    Duration wait{};
    Time not_before{};
};

/// One incarnation of a node's transport. `close`, a crash or the destructor of the handle close it; it cannot be
/// opened again.
class Endpoint : public std::enable_shared_from_this<Endpoint> {
public:
    Endpoint(Schedule& schedule, const Node& node, EndpointId id, std::string name, TransportOptions options,
             Random random)
        : schedule_{schedule},
          node_{node},
          executor_{schedule.context().get_executor()},
          id_{id},
          name_{std::move(name)},
          options_{std::move(options)},
          random_{random},
          inbox_{options_.max_turn} {}

    EndpointId id() const { return id_; }
    const std::string& name() const { return name_; }
    const TransportOptions& options() const { return options_; }
    asio::any_io_executor executor() const { return executor_; }
    Random& random() { return random_; }
    /// The node's clock. While the process is busy it shows the time at which the work will be done.
    Time now() const { return closed_ ? closed_at_ : std::max(node_.clock.read(free_at()), worked_until_shown_); }
    /// The process is busy for `length` in the present turn. Its code runs on at once, but its clock shows the end of
    /// that time, frames that it sends from now on leave at the end, and the next turn begins after it.
    void work(Duration length) {
        worked_until_ = after(free_at(), length);
        worked_until_shown_ = now();  // a later change of the clock must not make time go back
    }
    /// The time of the world at which the process is no longer busy.
    Time free_at() const { return std::max(schedule_.now(), worked_until_); }
    bool is_free() const { return worked_until_ <= schedule_.now(); }
    void when_free(std::function<void()> function) { schedule_.at(free_at(), std::move(function)); }
    bool closed() const { return closed_; }

    /// Puts an event into the receive queue. `source` is its connection; empty for events without one, such as
    /// `Probed`.
    void arrive(const Source& source, Item item) {
        if (closed_) return;
        const auto weight = item.bytes;
        if (source)
            inbox_.push(source, std::move(item), weight);
        else
            inbox_.push(std::move(item));
        ring();
    }
    /// Whether the queue has room for more events of this connection.
    bool may_arrive(const Source& source) const { return inbox_.may_add(*source); }
    /// Bars a connection or ends that: `take` skips the events of a barred connection.
    void bar(const Source& source, bool on) {
        inbox_.bar(source, on);
        ring();
    }
    /// Ends the pending `next`, or the following one.
    void wake() {
        woken_ = true;
        ring();
    }
    /// Suspends or resumes the process. While suspended, `next` does not complete; events are queued, and the clock
    /// goes on.
    void pause(bool on) {
        paused_ = on;
        ring();
    }
    /// Drops the queued events and ends the pending `next` with `error::closed`. The clock stops.
    void close() {
        if (closed_) return;
        closed_at_ = now();
        closed_ = true;
        inbox_.clear();
        ring();
    }
    /// To call after a change of the clock or the turn time: the alarm for the deadline may be wrong.
    void rearm() {
        armed_ = never;
        ring();
    }
    /// Completes when there are events, when the deadline has passed, or after `wake`. Throws as `Transport::next`.
    /// `self` is a parameter so that the endpoint lives while the coroutine waits.
    static asio::awaitable<void> wait(std::shared_ptr<Endpoint> self, Time deadline) {
        Initiation initiation{self.get(), deadline};
        using Token = const asio::use_awaitable_t<>&;
        co_await asio::async_initiate<Token, void(std::error_code)>(initiation, asio::use_awaitable);
        if (self->closed_) throw std::system_error{error::closed};  // closed after the wait was completed
        self->woken_ = false;
        self->busy_until_ = after(self->schedule_.now(), self->node_.turn_time);
    }

    /// The events of one turn: at most `max_turn` bytes together, but at least one event if there is any.
    std::vector<Item> take() { return inbox_.take(); }

    // Used by the network only.
    std::map<Address, EndName, std::less<>> connections;  // by the address of the other end
    std::map<Address, Backoff, std::less<>> backoffs;
    std::set<Address> stalled;  // peers whose queue is full; read again after the next turn
    // connections that this endpoint accepted and that are open
    std::size_t accepted = 0;

private:
    /// The completion handler of the pending `next`, with its type erased.
    struct Waiter {
        virtual ~Waiter() = default;
        virtual void complete(std::error_code code) = 0;
    };

    template <typename Handler>
    struct WaiterOf final : Waiter {
        WaiterOf(Handler&& waiting, asio::any_io_executor otherwise)
            : handler{std::move(waiting)}, executor{asio::get_associated_executor(handler, otherwise)} {}
        void complete(std::error_code code) override {
            asio::post(executor, [waiting = std::move(handler), code]() mutable { std::move(waiting)(code); });
        }
        Handler handler;
        asio::any_io_executor executor;
    };

    struct Initiation {
        Endpoint* endpoint;
        Time deadline;
        template <typename Handler>
        void operator()(Handler&& handler) const {
            endpoint->start(std::forward<Handler>(handler), deadline);
        }
    };

    template <typename Handler>
    void start(Handler handler, Time deadline) {
        UNDERSTUDY_CHECK(!waiter_);  // one `next` at a time
        const auto number = ++waits_;
        if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected())
            slot.assign([weak = weak_from_this(), number](asio::cancellation_type type) {
                auto self = weak.lock();
                if (type != asio::cancellation_type::none && self && self->waits_ == number)
                    self->complete(asio::error::operation_aborted);
            });
        waiter_ = std::make_unique<WaiterOf<Handler>>(std::move(handler), executor_);
        deadline_ = deadline;
        ring();
    }

    /// Completes the pending `next` if it may end now. Otherwise sets an alarm for the time at which it may. A paused
    /// process gets no alarm: `pause(false)` calls this again.
    void ring() {
        if (!waiter_) return;
        if (closed_) return complete(error::closed);
        if (paused_) return;
        if (const auto free = std::max(busy_until_, free_at()); free > schedule_.now()) return arm(free);
        if (woken_ || !inbox_.empty() || now() >= deadline_) return complete({});
        arm(node_.clock.when(deadline_, schedule_.now()));
    }

    void complete(std::error_code code) {
        if (auto waiter = std::exchange(waiter_, nullptr)) waiter->complete(code);
    }

    /// Sets the alarm, unless an earlier one is set. There is not one alarm per `next`: deadlines usually move forward,
    /// so an early alarm sets the next one, and the world's heap stays small.
    void arm(Time time) {
        if (time >= armed_) return;
        armed_ = time;
        schedule_.at(time, [weak = weak_from_this(), time] {
            auto self = weak.lock();
            if (!self || self->closed_) return;
            if (self->armed_ == time) self->armed_ = never;
            self->ring();
        });
    }

    Schedule& schedule_;
    const Node& node_;
    asio::any_io_executor executor_;
    EndpointId id_;
    std::string name_;
    TransportOptions options_;
    Random random_;

    understudy::detail::FairQueue<Item> inbox_;
    std::unique_ptr<Waiter> waiter_;
    std::uint64_t waits_ = 0;
    Time deadline_ = never;
    Time armed_ = never;
    Time busy_until_{};    // world time: the end of the turn (`turn_time`)
    Time worked_until_{};  // world time: the end of `work`
    Time worked_until_shown_{};
    Time closed_at_{};
    bool woken_ = false;
    bool paused_ = false;
    bool closed_ = false;
};

}  // namespace understudy::sim
