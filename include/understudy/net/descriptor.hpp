// Sockets as this library wants them: closed on exec, never blocking, no SIGPIPE, small messages sent at once,
// and dead peers noticed. The few places where operating systems differ are here.
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

inline std::error_code last_error() { return {errno, std::system_category()}; }

inline void set_option(int socket, int level, int name, int value) {
    // Best effort: an option that the kernel does not have changes no promise, only how soon a fault shows.
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

/// A stream socket; empty, with `errno` set, if the process or the system has no more of them.
inline Descriptor open_socket(int family) {
#ifdef __linux__
    return Descriptor{::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
#else
    Descriptor socket{::socket(family, SOCK_STREAM, 0)};
    if (socket) detail::set_flags(socket.get());
    return socket;
#endif
}

/// The next connection of a listening socket; empty, with `errno` set, if there is none.
inline Descriptor accept_socket(int listener) {
#ifdef __linux__
    return Descriptor{::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
#else
    Descriptor socket{::accept(listener, nullptr, nullptr)};
    if (socket) detail::set_flags(socket.get());
    return socket;
#endif
}

/// Small writes leave at once; a peer that vanished without a word is given up after about 30 s.
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
#ifdef TCP_USER_TIMEOUT  // RFC 5482: bytes that are never acknowledged
    set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, (idle_seconds + interval_seconds * probes) * 1000);
#endif
}

/// Bytes that were written and that the peer has not taken, as far as the kernel tells.
inline std::size_t untaken_by_peer(int socket) {
#ifdef TIOCOUTQ
    int count = 0;
    if (::ioctl(socket, TIOCOUTQ, &count) == 0 && count > 0) return static_cast<std::size_t>(count);
#else
    (void)socket;
#endif
    return 0;
}

/// Monotone time that goes on while the machine sleeps, where the system has such a clock.
inline Time boot_time() {
#ifdef CLOCK_BOOTTIME
    timespec now{};
    if (::clock_gettime(CLOCK_BOOTTIME, &now) == 0)
        return Time{std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec}};
#endif
    return Time{std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
}

}  // namespace understudy::net
