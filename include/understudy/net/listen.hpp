// Binds and listens before a transport's constructor returns. Invalid options and an address that cannot be bound are
// thus reported at once, with name and cause, and a port that was given as 0 is known.
#pragma once

#include <chrono>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/ip/tcp.hpp>

#include <understudy/error.hpp>
#include <understudy/net/address.hpp>
#include <understudy/net/descriptor.hpp>
#include <understudy/net/resolver.hpp>
#include <understudy/net/unix_path.hpp>
#include <understudy/options.hpp>

namespace understudy::net {

/// The listening sockets of one address. There are several if the address is a host name with several IP addresses.
struct Listening {
    Target target;      ///< The address listened on; port 0 is replaced by the real port.
    Address advertise;  ///< The address that peers dial.
    UnixPath path;      ///< Holds the lock of a unix socket's path.
    std::vector<Descriptor> sockets;
};

namespace detail {

[[noreturn]] inline void refuse_options(const std::string& why) {
    throw std::system_error{error::invalid_options, why};
}

inline Target parse_option(const Address& address, Schemes allowed) {
    auto parsed = parse_address(address, allowed);
    if (const auto* wrong = std::get_if<std::string>(&parsed)) refuse_options(*wrong);
    return std::get<Target>(std::move(parsed));
}

[[noreturn]] inline void fail_to_listen(const Target& target, std::error_code fault, const std::string& detail = {}) {
    throw std::system_error{fault, "listen on " + format_address(target) + (detail.empty() ? "" : ": " + detail)};
}

inline Descriptor bind_and_listen(int family, const sockaddr* address, socklen_t size, std::error_code& fault) {
    auto socket = open_socket(family);
    // SO_REUSEADDR: closed connections in TIME_WAIT do not block the address after a restart; a live listener still
    // does.
    if (socket && family != AF_UNIX) set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (socket && ::bind(socket.get(), address, size) == 0 && ::listen(socket.get(), SOMAXCONN) == 0) return socket;
    fault = last_error();
    return {};
}

inline std::uint16_t bound_port(const Descriptor& socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                               : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

inline Listening listen_unix(const Target& target) {
    Listening listening{.target = target, .advertise = {}, .path = {}, .sockets = {}};
    auto fault = listening.path.claim(target.path);
    if (fault == std::errc::file_exists) fail_to_listen(target, fault, "what stands there is not a socket");
    if (fault) fail_to_listen(target, fault);
    const auto address = unix_socket_address(target.path);
    auto socket = bind_and_listen(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address, fault);
    if (!socket) fail_to_listen(target, fault);
    listening.path.bound();
    listening.sockets.push_back(std::move(socket));
    return listening;
}

using TcpEndpoints = std::vector<asio::ip::tcp::endpoint>;

// Listens at every address of a host name. Addresses that do not belong to this machine are left out. An address that
// is in use is an error even if another one is free: otherwise two processes could listen under one name.
inline Listening listen_at_each(const TcpEndpoints& endpoints, const Target& target) {
    Listening listening{.target = target, .advertise = {}, .path = {}, .sockets = {}};
    std::error_code fault = std::make_error_code(std::errc::address_not_available);
    for (const auto& endpoint : endpoints) {
        const auto size = static_cast<socklen_t>(endpoint.size());
        auto socket = bind_and_listen(endpoint.protocol().family(), endpoint.data(), size, fault);
        if (!socket && fault != std::errc::address_not_available && fault != std::errc::address_family_not_supported)
            fail_to_listen(target, fault);
        if (!socket) continue;
        listening.target.port = bound_port(socket);
        listening.sockets.push_back(std::move(socket));
        if (target.port == 0) break;  // a port that is free at one address need not be free at the next
    }
    if (listening.sockets.empty()) fail_to_listen(target, fault);
    return listening;
}

inline Listening listen_tcp(const Target& target) {
    constexpr auto timeout = std::chrono::seconds{10};
    if (const auto address = target.numeric_host()) return listen_at_each({{*address, target.port}}, target);
    auto found = Resolver::of_process()->ask_and_wait(target.host, timeout);
    if (found.endpoints.empty()) fail_to_listen(target, found.fault, "its name was not resolved");
    for (auto& endpoint : found.endpoints) endpoint.port(target.port);
    return listen_at_each(found.endpoints, target);
}

}  // namespace detail

/// Checks the options and listens at `options.listen`; does not listen if that is empty. Resolving a host name blocks
/// for 10 s at most. Throws `std::system_error`: with `error::invalid_options`, or with the system's error and a text
/// that names the address.
inline Listening listen_as(const TransportOptions& options, Schemes allowed) {
    if (const auto wrong = options.validate(); !wrong.empty()) detail::refuse_options(wrong);
    if (options.listen.empty()) {
        if (!options.advertise.empty())
            detail::refuse_options("advertise without listen: no peer could reach this server there");
        return {};
    }
    const auto target = detail::parse_option(options.listen, allowed);
    auto advertised = options.advertise.empty() ? target : detail::parse_option(options.advertise, Schemes::any);
    if (advertised.is_wildcard())
        detail::refuse_options("nobody can dial " + format_address(advertised) +
                               ", every interface: advertise an address");

    const bool tcp = target.scheme == Schemes::tcp;
    auto listening = tcp ? detail::listen_tcp(target) : detail::listen_unix(target);
    if (advertised.port == 0) advertised.port = listening.target.port;
    listening.advertise = format_address(advertised);
    return listening;
}

}  // namespace understudy::net
