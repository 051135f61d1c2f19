// How long no client can write when the primary fails: again and again it is killed, stopped, disconnected or asked to
// leave while clients write. The result is the longest time without an answered write around each turn. The server
// comes back without state, and gets in sync before the next turn. With `--watch` the benchmark checks instead that no
// live server is declared dead.
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <asio/signal_set.hpp>

#include "tests/bench/statistics.hpp"
#include "tests/bench/watch.hpp"
#include "tests/bench/writers.hpp"
#include "tests/support/faulty_transport.hpp"

namespace {

using namespace understudy;
using namespace understudy::bench;

enum class How { kill, stop, partition, leave };
const std::map<std::string, How> kinds{
    {"kill", How::kill}, {"stop", How::stop}, {"partition", How::partition}, {"leave", How::leave}};

struct Settings {
    std::string network = "tcp", how = "kill";
    std::size_t turns = 200, clients = 16;
    double watch = 0, pause = 0;  // seconds, milliseconds

    How kind() const { return kinds.at(how); }
};

constexpr int to_leave = SIGUSR1, to_cut = SIGUSR2;

/// Like `serve`. On `to_leave` the server leaves its group and ends. On `to_cut` it keeps running and its connections
/// stay open, but no message is received or sent any more.
void serve_with_faults(const Address& listen, const ReplicaOptions& options, const Content&) {
    asio::io_context io{1};
    const auto faults = std::make_shared<test::Faults>();
    PBService server{KvStore{}, test::FaultyTransport{net::AnyTransport{io, listen}, faults}, options};
    asio::signal_set leave{io, to_leave}, cut{io, to_cut};
    leave.async_wait([&](std::error_code ec, int) {
        if (ec) return;
        server.async_leave(std::chrono::seconds{10}, [&](std::error_code failed) {
            if (failed) throw std::system_error{failed, "leave"};
            io.stop();
        });
    });
    cut.async_wait([&](std::error_code ec, int) {
        if (ec) return;
        faults->lose_incoming = faults->lose_outgoing = [](const auto&, auto) { return true; };
    });
    server.async_run(asio::detached);
    io.run();
}

void strike(How how, Process& primary) {
    switch (how) {
        case How::kill: return primary.kill_now();
        case How::stop: return primary.signal_with(SIGSTOP);
        case How::partition: return primary.signal_with(to_cut);
        case How::leave: return primary.signal_with(to_leave);
    }
}

/// How long to watch the answers: a handover affects them only when the view changes, which is not at once.
std::int64_t span(How how) {
    return std::chrono::nanoseconds{how == How::leave ? ViewOptions{}.dead_after() : 50ms}.count();
}

/// One turn; the group is in sync before and after it.
Gaps take_turn(Group& group, View& view, How how, Answers& answers, int from) {
    const auto leader = group.leader(view);
    // Wait while the clients write; the random part varies the time since the last ping.
    static std::mt19937 random{std::random_device{}()};
    answers.read_until(from, nanoseconds_now(),
                       20'000'000 + random() % 1000 * ViewOptions{}.ping_interval.count() / 1000);
    const auto begun = nanoseconds_now();
    strike(how, group.server(leader));
    const auto gaps = answers.read_until(from, begun, span(how));
    if (how == How::leave) {
        if (group.await_view(0).number <= view.number) throw std::runtime_error{"a server took too long to leave"};
        if (group.server(leader).wait() != 0) throw std::runtime_error{"a server could not leave"};
    }
    const auto number = group.await_view(view.number + 1).number;
    group.start(leader);
    view = group.await_view(number, 1);
    return gaps;
}

void print(const char* what, const std::vector<double>& gaps) {
    std::printf("  %-34s median %.1f ms, p90 %.1f ms, p99 %.1f ms, longest %.1f ms\n", what, quantile(gaps, 0.5),
                quantile(gaps, 0.9), quantile(gaps, 0.99), *std::ranges::max_element(gaps));
}

void report(const Settings& settings, const std::vector<double>& of_all, const std::vector<double>& of_one) {
    std::printf("%s, %s, %zu clients, %zu turns: longest time without an answered write\n", settings.how.c_str(),
                settings.network.c_str(), settings.clients, settings.turns);
    print("to any client", of_all);
    print("to the client that waits longest", of_one);
    if (settings.kind() != How::stop && settings.kind() != How::partition) return;
    const ViewOptions options;
    const double bound = std::chrono::duration<double, std::milli>{options.dead_after() + 2 * options.ping_interval} /
                         std::chrono::milliseconds{1};
    std::printf("  D + 2 ping intervals = %.0f ms, exceeded in %td turns (for some client in %td)\n", bound,
                std::ranges::count_if(of_all, [&](double gap) { return gap > bound; }),
                std::ranges::count_if(of_one, [&](double gap) { return gap > bound; }));
}

bool run(const Settings& settings, const std::string& folder) {
    int ends[2];
    must(pipe(ends), "pipe");
    const auto network = settings.network == "tcp" ? Network::tcp : Network::unix_sockets;
    const bool plain = settings.watch > 0 || settings.kind() == How::kill || settings.kind() == How::stop;
    Group::Serve with = serve_with_faults;
    if (plain) with = [](const auto&... server) { serve(server...); };
    Group group{network, folder, {}, {}, std::move(with)};
    const auto pause = std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>{settings.pause});
    Process writers{[&] { write_for_ever(group.view_service(), settings.clients, pause, ends[1]); }};
    close(ends[1]);
    auto view = group.await_view(2, 1);
    if (settings.watch > 0) return Watch{group, writers, ends[0], settings.clients}.run(settings.watch) == 0;
    Answers answers{settings.clients};
    std::vector<double> of_all, of_one;
    while (of_all.size() < settings.turns) {
        const auto gaps = take_turn(group, view, settings.kind(), answers, ends[0]);
        of_all.push_back(static_cast<double>(gaps.of_all) / 1e6);
        of_one.push_back(static_cast<double>(gaps.of_one) / 1e6);
    }
    report(settings, of_all, of_one);
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    CLI::App app{"Takes the primary from a group under load, again and again, and measures how long nobody can write"};
    app.add_option("--network", settings.network, "tcp, unix")
        ->check(CLI::IsMember({"tcp", "unix"}))
        ->capture_default_str();
    app.add_option("--how", settings.how, "kill: SIGKILL; stop: SIGSTOP; partition: no message passes; leave: asked to")
        ->check(CLI::IsMember(kinds))
        ->capture_default_str();
    app.add_option("--turns,--kills", settings.turns, "How often")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--clients", settings.clients, "How many write")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--pause", settings.pause, "Milliseconds that a client waits after an answer")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option(
           "--watch", settings.watch,
           "For so many seconds, take nothing away but stall all processes and keep the CPUs busy; fails if the "
           "view changes")
        ->check(CLI::PositiveNumber);
    CLI11_PARSE(app, argc, argv);
    std::string folder = std::filesystem::temp_directory_path() / "pb_failover_XXXXXX";
    int status = 1;
    try {
        if (!mkdtemp(folder.data())) fail("mkdtemp");
        status = run(settings, folder) ? 0 : 1;
    } catch (const std::exception& failure) {
        std::cerr << "pb_failover: " << failure.what() << '\n';
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return status;
}
