// The transport over sockets: frames over kept connections, TCP or unix. `TcpTransport` and `UnixTransport` are this
// one, told to know only addresses of their kind; `AnyTransport` listens on either and dials both.
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

class Switchboard;

/// An executor, or an execution context that has one.
struct ExecutorArgument {
    asio::any_io_executor executor;

    template <typename Executor>
    requires std::convertible_to<Executor, asio::any_io_executor> ExecutorArgument(Executor value)
        : executor{std::move(value)} {}

    template <std::derived_from<asio::execution_context> Context>
    ExecutorArgument(Context& context) : executor{context.get_executor()} {}
};

/// What all of them share: everything but which addresses they know.
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

    /// Why nobody could dial a server of this name, over whichever transport; empty if somebody may.
    static std::string name_fault(const Address& name);

    void send(const Address& to, std::string_view payload);
    asio::awaitable<Arrivals> next(Time deadline);
    void reuse(Arrivals&& used);
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
    std::shared_ptr<Switchboard> board_;
};

/// Satisfies `Transport` over sockets. Beyond the laws given there:
///  - a frame is a 4-byte big-endian length and a payload (protocol, section 5); a peer that breaks this, or exceeds
///    `max_frame`, gets an error and is closed: `Broken` arrives, then `Gone`;
///  - an accepted connection is answered under a reply address like `tcp://192.0.2.7:51234#17`, which ends with it;
///  - any other address is dialled at the first `send`, and what comes back over that connection has it as `from`.
///    What is sent meanwhile waits, up to `max_send_queue`. If the dial fails all that is lost and `Gone` arrives; the
///    next `send` dials again, after a wait (`redial_first`, doubling up to `redial_last`, with jitter).
///    A connection that ends before anything came over it counts as a failed dial;
///  - a connection that ends gives one `Gone`, after all that came over it;
///  - turns take from connections in turn, dialled ones first. Of one connection 1024 messages and the bytes of eight
///    turns (`max_turn`) may wait for `next`, of all 32 turns and one message each; then it is not read until it was
///    served. An accepted one is not read either while `full_send_queue` bytes wait for its peer to take them, and is
///    closed if it takes nothing for `write_timeout`;
///  - of a connection that is not read, or is paused, the end may not be seen.
///
/// Not thread-safe: everything, also the coroutine that awaits `next`, runs on the executor, which is a strand if
/// several threads run its context. Destroying it closes it: a pending `next` then ends with `error::closed`.
template <Schemes schemes>
class StreamTransport : public SocketTransport {
public:
    /// Dials only, if the options name nothing to listen on. Otherwise it listens when this returns; peers are accepted
    /// as soon as the context runs. Throws `std::system_error`: `error::invalid_options`, or why the address cannot be
    /// had.
    explicit StreamTransport(ExecutorArgument executor, TransportOptions options = {})
        : SocketTransport{executor.executor, std::move(options), schemes} {}
    StreamTransport(ExecutorArgument executor, Address listen)
        : StreamTransport{std::move(executor), listening_on(std::move(listen))} {}

private:
    static TransportOptions listening_on(Address address) {
        TransportOptions options;
        options.listen = std::move(address);
        return options;
    }
};

}  // namespace understudy::net

#if !defined(UNDERSTUDY_SEPARATE_COMPILATION)
#include <understudy/net/stream_transport.ipp>
#endif
