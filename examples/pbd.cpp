// pbd: one server of a replicated key/value store as a program. The view service decides whether it is primary, backup
// or idle.
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <asio/error.hpp>
#include <asio/io_context.hpp>

#include <understudy/journal/file_journal.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/net/any.hpp>
#include <understudy/pb_service.hpp>

#include "program/command_line.hpp"
#include "program/server.hpp"

namespace us = understudy;

namespace {

struct Settings {
    us::TransportOptions transport;
    us::ReplicaOptions replica;
    us::Duration leave_timeout = std::chrono::seconds{5};
    std::string data;  // the journal's directory; empty: no journal
    us::journal::FileJournalOptions journal;
};

constexpr auto examples =
    "  viewd tcp://127.0.0.1:7000 &\n"
    "  pbd tcp://127.0.0.1:7000 tcp://127.0.0.1:7001 &\n"
    "  pbd tcp://127.0.0.1:7000 tcp://127.0.0.1:7002 &\n"
    "  pbc tcp://127.0.0.1:7000 put colour blue\n"
    "  pbc tcp://127.0.0.1:7000 get colour\n";

void add_limits(const program::Arguments& arguments, us::ReplicaOptions& replica) {
    arguments.count("--min-in-sync", replica.min_in_sync, "Refuse writes with fewer backups in sync");
    const auto set_reads = [&replica](const std::string& how) {
        replica.reads = how == "lease" ? us::Reads::lease : us::Reads::confirm;
    };
    arguments.choice("--reads", {"confirm", "lease"}, set_reads,
                     "Reads ask the backups, or rely on a lease of the view service [confirm]");
    arguments.size("--log-bytes", replica.log_bytes, "Of the log, kept for servers that come back [64MiB]");
    arguments.size("--transfer-log-bytes", replica.transfer_log_bytes,
                   "The same while a snapshot is sent [256MiB]");
    arguments.size("--max-command", replica.max_command, "A larger command is refused [1MiB]");
    arguments.seconds("--session-ttl", replica.session_ttl, "A client unused for so long is forgotten [600]");
}

us::journal::SyncPolicy read_sync(const std::string& when) {
    using us::journal::SyncPolicy;
    if (when == "always") return SyncPolicy::always();
    if (when == "never") return SyncPolicy::never();
    if (const auto period = program::read_seconds(when)) return SyncPolicy::every(*period);
    throw program::Mistake{"expected always, never, or a number of seconds, not " + when};
}

void add_journal(const program::Arguments& arguments, Settings& settings) {
    arguments.text("--data", settings.data, "Keep the state in this directory, and go on from what is there")
        .called("DIR");
    const auto set_sync = [&settings](const std::string& when) { settings.journal.sync = read_sync(when); };
    arguments
        .text("--sync", set_sync,
              "With --data: bring it to stable storage before anything is answered,\n"
              "every so many seconds, or when the system likes [always]")
        .called("always|SECONDS|never");
    arguments.size("--journal-bytes", settings.replica.journal_bytes,
                   "With --data: begin anew with a snapshot after so much [64MiB]");
}

std::optional<program::Exit> read(Settings& settings, int argc, char** argv) {
    const program::CommandLine line{
        "pbd",
        "A server of a replicated key/value store: primary, backup or idle, as the view service decides.\n"
        "Prints one line on stdout when it is ready, and events on stderr. On SIGTERM, SIGINT or SIGHUP it\n"
        "hands over and leaves; a second signal stops it at once. Its state is in memory, and a server that\n"
        "starts anew is empty, unless --data names a directory to keep it in.",
        examples};
    line.addresses("VIEW_SERVICE", settings.replica.view_service,
                   "The view service (viewd); several are tried in turn")
        .required();
    line.address("LISTEN", settings.transport.listen,
                 "Where to listen: tcp://HOST:PORT (port 0: a free one) or unix:///PATH")
        .required();
    line.address("--advertise", settings.transport.advertise,
                 "The address at which others reach it, which is its name; needed for 0.0.0.0");
    line.text("--group", settings.replica.group, "The group that it serves").called("NAME").shows_default();
    line.seconds("--leave-timeout", settings.leave_timeout, "How long to try to hand over before it stops [5]");
    add_journal(line, settings);
    add_limits(line, settings.replica);
    return line.parse(argc, argv);
}

/// Whether the state is lost when this process ends: something was written, and no other server has all of it.
bool holds_alone(const us::ReplicaStatusResult& status) {
    const auto in_sync = [](const us::BackupStatus& backup) { return backup.state == "in_sync"; };
    const bool stopped = status.backups.empty() && status.info.view.synced_count() != 0;  // another server takes over
    return status.role == us::Role::primary && status.commit != 0 && !stopped &&
           std::ranges::none_of(status.backups, in_sync);
}

program::Exit serve(const Settings& settings, program::Signals& signals) {
    asio::io_context io{1};
    us::OptionalJournal<us::journal::FileJournal> journal;
    if (!settings.data.empty()) journal = us::journal::FileJournal{settings.data, settings.journal};
    program::Signals::Making making{signals, program::socket_file(settings.transport.listen)};
    us::net::AnyTransport transport{io, settings.transport};
    making.made();
    us::PBService server{us::KvStore{}, std::move(transport), std::move(journal), settings.replica,
                         program::log_event};
    if (!settings.data.empty()) {
        const auto status = server.status();
        program::log("read " + settings.data + ": " + std::to_string(status.last) + " entries, " +
                     std::to_string(status.applied) + " of them applied");
    }
    auto end = program::Exit::done;
    const auto group = "group " + settings.replica.group;
    const auto save = "`pbc " + server.local() + " --group " + settings.replica.group + " dump FILE`";
    const auto stop = [&] {
        if (settings.data.empty() && holds_alone(server.status())) {
            program::log(group + " had no other server in sync: its state is lost; " + save + " would have saved it");
            end = program::Exit::failed;
        }
        server.stop();
    };
    const auto leave = [&] {
        program::log("leaving the group; a second signal stops at once");
        if (settings.data.empty() && holds_alone(server.status()))
            program::log(group + " has no other server in sync: its state ends with this process, unless " + save +
                         " saves it first");
        server.async_leave(settings.leave_timeout, [&](std::error_code ec) {
            if (ec == asio::error::operation_aborted) return;  // the second signal came before the server had left
            program::log(ec ? "no server took over in time; stopping anyway" : "left the group");
            const auto status = server.status();
            if (ec && settings.data.empty() && status.role == us::Role::primary && status.commit != 0) {
                end = program::Exit::failed;
                if (!holds_alone(status))
                    program::log("as far as is known another server of " + group + " was in sync; it leads once the "
                                 "view service says so");
            }
            stop();
        });
    };
    server.async_run([&](std::error_code ec) {
        if (!ec) return;
        program::log("failed: " + ec.message());
        end = program::Exit::failed;
        server.stop();  // after a failure nothing needs to wait for the server
    });
    program::Signals::Serving serving{signals, io, leave, stop};
    program::say_ready(server.local());
    io.run();
    program::log("stopped");
    return end;
}

}  // namespace

int main(int argc, char** argv) {
    auto& signals = program::Signals::take(program::log);
    program::prepare_process();
    Settings settings;
    if (const auto end = read(settings, argc, argv)) return static_cast<int>(*end);
    return static_cast<int>(program::guarded("pbd", [&] { return serve(settings, signals); }));
}
