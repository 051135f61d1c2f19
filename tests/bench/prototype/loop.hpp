// Connections of a prototype process over Asio, and its turns: one turn for everything that was ready together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/basic_stream_socket.hpp>
#include <asio/error.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>
#include <asio/post.hpp>

#include "tests/bench/prototype/buffers.hpp"
#include "tests/bench/sockets.hpp"

namespace understudy::bench::prototype {

/// Runs a machine: a client or a server. The machine writes to the outbox, and this sends at the end of a turn.
template <typename Machine>
class Loop {
public:
    Loop(asio::io_context& io, Outbox& out, Machine& machine) : io_{io}, out_{out}, machine_{machine} {}

    /// Takes a connected socket.
    PeerNumber add(int socket, Network network) {
        unblock(socket);
        const auto peer = static_cast<PeerNumber>(connections_.size());
        out_.add_peer();
        auto& it = connections_.emplace_back(peer, io_);
        it.socket.assign({network == Network::tcp ? AF_INET : AF_UNIX, 0}, socket);
        read(it);
        return peer;
    }
    /// Takes every connection to this listening socket.
    void accept_all(int listener, Network network) {
        listener_.emplace(io_, listener);
        await_connection(network);
    }
    /// Sends what was written outside of a turn.
    void flush() {
        out_.flush([this](PeerNumber peer, SendBuffer& buffer) { send(connections_[peer], buffer); });
    }

private:
    // With the executor's own type, and not one that could be any.
    using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, asio::io_context::executor_type>;
    using Listener = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;

    struct Connection {
        Connection(PeerNumber of, asio::io_context& io) : peer{of}, socket{io} {}
        PeerNumber peer;
        Socket socket;
        ReceiveBuffer received;
        bool awaits_room = false;
    };

    /// Whether connections are ready alone, so that waiting for others would only take time. Every 16th turn waits all
    /// the same, to see whether that has changed.
    class Alone {
    public:
        bool at_once() { return turns_alone_ >= 4 && ++looks_ % 16 != 0; }
        void turn(std::size_t ready) { turns_alone_ = ready > 1 ? 0 : turns_alone_ + 1; }

    private:
        std::size_t turns_alone_ = 0, looks_ = 0;
    };

    void await_connection(Network network) {
        listener_->async_wait(Listener::wait_read, [this, network](std::error_code failure) {
            if (failure) throw std::system_error{failure, "prototype"};
            add(accept_one(listener_->native_handle(), network), network);
            await_connection(network);
        });
    }

    // A read into a buffer that is kept is tried at once, and costs no call of epoll_ctl, which a wait does.
    void read(Connection& it) {
        it.socket.async_read_some(it.received.room(), [this, &it](std::error_code failure, std::size_t count) {
            if (failure) return close(it);
            it.received.received(count, [&](std::string_view payload) { machine_.receive(it.peer, payload); });
            received();
            read(it);
        });
    }
    /// A connection has handed over all that it had: the turn runs when those have too that are ready with it.
    void received() {
        ++ready_;
        if (posted_) return;
        if (alone_.at_once()) return turn();
        posted_ = true;
        asio::post(io_, [this] {
            posted_ = false;
            turn();
        });
    }
    void turn() {
        alone_.turn(std::exchange(ready_, 0));
        machine_.turn();
        flush();
    }

    void send(Connection& it, SendBuffer& buffer) {
        if (!it.socket.is_open()) return buffer.release();
        if (it.awaits_room) return;
        std::array<asio::const_buffer, 64> room;
        while (!buffer.empty()) {
            const auto pieces = buffer.pieces(room);
            std::error_code failure;
            buffer.sent(pieces.size() == 1 ? it.socket.write_some(pieces[0], failure)
                                           : it.socket.write_some(pieces, failure));
            if (failure == asio::error::would_block || failure == asio::error::try_again) return await_room(it);
            if (failure) return buffer.release();  // the read reports it
        }
    }
    void await_room(Connection& it) {
        it.awaits_room = true;
        it.socket.async_wait(Socket::wait_write, [this, &it](std::error_code failure) {
            it.awaits_room = false;
            if (!failure) send(it, out_.buffer(it.peer));
        });
    }
    void close(Connection& it) {
        it.socket.close();
        it.received.release();
        out_.buffer(it.peer).release();
        machine_.disconnected(it.peer);
    }

    asio::io_context& io_;
    Outbox& out_;
    Machine& machine_;
    std::deque<Connection> connections_;  // those that have ended too, so that a number is never used again
    std::optional<Listener> listener_;
    Alone alone_;
    std::size_t ready_ = 0;  // connections that have handed over something for the next turn
    bool posted_ = false;
};

}  // namespace understudy::bench::prototype
