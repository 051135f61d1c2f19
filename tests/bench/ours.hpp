// A group of this library: view service, primary and backup, each a process; and clerks that load it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <understudy/admin.hpp>
#include <understudy/net/any.hpp>
#include <understudy/understudy.hpp>

#include "tests/bench/meter.hpp"

namespace understudy::bench {

class Group {
public:
    Group(Network network, const std::string& folder, Reads reads = Reads::confirm)
        : reads_{reads}, view_service_{place(network, folder, "views")} {
        views_ = Process{[this] {
            asio::io_context io{1};
            ViewService views{net::AnyTransport{io, view_service_}};
            views.async_run(asio::detached);
            io.run();
        }};
        servers_.push_back({place(network, folder, "one"), {}});
        servers_.push_back({place(network, folder, "two"), {}});
        start(0);
        await_view(1);
        start(1);
        await_view(2);
    }
    std::vector<pid_t> processes() const { return {views_.id(), servers_[0].process.id(), servers_[1].process.id()}; }
    const Address& view_service() const { return view_service_; }

    /// Starts server `n`, empty.
    void start(std::size_t n) {
        servers_[n].process = Process{[this, listen = servers_[n].address] {
            asio::io_context io{1};
            const ReplicaOptions options{.view_service = {view_service_}, .reads = reads_};
            PBService server{KvStore{}, net::AnyTransport{io, listen}, options};
            server.async_run(asio::detached);
            io.run();
        }};
    }
    void kill(std::size_t n) { servers_[n].process.kill_now(); }

    /// Until the group is in view `number`, or a later one, with all its backups in sync; returns that view.
    View await_view(ViewNumber number, std::size_t backups = 0) const {
        asio::io_context io{1};
        Admin admin{net::AnyTransport{io}};
        View view;
        const auto look = [&](const ViewInfo& info) {
            view = info.view;
            const auto count = view.backups.size();
            if (view.number >= number && view.synced_count() == count && count >= backups) io.stop();
        };
        admin.async_watch(view_service_, "main", look, asio::detached);
        io.run();
        return view;
    }
    /// The number of the server that leads the view.
    std::size_t leader(const View& view) const { return view.primary.name == servers_[0].address ? 0 : 1; }

    /// Calls as `shape` says, until the meter has seen enough.
    void load(const Shape& shape, Meter& meter) const {
        asio::io_context io{1};
        ClerkOptions options;
        options.view_service = {view_service_};
        std::vector<std::unique_ptr<Lane>> lanes;
        for (std::size_t n = 0; n < shape.connections; ++n) {
            auto clerk = std::make_shared<Clerk<net::AnyTransport>>(net::AnyTransport{io}, options);
            for (std::size_t i = 0; i < shape.in_flight; ++i) {
                lanes.push_back(std::make_unique<Lane>(Lane{io, shape, meter, clerk, lanes.size(), {}}));
                lanes.back()->go_on();
            }
        }
        io.run();
    }

private:
    /// One call after the other.
    struct Lane {
        asio::io_context& io;
        const Shape& shape;
        Meter& meter;
        std::shared_ptr<Clerk<net::AnyTransport>> clerk;
        std::size_t calls = 0;
        Clock::time_point asked;

        void go_on() {
            asked = Clock::now();
            const auto done = [this](std::error_code ec, auto&&...) { ended(ec); };
            calls += 7;
            switch (shape.operation) {
                case Operation::put:
                    return clerk->async_put(key(calls), std::string(shape.bytes, 'v'), [this](auto ec) { ended(ec); });
                case Operation::append:  // a value is at most a mebibyte long: then comes another key
                    return clerk->async_append(
                        key(calls) + "." + std::to_string(calls * shape.bytes / 7 / (512u << 10)),
                        std::string(shape.bytes, 'v'), done);
                case Operation::get: return clerk->async_get(key(calls), done);
            }
        }
        void ended(std::error_code ec) {
            if (ec && ec != error::key_not_found) throw std::system_error{ec, "understudy"};
            if (meter.done(asked, Clock::now())) return go_on();
            io.stop();
        }
    };

    static Address place(Network network, const std::string& folder, const char* name) {
        return Place{network, network == Network::tcp ? free_port() : std::uint16_t{0}, folder + "/" + name}.address();
    }

    struct Server {
        Address address;
        Process process;
    };
    Reads reads_;
    Address view_service_;
    Process views_;
    std::vector<Server> servers_;
};

}  // namespace understudy::bench
