// `count` puts, one after the other, over unix sockets: a view service, two replicas and a clerk in one thread.
// tests/cost/check.py counts the system calls of one more put.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <understudy/clerk.hpp>
#include <understudy/net/unix.hpp>
#include <understudy/understudy.hpp>

#include "cost.hpp"

namespace us = understudy;
using us::net::UnixTransport;

int run_sockets(int argc, char** argv) {
    if (argc != 4) return std::fprintf(stderr, "cost sockets FOLDER COUNT\n"), 2;
    const std::string at = "unix://" + std::string{argv[2]} + "/";
    auto left = std::strtoul(argv[3], nullptr, 10);

    asio::io_context io{1};
    us::ViewService views{UnixTransport{io, at + "views"}, us::ViewOptions{.ping_interval = std::chrono::seconds{1}}};
    const us::ReplicaOptions options{.view_service = {views.local()}};
    us::PBService one{us::KvStore{}, UnixTransport{io, at + "one"}, options};
    us::PBService two{us::KvStore{}, UnixTransport{io, at + "two"}, options};
    us::Clerk clerk{UnixTransport{io}, us::ClientOptions{.view_service = {views.local()}}};
    views.async_run(asio::detached);
    for (auto* server : {&one, &two}) server->async_run(asio::detached);
    while (views.view().view.synced_count() == 0) io.run_one();

    struct Puts {
        asio::io_context& io;
        us::Clerk<UnixTransport>& clerk;
        std::size_t left;

        void next() {
            if (left-- == 0) return io.stop();
            clerk.async_put("key", std::string(100, 'v'), [this](std::error_code ec) {
                if (ec) std::abort();
                next();
            });
        }
    } puts{io, clerk, left};
    puts.next();
    io.run();
    return 0;
}
