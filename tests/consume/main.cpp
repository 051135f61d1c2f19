// A host's program: a view service, a replica and a clerk, over TCP in one process.
#include <exception>
#include <iostream>
#include <string>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <understudy/clerk.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/understudy.hpp>

namespace us = understudy;
using us::net::TcpTransport;

namespace {

struct Host {
    us::ViewService<TcpTransport>& views;
    us::PBService<us::KvStore, TcpTransport>& replica;
    us::Clerk<TcpTransport>& clerk;
    std::string colour;
};

asio::awaitable<void> talk(Host& host) {
    co_await host.clerk.async_put("colour", "blue");
    co_await host.clerk.async_append("colour", "ish");
    host.colour = co_await host.clerk.async_get("colour");
}

}  // namespace

int main() {
    asio::io_context context;
    const auto executor = context.get_executor();

    us::ViewService views{TcpTransport{executor, "tcp://127.0.0.1:0"}};
    us::ReplicaOptions replica_options{.view_service = {views.local()}};
    us::PBService replica{us::KvStore{}, TcpTransport{executor, "tcp://127.0.0.1:0"}, replica_options};
    us::ClientOptions clerk_options{.view_service = {views.local()}};
    us::Clerk clerk{TcpTransport{executor}, clerk_options};
    views.async_run(asio::detached);
    replica.async_run(asio::detached);

    Host host{views, replica, clerk, {}};
    asio::co_spawn(executor, talk(host), [&host](std::exception_ptr failure) {
        host.clerk.stop();
        host.replica.stop();
        host.views.stop();
        if (failure) std::rethrow_exception(failure);
    });
    context.run();

    std::cout << "understudy " << UNDERSTUDY_VERSION_STRING << ": colour is " << host.colour << '\n';
    return host.colour == "blueish" ? 0 : 1;
}
