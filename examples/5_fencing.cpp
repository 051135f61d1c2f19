// Lesson 5: a lock that is safe although its holder may be delayed. Every result has a position, `at`, which only
// grows, whichever server is primary: the resource that the lock protects stores the highest position and refuses lower
// ones. A server can wait to learn that it became primary, or ceased to be; but only the fencing position makes two
// servers that believe to be primary harmless.
#include <cstdlib>
#include <iostream>
#include <utility>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <understudy/clerk.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/understudy.hpp>

namespace us = understudy;
using us::net::TcpTransport;
using namespace std::chrono_literals;

using Replica = us::PBService<us::KvStore, TcpTransport>;

/// A resource outside the group that only the lock's holder may change: a disk, a printer, a payment.
struct Printer {
    us::Position newest;
    bool print(us::Position token, const char* page) {
        const bool allowed = token >= newest;
        if (allowed) newest = token;
        std::cout << (allowed ? "printed: " : "refused, it comes too late: ") << page << '\n';
        return allowed;
    }
};

asio::awaitable<void> announce(Replica& replica, const char* name) {
    for (;;) {
        co_await replica.async_wait_primary();
        std::cout << name << " became primary\n";
        co_await replica.async_wait_not_primary();
        std::cout << name << " is not primary any more\n";
    }
}

asio::awaitable<void> lesson(us::Clerk<TcpTransport>& clerk, Replica& one, Replica& two) {
    Printer printer;
    const std::optional<std::string> nobody;
    us::Result<us::kv::CasResult> ada = co_await clerk.async_compare_and_set("lock", nobody, "ada", us::with_position);
    printer.print(ada.at, "a page of ada's");

    co_await two.async_wait_role(us::Role::backup);
    co_await one.async_leave(30s);  // so the primary changes

    // Ada is delayed, and the lock is given to Bob. Bob's token is greater, although another primary gave
    // it.
    const std::optional<std::string> held_by_ada{"ada"};
    us::Result<us::kv::CasResult> bob =
        co_await clerk.async_compare_and_set("lock", held_by_ada, "bob", us::with_position);
    if (!bob.value.ok || !printer.print(bob.at, "a page of bob's")) std::exit(1);

    // Ada goes on and believes that she still holds the lock.
    if (printer.print(ada.at, "another page of ada's")) std::exit(1);
}

int main() {
    asio::io_context io;
    us::ViewService views{TcpTransport{io, "tcp://127.0.0.1:0"}};
    us::ReplicaOptions options{.view_service = {views.local()}};
    us::PBService one{us::KvStore{}, TcpTransport{io, "tcp://127.0.0.1:0"}, options};
    us::PBService two{us::KvStore{}, TcpTransport{io, "tcp://127.0.0.1:0"}, options};
    us::Clerk clerk{TcpTransport{io}, us::ClientOptions{.view_service = {views.local()}}};

    views.async_run(asio::detached);
    one.async_run(asio::detached);
    two.async_run(asio::detached);
    asio::co_spawn(io, announce(one, "server one"), asio::detached);
    asio::co_spawn(io, announce(two, "server two"), asio::detached);
    asio::co_spawn(io, lesson(clerk, one, two), [&](std::exception_ptr failure) {
        io.stop();
        if (failure) std::rethrow_exception(failure);
    });
    io.run();
}
