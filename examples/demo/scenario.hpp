// The demo from its first process to the result: a group under writes whose primary is killed, twice, and then all
// processes at once; and the check.
#pragma once

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/admin.hpp>
#include <understudy/net/any.hpp>

#include "check.hpp"
#include "display.hpp"
#include "group.hpp"
#include "pulse.hpp"
#include "writer.hpp"

namespace demo {

using namespace std::chrono_literals;

struct Options {
    double seconds = 12;
    unsigned clients = 8;
    bool unix_sockets = false;
    bool plain = false;
    bool keep = false;
};

struct Interrupted {};

/// The results of the demo.
struct Verdict {
    std::uint64_t answered = 0, unanswered = 0, lost = 0, doubled = 0;
    double seconds = 0;
    std::vector<Milliseconds> gaps;  ///< One for each kill.
    Milliseconds longest{};
    std::string example;  ///< Describes the first fault.

    bool good() const { return answered > 0 && lost == 0 && doubled == 0 && gaps.size() == 3; }
};

class Scenario {
public:
    Scenario(const Options& options, const std::filesystem::path& programs, const std::filesystem::path& folder)
        : options_{options}, group_{programs, folder, options.unix_sockets}, display_{options.plain, pulse_} {}

    /// Runs the demo on this thread. Throws `Interrupted` on SIGINT, SIGTERM or SIGHUP, and another exception if it
    /// cannot go on.
    Verdict play() {
        signals_.async_wait([this](std::error_code ec, int) { interrupted_ = !ec; });
        asio::co_spawn(io_, draw(), asio::detached);
        std::exception_ptr fault;
        asio::co_spawn(io_, acts(), [&](std::exception_ptr thrown) {
            fault = thrown;
            io_.stop();
        });
        io_.run();
        display_.close();
        if (fault) std::rethrow_exception(fault);
        return verdict_;
    }
    const Display& display() const { return display_; }

private:
    using Admin = understudy::Admin<understudy::net::AnyTransport>;
    using Condition = std::function<bool()>;

    // ---- the acts -----------------------------------------------------------------------------------------

    asio::awaitable<void> acts() {
        co_await start();
        display_.begin();
        for (auto& writer : writers_) writer->start();
        activity_ = "clients write";
        const Condition written = [this] { return pulse_.total() > 0; };
        co_await until(written, "the first answered write");
        writing_ = true;
        for (int kill = 1; kill <= 2; ++kill) {
            co_await until_second(options_.seconds * kill / 4);
            co_await kill_primary();
        }
        co_await until_second(options_.seconds * 3 / 4);
        co_await kill_everything();
        co_await until_second(options_.seconds);
        co_await stop_writers();
        co_await check_both();
    }

    asio::awaitable<void> start() {
        activity_ = "starting a view service and three servers";
        group_.start_view_service();
        const Condition view_service_ready = [this] { return group_.view_service_ready(); };
        co_await until(view_service_ready, "the view service to listen");
        std::function<void(const ViewInfo&)> watcher = [this](const ViewInfo& info) { adopt(info.view); };
        admin_.async_watch(group_.view_service(), "main", std::move(watcher), asio::detached);
        for (auto& server : group_.servers()) {
            group_.start(server);
            const Condition ready = [this, &server] { return group_.ready(server); };
            co_await until(ready, "server " + server.label + " to listen");
            // Each server joins before the next one starts, so that A is the first primary on the screen.
            const Condition seen = [this, &server] {
                return view_.number > 0 && (view_.primary.name == server.name || !view_.backups.empty());
            };
            co_await until(seen, "the view service to give server " + server.label + " a part");
        }
        co_await until_in_sync();
        for (unsigned number = 0; number < options_.clients; ++number)
            writers_.push_back(std::make_unique<Writer>(io_, clerk_options(), number, pulse_));
    }

    asio::awaitable<void> kill_primary() {
        co_await until_in_sync();
        auto& victim = *group_.find(view_.primary.name);
        const auto view = view_.number;
        pulse_.mark();
        group_.end(victim, SIGKILL);
        display_.show("SIGKILL to " + victim.label + ", the primary of view " + std::to_string(view), Style::bad);
        activity_ = victim.label + " was killed: failover";
        failing_over_ = true;
        const Condition taken_over = [this, view] { return view_.number > view; };
        co_await until(taken_over, "another primary after " + victim.label);
        const auto total = pulse_.total();
        const Condition written = [this, total] { return pulse_.total() > total + options_.clients; };
        co_await until(written, "an answered write after the death of " + victim.label);
        failing_over_ = false;
        verdict_.gaps.push_back(pulse_.gap());
        display_.show("writes go on after a gap of " + in_ms(pulse_.gap()), Style::good);
        activity_ = "clients write; " + victim.label + " is dead";
        co_await pause(options_.seconds / 12);
        group_.start(victim);
        const Condition ready = [this, &victim] { return group_.ready(victim); };
        co_await until(ready, "server " + victim.label + " to listen again");
        display_.show(victim.label + " starts again, from its disk");
        activity_ = "clients write";
        co_await until_in_sync();
    }

    asio::awaitable<void> kill_everything() {
        co_await until_in_sync();
        pulse_.mark();
        group_.end_view_service(SIGKILL);
        for (auto& server : group_.servers()) group_.end(server, SIGKILL);
        display_.show("SIGKILL to the view service and to A, B and C at once", Style::bad);
        activity_ = "everything was killed";
        failing_over_ = true;
        const Condition dead = [this] {
            return !group_.view_service_running() &&
                   std::ranges::none_of(group_.servers(), [](auto& server) { return server.running(); });
        };
        co_await until(dead, "the end of all");
        co_await pause(options_.seconds / 24);
        group_.start_view_service();
        const Condition view_service_ready = [this] { return group_.view_service_ready(); };
        co_await until(view_service_ready, "the view service to listen again");
        const auto total = pulse_.total();
        for (auto& server : group_.servers()) group_.start(server);
        const Condition ready = [this] {
            bool all = true;
            for (auto& server : group_.servers()) all = group_.ready(server) && all;
            return all;
        };
        co_await until(ready, "A, B and C to listen again");
        display_.show("all of them start again, from their disks");
        const Condition written = [this, total] { return pulse_.total() > total + options_.clients; };
        co_await until(written, "an answered write after the death of all");
        failing_over_ = false;
        verdict_.gaps.push_back(pulse_.gap());
        display_.show("writes go on after a gap of " + in_ms(pulse_.gap()), Style::good);
        activity_ = "clients write";
        co_await until_in_sync();
    }

    asio::awaitable<void> stop_writers() {
        co_await until_in_sync();
        for (auto& writer : writers_) writer->stop();
        const Condition ended = [this] {
            return std::ranges::all_of(writers_, [](const auto& writer) { return writer->ended(); });
        };
        co_await until(ended, "the last answers");
        writing_ = false;
        verdict_.seconds = display_.seconds();
        verdict_.answered = pulse_.total();
        verdict_.longest = pulse_.longest();
        for (const auto& writer : writers_) verdict_.unanswered += writer->unanswered();
        display_.show("the clients stop: " + grouped(verdict_.answered) + " writes answered");
    }

    // The primary has every write, and so has its backup: each is read while it leads.
    asio::awaitable<void> check_both() {
        Server* first = co_await check();
        co_await until_in_sync();
        Server& old = *group_.find(view_.primary.name);
        if (&old != first) throw std::runtime_error{"the primary changed without a request"};
        display_.show("SIGTERM to " + old.label + ": it hands over and leaves");
        activity_ = old.label + " hands over";
        group_.end(old, SIGTERM);
        const Condition handed_over = [this, &old] { return view_.primary.name != old.name && !old.running(); };
        co_await until(handed_over, "server " + old.label + " to hand over and end");
        co_await check();
    }

    /// Reads everything from the primary; starts again if the primary changed meanwhile. Returns the server that was
    /// read.
    asio::awaitable<Server*> check() {
        for (;;) {
            const View view = view_;
            auto* server = group_.find(view.primary.name);
            std::vector<const Record*> records;
            for (const auto& writer : writers_) records.push_back(&writer->record());
            Clerk clerk{understudy::net::AnyTransport{io_}, clerk_options()};
            Check check{clerk, std::move(records)};
            check.start();
            const Condition done = [&] {
                activity_ = "reading every write from " + server->label + ": " + std::to_string(check.percent()) + " %";
                return check.done();
            };
            co_await until(done, "the reading of every write from " + server->label, 10min);
            if (view_.primary != view.primary) continue;
            report(*server, check.findings());
            co_return server;
        }
    }
    void report(const Server& server, const Findings& found) {
        display_.show("on " + server.label + ": " + grouped(found.found) + " answered writes found, " +
                      grouped(found.lost) + " lost, " + grouped(found.doubled) + " doubled",
                      found.good() ? Style::good : Style::bad);
        verdict_.lost = std::max(verdict_.lost, found.lost);
        verdict_.doubled = std::max(verdict_.doubled, found.doubled);
        if (verdict_.example.empty() && !found.example.empty())
            verdict_.example = "on " + server.label + ": " + found.example;
    }

    // ---- waiting ------------------------------------------------------------------------------------------

    /// Checks the condition a hundred times a second; throws after `limit`, when a process ended by itself, and when
    /// interrupted.
    asio::awaitable<void> until(Condition condition, std::string what, Clock::duration limit = 1min) {
        const auto end = Clock::now() + limit;
        asio::steady_timer timer{io_};
        while (!condition()) {
            if (interrupted_) throw Interrupted{};
            if (const auto fault = group_.fault(); !fault.empty()) throw std::runtime_error{fault};
            for (const auto& writer : writers_)
                if (writer->fault()) throw std::system_error{writer->fault(), "a client's write was refused"};
            if (Clock::now() > end) throw std::runtime_error{"waited in vain for " + what};
            timer.expires_after(10ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
    }
    asio::awaitable<void> until_second(double second) {
        Condition passed = [this, second] { return display_.seconds() >= second; };
        co_await until(std::move(passed), "time to pass", 24h);
    }
    asio::awaitable<void> pause(double seconds) { co_await until_second(display_.seconds() + seconds); }

    /// Waits until the view service itself reports that the primary has acknowledged its view and its backup is in
    /// sync. A pushed view may be out of date, and killing the last copy of the state would not show anything.
    asio::awaitable<void> until_in_sync() {
        bool ready = false;
        const Condition in_sync = [this] { return view_.synced_count() == 1; };
        while (!ready) {
            co_await until(in_sync, "a backup in sync");
            std::error_code ec;
            std::optional<std::string> group{"main"};
            auto status = co_await admin_.async_view_status(group_.view_service(), group,
                                                            asio::redirect_error(asio::use_awaitable, ec));
            ready = !ec && status.groups.size() == 1 && status.groups[0].acked && status.groups[0].info.view == view_;
            if (!ready) co_await pause(0.02);
        }
    }

    // ---- what is seen -------------------------------------------------------------------------------------

    using ViewInfo = understudy::ViewInfo;

    void adopt(const View& view) {
        auto text = "view " + std::to_string(view.number) + ": ";
        if (view.number > view_.number) {
            text += group_.label(view.primary.name) + " is primary";
            for (const auto& backup : view.backups) text += ", " + group_.label(backup.name) + " backup";
            if (view.backups.empty()) text += ", without a backup";
            display_.show(text);
        } else if (view.synced_count() == 1) {
            display_.show(text + group_.label(view.backups.front().name) + " is in sync");
        }
        view_ = view;
    }

    asio::awaitable<void> draw() {
        asio::steady_timer timer{io_, Clock::now()};
        for (;;) {
            timer.expires_at(timer.expiry() + 100ms);
            co_await timer.async_wait(asio::use_awaitable);
            pulse_.tick();
            display_.show(panel());
        }
    }
    Panel panel() {
        Panel panel{.servers = {}, .view = view_.number, .writing = writing_, .gap = {}, .activity = activity_};
        if (!verdict_.gaps.empty()) panel.gap = verdict_.gaps.back();
        if (failing_over_) panel.gap = std::max(pulse_.gap(), pulse_.silent());
        for (const auto& server : group_.servers()) panel.servers.push_back(row(server));
        return panel;
    }
    Panel::Row row(const Server& server) const {
        const auto shown = [&](std::string state, Style style) {
            return Panel::Row{server.label, server.name, std::move(state), style};
        };
        if (server.process && !server.running())
            return server.process->killed() ? shown("killed", Style::bad) : shown("has left", Style::dim);
        if (!server.ready) return shown("starting", Style::dim);
        if (view_.primary.name == server.name) return shown("primary", Style::good);
        if (const auto* backup = view_.backup(server.name))
            return shown(backup->synced ? "backup" : "backup, joining", Style::calm);
        return shown("idle", Style::dim);
    }

    understudy::ClientOptions clerk_options() const {
        understudy::ClientOptions options;
        options.view_service = {group_.view_service()};
        options.give_up_after = 1min;
        return options;
    }

    asio::io_context io_{1};
    asio::signal_set signals_{io_, SIGINT, SIGTERM, SIGHUP};
    Options options_;
    Group group_;
    Pulse pulse_;
    Display display_;
    Admin admin_{understudy::net::AnyTransport{io_}};
    std::vector<std::unique_ptr<Writer>> writers_;
    View view_;
    std::string activity_;
    Verdict verdict_;
    bool writing_ = false, failing_over_ = false, interrupted_ = false;
};

}  // namespace demo
