// Plain sockets for measurements without the library.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>

#include "tests/bench/shape.hpp"

namespace understudy::bench {

[[noreturn]] inline void fail(const char* what) { throw std::system_error{errno, std::generic_category(), what}; }
inline int must(int result, const char* what) { return result < 0 ? fail(what) : void(), result; }

/// Lets time pass in which other processes work.
inline void pass(double seconds) { poll(nullptr, 0, static_cast<int>(seconds * 1e3)); }

/// An address to listen at: a port on this machine, or a path.
struct Place {
    Network network = Network::tcp;
    std::uint16_t port = 0;
    std::string path;

    std::string address() const {
        return network == Network::tcp ? "tcp://127.0.0.1:" + std::to_string(port) : "unix://" + path;
    }
};

namespace detail {
template <typename Use>
int with_address(const Place& place, Use use) {
    if (place.network == Network::tcp) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(place.port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return use(reinterpret_cast<const sockaddr*>(&address), socklen_t{sizeof address});
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, place.path.c_str(), sizeof address.sun_path - 1);
    return use(reinterpret_cast<const sockaddr*>(&address), socklen_t{sizeof address});
}
inline int make_socket(Network network) {
    const int made = must(socket(network == Network::tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    const int on = 1;
    if (network == Network::tcp) setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return made;
}
}  // namespace detail

inline int listen_at(const Place& place) {
    const int made = detail::make_socket(place.network);
    must(detail::with_address(place, [&](auto* address, auto size) { return bind(made, address, size); }), "bind");
    return must(listen(made, 1024), "listen"), made;
}
inline int dial(const Place& place) {
    const int made = detail::make_socket(place.network);
    must(detail::with_address(place, [&](auto* address, auto size) { return connect(made, address, size); }),
         "connect");
    return made;
}
inline int accept_one(int listener, Network network) {
    const int taken = must(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept");
    const int on = 1;
    if (network == Network::tcp) setsockopt(taken, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return taken;
}
inline void unblock(int socket) { must(fcntl(socket, F_SETFL, O_NONBLOCK), "fcntl"); }

/// A port that was free at the time of the call.
inline std::uint16_t free_port() {
    const int probe = listen_at({Network::tcp, 0, {}});
    sockaddr_in address{};
    socklen_t size = sizeof address;
    must(getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    close(probe);
    return ntohs(address.sin_port);
}

/// Reads as many bytes as a non-blocking socket has; 0 if there are none now. The end of the stream is an error.
inline std::size_t read_some(int socket, char* to, std::size_t size) {
    const auto count = read(socket, to, size);
    if (count > 0) return static_cast<std::size_t>(count);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    errno = count == 0 ? ECONNRESET : errno;
    fail("read");
}
/// Waits until a non-blocking socket can be written to.
inline void await_room(int socket) {
    pollfd wanted{socket, POLLOUT, 0};
    poll(&wanted, 1, -1);
}
/// Writes all bytes, also to a non-blocking socket without room.
inline void write_all(int socket, const char* from, std::size_t size) {
    while (size > 0) {
        const auto count = write(socket, from, size);
        if (count < 0 && errno != EAGAIN && errno != EINTR) fail("write");
        if (count < 0) {
            await_room(socket);
            continue;
        }
        from += count;
        size -= static_cast<std::size_t>(count);
    }
}

/// Waits for any of several sockets.
class Poll {
public:
    void add(int socket, std::uint32_t number) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u32 = number;
        must(epoll_ctl(poll_, EPOLL_CTL_ADD, socket, &event), "epoll_ctl");
    }
    /// Calls `ready(number)` for each socket that can be read; gives up after `milliseconds`.
    template <typename Ready>
    void wait(int milliseconds, Ready ready) {
        epoll_event events[256];
        tell(events, epoll_wait(poll_, events, 256, milliseconds), ready);
    }
    /// The same, for waits shorter than a millisecond.
    template <typename Ready>
    void wait(std::chrono::nanoseconds longest, Ready ready) {
        epoll_event events[256];
        const timespec limit{longest.count() / 1'000'000'000, longest.count() % 1'000'000'000};
        tell(events, epoll_pwait2(poll_, events, 256, &limit, nullptr), ready);
    }
    ~Poll() { close(poll_); }

private:
    static void tell(const epoll_event* events, int count, auto& ready) {
        for (int i = 0; i < count; ++i) ready(events[i].data.u32);
    }
    int poll_ = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
};

}  // namespace understudy::bench
