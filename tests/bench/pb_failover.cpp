// How long nobody can write after the primary dies: it is killed again and again while clients write. What counts is
// the longest time without an answered write around each kill. The dead server comes back empty, and gets in sync
// before the next kill.
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tests/bench/ours.hpp"
#include "tests/bench/statistics.hpp"

namespace {

using namespace understudy;
using namespace understudy::bench;

/// Writes as fast as answers come, and says when each came: nanoseconds of the monotonic clock, to a descriptor.
void write_for_ever(const Address& view_service, std::size_t clients, int to) {
    asio::io_context io{1};
    ClerkOptions options;
    options.view_service = {view_service};
    struct Writer {
        Clerk<net::AnyTransport> clerk;
        int to;
        std::size_t n;

        void next() {
            clerk.async_put(key(n), std::string(100, 'v'), [this](std::error_code ec) {
                if (ec) throw std::system_error{ec, "understudy"};
                const std::int64_t now = Clock::now().time_since_epoch().count();
                write_all(to, reinterpret_cast<const char*>(&now), sizeof now);
                next();
            });
        }
    };
    std::vector<std::unique_ptr<Writer>> writers;
    for (std::size_t n = 0; n < clients; ++n) {
        writers.push_back(
            std::make_unique<Writer>(Writer{Clerk<net::AnyTransport>{net::AnyTransport{io}, options}, to, n}));
        writers.back()->next();
    }
    io.run();
}

/// Reads until an answer came at least `after` the time `from`, and returns the longest gap between two answers.
std::int64_t longest_gap(int answers, std::int64_t from, std::int64_t after) {
    std::int64_t last = 0, longest = 0;
    for (std::int64_t at = 0; last < from + after; last = at) {
        for (std::size_t got = 0; got < sizeof at;) {
            const auto count = read(answers, reinterpret_cast<char*>(&at) + got, sizeof at - got);
            if (count <= 0) throw std::runtime_error{"the writers ended"};
            got += static_cast<std::size_t>(count);
        }
        if (last != 0 && at >= from) longest = std::max(longest, at - last);
    }
    return longest;
}

void run(Network network, std::size_t kills, std::size_t clients) {
    std::string folder = std::filesystem::temp_directory_path() / "pb_failover_XXXXXX";
    if (!mkdtemp(folder.data())) fail("mkdtemp");
    int ends[2];
    must(pipe(ends), "pipe");
    std::vector<double> gaps;
    {
        Group group{network, folder};
        Process writers{[&] { write_for_ever(group.view_service(), clients, ends[1]); }};
        close(ends[1]);
        for (auto view = group.await_view(2, 1); gaps.size() < kills;) {
            const auto leader = group.leader(view);
            const std::int64_t before = Clock::now().time_since_epoch().count();
            longest_gap(ends[0], before, 20'000'000);  // they write
            const std::int64_t killed = Clock::now().time_since_epoch().count();
            group.kill(leader);
            gaps.push_back(static_cast<double>(longest_gap(ends[0], killed, 50'000'000)) / 1e6);
            const auto number = group.await_view(view.number + 1).number;
            group.start(leader);
            view = group.await_view(number, 1);
        }
    }
    std::filesystem::remove_all(folder);
    std::printf(
        "%s, %zu clients, %zu kills: longest time without an answered write, median %.1f ms, p90 %.1f ms, "
        "p99 %.1f ms, longest %.1f ms\n",
        std::string{to_string(network)}.c_str(), clients, kills, quantile(gaps, 0.5), quantile(gaps, 0.9),
        quantile(gaps, 0.99), *std::ranges::max_element(gaps));
}

}  // namespace

int main(int argc, char** argv) {
    std::string network = "tcp";
    std::size_t kills = 200, clients = 16;
    CLI::App app{"Kills the primary of a group under load, again and again, and measures how long nobody can write"};
    app.add_option("--network", network, "tcp, unix")->check(CLI::IsMember({"tcp", "unix"}))->capture_default_str();
    app.add_option("--kills", kills, "How often")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--clients", clients, "How many write")->check(CLI::PositiveNumber)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        run(network == "tcp" ? Network::tcp : Network::unix_sockets, kills, clients);
    } catch (const std::exception& failure) {
        std::cerr << "pb_failover: " << failure.what() << '\n';
        return 1;
    }
}
