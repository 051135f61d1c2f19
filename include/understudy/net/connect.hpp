// Connects to an address once: resolves it, tries every endpoint in turn, and gives up at a timeout. Dialling and
// probing share this connector. Dialling uses the socket; probing uses only the outcome.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/async/executor_guard.hpp>
#include <understudy/net/address.hpp>
#include <understudy/net/descriptor.hpp>
#include <understudy/net/resolver.hpp>
#include <understudy/probe_result.hpp>

namespace understudy::net {

/// One type for TCP and unix sockets, so that `Connection` need not be a template.
using Socket = asio::generic::stream_protocol::socket;

/// Gives ownership of a descriptor to an Asio socket and makes it non-blocking. If the system refuses (for example
/// epoll has no resources), the returned socket is not open and the descriptor is closed.
inline Socket adopt_socket(const asio::any_io_executor& executor, int family, Descriptor descriptor) {
    Socket socket{executor};
    std::error_code fault;
    socket.assign(asio::generic::stream_protocol{family, 0}, descriptor.get(), fault);
    if (fault) return socket;
    descriptor.release();
    socket.non_blocking(true, fault);
    return socket;
}

/// The outcome of `Connector::run`. `socket` is connected if `fault` is empty. `refused` means that every endpoint
/// answered that nothing listens there: with ECONNREFUSED, or ENOENT for a missing unix socket file.
struct Connected {
    Socket socket;
    std::error_code fault;
    bool refused = false;
};

/// A connector for one address. Await `run` once, on the executor. `cancel` may be called at any time on the executor.
/// Not thread-safe.
class Connector : public std::enable_shared_from_this<Connector> {
public:
    using Endpoint = asio::generic::stream_protocol::endpoint;

    explicit Connector(const asio::any_io_executor& executor,
                     std::shared_ptr<Resolver> resolver = Resolver::of_process())
        : executor_{executor},
          timer_{executor},
          answered_{executor, asio::steady_timer::time_point::max()},
          resolver_{std::move(resolver)},
          socket_{executor} {}
    Connector(const Connector&) = delete;
    Connector& operator=(const Connector&) = delete;
    ~Connector() { stop_asking(); }

    /// Ends a pending `rest` or `run`. `run` then completes with `asio::error::operation_aborted`.
    void cancel() { stop(asio::error::operation_aborted); }

    /// Waits for `delay` (the backoff before a redial). `cancel` ends the wait early.
    asio::awaitable<void> rest(Duration delay) {
        const auto self = shared_from_this();
        std::error_code ignored;
        timer_.expires_after(std::chrono::ceil<std::chrono::steady_clock::duration>(delay));
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }

    /// Resolves the target and connects to it. After `timeout` at the latest it completes with
    /// `asio::error::timed_out`. Does not throw for network errors; see `Connected::fault`.
    asio::awaitable<Connected> run(Target target, Duration timeout) {
        const auto self = shared_from_this();
        limit(timer_, timeout, [](Connector& connector) { connector.stop(asio::error::timed_out); });

        std::error_code unresolved;
        auto endpoints = co_await resolve(std::move(target), &unresolved);
        co_return co_await reach(std::move(endpoints), timeout, unresolved);
    }

    /// The part of `run` after name resolution. Tries the endpoints in turn, each for an equal share of `timeout`,
    /// until one connects. If `endpoints` is empty, the outcome has the given `fault`.
    asio::awaitable<Connected> reach(std::vector<Endpoint> endpoints, Duration timeout, std::error_code fault) {
        const auto self = shared_from_this();
        std::size_t refusals = 0;
        for (std::size_t at = 0; at < endpoints.size() && !stopped_; ++at) {
            fault = co_await connect(endpoints[at], timeout / static_cast<Duration::rep>(endpoints.size()));
            if (!fault && !stopped_) break;
            if (fault.value() == ECONNREFUSED || fault.value() == ENOENT) ++refusals;
        }
        timer_.cancel();
        if (stopped_) fault = stopped_;
        co_return Connected{std::move(socket_), fault, fault && !endpoints.empty() && refusals == endpoints.size()};
    }

private:
    void stop(std::error_code why) {
        if (!stopped_) stopped_ = why;
        asio::error_code ignored;
        socket_.close(ignored);
        stop_asking();
        answered_.cancel();
        timer_.cancel();
    }
    // Shuts the executor guard. A resolver thread may still wait for a name server; its answer is then dropped.
    void stop_asking() {
        if (guard_) guard_->shut();
    }

    // Calls `action` after `timeout`, unless the timer is cancelled or this object is destroyed before.
    template <typename Action>
    void limit(asio::steady_timer& timer, Duration timeout, Action action) {
        timer.expires_after(std::chrono::ceil<std::chrono::steady_clock::duration>(timeout));
        timer.async_wait([weak = weak_from_this(), action](std::error_code fault) {
            auto connector = weak.lock();
            if (!fault && connector) action(*connector);
        });
    }

    // Returns no endpoints if the name cannot be resolved; then `*fault` has the resolver's error. If the connector is
    // stopped first, `*fault` is not set.
    asio::awaitable<std::vector<Endpoint>> resolve(Target target, std::error_code* fault) {
        std::vector<Endpoint> endpoints;
        if (target.scheme == Schemes::unix_socket) {
            endpoints.emplace_back(asio::local::stream_protocol::endpoint{target.path});
        } else if (const auto address = target.numeric_host()) {
            endpoints.emplace_back(asio::ip::tcp::endpoint{*address, target.port});
        } else {
            ask(target.host);
            std::error_code ignored;
            if (!answer_) co_await answered_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
            if (answer_) *fault = answer_->fault;
            if (answer_)
                for (auto endpoint : answer_->endpoints) {
                    endpoint.port(target.port);
                    endpoints.emplace_back(endpoint);
                }
        }
        co_return endpoints;
    }
    void ask(const std::string& host) {
        guard_ = understudy::detail::ExecutorGuard::open(executor_);
        resolver_->ask(host, [guard = guard_, weak = weak_from_this()](const Resolved& resolved) {
            guard->post([weak, resolved] {
                const auto connector = weak.lock();
                if (!connector) return;
                connector->answer_ = resolved;
                connector->answered_.cancel();
            });
        });
    }

    // Calls connect(2) itself instead of Asio's async_connect. A unix socket returns EAGAIN when the listener's queue
    // is full. Asio treats that as "in progress" and would wait for a connection that is not being made.
    asio::awaitable<std::error_code> connect(Endpoint endpoint, Duration timeout) {
        auto descriptor = open_socket(endpoint.protocol().family());
        if (!descriptor) co_return last_error();
        socket_ = adopt_socket(executor_, endpoint.protocol().family(), std::move(descriptor));
        if (!socket_.is_open()) co_return std::make_error_code(std::errc::too_many_files_open);
        if (endpoint.protocol().family() != AF_UNIX) tune_tcp(socket_.native_handle());

        std::error_code fault;
        if (::connect(socket_.native_handle(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
            if (errno != EINPROGRESS && errno != EINTR) co_return last_error();
            asio::steady_timer timer{executor_};
            limit(timer, timeout, [](Connector& connector) {
                asio::error_code ignored;
                connector.socket_.cancel(ignored);
            });
            co_await socket_.async_wait(Socket::wait_write, asio::redirect_error(asio::use_awaitable, fault));
            if (fault) co_return std::error_code{asio::error::timed_out};
            fault = pending_error();
        }
        if (!fault && met_itself()) fault = std::make_error_code(std::errc::connection_refused);
        co_return fault;
    }

    std::error_code pending_error() {
        int value = 0;
        socklen_t size = sizeof value;
        if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_ERROR, &value, &size) != 0) return last_error();
        return {value, std::system_category()};
    }

    // Whether the socket is connected to itself. TCP allows this (simultaneous open): when a socket dials a local port
    // on which nothing listens, the kernel may choose that same port as its source port. This counts as refused.
    bool met_itself() const {
        asio::error_code ignored;
        const auto local = socket_.local_endpoint(ignored);
        return local.protocol().family() != AF_UNIX && local == socket_.remote_endpoint(ignored);
    }

    asio::any_io_executor executor_;
    asio::steady_timer timer_;
    asio::steady_timer answered_;  // never expires
    std::shared_ptr<Resolver> resolver_;
    std::shared_ptr<understudy::detail::ExecutorGuard> guard_;  // for the resolver's thread
    std::optional<Resolved> answer_;
    Socket socket_;
    std::error_code stopped_;
};

/// Classifies the outcome of a probe. A reset (ECONNRESET) counts as `alive`: the connection was established and then
/// reset before it was seen. A process that dies with connections in its accept queue causes that too, so a reset does
/// not prove that the listener is lost; the next probe finds out.
inline ProbeResult classify(const Connected& outcome) {
    if (!outcome.fault || outcome.fault == std::errc::connection_reset) return ProbeResult::alive;
    return outcome.refused ? ProbeResult::refused : ProbeResult::unknown;
}

}  // namespace understudy::net
