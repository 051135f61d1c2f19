// A view service and three servers, each with its state on disk, under continuous writes. In each round any of them, or
// all, are killed at any time and started again. At the end the test checks that every answered write is there.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <CLI/CLI.hpp>

#include "examples/demo/check.hpp"
#include "examples/demo/group.hpp"
#include "examples/demo/pulse.hpp"
#include "examples/demo/writer.hpp"

namespace {

using namespace demo;
using namespace std::chrono_literals;

struct Options {
    int rounds = 20;
    std::uint64_t seed = 1;
    unsigned clients = 8;
    bool tcp = false, keep = false;
    std::string programs;
};

/// The nodes that a round kills: the view service is number 3.
using Victims = std::vector<std::size_t>;
constexpr std::size_t nodes = 4;

class Torture {
public:
    Torture(const Options& options, const std::filesystem::path& folder)
        : options_{options}, group_{options.programs, folder, !options.tcp}, random_{options.seed} {}

    Findings run() {
        start();
        for (int round = 1; round <= options_.rounds; ++round) {
            pass(50ms, 400ms);
            const auto victims = choose();
            for (const auto victim : victims) kill(victim);
            pass(0ms, 600ms);
            for (const auto victim : victims) revive(victim);
            // the next round begins before the group is healthy
            const bool at_once = below(4) == 0 && round != options_.rounds;
            if (!at_once) wait_for_answers(round);
            if (round % 10 == 0)
                std::printf("round %d: %llu answered\n", round, static_cast<unsigned long long>(pulse_.total()));
            std::fflush(stdout);
        }
        for (auto& writer : writers_) writer->stop();
        until([this] { return std::ranges::all_of(writers_, [](auto& writer) { return writer->ended(); }); },
              "the last answers");
        const auto first = check();
        if (!first.good()) return first;
        // check again after a restart of all from their disks
        for (std::size_t node = 0; node < nodes; ++node) kill(node);
        for (std::size_t node = 0; node < nodes; ++node) revive(node);
        return check();
    }
    std::uint64_t answered() const { return pulse_.total(); }

private:
    void start() {
        revive(3);
        for (std::size_t node = 0; node < 3; ++node) revive(node);
        for (unsigned number = 0; number < options_.clients; ++number) {
            writers_.push_back(std::make_unique<Writer>(io_, clerk_options(), number, pulse_));
            writers_.back()->start();
        }
        wait_for_answers(0);
    }

    Victims choose() {
        Victims victims;
        const bool everybody = below(8) == 0;
        while (victims.empty())
            for (std::size_t node = 0; node < nodes; ++node)
                if (everybody || below(2) == 0) victims.push_back(node);
        std::ranges::shuffle(victims, random_);
        return victims;
    }
    void kill(std::size_t node) {
        if (node == 3) group_.end_view_service(SIGKILL);
        else group_.end(group_.servers()[node], SIGKILL);
    }
    /// Starts the node once its process has ended, and waits until it listens.
    void revive(std::size_t node) {
        if (node == 3) {
            until([this] { return !group_.view_service_running(); }, "the end of the view service");
            group_.start_view_service();
            until([this] { return group_.view_service_ready(); }, "the view service to listen");
            return;
        }
        auto& server = group_.servers()[node];
        until([&] { return !server.running(); }, "the end of server " + server.label);
        group_.start(server);
        until([&] { return group_.ready(server); }, "server " + server.label + " to listen");
    }

    void wait_for_answers(int round) {
        const auto before = pulse_.total();
        until([&] { return pulse_.total() > before + options_.clients; },
              "answers after round " + std::to_string(round));
    }

    Findings check() {
        std::vector<const Record*> records;
        for (const auto& writer : writers_) records.push_back(&writer->record());
        Clerk clerk{understudy::net::AnyTransport{io_}, clerk_options()};
        Check reading{clerk, std::move(records)};
        reading.start();
        until([&] { return reading.done(); }, "the reading of every write", 10min);
        return reading.findings();
    }

    // ---- time and chance ----------------------------------------------------------------------------------

    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    void pass(Clock::duration least, Clock::duration most) {
        const auto length = least + Clock::duration{below(static_cast<std::uint64_t>((most - least).count()) + 1)};
        asio::steady_timer timer{io_, length};
        bool passed = false;
        timer.async_wait([&](std::error_code) { passed = true; });
        until([&] { return passed; }, "time to pass");
    }
    /// Runs the clients until the condition holds; throws after `limit`, or when a process ends that was not killed.
    template <typename Condition>
    void until(Condition condition, const std::string& what, Clock::duration limit = 1min) {
        const auto end = Clock::now() + limit;
        while (!condition()) {
            if (const auto fault = group_.fault(); !fault.empty()) throw std::runtime_error{fault};
            for (const auto& writer : writers_)
                if (writer->fault()) throw std::system_error{writer->fault(), "a client's write was refused"};
            if (Clock::now() > end) throw std::runtime_error{"waited in vain for " + what};
            io_.restart();
            io_.run_for(5ms);
        }
    }

    understudy::ClientOptions clerk_options() const {
        understudy::ClientOptions options;
        options.view_service = {group_.view_service()};
        options.give_up_after = 2min;
        return options;
    }

    asio::io_context io_{1};
    Options options_;
    Group group_;
    std::mt19937_64 random_;
    Pulse pulse_;
    std::vector<std::unique_ptr<Writer>> writers_;
};

int run(const Options& options) {
    TemporaryFolder folder;
    if (options.keep) folder.keep();
    Findings findings;
    std::uint64_t answered = 0;
    try {
        Torture torture{options, folder.path()};
        findings = torture.run();
        answered = torture.answered();
    } catch (const std::exception& fault) {
        folder.keep();
        std::fflush(stdout);
        std::fprintf(stderr, "torture: seed %llu: %s\nThe logs and data are in %s\n",
                     static_cast<unsigned long long>(options.seed), fault.what(), folder.path().c_str());
        return 1;
    }
    if (!findings.good() || options.keep) {
        folder.keep();
        std::printf("%s\nThe logs and data are in %s\n", findings.example.c_str(), folder.path().c_str());
    }
    const auto number = [](std::uint64_t it) { return static_cast<unsigned long long>(it); };
    std::printf("rounds %d, answered %llu, lost %llu, doubled %llu\n", options.rounds, number(answered),
                number(findings.lost), number(findings.doubled));
    return findings.good() && answered > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Kills any of a view service and three servers with disks, again and again, while clients write",
                 "torture"};
    app.add_option("PROGRAMS", options.programs, "The folder with viewd and pbd")->required();
    app.add_option("--rounds", options.rounds, "How often")->check(CLI::Range(1, 1'000'000))->capture_default_str();
    app.add_option("--seed", options.seed, "Who is killed, and when")->capture_default_str();
    app.add_option("--clients", options.clients, "How many clients write")->capture_default_str();
    app.add_flag("--tcp", options.tcp, "Over TCP, and not over unix sockets");
    app.add_flag("--keep", options.keep, "Keep logs and data, and say where they are");
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGPIPE, SIG_IGN);
    return run(options);
}
