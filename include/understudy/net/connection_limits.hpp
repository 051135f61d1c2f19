// Limits what all connections of a transport may use together: places, descriptors, memory and time. Without these
// limits, unknown peers could use up what the members of a group, files and dialling need.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>

#include <understudy/net/connection.hpp>
#include <understudy/net/descriptor.hpp>
#include <understudy/net/receive_queue.hpp>
#include <understudy/options.hpp>
#include <understudy/transport.hpp>

namespace understudy::net {

/// Checks the limits with one timer for all connections. The timer runs only while there is something to check.
/// Timeouts are counted in ticks of this timer, not in time: if the process was stopped or busy, it does not find all
/// peers overdue afterwards. Not thread-safe: it runs on the executor.
class ConnectionLimits : public std::enable_shared_from_this<ConnectionLimits> {
public:
    /// `emit` receives the events for the host: `ConnectionsRefused` and `ConnectionsAccepted`. `open` returns the
    /// number of accepted connections. `queue` is that of the transport.
    ConnectionLimits(const asio::any_io_executor& executor, const TransportOptions& options,
                     std::function<void(TransportEvent)> emit, std::function<std::size_t()> open,
                     std::shared_ptr<ReceiveQueue> queue)
        : options_{options},
          interval_{std::clamp<Duration>(std::min(options.first_message_timeout, options.frame_timeout) / 4,
                                         std::chrono::milliseconds{10}, std::chrono::seconds{1})},
          emit_{std::move(emit)},
          open_{std::move(open)},
          queue_{std::move(queue)},
          timer_{executor} {}

    ConnectionMemory& memory() { return memory_; }

    /// Stops the timer and releases the connections and the callbacks.
    void close() {
        closed_ = true;
        timer_.cancel();
        attended_.clear();
        silent_.clear();
        emit_ = nullptr;
        open_ = nullptr;
    }

    // ---- places and descriptors --------------------------------------------------------------------------

    /// Whether a newly accepted connection may stay. If there are `max_connections` already, or the process has too few
    /// free descriptors, the accepted connection that was accepted earliest among those without a message is closed to
    /// make room. A connection that has sent a message is never closed for this. Returns false if there is still no
    /// room; then the caller closes the new connection. May replace `socket` by a duplicate with a lower number.
    bool admit(Descriptor& socket) {
        const auto open = open_();
        const bool crowded = open >= options_.max_connections;
        if (!crowded && has_reserve(socket)) return took_one_ = true;
        refused(crowded ? std::to_string(open) + " are open, as many as max_connections allows"
                        : "the process has hardly a descriptor left; " + std::to_string(open) + " connections are open",
                open);
        const auto silent = longest_silent();
        if (!silent) return false;
        silent->end("closed to make room: it has sent no message");
        // Move the new socket to the descriptor that was just freed. Otherwise its number would stay above the limit in
        // `has_reserve` although a descriptor is free.
        Descriptor lowest{::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0)};
        if (lowest && lowest.get() < socket.get()) socket = std::move(lowest);
        return has_reserve(socket);
    }
    /// Accepting failed because the process or the system has no descriptor left.
    void out_of_descriptors(std::error_code fault) { refused(fault.message(), open_()); }

    /// Registers an accepted connection that has sent no message so far. `number` grows with each accepted connection,
    /// so the smallest one in the table is the oldest. `since` is the tick at which it was accepted.
    void is_silent(std::uint64_t number, std::shared_ptr<Connection> connection, std::uint64_t since) {
        silent_.insert_or_assign(number, Silent{std::move(connection), since});
        arm();
    }
    std::uint64_t ticks() const { return ticks_; }
    /// The accepted connection with this number has ended.
    void ended(std::uint64_t number) { silent_.erase(number); }

    // ---- memory and half-received frames -----------------------------------------------------------------

    /// Calls `Connection::tick` at intervals until it returns false.
    void attend(std::shared_ptr<Connection> connection) {
        attended_.push_back(std::move(connection));
        arm();
    }

    /// Closes connections if half-received frames hold more than `max_receive_bytes`, those first whose frame began
    /// earliest: the frame of a peer that stopped in the middle, or sends byte by byte, is older than the frame of a
    /// peer that really sends. O(n log n) in the attended connections, only when the limit is exceeded.
    void relieve() {
        const auto bound = options_.max_receive_bytes + wire::frame_header;
        if (memory_.held <= bound) return;
        auto halves = attended_;
        std::erase_if(halves, [](const auto& one) { return one->half_frame() == 0; });
        std::ranges::sort(halves, {}, [](const auto& one) { return one->half_frame_number(); });
        for (const auto& one : halves) {
            const auto margin = one == halves.back() ? 0 : bound / 8;  // so that the next read does not exceed it again
            if (memory_.held <= bound - margin) return;
            one->cut_off(error::overloaded, "half-received frames hold more than max_receive_bytes, " +
                                                std::to_string(options_.max_receive_bytes) + " bytes");
        }
    }

private:
    struct Silent {
        std::shared_ptr<Connection> connection;
        std::uint64_t since;
    };

    static constexpr auto emit_again = std::chrono::minutes{1};  // the event repeats so often while refusing lasts

    /// A duration in ticks of the timer, at least one.
    std::uint64_t intervals(Duration time) const {
        return static_cast<std::uint64_t>(std::max<Duration::rep>(time / interval_, 1));
    }

    /// Whether enough descriptors are left after this one (`reserved_descriptors`, but at most half of the process's
    /// limit). POSIX gives a new descriptor the lowest free number, so the number of a new socket is a lower bound of
    /// the number of descriptors that the whole process has open.
    bool has_reserve(const Descriptor& socket) const {
        rlimit limit{};
        if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return true;
        const auto all = static_cast<std::uint64_t>(limit.rlim_cur);
        const auto reserve = std::min<std::uint64_t>(options_.reserved_descriptors, all / 2);
        return static_cast<std::uint64_t>(socket.get()) < all - reserve;
    }

    /// The oldest accepted connection without a message, or null. Drops entries that have sent one meanwhile.
    std::shared_ptr<Connection> longest_silent() {
        while (!silent_.empty()) {
            auto connection = silent_.begin()->second.connection;
            if (!connection->said_something()) return connection;
            silent_.erase(silent_.begin());
        }
        return nullptr;
    }

    /// Counts a refusal. The event goes out at the first one, and then at most once in `emit_again`.
    void refused(std::string why, std::size_t open) {
        ++refused_;
        refused_at_ = ticks_;
        open_then_ = open;
        took_one_ = false;
        if (!refusing_ || ticks_ >= emitted_at_ + intervals(emit_again)) {
            emitted_at_ = ticks_;
            emit_(ConnectionsRefused{refused_, std::move(why)});
        }
        refusing_ = true;
        arm();
    }
    /// Ends the refusing state when nothing was refused for `first_message_timeout`, and since the last refusal either
    /// a connection was accepted or some have closed. Without the second condition, a time in which nobody connects
    /// would count as recovery.
    void see_whether_calm() {
        if (!refusing_ || ticks_ < refused_at_ + intervals(options_.first_message_timeout)) return;
        if (!took_one_ && open_() >= open_then_) return;
        refusing_ = false;
        emit_(ConnectionsAccepted{std::exchange(refused_, 0)});
    }

    // ---- the timer ---------------------------------------------------------------------------------------

    bool is_idle() const {
        const auto spare = memory_.spare() + queue_->pool().spare();
        return attended_.empty() && silent_.empty() && !refusing_ && spare == 0;
    }
    void arm() {
        if (armed_ || closed_ || is_idle()) return;
        armed_ = true;
        timer_.expires_after(std::chrono::ceil<std::chrono::steady_clock::duration>(interval_));
        timer_.async_wait([weak = weak_from_this()](std::error_code fault) {
            if (const auto self = weak.lock(); self && !fault && !self->closed_) self->tick();
        });
    }
    void tick() {
        const auto self = shared_from_this();
        armed_ = false;
        ++ticks_;
        tick_connections();
        memory_.age();
        queue_->pool().age();
        end_silent();
        if (!closed_) see_whether_calm();
        arm();
    }
    void tick_connections() {
        const auto max_intervals = static_cast<unsigned>(intervals(options_.frame_timeout));
        for (std::size_t at = 0; at < attended_.size();) {
            const auto connection = attended_[at];
            if (connection->tick(max_intervals)) {
                ++at;
            } else {
                std::swap(attended_[at], attended_.back());
                attended_.pop_back();
            }
        }
    }
    /// Ends accepted connections that sent no message within `first_message_timeout`. One that is in the middle of a
    /// frame is spared; `frame_timeout` applies to it.
    void end_silent() {
        std::vector<std::shared_ptr<Connection>> overdue;
        for (auto at = silent_.begin(); at != silent_.end();) {
            const auto& [connection, since] = at->second;
            if (connection->said_something()) {
                at = silent_.erase(at);
                continue;
            }
            if (ticks_ > since + intervals(options_.first_message_timeout) && !connection->amid_frame())
                overdue.push_back(connection);
            ++at;
        }
        for (const auto& one : overdue) one->end("it has sent no message");
    }

    TransportOptions options_;
    Duration interval_;
    std::function<void(TransportEvent)> emit_;
    std::function<std::size_t()> open_;  // the number of accepted connections
    std::shared_ptr<ReceiveQueue> queue_;
    asio::steady_timer timer_;
    ConnectionMemory memory_{wire::FrameRoom{Connection::largest_room + wire::FrameDecoder::most_moved}};
    std::vector<std::shared_ptr<Connection>> attended_;
    std::map<std::uint64_t, Silent> silent_;  // accepted connections without a message, by their number
    std::uint64_t ticks_ = 0;
    std::size_t refused_ = 0;       // since `refusing_` began
    std::size_t open_then_ = 0;     // accepted connections at the last refusal
    std::uint64_t refused_at_ = 0;  // the tick of the last refusal
    std::uint64_t emitted_at_ = 0;     // the tick of the last event
    bool refusing_ = false;
    bool took_one_ = false;  // a connection was accepted since the last refusal
    bool armed_ = false;
    bool closed_ = false;
};

}  // namespace understudy::net
