// A steady load on a running group: N clients, each with a connection of its own and one put in flight. Prints writes
// per second, latencies, and how far the primary's log is ahead of the commit index, so that a growing backlog is
// visible. Usage: `pb_load VIEW_SERVICE [clients] [seconds] [bytes]`
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/admin.hpp>
#include <understudy/clerk.hpp>
#include <understudy/net/any.hpp>
#include <understudy/understudy.hpp>

namespace us = understudy;
using us::net::AnyTransport;
using Clock = std::chrono::steady_clock;
using Micros = std::chrono::duration<double, std::micro>;

namespace {

struct Load {
    std::string view_service;
    std::size_t clients = 64;
    int seconds = 5;
    std::size_t bytes = 100;

    bool over = false;
    std::size_t failed = 0;
    std::vector<double> latencies;       // in microseconds
    std::vector<us::Index> outstanding;  // entries that the primary has logged and not committed, sampled
};

asio::awaitable<void> client(Load& load, asio::io_context& io, std::size_t n) {
    us::ClientOptions options;
    options.view_service = {load.view_service};
    us::Clerk clerk{AnyTransport{io}, options};
    const std::string key = "key" + std::to_string(n);
    const std::string value(load.bytes, 'v');
    while (!load.over) {
        const auto start = Clock::now();
        std::error_code failure;
        co_await clerk.async_put(key, value, asio::redirect_error(asio::use_awaitable, failure));
        if (failure)
            ++load.failed;
        else
            load.latencies.push_back(Micros{Clock::now() - start}.count());
    }
}

asio::awaitable<void> watch(Load& load, asio::io_context& io) {
    us::Admin admin{AnyTransport{io}};
    const us::ViewInfo info = co_await admin.async_view(load.view_service, "main");
    asio::steady_timer timer{io};
    for (int sample = 0; sample < load.seconds * 10; ++sample) {
        timer.expires_after(std::chrono::milliseconds{100});
        co_await timer.async_wait(asio::use_awaitable);
        const us::ReplicaStatusResult status = co_await admin.async_replica_status(info.view.primary.name);
        load.outstanding.push_back(status.last - status.commit);
    }
    load.over = true;
}

double quantile(std::vector<double>& sorted, double q) {
    return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 2) return std::fprintf(stderr, "pb_load VIEW_SERVICE [clients] [seconds] [bytes]\n"), 2;
    Load load{.view_service = arguments[1]};
    if (count > 2) load.clients = std::strtoul(arguments[2], nullptr, 10);
    if (count > 3) load.seconds = std::atoi(arguments[3]);
    if (count > 4) load.bytes = std::strtoul(arguments[4], nullptr, 10);

    asio::io_context io{1};
    for (std::size_t n = 0; n < load.clients; ++n) asio::co_spawn(io, client(load, io, n), asio::detached);
    asio::co_spawn(io, watch(load, io), asio::detached);
    const auto start = Clock::now();
    io.run();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();

    std::ranges::sort(load.latencies);
    const auto half = load.outstanding.begin() + static_cast<std::ptrdiff_t>(load.outstanding.size() / 2);
    const auto most = [](auto from, auto to) { return from == to ? us::Index{0} : *std::max_element(from, to); };
    std::printf("%zu clients: %.0f writes/s, p50 %.0f us, p99 %.0f us, %zu failed\n", load.clients,
                static_cast<double>(load.latencies.size()) / seconds, quantile(load.latencies, 0.5),
                quantile(load.latencies, 0.99), load.failed);
    std::printf("logged but not committed, at most: first half %llu, second half %llu entries\n",
                static_cast<unsigned long long>(most(load.outstanding.begin(), half)),
                static_cast<unsigned long long>(most(half, load.outstanding.end())));
    return load.failed == 0 && !load.latencies.empty() ? 0 : 1;
}
