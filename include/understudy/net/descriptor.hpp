// Creates sockets with the flags and options that this library needs: close-on-exec, non-blocking, no SIGPIPE, no Nagle
// delay, and keepalive. The few places where operating systems differ are in this file.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <system_error>

#include <understudy/base/descriptor.hpp>
#include <understudy/view.hpp>

namespace understudy::net {

using ::understudy::detail::Descriptor;

/// The error in `errno`.
inline std::error_code last_error() { return {errno, std::system_category()}; }

/// Sets an integer socket option, ignoring errors.
inline void set_option(int socket, int level, int name, int value) {
    // Best effort: no guarantee depends on an option that the kernel lacks, only how soon a fault is noticed.
    (void)::setsockopt(socket, level, name, &value, sizeof value);
}

namespace detail {
inline void set_flags(int descriptor) {
    ::fcntl(descriptor, F_SETFD, ::fcntl(descriptor, F_GETFD) | FD_CLOEXEC);
    ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
#ifdef SO_NOSIGPIPE
    set_option(descriptor, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
}
}  // namespace detail

/// A new stream socket. Empty, with `errno` set, if the process or the system has no descriptor left.
inline Descriptor open_socket(int family) {
#ifdef __linux__
    return Descriptor{::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
#else
    Descriptor socket{::socket(family, SOCK_STREAM, 0)};
    if (socket) detail::set_flags(socket.get());
    return socket;
#endif
}

/// Accepts the next connection of a listening socket. Empty, with `errno` set, if there is none or accept(2) fails.
inline Descriptor accept_socket(int listener) {
#ifdef __linux__
    return Descriptor{::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
#else
    Descriptor socket{::accept(listener, nullptr, nullptr)};
    if (socket) detail::set_flags(socket.get());
    return socket;
#endif
}

/// Sets the options of a TCP socket. Small writes are sent at once, and a connection whose peer vanished without
/// closing it (power cut, network partition) ends after about 30 s.
inline void tune_tcp(int socket) {
    constexpr int idle_seconds = 15;
    constexpr int interval_seconds = 5;
    constexpr int probes = 3;
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
#if defined(TCP_KEEPIDLE)
    set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, idle_seconds);
#elif defined(TCP_KEEPALIVE)
    set_option(socket, IPPROTO_TCP, TCP_KEEPALIVE, idle_seconds);
#endif
#ifdef TCP_KEEPINTVL
    set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, interval_seconds);
#endif
#ifdef TCP_KEEPCNT
    set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, probes);
#endif
#ifdef TCP_USER_TIMEOUT  // RFC 5482: limits how long sent bytes may stay unacknowledged; keepalive does not cover that
    set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, (idle_seconds + interval_seconds * probes) * 1000);
#endif
}

/// Bytes that were written to the socket and that the peer has not taken yet, as far as the kernel tells. 0 where the
/// system has no such query.
inline std::size_t untaken_by_peer(int socket) {
#ifdef TIOCOUTQ
    int count = 0;
    if (::ioctl(socket, TIOCOUTQ, &count) == 0 && count > 0) return static_cast<std::size_t>(count);
#else
    (void)socket;
#endif
    return 0;
}

/// Monotonic time that includes the time in which the machine sleeps, where the system has such a clock
/// (`CLOCK_BOOTTIME`); otherwise `steady_clock`.
inline Time boot_time() {
#ifdef CLOCK_BOOTTIME
    timespec now{};
    if (::clock_gettime(CLOCK_BOOTTIME, &now) == 0)
        return Time{std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec}};
#endif
    return Time{std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
}

}  // namespace understudy::net
