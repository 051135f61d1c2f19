// How many servers one view service can serve: servers in groups of two ping it, each over a connection of its own. In
// the first phase none dies; then many primaries fall silent at once, and the result is the time until the last of
// their groups receives its next view. With `--simulated` the same for the state machine alone, in virtual time.
#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <understudy/net/any.hpp>
#include <understudy/view_service.hpp>

#include "tests/bench/fleet_sockets.hpp"
#include "tests/bench/processes.hpp"
#include "tests/bench/statistics.hpp"
#include "tests/support/fleet_machine.hpp"

namespace {

using namespace understudy;
using namespace understudy::bench;
using namespace understudy::test;

struct Settings {
    std::vector<std::size_t> servers;
    Network network = Network::tcp;
    double seconds = 5;
    std::size_t failed = 1000;
    bool closing = false;
    bool simulated = false;
};

ViewOptions options_for(std::size_t servers) {
    ViewOptions options;
    options.max_groups = std::max(options.max_groups, servers / 2);
    return options;
}
double milliseconds(auto length) { return std::chrono::duration<double, std::milli>(length).count(); }

/// What a child reports to this process, in memory that they share.
struct Emitted {
    std::atomic<std::size_t> lost{0};
};
class Shared {
public:
    Shared() : place_{mmap(nullptr, sizeof(Emitted), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)} {
        if (place_ == MAP_FAILED) fail("mmap");
        new (place_) Emitted;
    }
    ~Shared() { munmap(place_, sizeof(Emitted)); }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    Emitted& operator*() const { return *static_cast<Emitted*>(place_); }
    Emitted* operator->() const { return static_cast<Emitted*>(place_); }

private:
    void* place_;
};

double resident_bytes(pid_t process) {
    double all = 0, resident = 0;
    std::ifstream{"/proc/" + std::to_string(process) + "/statm"} >> all >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// Closes the descriptor `listens` once the service listens.
void serve(const Place& place, std::size_t servers, Emitted& emitted, int listens) {
    asio::io_context io{1};
    TransportOptions transport;
    transport.listen = place.address();
    transport.max_connections = std::max(transport.max_connections, servers);
    const auto count = [&emitted](const Event& event) { emitted.lost += std::holds_alternative<ServerLost>(event); };
    ViewService views{net::AnyTransport{io, transport}, options_for(servers), count};
    views.async_run(asio::detached);
    close(listens);
    io.run();
}

/// Prints the result; returns whether it is as expected: every failed server was declared lost, and no other server.
bool report(std::size_t failed, const char* how, std::pair<std::size_t, Duration> outcome, std::size_t lost_before,
            std::size_t lost, Duration dead_after) {
    const auto [emitted, took] = outcome;
    std::printf(
        "  %zu primaries %s at once: the last of %zu groups was told of its next view after %.0f ms, D + %.0f\n",
        failed, how, emitted, milliseconds(took), milliseconds(took - dead_after));
    const auto falsely = lost_before + (lost > failed ? lost - failed : 0);
    std::printf("  %zu false deaths\n", falsely);
    return falsely == 0 && emitted == failed && lost == failed;
}

bool run(std::size_t servers, const Settings& settings, const std::string& folder) {
    const auto options = options_for(servers);
    const Place place{settings.network, settings.network == Network::tcp ? free_port() : std::uint16_t{0},
                      folder + "/views" + std::to_string(servers)};
    const Shared emitted;
    int ends[2];
    must(pipe(ends), "pipe");
    const Process service{[&] { serve(place, servers, *emitted, ends[1]); }};
    close(ends[1]);
    char none;
    must(static_cast<int>(read(ends[0], &none, 1)), "read");  // the read ends when the service listens
    close(ends[0]);
    const auto memory_before = resident_bytes(service.id());
    FleetSockets fleet{place, servers, options.ping_interval};
    form(fleet);
    fleet.run_for(6 * options.dead_after());  // all began at once, and the service needs a while to catch up

    fleet.measure();
    const auto begun = Clock::now();
    const auto cpu_before = cpu_seconds(service.id());
    fleet.run_for(std::chrono::nanoseconds{static_cast<std::int64_t>(settings.seconds * 1e9)});
    const auto cpu = cpu_seconds(service.id()) - cpu_before;
    const auto seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    const auto pings = static_cast<double>(fleet.round_trips.size());
    const auto memory = resident_bytes(service.id()) - memory_before;
    std::printf("%s, %zu servers in %zu groups\n", std::string{to_string(settings.network)}.c_str(), servers,
                servers / 2);
    std::printf("  %.0f pings per second: %.1f us of CPU each, %.0f%% of a core\n", pings / seconds, cpu / pings * 1e6,
                cpu / seconds * 100);
    std::printf("  answered in %.3f ms (median), %.3f ms (99%%); none was sent more than %.1f ms late\n",
                quantile(fleet.round_trips, 0.5) / 1e6, quantile(fleet.round_trips, 0.99) / 1e6,
                milliseconds(fleet.latest));
    std::printf("  %.1f KiB of memory per server\n", memory / 1024 / static_cast<double>(servers));

    const std::size_t lost_before = emitted->lost;
    const auto outcome = fail_primaries(fleet, settings.failed, options.dead_after(), [&](auto server) {
        settings.closing ? fleet.hang_up(server) : fleet.silence(server);
    });
    return report(std::min(settings.failed, servers / 2), settings.closing ? "die" : "fall silent", outcome,
                  lost_before, emitted->lost - lost_before, options.dead_after());
}

bool run_simulated(std::size_t servers, const Settings& settings) {
    const auto options = options_for(servers);
    FleetMachine fleet{servers, options};
    form(fleet);
    fleet.run_for(2 * options.dead_after());
    fleet.measure();
    fleet.run_for(std::chrono::nanoseconds{static_cast<std::int64_t>(settings.seconds * 1e9)});
    std::printf("simulated, %zu servers in %zu groups\n", servers, servers / 2);
    std::printf("  %.0f pings per second: %.2f us of CPU each, of the rules alone\n",
                static_cast<double>(fleet.pings) / settings.seconds,
                fleet.cpu / static_cast<double>(fleet.pings) * 1e6);
    const auto lost_before = fleet.lost;
    const auto outcome =
        fail_primaries(fleet, settings.failed, options.dead_after(), [&](auto server) { fleet.silence(server); });
    const auto failed = std::min(settings.failed, servers / 2);
    const bool good =
        report(failed, "fall silent", outcome, lost_before, fleet.lost - lost_before, options.dead_after());
    std::printf("  %.1f KiB of memory per server, of the rules alone\n",
                fleet.memory() / 1024 / static_cast<double>(servers));
    return good && outcome.second <= options.dead_after() + std::chrono::seconds{1};
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    settings.servers = {1000, 2000, 5000};
    std::string network = "tcp";
    CLI::App app{"Lets many servers ping one view service, and measures what each ping costs it"};
    app.add_option("--servers", settings.servers, "How many")->delimiter(',')->capture_default_str();
    app.add_option("--network", network, "tcp, unix")->check(CLI::IsMember({"tcp", "unix"}))->capture_default_str();
    app.add_option("--seconds", settings.seconds, "How long pings are measured")->capture_default_str();
    app.add_option("--failed", settings.failed, "How many primaries fail at once")->capture_default_str();
    app.add_flag("--closing", settings.closing, "Their connections close and new ones are refused");
    app.add_flag("--simulated", settings.simulated, "The rules alone, without sockets");
    CLI11_PARSE(app, argc, argv);
    settings.network = network == "tcp" ? Network::tcp : Network::unix_sockets;
    std::string folder = std::filesystem::temp_directory_path() / "view_scale_XXXXXX";
    bool good = true;
    try {
        if (!mkdtemp(folder.data())) fail("mkdtemp");
        if (!settings.simulated)
            allow_descriptors(*std::ranges::max_element(settings.servers) + settings.failed + 100);  // and for probes
        for (const auto servers : settings.servers)
            good = (settings.simulated ? run_simulated(servers, settings) : run(servers, settings, folder)) && good;
    } catch (const std::exception& failure) {
        std::cerr << "view_scale: " << failure.what() << '\n';
        good = false;
    }
    std::filesystem::remove_all(folder);
    return good ? 0 : 1;
}
