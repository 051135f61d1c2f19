// The transport over stream sockets, TCP or unix: it sends frames over persistent connections. `TcpTransport` and
// `UnixTransport` are this transport restricted to addresses of their kind; `AnyTransport` listens on either and dials
// both.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/execution_context.hpp>

#include <understudy/base/config.hpp>
#include <understudy/net/schemes.hpp>
#include <understudy/options.hpp>
#include <understudy/transport.hpp>
#include <understudy/view.hpp>

namespace understudy::net {

class ConnectionManager;

/// A constructor argument that accepts an executor, or an execution context that has one.
struct ExecutorArgument {
    asio::any_io_executor executor;

    template <typename Executor>
    requires std::convertible_to<Executor, asio::any_io_executor> ExecutorArgument(Executor value)
        : executor{std::move(value)} {}

    template <std::derived_from<asio::execution_context> Context>
    ExecutorArgument(Context& context) : executor{context.get_executor()} {}
};

/// The part that does not depend on the address scheme: a handle to a connection manager. See `StreamTransport` and the
/// concept `Transport` for what the functions do.
class SocketTransport {
public:
    SocketTransport(SocketTransport&&) noexcept = default;
    SocketTransport& operator=(SocketTransport&& other) noexcept;

    asio::any_io_executor get_executor() const;
    const Address& local() const;
    std::size_t max_frame() const;
    Time now() const;
    std::string objection(const Address& address) const;
    std::uint64_t random();

    /// Why a server with this name could not be dialled over any transport of the library; empty if it could.
    static std::string name_fault(const Address& name);

    void send(const Address& to, std::string_view payload);
    void send_to(const Peer& to, std::string_view payload);
    std::string* begin_frame(const Peer& to);
    void end_frame();
    void drop_frame();
    asio::awaitable<TransportEvents> next(Time deadline);
    void handle_turns(TurnHandler* handler);
    void reuse(TransportEvents&& used);
    void wake();
    void probe(const Address& address);
    void pause(const Address& peer);
    void resume(const Address& peer);
    void malformed(const Address& peer);
    void close();

protected:
    SocketTransport(const asio::any_io_executor& executor, TransportOptions options, Schemes schemes);
    ~SocketTransport();

private:
    std::shared_ptr<ConnectionManager> manager_;
};

template <typename T, typename Executor>
class OnExecutor;

/// A `Transport` over sockets. In addition to the laws of that concept:
///  - A frame is a 4-byte big-endian length and a payload (protocol, section 6). If a peer violates the framing or
///    exceeds `max_frame`, it gets an error and its connection is closed: `ProtocolError` arrives, then `Disconnected`.
///  - An accepted connection has a reply address such as `tcp://192.0.2.7:51234#17`, under which it is answered. The
///    reply address becomes invalid when the connection ends.
///  - Any other address is dialled at the first `send`. Messages that come back over that connection have the address
///    as `from`. Messages that are sent while the dial is under way wait, up to `max_send_queue`. If the dial fails,
///    they are lost and `Disconnected` arrives. The next `send` dials again, after a backoff (`redial_first`, doubling
///    up to `redial_last`, with jitter). A connection that ends before anything came over it counts as a failed dial.
///  - A connection that ends emits one `Disconnected`, after all messages that came over it.
///  - Turns take from the connections in rotation, dialled ones first. At most 1024 messages of one connection, and the
///    bytes of eight turns (`max_turn`), may wait for `next`; of all connections together, the bytes of 32 turns plus
///    one message each. A connection beyond this is not read until its messages are handled.
///  - An accepted connection is also not read while `full_send_queue` bytes wait for its peer to take them. It is
///    closed if the peer takes nothing for `write_timeout`.
///  - While a connection is not read, or is paused, its end may go unnoticed.
///
/// Not thread-safe: everything, including the coroutine that awaits `next`, runs on the executor. The executor must be
/// a strand if several threads run its context. The destructor closes the transport: a pending `next` then ends with
/// `error::closed`.
template <Schemes schemes>
class StreamTransport : public SocketTransport {
public:
    using executor_type = asio::any_io_executor;
    /// As with Asio's sockets: `asio::use_awaitable_t<>::as_default_on_t<TcpTransport>` and the like.
    template <typename Executor>
    struct rebind_executor {
        using other = OnExecutor<StreamTransport, Executor>;
    };

    /// Creates the transport. If `options.listen` is empty it only dials. Otherwise it listens already when this
    /// returns, and accepts peers as soon as the context runs; resolving a host name to listen on blocks for 10 s at
    /// most. Throws `std::system_error`: with `error::invalid_options`, or with the reason why it cannot listen at the
    /// address.
    explicit StreamTransport(ExecutorArgument executor, TransportOptions options = {})
        : SocketTransport{executor.executor, std::move(options), schemes} {}
    /// Creates a transport with default options that listens at this address.
    StreamTransport(ExecutorArgument executor, Address listen)
        : StreamTransport{std::move(executor), listening_on(std::move(listen))} {}

private:
    static TransportOptions listening_on(Address address) {
        TransportOptions options;
        options.listen = std::move(address);
        return options;
    }
};

/// The transport `T` with another executor type, which is then also that of the services and clients over it. So they
/// can have another default token.
template <typename T, typename Executor>
class OnExecutor : public T {
public:
    using executor_type = Executor;

    using T::T;
    explicit OnExecutor(T transport) : T{std::move(transport)} {}

    executor_type get_executor() const { return executor_type{T::get_executor()}; }
};

}  // namespace understudy::net

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/net/stream_transport.ipp>
#endif
