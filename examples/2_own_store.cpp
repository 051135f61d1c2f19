// Lesson 2: your own state machine instead of the key/value store. `ledger.hpp` is a Store; docs/stores.md explains how
// to write one. A plain Client sends its commands and queries.
#include <cstdlib>
#include <iostream>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <understudy/net/tcp.hpp>
#include <understudy/understudy.hpp>

#include "ledger.hpp"

namespace us = understudy;
using ledger::Ask;
using ledger::Op;
using us::net::TcpTransport;

asio::awaitable<void> lesson(us::Client<ledger::Ledger, TcpTransport>& bank) {
    // Commands are values of the Store's own type. The call constructs them from its arguments: a `Command{...}` inside
    // a `co_await` expression is destroyed twice by GCC 12.
    co_await bank.async_execute<ledger::Command>(Op::open, "ada");
    co_await bank.async_execute<ledger::Command>(Op::open, "bob");
    co_await bank.async_execute<ledger::Command>(Op::deposit, "ada", "", 10'000);

    // Each command takes effect exactly once, however often it had to be sent. So it is safe to move money.
    const ledger::Command transfer{Op::transfer, "ada", "bob", 2'500};  // a command in a named variable is safe too
    ledger::Reply reply = co_await bank.async_execute(transfer);
    std::cout << "transfer: " << reply.status << ", ada has " << reply.balance.value_or(0) << '\n';

    // A command that cannot be carried out gets an ordinary reply of the Store, not an error of the library.
    reply = co_await bank.async_execute<ledger::Command>(Op::transfer, "bob", "ada", 1'000'000);
    std::cout << "transfer: " << reply.status << '\n';

    reply = co_await bank.async_query<ledger::Query>(Ask::total);
    std::cout << "total: " << reply.balance.value_or(0) << '\n';
    if (reply.balance != 10'000) std::exit(1);
}

int main() {
    asio::io_context io;
    us::ViewService views{TcpTransport{io, "tcp://127.0.0.1:0"}};
    us::ReplicaOptions options{.view_service = {views.local()}, .group = "bank"};
    us::PBService one{ledger::Ledger{}, TcpTransport{io, "tcp://127.0.0.1:0"}, options};
    us::PBService two{ledger::Ledger{}, TcpTransport{io, "tcp://127.0.0.1:0"}, options};
    us::ClientOptions client_options{.view_service = {views.local()}, .group = "bank"};
    us::Client<ledger::Ledger, TcpTransport> bank{TcpTransport{io}, client_options};

    views.async_run(asio::detached);
    one.async_run(asio::detached);
    two.async_run(asio::detached);
    asio::co_spawn(io, lesson(bank), [&](std::exception_ptr failure) {
        io.stop();
        if (failure) std::rethrow_exception(failure);
    });
    io.run();
}
