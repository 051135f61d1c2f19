// What the connections of a transport may take together: places, descriptors, memory and time. Strangers must not use
// up what members of a group, files and dialling need.
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
#include <understudy/options.hpp>
#include <understudy/transport.hpp>

namespace understudy::net {

/// One timer for all connections. It runs only while there is something to look after, and time is counted in its
/// intervals: a process that was stopped, or a busy one, does not find all of its peers overdue.
class ConnectionLimits : public std::enable_shared_from_this<ConnectionLimits> {
public:
    /// `tell` hears of what a host should know; `open` is how many accepted connections there are.
    ConnectionLimits(const asio::any_io_executor& executor, const TransportOptions& options,
                     std::function<void(Arrival)> tell, std::function<std::size_t()> open)
        : options_{options},
          interval_{std::clamp<Duration>(std::min(options.first_message_timeout, options.frame_timeout) / 4,
                                         std::chrono::milliseconds{10}, std::chrono::seconds{1})},
          tell_{std::move(tell)},
          open_{std::move(open)},
          timer_{executor} {}

    ReceiveMemory& memory() { return memory_; }

    void close() {
        closed_ = true;
        timer_.cancel();
        attended_.clear();
        silent_.clear();
        tell_ = nullptr;
        open_ = nullptr;
    }

    // ---- places and descriptors --------------------------------------------------------------------------

    /// Whether a new connection may stay. If there is no place left the one that has been silent
    /// longest gives up its own; a connection that speaks never does.
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
        Descriptor lowest{::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0)};  // the place that was given up
        if (lowest && lowest.get() < socket.get()) socket = std::move(lowest);
        return has_reserve(socket);
    }
    /// Accepting failed, as the process or the system has no descriptor left.
    void out_of_descriptors(std::error_code fault) { refused(fault.message(), open_()); }

    /// The connection has sent no message so far. `number` is larger than that of those accepted before.
    void is_silent(std::uint64_t number, std::shared_ptr<Connection> connection, std::uint64_t since) {
        silent_.insert_or_assign(number, Silent{std::move(connection), since});
        arm();
    }
    std::uint64_t ticks() const { return ticks_; }
    void ended(std::uint64_t number) { silent_.erase(number); }

    // ---- memory and half-received frames -----------------------------------------------------------------

    /// See `Connection::tick`.
    void attend(std::shared_ptr<Connection> connection) {
        attended_.push_back(std::move(connection));
        arm();
    }

    /// Closes connections if half-received frames hold too much: first those whose frame began earliest. One that
    /// stopped in the middle, or sends drop by drop, is older than one that really sends.
    void relieve() {
        const auto bound = options_.max_receive_bytes + wire::frame_header;
        if (memory_.held <= bound) return;
        auto halves = attended_;
        std::erase_if(halves, [](const auto& one) { return one->half_frame() == 0; });
        std::ranges::sort(halves, {}, [](const auto& one) { return one->half_frame_number(); });
        for (const auto& one : halves) {
            const auto margin = one == halves.back() ? 0 : bound / 8;  // not once more with the next read
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

    static constexpr auto told_again = std::chrono::minutes{1};

    std::uint64_t intervals(Duration time) const {
        return static_cast<std::uint64_t>(std::max<Duration::rep>(time / interval_, 1));
    }

    /// A process gets the lowest number that is free. So the number of a new socket says, at least, how many
    /// descriptors the whole process has open.
    bool has_reserve(const Descriptor& socket) const {
        rlimit limit{};
        if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return true;
        const auto all = static_cast<std::uint64_t>(limit.rlim_cur);
        const auto reserve = std::min<std::uint64_t>(options_.reserved_descriptors, all / 2);
        return static_cast<std::uint64_t>(socket.get()) < all - reserve;
    }

    std::shared_ptr<Connection> longest_silent() {
        while (!silent_.empty()) {
            auto connection = silent_.begin()->second.connection;
            if (!connection->said_something()) return connection;
            silent_.erase(silent_.begin());
        }
        return nullptr;
    }

    void refused(std::string why, std::size_t open) {
        ++refused_;
        refused_at_ = ticks_;
        open_then_ = open;
        took_one_ = false;
        if (!refusing_ || ticks_ >= told_at_ + intervals(told_again)) {
            told_at_ = ticks_;
            tell_(ConnectionsRefused{refused_, std::move(why)});
        }
        refusing_ = true;
        arm();
    }
    void see_whether_calm() {
        if (!refusing_ || ticks_ < refused_at_ + intervals(options_.first_message_timeout)) return;
        if (!took_one_ && open_() >= open_then_) return;
        refusing_ = false;
        tell_(ConnectionsAccepted{std::exchange(refused_, 0)});
    }

    // ---- the timer ---------------------------------------------------------------------------------------

    void arm() {
        if (armed_ || closed_ || (attended_.empty() && silent_.empty() && !refusing_)) return;
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
        end_silent();
        if (!closed_) see_whether_calm();
        arm();
    }
    void tick_connections() {
        const auto patience = static_cast<unsigned>(intervals(options_.frame_timeout));
        for (std::size_t at = 0; at < attended_.size();) {
            const auto connection = attended_[at];
            if (connection->tick(patience)) {
                ++at;
            } else {
                std::swap(attended_[at], attended_.back());
                attended_.pop_back();
            }
        }
    }
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
    std::function<void(Arrival)> tell_;
    std::function<std::size_t()> open_;  // how many accepted connections there are
    asio::steady_timer timer_;
    ReceiveMemory memory_{wire::FrameRoom{Connection::largest_room + wire::FrameDecoder::most_moved}};
    std::vector<std::shared_ptr<Connection>> attended_;
    std::map<std::uint64_t, Silent> silent_;  // accepted ones, by their number
    std::uint64_t ticks_ = 0;
    std::size_t refused_ = 0;  // since `refusing_` began
    std::size_t open_then_ = 0;
    std::uint64_t refused_at_ = 0;
    std::uint64_t told_at_ = 0;
    bool refusing_ = false;
    bool took_one_ = false;  // since the last refusal
    bool armed_ = false;
    bool closed_ = false;
};

}  // namespace understudy::net
