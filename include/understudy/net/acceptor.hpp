// Accepts connections from one listening socket. When the process has no descriptor left, the acceptor neither stops
// nor spins: it pauses and tries again. Meanwhile new connections wait in the kernel's accept queue.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <understudy/net/descriptor.hpp>

namespace understudy::net {

/// Calls `accepted` with each new connection until `close`. Calls `failed` each time accept(2) fails for a reason that
/// concerns more than one connection (such as EMFILE or ENFILE). Then accepting goes on after a pause of 10 ms, which
/// doubles up to 1 s and is reset by the next accepted connection. Not thread-safe: it runs on the executor.
class Acceptor : public std::enable_shared_from_this<Acceptor> {
public:
    using Accepted = std::function<void(Descriptor)>;
    using Failed = std::function<void(std::error_code)>;

    Acceptor(const asio::any_io_executor& executor, Descriptor listener, Accepted accepted, Failed failed)
        : listener_{executor, listener.get()},
          pause_{executor},
          accepted_{std::move(accepted)},
          failed_{std::move(failed)} {
        listener.release();
    }

    /// Starts accepting. Call it once.
    void start() { await_connection(); }

    /// Closes the listening socket and releases the callbacks, which are not called again.
    void close() {
        asio::error_code ignored;
        listener_.close(ignored);
        pause_.cancel();
        accepted_ = nullptr;
        failed_ = nullptr;
    }

private:
    static constexpr int most_in_a_row = 64;  // then other handlers of the executor run
    static constexpr auto first_pause = std::chrono::milliseconds{10};
    static constexpr auto last_pause = std::chrono::milliseconds{1000};

    void await_connection() {
        listener_.async_wait(asio::posix::stream_descriptor::wait_read,
                             [self = shared_from_this()](std::error_code fault) {
                                 if (!fault) self->accept_some();
                             });
    }

    void accept_some() {
        for (int count = 0; count < most_in_a_row && listener_.is_open(); ++count) {
            auto socket = accept_socket(listener_.native_handle());
            if (socket) {
                next_pause_ = first_pause;
                if (accepted_) accepted_(std::move(socket));
            } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
                break;
            } else if (!concerns_one_connection(errno)) {
                const auto fault = last_error();
                rest();
                if (failed_) failed_(fault);
                return;
            }
        }
        if (listener_.is_open()) await_connection();
    }

    // Errors of accept(2) that concern only the connection that was to be accepted. It is lost already; the next one
    // may succeed, so no pause is needed. (EINTR is in the list because it also calls for an immediate retry.)
    static bool concerns_one_connection(int fault) {
        switch (fault) {
            case EINTR:
            case ECONNABORTED:
            case EPROTO:
            case ENETDOWN:
            case ENOPROTOOPT:
            case EHOSTDOWN:
            case EHOSTUNREACH:
            case EOPNOTSUPP:
            case ENETUNREACH:
            case EPERM: return true;
            default: return false;
        }
    }

    // Pauses after a shortage. The socket stays readable during a shortage, so waiting for readability would spin.
    void rest() {
        pause_.expires_after(next_pause_);
        next_pause_ = std::min(next_pause_ * 2, last_pause);
        pause_.async_wait([self = shared_from_this()](std::error_code fault) {
            if (!fault && self->listener_.is_open()) self->accept_some();
        });
    }

    asio::posix::stream_descriptor listener_;
    asio::steady_timer pause_;
    std::chrono::milliseconds next_pause_ = first_pause;
    Accepted accepted_;
    Failed failed_;
};

}  // namespace understudy::net
