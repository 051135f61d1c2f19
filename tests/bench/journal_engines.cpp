// This library's journal files beside a journal in SQLite, alternating on one disk: entries per second in groups that
// are made stable one after the other, the bytes that the disk writes for them, and how fast they are read back.
#include <stdlib.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tests/bench/device.hpp"
#include "tests/bench/log_engines.hpp"
#include "tests/bench/meter.hpp"
#include "tests/bench/statistics.hpp"

namespace {

using namespace understudy::bench;

struct Settings {
    std::string folder = "/tmp";
    int rounds = 5;
    std::size_t bytes = 200, entries = 200'000;
    double seconds = 1;
};

struct Figures {
    std::vector<double> rate, amplification;
};

/// Writes groups of `group` entries for `settings.seconds`.
template <typename Engine>
void write_groups(const std::string& folder, const Settings& settings, std::size_t group, Figures& figures) {
    std::filesystem::create_directory(folder);
    Engine engine{folder};
    const std::string entry(settings.bytes, 'e');
    const auto before = bytes_written(folder);
    const auto begun = Clock::now();
    std::size_t count = 0;
    while (seconds_since(begun) < settings.seconds) {
        for (std::size_t n = 0; n < group; ++n) engine.append(entry);
        engine.commit();
        count += group;
    }
    figures.rate.push_back(static_cast<double>(count) / seconds_since(begun));
    figures.amplification.push_back(static_cast<double>(bytes_written(folder) - before) /
                                    static_cast<double>(count * settings.bytes));
}

/// Seconds for opening a journal with `settings.entries` entries and reading them.
template <typename Engine>
double read_back(const std::string& folder, const Settings& settings) {
    std::filesystem::create_directory(folder);
    {
        Engine engine{folder};
        const std::string entry(settings.bytes, 'e');
        for (std::size_t n = 0; n < settings.entries; ++n) engine.append(entry);
        engine.commit();
    }
    const auto begun = Clock::now();
    const Engine engine{folder};
    if (engine.read() != settings.entries * settings.bytes) throw std::runtime_error{"not all is there"};
    return seconds_since(begun);
}

std::vector<double> ratios(std::vector<double> ours, const std::vector<double>& theirs) {
    for (std::size_t n = 0; n < ours.size(); ++n) ours[n] /= theirs[n];
    return ours;
}
void print(const char* name, const Estimate& it) {
    std::printf("  %-40s %10.2f (%.2f-%.2f)\n", name, it.median, it.low, it.high);
}

void run(const Settings& settings) {
    auto root = settings.folder + "/journal_engines_XXXXXX";
    if (!mkdtemp(root.data())) fail("mkdtemp");
    int folders = 0;
    const auto fresh = [&] { return root + "/" + std::to_string(++folders); };
    for (const std::size_t group : {1, 16, 256}) {
        Figures files, sqlite;
        for (int round = 0; round < settings.rounds; ++round) {
            write_groups<FrameEngine>(fresh(), settings, group, files);
            write_groups<SqliteEngine>(fresh(), settings, group, sqlite);
        }
        std::printf("groups of %zu entries of %zu bytes\n", group, settings.bytes);
        print("files: entries/s", estimate(files.rate));
        print("SQLite: entries/s", estimate(sqlite.rate));
        print("files / SQLite", estimate(ratios(files.rate, sqlite.rate)));
        print("files: bytes of the disk / of entries", estimate(files.amplification));
        print("SQLite: the same", estimate(sqlite.amplification));
        std::fflush(stdout);
    }
    std::vector<double> files, sqlite;
    for (int round = 0; round < settings.rounds; ++round) {
        files.push_back(read_back<FrameEngine>(fresh(), settings));
        sqlite.push_back(read_back<SqliteEngine>(fresh(), settings));
    }
    std::printf("reading %zu entries back\n", settings.entries);
    print("files: s", estimate(files));
    print("SQLite: s", estimate(sqlite));
    print("time of SQLite / of files", estimate(ratios(sqlite, files)));
    std::filesystem::remove_all(root);
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    CLI::App app{"A journal on files of its own beside one in SQLite"};
    app.add_option("--folder", settings.folder, "On the disk that is measured")->capture_default_str();
    app.add_option("--rounds", settings.rounds, "How often each is measured")->capture_default_str();
    app.add_option("--seconds", settings.seconds, "How long each time")->capture_default_str();
    app.add_option("--bytes", settings.bytes, "Of an entry")->capture_default_str();
    app.add_option("--entries", settings.entries, "To be read back")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        run(settings);
    } catch (const std::exception& failure) {
        std::cerr << "journal_engines: " << failure.what() << '\n';
        return 1;
    }
}
