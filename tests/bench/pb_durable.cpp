// The cost of waiting for a disk: replicated writes with a journal that syncs before an entry counts, beside the same
// without a journal and beside Redis that syncs as well, alternating; and how fast a server recovers from its journal.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <understudy/journal/file_journal.hpp>

#include "tests/bench/device.hpp"
#include "tests/bench/memory.hpp"
#include "tests/bench/ours.hpp"
#include "tests/bench/redis.hpp"

namespace {

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::bench;

struct Settings {
    std::string what = "writes", folder = "/tmp";
    std::vector<std::size_t> clients{1, 16, 64, 256};
    int rounds = 5;
    double seconds = 2;
    std::size_t bytes = 100, journal_mib = 1024;
};

class Folder {
public:
    explicit Folder(const std::string& parent) : path_{parent + "/pb_durable_XXXXXX"} {
        if (!mkdtemp(path_.data())) fail("mkdtemp");
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::string make(const std::string& name) const {
        std::filesystem::create_directory(path_ + "/" + name);
        return path_ + "/" + name;
    }

private:
    std::string path_;
};

void print(const char* name, const Estimate& it, const char* unit) {
    std::printf("  %-44s %.2f (%.2f-%.2f)%s\n", name, it.median, it.low, it.high, unit);
}

// ---- writes -----------------------------------------------------------------------------------------------

/// The time of the least work that a disk must do: a few more bytes in a file, and a sync.
std::vector<double> sync_latencies(const std::string& folder) {
    journal::PosixDisk disk{folder + "/probe"};
    auto file = disk.create("file", 256u << 10);
    const std::string bytes(512, 'x');
    std::vector<double> all;
    for (int n = 0; n < 300; ++n) {
        file.append(bytes);
        const auto begun = Clock::now();
        file.sync();
        all.push_back(seconds_since(begun) * 1e3);
    }
    return all;
}

std::unique_ptr<Group> start_ours(const std::string& folder, bool durable) {
    if (!durable) return std::make_unique<Group>(Network::tcp, folder);
    const auto serve_durably = [folder](const Address& listen, const ReplicaOptions& options, const Content& content) {
        asio::io_context io{1};
        const auto port = listen.substr(listen.rfind(':') + 1);
        live(io,
             PBService{KvStore{}, net::AnyTransport{io, listen}, journal::FileJournal{folder + "/" + port}, options},
             content);
    };
    return std::make_unique<Group>(Network::tcp, folder, ReplicaOptions{}, Content{}, serve_durably);
}

enum class Kind { journal, memory, redis };
constexpr const char* name_of(Kind kind) {
    return kind == Kind::journal ? "with a journal" : kind == Kind::memory ? "without a journal" : "Redis, the same";
}

void measure_writes(const Settings& settings) {
    const Folder folder{settings.folder};
    auto latencies = sync_latencies(folder.make("disk"));
    std::printf("a sync of this disk: median %.2f ms, p99 %.2f ms\n", quantile(latencies, 0.5),
                quantile(latencies, 0.99));
    const auto durable = start_ours(folder.make("durable"), true);
    const auto memory = start_ours(folder.make("memory"), false);
    const RedisGroup redis{Network::tcp, folder.make("redis"), true};
    std::mt19937 random{std::random_device{}()};
    for (const auto clients : settings.clients) {
        const Shape shape{.network = Network::tcp, .connections = clients, .bytes = settings.bytes};
        std::map<Kind, std::vector<Sample>> samples;
        std::vector<double> amplification;
        for (int round = 0; round < settings.rounds; ++round) {
            std::vector order{Kind::journal, Kind::memory, Kind::redis};
            std::ranges::shuffle(order, random);
            for (const auto kind : order) {
                const auto servers = kind == Kind::journal  ? durable->processes()
                                     : kind == Kind::memory ? memory->processes()
                                                            : redis.processes();
                const auto before = bytes_written(settings.folder);
                samples[kind].push_back(to_sample(output_of([&](int to) {
                    Meter meter{settings.seconds, servers};
                    if (kind == Kind::redis) redis.load(shape, meter, false);
                    else (kind == Kind::journal ? durable : memory)->load(shape, meter);
                    const auto text = to_text(meter.sample());
                    write_all(to, text.data(), text.size());
                })));
                const auto& sample = samples[kind].back();
                const auto payload = sample.operations * static_cast<double>(settings.bytes) * 2;  // on two disks
                if (kind == Kind::journal) amplification.push_back(
                        static_cast<double>(bytes_written(settings.folder) - before) / payload);
            }
        }
        std::printf("%zu connections, %zu bytes\n", clients, settings.bytes);
        const auto each = [&](Kind kind, auto figure) {
            std::vector<double> all;
            for (const auto& sample : samples[kind]) all.push_back(figure(sample));
            return all;
        };
        const auto rates = [&](Kind kind) { return each(kind, [](const Sample& it) { return it.rate(); }); };
        for (const auto kind : {Kind::journal, Kind::memory, Kind::redis})
            std::printf("  %-20s %8.0f/s  p50 %6.2f ms  p99 %6.2f ms\n", name_of(kind),
                        estimate(rates(kind)).median,
                        estimate(each(kind, [](const Sample& it) { return it.p50 / 1e3; })).median,
                        estimate(each(kind, [](const Sample& it) { return it.p99 / 1e3; })).median);
        const auto ratio = [&](Kind other) {
            auto ours = rates(Kind::journal), theirs = rates(other);
            for (std::size_t n = 0; n < ours.size(); ++n) ours[n] /= theirs[n];
            return estimate(ours);
        };
        print("with a journal / Redis, the same", ratio(Kind::redis), "");
        print("with a journal / without", ratio(Kind::memory), "");
        print("bytes written by the disk / bytes of the values", estimate(amplification), "");
        std::fflush(stdout);
    }
}

// ---- recovery ---------------------------------------------------------------------------------------------

Entry put_entry(Index index, std::size_t bytes) {
    const auto key = "key" + std::to_string(index % 1'000'000);
    return {{1, index}, EntryKind::command, {}, 0, 0,
            R"({"op":"put","key":")" + key + R"(","value":")" + std::string(bytes, 'v') + R"("})"};
}

/// The commands of `settings.entries` entries, one after the other.
struct Commands {
    Commands(Index entries, std::size_t bytes) {
        for (Index index = 1; index <= entries; ++index) {
            all += put_entry(index, bytes).command;
            ends.push_back(all.size());
        }
    }
    template <typename Visit>
    void for_each(Visit visit) const {
        std::size_t begin = 0;
        for (const auto end : ends) visit(std::string_view{all}.substr(begin, end - begin)), begin = end;
    }
    std::string all;
    std::vector<std::size_t> ends;
};

/// Writes a journal of so many bytes of entries; returns the number of entries.
Index write_journal(const std::string& folder, const Settings& settings) {
    journal::ReplicaFiles<journal::PosixDisk> files{journal::PosixDisk{folder}, 1};
    Recovery nothing{wire::TypedStore<KvStore>{KvStore{}}, 0};
    files.read(nothing);
    Log log;
    std::uint64_t number = 0;
    for (std::uint64_t bytes = 0; bytes < settings.journal_mib << 20;) {
        JournalBatch batch;
        batch.number = ++number;
        batch.prev = log.last();
        for (int n = 0; n < 64; ++n) {
            auto entry = put_entry(log.last().index + 1, settings.bytes);
            bytes += entry.command.size();
            log.append(entry);
        }
        batch.through = batch.commit = log.last().index;
        files.write(journal::make_pending(batch, log));
        log.trim(log.last().index);
    }
    files.checkpoint();
    return log.last().index;
}

/// Seconds for reading all files of a folder that are not in the page cache.
double read_cold(const std::string& folder, std::uint64_t& bytes) {
    std::string buffer(1u << 20, '\0');
    bytes = 0;
    double seconds = 0;
    for (const auto& entry : std::filesystem::directory_iterator{folder}) {
        const int file = must(open(entry.path().c_str(), O_RDONLY | O_CLOEXEC), "open");
        posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        const auto begun = Clock::now();
        for (ssize_t got; (got = read(file, buffer.data(), buffer.size())) > 0;)
            bytes += static_cast<std::uint64_t>(got);
        seconds += seconds_since(begun);
        close(file);
    }
    return seconds;
}

void measure_recovery(const Settings& settings) {
    const Folder folder{settings.folder};
    const auto data = folder.make("journal");
    const auto entries = write_journal(data, settings);
    std::vector<double> recovery, apply, cold;
    std::uint64_t bytes = 0;
    double memory = 0;
    for (int round = 0; round < settings.rounds; ++round) {
        // Runs in a process of its own; `prepare` runs before the clock starts.
        const auto seconds = [](auto prepare, auto work) {
            const auto emitted = output_of([&](int to) {
                auto prepared = prepare();
                const auto begun = Clock::now();
                work(prepared);
                const auto text = std::to_string(seconds_since(begun)) + " " + std::to_string(peak(getpid()));
                write_all(to, text.data(), text.size());
            });
            return std::pair{std::stod(emitted), std::stod(emitted.substr(emitted.find(' ') + 1))};
        };
        cold.push_back(read_cold(data, bytes));
        const auto recover = [&](int) {
            journal::FileJournal journal{data};
            Recovery reader{wire::TypedStore<KvStore>{KvStore{}}, ReplicaOptions{}.log_bytes};
            journal.read(reader);
            if (std::move(reader).finish().state.applied.index != entries) throw std::runtime_error{"not all is there"};
        };
        const auto [took, most] = seconds([] { return 0; }, recover);
        recovery.push_back(took);
        memory = std::max(memory, most);
        const auto apply_all = [](const Commands& commands) {
            wire::TypedStore<KvStore> store{KvStore{}};
            commands.for_each([&](std::string_view command) { store.apply(command); });
        };
        apply.push_back(seconds([&] { return Commands{entries, settings.bytes}; }, apply_all).first);
    }
    const auto mib = static_cast<double>(bytes) / (1 << 20);
    std::printf("a journal of %.0f MiB with %llu entries\n", mib, static_cast<unsigned long long>(entries));
    print("recovery", estimate(recovery), " s");
    print("the store alone, from memory", estimate(apply), " s");
    print("reading the files alone, not in memory", estimate(cold), " s");
    for (std::size_t n = 0; n < recovery.size(); ++n) {
        apply[n] /= recovery[n];
        cold[n] /= recovery[n];
    }
    print("speed of recovery / that of the store", estimate(apply), "");
    print("speed of recovery / that of cold reading", estimate(cold), "");
    std::printf("  memory of the process at most: %.0f MiB\n", memory / (1 << 20));
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    CLI::App app{"Replicated writes with a journal, beside the same without and beside Redis; and recovery from one"};
    app.add_option("--what", settings.what, "writes, recovery")->check(CLI::IsMember({"writes", "recovery"}));
    app.add_option("--folder", settings.folder, "On the disk that is measured")->capture_default_str();
    app.add_option("--clients", settings.clients, "Connections, each with one call")->delimiter(',');
    app.add_option("--rounds", settings.rounds, "How often each is measured")->capture_default_str();
    app.add_option("--seconds", settings.seconds, "How long each time")->capture_default_str();
    app.add_option("--bytes", settings.bytes, "Length of a value")->capture_default_str();
    app.add_option("--journal-mib", settings.journal_mib, "For recovery: bytes of commands")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        settings.what == "writes" ? measure_writes(settings) : measure_recovery(settings);
    } catch (const std::exception& failure) {
        std::cerr << "pb_durable: " << failure.what() << '\n';
        return 1;
    }
}
