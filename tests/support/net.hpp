// Shared by the socket tests: one io_context that runs until a condition holds, a transport owner that records
// everything it receives, and raw sockets that misbehave as a test asks.
#pragma once

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <tests/support/few_descriptors.hpp>
#include <tests/support/temporary_folder.hpp>
#include <understudy/net/address.hpp>
#include <understudy/net/any.hpp>
#include <understudy/net/descriptor.hpp>
#include <understudy/wire/frame.hpp>

namespace understudy::test {

using namespace std::chrono_literals;

/// A name of this machine. A system without /etc/hosts has none; then it is the numeric address.
inline std::string host_name() {
    addrinfo* found = nullptr;
    const bool known = ::getaddrinfo("localhost", nullptr, nullptr, &found) == 0;
    if (found) ::freeaddrinfo(found);
    return known ? "localhost" : "127.0.0.1";
}

/// Runs the context until the condition holds; false if it does not within 30 s.
template <typename Condition>
bool run_until(asio::io_context& io, Condition condition) {
    const auto give_up = std::chrono::steady_clock::now() + 30s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > give_up) return false;
        io.restart();
        io.run_one_for(20ms);
    }
    return true;
}

/// Runs whatever is ready, repeatedly, until nothing is ready.
inline void settle(asio::io_context& io) {
    io.restart();
    while (io.poll() > 0) {
    }
}

/// Everything that was received, turn by turn, and how the transport ended.
struct Diary {
    std::vector<TransportEvents> turns;
    std::error_code ended;
    bool answers = false;  ///< Whether each message is sent back.

    template <typename Kind>
    std::vector<Kind> all() const {
        std::vector<Kind> found;
        for (const auto& turn : turns)
            for (const auto& arrival : turn)
                if (const auto* one = std::get_if<Kind>(&arrival)) found.push_back(*one);
        return found;
    }
    template <typename Kind>
    std::size_t count() const {
        std::size_t found = 0;
        for (const auto& turn : turns)
            for (const auto& arrival : turn) found += std::holds_alternative<Kind>(arrival);
        return found;
    }
    std::vector<std::string> payloads() const {
        std::vector<std::string> found;
        for (auto& message : all<Delivered>()) found.push_back(std::move(message.payload));
        return found;
    }
};

template <typename T>
asio::awaitable<void> keep_diary(T& transport, std::shared_ptr<Diary> diary) {
    try {
        for (;;) {
            auto turn = co_await transport.next(never);
            for (const auto& arrival : turn)
                if (const auto* message = std::get_if<Delivered>(&arrival); message && diary->answers)
                    transport.send(message->from, message->payload);
            diary->turns.push_back(std::move(turn));
        }
    } catch (const std::system_error& failure) {
        diary->ended = failure.code();
    }
}

/// A transport whose owner only keeps a diary.
template <typename T = net::AnyTransport>
struct Endpoint {
    template <typename... Arguments>
    explicit Endpoint(asio::io_context& io, Arguments&&... arguments)
        : transport{io, std::forward<Arguments>(arguments)...} {
        asio::co_spawn(io, keep_diary(transport, diary), asio::detached);
    }
    Endpoint(Endpoint&&) = delete;

    const Address& local() const { return transport.local(); }
    Diary* operator->() { return diary.get(); }

    std::shared_ptr<Diary> diary = std::make_shared<Diary>();
    T transport;
};

/// A plain socket for a peer that violates the protocol. Never blocks.
class RawPeer {
public:
    explicit RawPeer(net::Descriptor socket) : socket_{std::move(socket)} {}

    /// Connected to an address that is listened on; the kernel completes that before the listener accepts.
    static RawPeer connected_to(const Address& address) {
        const auto target = std::get<net::Target>(net::parse_address(address));
        asio::generic::stream_protocol::endpoint endpoint;
        if (target.scheme == net::Schemes::tcp)
            endpoint = asio::ip::tcp::endpoint{*target.numeric_host(), target.port};
        else
            endpoint = asio::local::stream_protocol::endpoint{target.path};
        net::Descriptor socket{::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
        if (::connect(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0)
            throw std::system_error{net::last_error(), "connect to " + address};
        return RawPeer{std::move(socket)};
    }

    /// Writes without blocking; returns how many bytes the kernel took.
    std::size_t write(std::string_view bytes) {
        const auto count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        return count < 0 ? 0 : static_cast<std::size_t>(count);
    }
    /// Returns the bytes received so far; `ended()` is true once no more can come.
    std::string read() {
        std::string bytes(1u << 16, '\0');
        const auto count = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        ended_ = ended_ || count == 0 || (count < 0 && errno != EAGAIN);
        was_reset_ = was_reset_ || (count < 0 && errno == ECONNRESET);
        bytes.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return bytes;
    }
    bool ended() const { return ended_; }
    /// Whether the connection ended without an orderly close: data in flight may be lost.
    bool was_reset() const { return was_reset_; }
    void close() { socket_.reset(); }
    /// Shuts down sending; reading goes on.
    void close_sending() { ::shutdown(socket_.get(), SHUT_WR); }
    /// Ends the connection with a reset, like a peer whose machine restarts.
    void reset() {
        const linger hard{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        socket_.reset();
    }

private:
    net::Descriptor socket_;
    bool ended_ = false;
    bool was_reset_ = false;
};

inline std::string frame(std::string_view payload) {
    std::string bytes;
    wire::append_frame(bytes, payload);
    return bytes;
}

/// A payload that a transport accepts; it looks at the first byte only.
inline std::string message(std::string_view text) { return "{" + std::string{text} + "}"; }

}  // namespace understudy::test
