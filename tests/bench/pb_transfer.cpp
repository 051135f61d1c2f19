// How long a new backup takes to get the state, with and without clients that write meanwhile, what the clients notice,
// and how much memory it takes; beside Redis, beside the library's own writer and reader alone, and beside a raw
// one-way relay. Also how a backup catches up after an outage, and how much memory a key takes.
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tests/bench/limits.hpp"
#include "tests/bench/ours.hpp"
#include "tests/bench/phases.hpp"
#include "tests/bench/redis.hpp"
#include "tests/bench/statistics.hpp"

namespace {

using namespace understudy;
using namespace understudy::bench;

struct Settings {
    std::string what = "transfer", network = "tcp", json;
    Content content{1'000'000, 100};
    std::size_t clients = 64, written_bytes = 100, log_bytes = 64u << 20, chunk_bytes = ReplicaOptions{}.chunk_bytes,
                chunk_window = ReplicaOptions{}.chunk_window;
    int rounds = 5;
    double seconds = 2, outage = 10;
    std::vector<std::string> systems{"ours", "alone", "redis"};

    Network kind() const { return network == "tcp" ? Network::tcp : Network::unix_sockets; }
    bool measures(const std::string& system) const { return std::ranges::find(systems, system) != systems.end(); }
    ReplicaOptions replica() const {
        ReplicaOptions options;
        options.log_bytes = log_bytes;
        options.chunk_bytes = chunk_bytes;
        options.chunk_window = chunk_window;
        return options;
    }
};

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

/// The keys that writers write to: any of the content's keys; with large values separate keys, so that the large values
/// stay large.
class Names {
public:
    explicit Names(const Content& content) : content_{content} {}
    std::string operator()() {
        const auto drawn = random_();
        return content_.pieces() > 1 || content_.bytes > 65536 ? "written:" + std::to_string(drawn % 1000)
                                                               : content_.key(drawn % content_.keys);
    }

private:
    Content content_;
    std::mt19937 random_{1};  // NOLINT: the same draws each time
};

/// Runs clients of a group, each with a connection of its own and one put in flight.
void write_puts(const Address& view_service, const Settings& settings, const Writers::Done& done) {
    asio::io_context io{1};
    ClientOptions options;
    options.view_service = {view_service};
    Names names{settings.content};
    const std::string value(settings.written_bytes, 'w');
    struct Writer {
        Clerk<net::AnyTransport> clerk;
        std::function<void(Writer&)> go_on;
    };
    std::vector<std::unique_ptr<Writer>> writers;
    const auto go_on = [&](Writer& writer) {
        writer.clerk.async_put(names(), value, [&, asked = Clock::now()](std::error_code ec) {
            if (ec) throw std::system_error{ec, "understudy"};
            done(asked, Clock::now()) ? writer.go_on(writer) : io.stop();
        });
    };
    for (std::size_t n = 0; n < settings.clients; ++n) {
        writers.push_back(
            std::make_unique<Writer>(Writer{Clerk<net::AnyTransport>{net::AnyTransport{io}, options}, go_on}));
        go_on(*writers.back());
    }
    io.run();
}

/// One transfer.
struct Transfer {
    double seconds = 0;
    double primary_before = 0, primary_peak = 0, primary_after = 0, backup_after = 0, backup_peak = 0;  ///< Bytes.
    std::array<PhaseSample, phases> writes;
};

struct Joins {
    std::atomic<int> by_log{0}, by_snapshot{0};
};

class Ours {
public:
    Ours(const Settings& settings, const std::string& folder)
        : settings_{settings},
          group_{settings.kind(), folder, settings.replica(), settings.content,
                 [this](const Address& listen, const ReplicaOptions& options, const Content& content) {
                     serve(listen, options, content, [this](const Event& event) { note(event); });
                 }} {
        view_ = group_.await_view(2, 1);
    }

    Transfer transfer(bool load) {
        Transfer it;
        std::unique_ptr<Writers> writers;
        const auto enter = [&](Phase phase, double seconds) {
            if (!load) return;
            writers->enter(phase);
            pass(seconds);
        };
        if (load) {
            writers = std::make_unique<Writers>(
                [&](const auto& done) { write_puts(group_.view_service(), settings_, done); });
            pass(0.5);
        }
        enter(Phase::before, settings_.seconds);
        if (load) writers->enter(Phase::warm_up);
        group_.server(1).kill_now();
        const auto number = group_.await_view(view_.number + 1).number;
        pass(0.3);
        enter(Phase::alone, settings_.seconds);
        it.primary_before = resident(primary());
        forget_peak(primary());
        if (load) writers->enter(Phase::during);
        const auto begun = Clock::now();
        group_.start(1);
        view_ = group_.await_view(number + 1, 1);
        it.seconds = seconds_since(begun);
        if (load) it.writes = writers->finish();
        it.primary_peak = peak(primary());
        it.primary_after = resident(primary());
        it.backup_after = resident(group_.processes()[2]);
        it.backup_peak = peak(group_.processes()[2]);
        return it;
    }

    /// Stops the backup for a while; measures the time from its continuation until it is in sync.
    Transfer outage() {
        Transfer it;
        Writers writers{[&](const auto& done) { write_puts(group_.view_service(), settings_, done); }};
        pass(0.5);
        writers.enter(Phase::before);
        pass(settings_.seconds);
        writers.enter(Phase::warm_up);
        const auto backup = group_.processes()[2];
        it.primary_before = resident(primary());
        kill(backup, SIGSTOP);
        const auto number = group_.await_view(view_.number + 1).number;
        writers.enter(Phase::alone);
        pass(settings_.outage);
        writers.enter(Phase::during);
        const auto begun = Clock::now();
        kill(backup, SIGCONT);
        view_ = group_.await_view(number + 1, 1);
        it.seconds = seconds_since(begun);
        it.writes = writers.finish();
        it.primary_after = resident(primary());
        return it;
    }
    const Joins& joins() const { return *joins_; }
    pid_t primary() const { return group_.processes()[1]; }

private:
    void note(const Event& event) {
        const auto* joining = std::get_if<BackupJoining>(&event);
        if (joining) ++(joining->by_snapshot ? joins_->by_snapshot : joins_->by_log);
    }

    const Settings& settings_;
    Common<Joins> joins_;
    Group group_;
    View view_;
};

class Redis {
public:
    Redis(const Settings& settings, const std::string& folder)
        : settings_{settings}, group_{settings.kind(), folder, settings.content} {}

    Transfer transfer(bool load, bool no_disk) {
        Transfer it;
        std::unique_ptr<Writers> writers;
        group_.lose_replica();
        if (load) {
            writers = std::make_unique<Writers>([&](const auto& done) {
                Names names{settings_.content};
                group_.write(settings_.clients, settings_.written_bytes, names, done);
            });
            pass(0.5);
            writers->enter(Phase::alone);
            pass(settings_.seconds);
            writers->enter(Phase::during);
        }
        const auto begun = Clock::now();
        group_.join(no_disk);
        it.seconds = seconds_since(begun);
        if (load) it.writes = writers->finish();
        return it;
    }
    double used() const { return std::stod(group_.field("used_memory")); }
    double held() const { return resident(group_.processes()[0]); }

private:
    const Settings& settings_;
    RedisGroup group_;
};

// ---- what is printed --------------------------------------------------------------------------------------

using Rounds = std::map<std::string, std::vector<double>>;

void print(const char* name, const std::vector<double>& rounds, const char* unit, nlohmann::json& out) {
    const auto it = estimate(rounds);
    std::printf("  %-52s %9.3f (%.3f-%.3f) %s\n", name, it.median, it.low, it.high, unit);
    out[name] = {it.median, it.low, it.high};
}
std::vector<double> ratios(const std::vector<double>& ours, const std::vector<double>& others) {
    std::vector<double> all;
    for (std::size_t n = 0; n < std::min(ours.size(), others.size()); ++n) all.push_back(ours[n] / others[n]);
    return all;
}

void measure_transfers(const Settings& settings, const std::string& folder, nlohmann::json& out) {
    std::unique_ptr<Ours> ours;
    std::unique_ptr<Redis> redis;
    if (settings.measures("ours")) ours = std::make_unique<Ours>(settings, folder);
    if (settings.measures("redis")) redis = std::make_unique<Redis>(settings, folder);
    Rounds all;
    const auto add = [&](const std::string& name, double value) { all[name].push_back(value); };
    for (int round = 0; round < settings.rounds; ++round) {
        if (settings.measures("alone")) {
            const auto it = alone(settings.content, settings.chunk_bytes);
            add("our writer alone, s", it.writer);
            add("our reader alone, s", it.reader);
            add("our message writer alone, s", it.encoder);
            add("our message reader alone, s", it.decoder);
            add("slower alone, s", std::max(it.writer, it.reader));
            add("slower alone with messages, s", std::max(it.writer + it.encoder, it.reader + it.decoder));
        }
        if (settings.measures("raw"))
            add("raw relay one way, s", relay_raw(settings.kind(), settings.content, settings.chunk_bytes, folder));
        for (const bool load : {false, true}) {
            const std::string how = load ? ", under load" : "";
            if (ours) {
                const auto it = ours->transfer(load);
                const double mebi = 1u << 20;
                add("ours" + how + ", s", it.seconds);
                add("primary before" + how + ", MiB", it.primary_before / mebi);
                add("primary's peak beyond that" + how + ", MiB", (it.primary_peak - it.primary_before) / mebi);
                add("primary after" + how + ", MiB", it.primary_after / mebi);
                add("backup after" + how + ", MiB", it.backup_after / mebi);
                add("backup's peak" + how + ", MiB", it.backup_peak / mebi);
                if (load) {
                    const auto& [warm_up, before, without, during] = it.writes;
                    for (const auto& [name, phase] : {std::pair{"with a backup", before}, std::pair{"without", without},
                                                      std::pair{"during", during}}) {
                        add(std::string{"writes "} + name + ", 1/s", phase.rate());
                        add(std::string{"writes "} + name + ", p50 us", phase.p50);
                        add(std::string{"writes "} + name + ", p99 us", phase.p99);
                        add(std::string{"writes "} + name + ", longest us", phase.most);
                    }
                    add("p99 during / with a backup", during.p99 / before.p99);
                    add("p99 during / without", during.p99 / without.p99);
                }
            }
            if (redis)
                for (const bool no_disk : {false, true}) {
                    const auto it = redis->transfer(load, no_disk);
                    const auto name = std::string{"Redis"} + (no_disk ? ", no disk" : "") + how;
                    add(name + ", s", it.seconds);
                    if (load) add(name + ", p99 during / before", it.writes[3].p99 / it.writes[2].p99);
                    if (load) add(name + ", writes during, 1/s", it.writes[3].rate());
                }
        }
    }
    std::printf("%zu keys, values of %zu B, %s, %d rounds; median (90%% interval of the median)\n",
                settings.content.keys, settings.content.bytes, std::string{to_string(settings.kind())}.c_str(),
                settings.rounds);
    for (const auto& [name, rounds] : all) print(name.c_str(), rounds, "", out);
    const auto compare = [&](const std::string& one, const std::string& other, const char* name) {
        if (all.contains(one) && all.contains(other)) print(name, ratios(all[one], all[other]), "", out);
    };
    compare("ours, s", "Redis, s", "time: ours / Redis");
    compare("ours, s", "Redis, no disk, s", "time: ours / Redis, no disk");
    compare("ours, under load, s", "Redis, under load, s", "time under load: ours / Redis");
    compare("ours, under load, s", "Redis, no disk, under load, s", "time under load: ours / Redis, no disk");
    compare("slower alone, s", "ours, s", "speed: ours / the slower alone");
    compare("slower alone with messages, s", "ours, s", "speed: ours / the slower alone, with messages");
    compare("raw relay one way, s", "ours, s", "speed: ours / raw relay");
}

void measure_outages(const Settings& settings, const std::string& folder, nlohmann::json& out) {
    Ours ours{settings, folder};
    for (int round = 0; round < settings.rounds; ++round) {
        const int by_log = ours.joins().by_log, by_snapshot = ours.joins().by_snapshot;
        const auto it = ours.outage();
        const auto& [warm_up, before, without, during] = it.writes;
        std::printf(
            "outage of %.1f s: %.0f writes meanwhile (primary + %.0f MiB), in sync %.3f s after its end, joined "
            "%d times by the log and %d by a snapshot; p99 before %.0f us, during %.0f us\n",
            settings.outage, without.operations, (it.primary_after - it.primary_before) / (1u << 20), it.seconds,
            ours.joins().by_log - by_log, ours.joins().by_snapshot - by_snapshot, before.p99, during.p99);
        out["outages"].push_back({{"writes", without.operations},
                                  {"seconds", it.seconds},
                                  {"by_log", ours.joins().by_log - by_log},
                                  {"by_snapshot", ours.joins().by_snapshot - by_snapshot},
                                  {"p99_before", before.p99},
                                  {"p99_during", during.p99}});
    }
}

/// Bytes of a primary's memory for each key, in addition to an empty primary's.
double memory_of_ours(Settings settings, std::size_t log_bytes, const std::string& folder) {
    settings.log_bytes = log_bytes;
    auto empty = settings;
    empty.content.keys = 0;
    double base = 0;
    {
        Ours it{empty, folder};
        base = resident(it.primary());
    }
    for (const char* name : {"/views", "/one", "/two"}) std::filesystem::remove(folder + name);
    Ours it{settings, folder};
    return (resident(it.primary()) - base) / static_cast<double>(settings.content.keys);
}

void measure_memory(const Settings& settings, const std::string& folder, nlohmann::json& out) {
    const auto keys = static_cast<double>(settings.content.keys);
    std::map<std::string, double> each;
    each["ours, log of 64 KiB"] = memory_of_ours(settings, 64u << 10, folder);
    for (const char* name : {"/views", "/one", "/two"}) std::filesystem::remove(folder + name);
    each["ours, log of 64 MiB"] = memory_of_ours(settings, 64u << 20, folder);
    double base_used = 0, base_held = 0;
    {
        auto empty = settings;
        empty.content.keys = 0;
        const Redis it{empty, folder};
        base_used = it.used(), base_held = it.held();
    }
    const Redis redis{settings, folder};
    each["Redis used_memory"] = (redis.used() - base_used) / keys;
    each["Redis RSS"] = (redis.held() - base_held) / keys;
    std::printf("memory per key of %zu, values of %zu B, keys of 14 B\n", settings.content.keys,
                settings.content.bytes);
    for (const auto& [name, bytes] : each) {
        std::printf("  %-22s %7.1f B, by Redis RSS %.2f\n", name.c_str(), bytes, bytes / each["Redis RSS"]);
        out["memory per key"][name] = bytes;
    }
}

void run(const Settings& settings) {
    std::string folder = std::filesystem::temp_directory_path() / "pb_transfer_XXXXXX";
    if (!mkdtemp(folder.data())) fail("mkdtemp");
    nlohmann::json out;
    if (settings.what == "transfer") measure_transfers(settings, folder, out);
    if (settings.what == "outage") measure_outages(settings, folder, out);
    if (settings.what == "memory") measure_memory(settings, folder, out);
    std::filesystem::remove_all(folder);
    if (!settings.json.empty()) std::ofstream{settings.json} << out.dump(2) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    CLI::App app{"Measures how a backup gets the state, and what memory that and a key take"};
    app.add_option("--what", settings.what, "transfer, outage, memory")
        ->check(CLI::IsMember({"transfer", "outage", "memory"}))
        ->capture_default_str();
    app.add_option("--network", settings.network, "tcp, unix")->check(CLI::IsMember({"tcp", "unix"}));
    app.add_option("--keys", settings.content.keys, "How many keys the group holds")->capture_default_str();
    app.add_option("--bytes", settings.content.bytes, "Length of each value")->capture_default_str();
    app.add_option("--clients", settings.clients, "How many write under load")->capture_default_str();
    app.add_option("--written", settings.written_bytes, "Length of a value that they write")->capture_default_str();
    app.add_option("--systems", settings.systems, "ours, alone, raw, redis")
        ->delimiter(',')
        ->check(CLI::IsMember({"ours", "alone", "raw", "redis"}));
    app.add_option("--rounds", settings.rounds, "How often each is measured")->capture_default_str();
    app.add_option("--seconds", settings.seconds, "How long before each change under load")->capture_default_str();
    app.add_option("--outage", settings.outage, "How long the backup is stopped, in seconds")->capture_default_str();
    app.add_option("--log-bytes", settings.log_bytes, "Of applied entries that replicas retain")->capture_default_str();
    app.add_option("--chunk-bytes", settings.chunk_bytes, "Of a snapshot in one chunk")->capture_default_str();
    app.add_option("--chunk-window", settings.chunk_window, "Chunks under way")->capture_default_str();
    app.add_option("--json", settings.json, "A file for the figures");
    CLI11_PARSE(app, argc, argv);
    try {
        run(settings);
    } catch (const std::exception& failure) {
        std::cerr << "pb_transfer: " << failure.what() << '\n';
        return 1;
    }
}
