// The processes of the demo: a view service and three servers, called A, B and C on the screen. Each stores its state
// in a folder of its own, and continues from it after a restart.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/view.hpp>

#include "process.hpp"

namespace demo {

using understudy::Address;
using understudy::View;

/// One server over all its incarnations, which use the name that the first one got.
struct Server {
    std::string label;
    Address name;
    std::unique_ptr<Process> process;
    int starts = 0;
    int names = 1;
    bool ready = false;
    bool ended_by_us = false;

    bool running() const { return process && process->running(); }
};

class Group {
public:
    Group(std::filesystem::path programs, std::filesystem::path folder, bool unix_sockets)
        : programs_{std::move(programs)}, folder_{std::move(folder)}, unix_sockets_{unix_sockets} {}

    /// Starts a new incarnation of the view service; it is running when `view_service_ready()`.
    void start_view_service() {
        ++view_service_lives_;
        view_service_ended_by_us_ = false;
        const auto listen = view_service_name_.empty() ? fresh_address("viewd") : view_service_name_;
        view_service_ = launch("viewd", {listen, "--data", data("viewd")},
                               "viewd-" + std::to_string(view_service_lives_));
    }
    bool view_service_ready() {
        const auto address = view_service_->listening();
        if (address) view_service_name_ = *address;
        return address.has_value();
    }
    void end_view_service(int signal) {
        view_service_ended_by_us_ = true;
        view_service_->signal(signal);
    }
    bool view_service_running() const { return view_service_ && view_service_->running(); }
    const Address& view_service() const { return view_service_name_; }

    /// Starts a new incarnation of a server; it is running when `ready(server)`.
    void start(Server& server) {
        ++server.starts;
        server.ready = server.ended_by_us = false;
        const auto listen = server.name.empty() ? fresh_address(server.label) : server.name;
        server.process = launch("pbd",
                                {view_service_name_, listen, "--leave-timeout", "60", "--data",
                                 data(server.label + std::to_string(server.names))},
                                server.label + "-" + std::to_string(server.starts));
    }
    bool ready(Server& server) {
        if (server.ready) return true;
        if (auto address = server.process->listening()) {
            server.name = *address;
            server.ready = true;
        } else if (!server.running() && !server.name.empty() && server.process->said("already in use")) {
            server.name.clear();  // another program took its port: a new server without state replaces it
            ++server.names;
            start(server);
        }
        return server.ready;
    }

    void end(Server& server, int signal) {
        server.ended_by_us = true;
        server.process->signal(signal);
    }

    std::array<Server, 3>& servers() { return servers_; }
    Server* find(std::string_view name) {
        for (auto& server : servers_)
            if (server.name == name) return &server;
        return nullptr;
    }
    std::string label(std::string_view name) {
        for (auto& server : servers_)
            if (server.process) ready(server);  // its first ping may arrive before its log was read here
        const auto* server = find(name);
        return server ? server->label : std::string{name};
    }

    /// Describes a process that ended without a request to end; empty if there is none.
    std::string fault() {
        if (view_service_ && !view_service_ended_by_us_ && !view_service_->running())
            return "the view service " + view_service_->fate();
        for (auto& server : servers_) {
            const bool starts_again = !server.ready && !server.name.empty() && server.process &&
                                      server.process->said("already in use");
            if (server.process && !server.ended_by_us && !starts_again && !server.running())
                return "server " + server.label + " " + server.process->fate();
        }
        return {};
    }

private:
    std::unique_ptr<Process> launch(const std::string& program, std::vector<std::string> arguments,
                                    const std::string& log) const {
        return std::make_unique<Process>(programs_ / program, std::move(arguments), folder_ / (log + ".log"));
    }
    std::string data(const std::string& who) const { return (folder_ / ("data-" + who)).string(); }
    Address fresh_address(const std::string& who) const {
        return unix_sockets_ ? "unix://" + (folder_ / (who + ".sock")).string() : "tcp://127.0.0.1:0";
    }

    std::filesystem::path programs_, folder_;
    bool unix_sockets_;
    std::unique_ptr<Process> view_service_;
    Address view_service_name_;
    int view_service_lives_ = 0;
    bool view_service_ended_by_us_ = false;
    std::array<Server, 3> servers_{Server{"A", {}, {}}, Server{"B", {}, {}}, Server{"C", {}, {}}};
};

}  // namespace demo
