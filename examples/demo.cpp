// The demo: a view service and three servers, each a process of its own, clients that write continuously, and a primary
// that is killed, twice, and then all processes at once. At the end the demo checks that every answered write is there.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>

#include "demo/process.hpp"
#include "demo/scenario.hpp"
#include "demo/text.hpp"
#include "program/command_line.hpp"

namespace {

using namespace demo;

void say(const std::string& line) { std::puts(line.c_str()); }

void introduce(const Options& options) {
    say("understudy: one view service, three servers, " + counted(options.clients, "client", "clients") +
        " that write without pause.");
    say("The primary is killed, twice, and then everything at once. At the end every answered write is looked for.");
    say("");
    std::fflush(stdout);
}

void announce(const Verdict& verdict, const Display& display) {
    const auto count = [&](std::uint64_t number) {
        return display.paint(number == 0 ? Style::good : Style::bad, right(grouped(number), 11));
    };
    const auto rate = static_cast<std::uint64_t>(static_cast<double>(verdict.answered) / verdict.seconds);
    say("");
    say("  writes answered " + right(grouped(verdict.answered), 11) + "   in " + fixed(verdict.seconds, 1) + " s, " +
        grouped(rate) + " per second");
    if (verdict.unanswered > 0)
        say("  without answer  " + right(grouped(verdict.unanswered), 11) + "   outcome unknown");
    say("  lost            " + count(verdict.lost));
    say("  doubled         " + count(verdict.doubled));
    std::string each;
    for (const auto& gap : verdict.gaps) each += (each.empty() ? "at the kills " : ", ") + in_ms(gap);
    say("  longest gap     " + right(in_ms(verdict.longest), 11) + "   " + each);
    say("");
    const auto fault = verdict.example.empty() ? std::string{"nothing was shown"} : verdict.example;
    say(verdict.good()
            ? display.paint(Style::strong, "Every answered write stands on both servers that were left, exactly once.")
            : display.paint(Style::bad, "THE CHECK FAILED: " + fault + "."));
}

void show_logs(const std::filesystem::path& folder) {
    std::set<std::filesystem::path> logs;
    for (const auto& entry : std::filesystem::directory_iterator{folder})
        if (entry.path().extension() == ".log") logs.insert(entry.path());
    for (const auto& log : logs) {
        std::fprintf(stderr, "\n%s ends with:\n", log.c_str());
        for (const auto& line : last_lines(log, 8)) std::fprintf(stderr, "  %s\n", line.c_str());
    }
}

/// Exit code 0: the check succeeded; 1: it failed, or the demo could not go on; 130: interrupted.
int run(const Options& options, const std::filesystem::path& programs) {
    TemporaryFolder folder;
    if (options.keep) folder.keep();
    int code = 1;
    try {
        introduce(options);
        Verdict verdict;
        {
            Scenario scenario{options, programs, folder.path()};
            verdict = scenario.play();
            announce(verdict, scenario.display());
        }
        code = verdict.good() ? 0 : 1;
    } catch (const Interrupted&) {
        say("\nInterrupted. All processes are ended.");
        return 130;
    } catch (const std::exception& fault) {
        std::fflush(stdout);
        std::fprintf(stderr, "\nThe demo cannot go on: %s.\n", fault.what());
    }
    std::fflush(stdout);
    if (code != 0) {
        folder.keep();
        show_logs(folder.path());
    }
    if (code != 0 || options.keep) std::fprintf(stderr, "\nThe logs are in %s\n", folder.path().c_str());
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    bool quick = false, tcp = false;
    const program::CommandLine line{
        "demo",
        "Shows failovers: kills the primary of a replicated store twice while clients write, then everything\n"
        "at once, and looks for every answered write. Exit code 0 only if none is lost and none doubled."};
    line.seconds("--seconds", options.seconds, "How long the clients write").between(1.0, 86400.0);
    line.flag("--quick", quick, "The same as --seconds 5");
    line.count("--clients", options.clients, "How many clients write").between(1, 1000);
    const auto over_tcp = line.flag("--tcp", tcp, "Over TCP on the loopback interface, as it is by default");
    line.flag("--unix", options.unix_sockets, "Over unix sockets").excludes(over_tcp);
    line.flag("--plain", options.plain, "No live display, also on a terminal");
    line.flag("--keep", options.keep, "Keep the servers' logs, and say where they are");
    if (const auto end = line.parse(argc, argv)) return static_cast<int>(*end);
    if (quick) options.seconds = 5;
    try {
        std::signal(SIGPIPE, SIG_IGN);  // a reader of our output that disconnects must not prevent the cleanup
        std::error_code ec;
        auto self = std::filesystem::canonical("/proc/self/exe", ec);
        if (ec) self = std::filesystem::canonical(argv[0]);
        return run(options, self.parent_path());
    } catch (const std::exception& fault) {
        std::fprintf(stderr, "demo: %s\n", fault.what());
        return 1;
    }
}
