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
#include <variant>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/execution_context.hpp>

#include <understudy/net/address.hpp>
#include <understudy/net/switchboard.hpp>
#include <understudy/options.hpp>
#include <understudy/transport.hpp>

namespace understudy::net {

/// An executor, or an execution context that has one.
struct ExecutorArgument {
    asio::any_io_executor executor;

    template <typename Executor>
    requires std::convertible_to<Executor, asio::any_io_executor> ExecutorArgument(Executor value)
        : executor{std::move(value)} {}

    template <std::derived_from<asio::execution_context> Context>
    ExecutorArgument(Context& context) : executor{context.get_executor()} {}
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
class StreamTransport {
public:
    /// Dials only, if the options name nothing to listen on. Otherwise it listens when this returns; peers are accepted
    /// as soon as the context runs. Throws `std::system_error`: `error::invalid_options`, or why the address cannot be
    /// had.
    explicit StreamTransport(ExecutorArgument executor, TransportOptions options = {})
        : board_{Switchboard::open(executor.executor, std::move(options), schemes)} {}
    StreamTransport(ExecutorArgument executor, Address listen)
        : StreamTransport{std::move(executor), listening_on(std::move(listen))} {}

    StreamTransport(StreamTransport&&) noexcept = default;
    StreamTransport& operator=(StreamTransport&& other) noexcept {
        if (board_ && board_ != other.board_) board_->close();
        board_ = std::move(other.board_);
        return *this;
    }
    ~StreamTransport() {
        if (board_) board_->close();
    }

    asio::any_io_executor get_executor() const { return board_->executor(); }
    const Address& local() const { return board_->local(); }
    std::size_t max_frame() const { return board_->max_frame(); }
    Time now() const { return boot_time(); }
    std::string objection(const Address& address) const { return board_->objection(address); }
    std::uint64_t random() { return board_->random(); }

    /// Why nobody could dial a server of this name, over whichever transport; empty if somebody may.
    static std::string name_fault(const Address& name) {
        const auto parsed = parse_address(name);
        if (const auto* wrong = std::get_if<std::string>(&parsed)) return *wrong;
        const auto& target = std::get<Target>(parsed);
        if (target.is_wildcard()) return name + " means every interface of a machine: others cannot dial it";
        return target.scheme == Schemes::tcp && target.port == 0 ? name + " has no port" : std::string{};
    }

    void send(const Address& to, std::string_view payload) { board_->send(to, payload); }
    asio::awaitable<Arrivals> next(Time deadline) { return board_->bell().next(deadline); }
    void reuse(Arrivals&& used) { board_->bell().reuse(std::move(used)); }
    void wake() { board_->bell().wake(); }
    void probe(const Address& address) { board_->probe(address); }
    void pause(const Address& peer) { board_->pause(peer); }
    void resume(const Address& peer) { board_->resume(peer); }
    void malformed(const Address& peer) { board_->malformed(peer); }
    void close() { board_->close(); }

private:
    static TransportOptions listening_on(Address address) {
        TransportOptions options;
        options.listen = std::move(address);
        return options;
    }

    std::shared_ptr<Switchboard> board_;
};

}  // namespace understudy::net
