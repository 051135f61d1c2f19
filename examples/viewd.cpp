// viewd: a view service as a program. It monitors the servers of any number of groups and decides which server is
// primary.
#include <optional>
#include <string>
#include <utility>

#include <asio/io_context.hpp>

#include <understudy/journal/view_file.hpp>
#include <understudy/net/any.hpp>
#include <understudy/view_service.hpp>

#include "program/command_line.hpp"
#include "program/server.hpp"

namespace us = understudy;

namespace {

struct Settings {
    us::TransportOptions transport;
    us::ViewOptions views;
    std::string data;  // the directory of its store; empty: no store
};

constexpr auto examples =
    "  viewd tcp://127.0.0.1:7000 &\n"
    "  pbd tcp://127.0.0.1:7000 tcp://127.0.0.1:7001 &\n"
    "  pbd tcp://127.0.0.1:7000 tcp://127.0.0.1:7002 &\n"
    "  pbc tcp://127.0.0.1:7000 status\n";

std::optional<program::Exit> read(Settings& settings, int argc, char** argv) {
    const program::CommandLine line{
        "viewd",
        "A view service: watches servers and decides which of them is primary and which are backups.\n"
        "Prints one line on stdout when it is ready, and events on stderr. SIGTERM, SIGINT or SIGHUP ends\n"
        "it.\n"
        "What it decides is in memory, and one that starts anew refuses the servers of before, unless --data names\n"
        "a directory to keep it in.",
        examples};
    line.address("LISTEN", settings.transport.listen,
                 "Where to listen: tcp://HOST:PORT (port 0: a free one) or unix:///PATH")
        .required();
    line.address("--advertise", settings.transport.advertise,
                 "The address at which others reach it; needed for 0.0.0.0");
    line.milliseconds("--ping-interval", settings.views.ping_interval, "How often servers ping [100]");
    line.count("--dead-pings", settings.views.dead_pings, "After so many silent intervals a server is dead");
    line.count("--backups", settings.views.backups, "Backups wanted in each group").called("K");
    line.text("--data", settings.data, "Keep what is decided in this directory, and go on from what is there")
        .called("DIR");
    return line.parse(argc, argv);
}

template <typename Views>
program::Exit serve(asio::io_context& io, Views views, program::Signals& signals) {
    auto end = program::Exit::done;
    const auto stop = [&] { views.stop(); };
    views.async_run([&](std::error_code ec) {
        if (!ec) return;
        program::log("failed: " + ec.message());
        end = program::Exit::failed;
        stop();  // after a failure the service keeps its listener, because it could be run again
    });
    program::Signals::Serving serving{signals, io, stop, stop};
    program::say_ready(views.local());
    io.run();
    program::log("stopped");
    return end;
}

program::Exit serve(const Settings& settings, program::Signals& signals) {
    asio::io_context io{1};
    program::Signals::Making making{signals, program::socket_file(settings.transport.listen)};
    us::net::AnyTransport transport{io, settings.transport};
    making.made();
    if (settings.data.empty())
        return serve(io, us::ViewService{std::move(transport), settings.views, program::log_event}, signals);
    us::journal::FileViewStore store{settings.data};
    program::log("keeps its views in " + settings.data);
    return serve(io, us::ViewService{std::move(transport), std::move(store), settings.views, program::log_event},
                 signals);
}

}  // namespace

int main(int argc, char** argv) {
    auto& signals = program::Signals::take(program::log);
    program::prepare_process();
    Settings settings;
    if (const auto end = read(settings, argc, argv)) return static_cast<int>(*end);
    return static_cast<int>(program::guarded("viewd", [&] { return serve(settings, signals); }));
}
