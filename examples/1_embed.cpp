// Lesson 1: a view service, two replicas of a key/value store and a client of it, all in one process over TCP. In
// production each of them runs on a machine of its own; only the addresses change.
#include <cstdlib>
#include <iostream>

// [preamble]
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <understudy/clerk.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/understudy.hpp>

namespace us = understudy;
using us::net::TcpTransport;
using namespace std::chrono_literals;
// [/preamble]

using Replica = us::PBService<us::KvStore, TcpTransport>;

asio::awaitable<void> lesson(us::Clerk<TcpTransport>& clerk, Replica& one, Replica& two) {
    co_await clerk.async_put("colour", "blue");
    co_await clerk.async_append("colour", "ish");

    // The primary hands over and leaves. The clerk finds the other server by itself, and no write is lost.
    co_await two.async_wait_role(us::Role::backup);
    std::cout << one.local() << " leaves\n";
    co_await one.async_leave(30s);
    one.stop();
    std::string colour = co_await clerk.async_get("colour");
    std::cout << two.local() << " answers: colour is " << colour << '\n';
    if (colour != "blueish") std::exit(1);
}

int main() {
    // [embed]
    asio::io_context io;
    us::ViewService views{TcpTransport{io, "tcp://127.0.0.1:0"}};
    us::ReplicaOptions options{.view_service = {views.local()}};
    us::PBService one{us::KvStore{}, TcpTransport{io, "tcp://127.0.0.1:0"}, options};
    us::PBService two{us::KvStore{}, TcpTransport{io, "tcp://127.0.0.1:0"}, options};
    us::Clerk clerk{TcpTransport{io}, us::ClientOptions{.view_service = {views.local()}, .give_up_after = 30s}};

    views.async_run(asio::detached);  // a service works while its async_run is under way
    one.async_run(asio::detached);    // a clerk starts with its first call
    two.async_run(asio::detached);
    // [/embed]
    asio::co_spawn(io, lesson(clerk, one, two), [&](std::exception_ptr failure) {
        io.stop();
        if (failure) std::rethrow_exception(failure);
    });
    io.run();
}
