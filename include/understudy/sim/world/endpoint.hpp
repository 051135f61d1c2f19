// What stands behind a transport handle while its party lives: the inbox, the doorbell that a pending `next` waits
// for, and the node's clock. It knows nothing of the network; the network puts arrivals in.
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

/// One end of a connection; side 0 dialled, side 1 accepted.
struct EndName {
    ConnectionId connection = 0;  // 0: none
    std::size_t side = 0;
};

/// A node's clock over the world's: it may run fast or slow, and be put ahead, but never goes back.
class Clock {
public:
    Time read(Time world) const { return node_ + scaled(world - world_, rate_); }

    /// The world's time at which the clock will show `node`, or a little later; at the earliest `world`.
    Time when(Time node, Time world) const {
        const auto ahead = node - read(world);
        if (node == never || ahead <= Duration{}) return node == never ? never : world;
        return rate_ == 1 ? after(world, ahead) : after(world, scaled(ahead, 1 / rate_) + Duration{1});
    }

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

/// What outlives the crashes of a party.
struct Node {
    Clock clock;
    Duration turn_time{};          // each turn takes this long: the next one begins no sooner
    std::uint64_t sends_left = 0;  // the process dies in place of the last of them; 0: it does not
    bool off = false;
};

/// One arrival, and whose send queue it leaves when it is taken.
struct Item {
    Arrival arrival;
    EndName sender;
    std::size_t bytes = 0;
};

/// A connection, from which turns take fairly.
using Source = understudy::detail::FairQueue<Item>::SourcePointer;

/// How the dials to one address went: none is made before `not_before`.
struct Backoff {
    Duration wait{};
    Time not_before{};
};

/// One life of a party. Closed for good by `close`, by a crash, or by the end of its handle.
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
    Time now() const { return closed_ ? closed_at_ : std::max(node_.clock.read(free_at()), worked_until_shown_); }
    /// Its process spends so long on something in the present turn: its clock goes on, it takes no other step until
    /// then, and what it sends from now on leaves then.
    void work(Duration length) {
        worked_until_ = after(free_at(), length);
        worked_until_shown_ = now();  // whatever its clock is set to meanwhile
    }
    /// When, in the world's time, its process is done with that.
    Time free_at() const { return std::max(schedule_.now(), worked_until_); }
    bool is_free() const { return worked_until_ <= schedule_.now(); }
    void when_free(std::function<void()> function) { schedule_.at(free_at(), std::move(function)); }
    bool closed() const { return closed_; }

    /// Something that came over that connection; or, without one, of the world.
    void arrive(const Source& source, Item item) {
        if (closed_) return;
        const auto weight = item.bytes;
        if (source)
            inbox_.push(source, std::move(item), weight);
        else
            inbox_.push(std::move(item));
        ring();
    }
    /// Whether more may come over that connection before it was served.
    bool may_arrive(const Source& source) const { return inbox_.may_add(*source); }
    /// Nothing that came over a barred connection is taken.
    void bar(const Source& source, bool on) {
        inbox_.bar(source, on);
        ring();
    }
    void wake() {
        woken_ = true;
        ring();
    }
    /// A paused process takes no step; what arrives waits, and its clock goes on.
    void pause(bool on) {
        paused_ = on;
        ring();
    }
    void close() {
        if (closed_) return;
        closed_at_ = now();
        closed_ = true;
        inbox_.clear();
        ring();
    }
    /// The clock was set: the deadline may be due at another time.
    void rearm() {
        armed_ = never;
        ring();
    }
    /// Completes when there are arrivals, the deadline has passed or `wake` was called. Throws as `Transport::next`.
    static asio::awaitable<void> wait(std::shared_ptr<Endpoint> self, Time deadline) {
        Initiation initiation{self.get(), deadline};
        using Token = const asio::use_awaitable_t<>&;
        co_await asio::async_initiate<Token, void(std::error_code)>(initiation, asio::use_awaitable);
        if (self->closed_) throw std::system_error{error::closed};  // closed after the doorbell rang
        self->woken_ = false;
        self->busy_until_ = after(self->schedule_.now(), self->node_.turn_time);
    }

    /// Arrivals of at most `max_turn` bytes together (but at least one).
    std::vector<Item> take() { return inbox_.take(); }

    // Kept here for the network, which alone uses them.
    std::map<Address, EndName, std::less<>> connections;  // by what this party calls the other end
    std::map<Address, Backoff, std::less<>> backoffs;
    std::set<Address> stalled;  // over its bounds; read on when the next turn was taken
    std::size_t accepted = 0;

private:
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

    /// Completes the pending wait if it may; else sees to it that its deadline is noticed.
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

    /// One alarm is kept, not one for every wait: deadlines mostly move on, and the world's heap stays small.
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
    Time busy_until_{};    // of the world
    Time worked_until_{};  // of the world
    Time worked_until_shown_{};
    Time closed_at_{};
    bool woken_ = false;
    bool paused_ = false;
    bool closed_ = false;
};

}  // namespace understudy::sim
