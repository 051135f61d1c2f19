// Parses the addresses of this library, and explains what is wrong with a text that is not an address. Valid forms:
// `tcp://127.0.0.1:7000`, `tcp://[::1]:7000`, `tcp://name.example:7000`, `unix:///run/kv/a.sock`.
#pragma once

#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <variant>

#include <asio/ip/address.hpp>

#include <understudy/base/printable.hpp>
#include <understudy/net/schemes.hpp>
#include <understudy/view.hpp>

namespace understudy::net {

/// A parsed address. TCP uses `host` (without brackets) and `port`; a unix socket uses `path`.
struct Target {
    Schemes scheme = Schemes::tcp;
    std::string host;
    std::uint16_t port = 0;
    std::string path;
    friend bool operator==(const Target&, const Target&) = default;

    /// The host as an IP address, or `nullopt` if it is a host name.
    std::optional<asio::ip::address> numeric_host() const {
        asio::error_code fault;
        auto address = asio::ip::make_address(host, fault);
        return fault ? std::nullopt : std::optional{address};
    }
    /// Whether this is the unspecified address (`0.0.0.0` or `::`). It means every interface when listening, and cannot
    /// be dialled.
    bool is_wildcard() const {
        auto address = scheme == Schemes::tcp ? numeric_host() : std::nullopt;
        return address && address->is_unspecified();
    }
};

/// The parts of an address, or a sentence that says what is wrong with the text.
using ParsedAddress = std::variant<Target, std::string>;

/// Maximum length of a unix socket's path in bytes (`sun_path` without its terminating zero).
inline constexpr std::size_t max_unix_path = sizeof(sockaddr_un::sun_path) - 1;

/// Whether this is the reply address of an accepted connection. It can be answered only over that connection: it is
/// never dialled.
inline bool is_reply_address(std::string_view address) { return address.find('#') != std::string_view::npos; }

/// The inverse of `parse_address`.
inline Address format_address(const Target& target) {
    if (target.scheme == Schemes::unix_socket) return "unix://" + target.path;
    const bool bracketed = target.host.find(':') != std::string::npos;
    return "tcp://" + (bracketed ? "[" + target.host + "]" : target.host) + ":" + std::to_string(target.port);
}

namespace detail {

// Checks length and characters only; whether the name exists is the resolver's matter.
inline bool is_host_name(std::string_view host) {
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    return !host.empty() && host.size() <= 253 && host.find_first_not_of(allowed) == std::string_view::npos;
}

inline ParsedAddress parse_tcp(std::string_view rest, const std::string& prefix) {
    const auto colon = rest.rfind(':');
    if (colon == std::string_view::npos || rest.ends_with(']')) return prefix + "the port is missing: tcp://host:port";
    auto host = rest.substr(0, colon);
    const auto port = rest.substr(colon + 1);

    Target target;
    const auto [end, fault] = std::from_chars(port.data(), port.data() + port.size(), target.port);
    if (port.empty() || fault != std::errc{} || end != port.data() + port.size())
        return prefix + "the port must be a number from 0 to 65535";

    const bool bracketed = host.starts_with('[') && host.ends_with(']');
    if (bracketed) host = host.substr(1, host.size() - 2);
    target.host = host;
    const auto address = target.numeric_host();
    if (bracketed && !(address && address->is_v6())) return prefix + "there is no IPv6 address in the brackets";
    if (!bracketed && host.find(':') != std::string_view::npos)
        return prefix + "an IPv6 address stands in brackets: tcp://[::1]:7000";
    if (!address && !is_host_name(host)) return prefix + "the host must be an IP address or a host name";
    return target;
}

// '#' is refused because it marks a reply address (`is_reply_address`).
inline ParsedAddress parse_unix(std::string_view path, const std::string& prefix) {
    if (!path.starts_with('/') || path.ends_with('/'))
        return prefix + "the path must be absolute and name a file: unix:///run/kv.sock";
    if (path.find('\0') != std::string_view::npos || path.find('#') != std::string_view::npos)
        return prefix + "the path must not contain # or a zero byte";
    if (!is_printable(path)) return prefix + "the path must not contain control characters";
    if (path.size() > max_unix_path)
        return prefix + "the path has " + std::to_string(path.size()) + " bytes, the system allows " +
               std::to_string(max_unix_path);
    return Target{.scheme = Schemes::unix_socket, .host = {}, .port = 0, .path = std::string{path}};
}

}  // namespace detail

/// Parses an address of one of the `allowed` schemes. Returns a sentence if the text is not an address or has a scheme
/// that is not allowed. Does not resolve host names, so it never blocks.
inline ParsedAddress parse_address(std::string_view address, Schemes allowed = Schemes::any) {
    constexpr std::string_view tcp = "tcp://";
    constexpr std::string_view local = "unix://";
    const auto prefix = "\"" + printable(address) + "\" is no address: ";
    if (address.starts_with(tcp)) {
        if (!allows(allowed, Schemes::tcp)) return prefix + "this transport only knows unix:///path";
        return detail::parse_tcp(address.substr(tcp.size()), prefix);
    }
    if (address.starts_with(local)) {
        if (!allows(allowed, Schemes::unix_socket)) return prefix + "this transport only knows tcp://host:port";
        return detail::parse_unix(address.substr(local.size()), prefix);
    }
    return prefix + "expected tcp://host:port or unix:///path";
}

}  // namespace understudy::net
