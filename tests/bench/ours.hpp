// A group of this library: view service, primary and backup, each in a process of its own; and clerks that load it.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <understudy/admin.hpp>
#include <understudy/clerk.hpp>
#include <understudy/net/any.hpp>
#include <understudy/understudy.hpp>

#include "tests/bench/content.hpp"
#include "tests/bench/meter.hpp"

namespace understudy::bench {

/// Runs a server until its process is killed. Once it is primary it puts `content` into its store.
template <typename Server>
void live(asio::io_context& io, Server server, const Content& content) {
    server.async_run(asio::detached);
    std::size_t next = 0;
    const std::string value(content.bytes / content.pieces(), 'v');
    std::function<void(std::error_code)> fill = [&](std::error_code ec) {
        if (ec) throw std::system_error{ec, "fill"};
        if (next == content.commands()) return;
        const auto name = content.key(next++ / content.pieces());
        server.async_execute(kv::Append{name, value}, [&](std::error_code failed, auto&&) { fill(failed); });
    };
    server.async_wait_primary([&](std::error_code ec) {
        for (int lane = 0; lane < 256; ++lane) fill(ec);
    });
    io.run();
}

/// The same for a PBService on an io_context of its own.
inline void serve(const Address& listen, const ReplicaOptions& options, const Content& content = {},
                  Observer observer = {}) {
    asio::io_context io{1};
    live(io, PBService{KvStore{}, net::AnyTransport{io, listen}, options, std::move(observer)}, content);
}

class Group {
public:
    using Serve = std::function<void(const Address& listen, const ReplicaOptions& options, const Content& content)>;

    /// The first server puts `content` into its store before the second one starts.
    Group(
        Network network, const std::string& folder, ReplicaOptions replica = {}, Content content = {},
        Serve with = [](const auto&... how) { serve(how...); })
        : replica_{std::move(replica)}, serve_{std::move(with)}, view_service_{place(network, folder, "views")} {
        replica_.view_service = {view_service_};
        replica_.max_command = std::max<std::size_t>(replica_.max_command, 4u << 20);  // for values of one mebibyte
        views_ = Process{[this] {
            asio::io_context io{1};
            ViewService views{net::AnyTransport{io, view_service_}};
            views.async_run(asio::detached);
            io.run();
        }};
        servers_.push_back({place(network, folder, "one"), {}});
        servers_.push_back({place(network, folder, "two"), {}});
        start(0, content);
        await_view(1);
        await_applied(0, content.commands());
        start(1);
        await_view(2);
    }
    std::vector<pid_t> processes() const { return {views_.id(), servers_[0].process.id(), servers_[1].process.id()}; }
    const Address& view_service() const { return view_service_; }

    /// Starts server `n` without state, in place of a process that may still run; once it is primary it fills its
    /// store.
    void start(std::size_t n, Content content = {}) {
        servers_[n].process.kill_now();
        servers_[n].process =
            Process{[this, content, listen = servers_[n].address] { serve_(listen, replica_, content); }};
    }
    Process& server(std::size_t n) { return servers_[n].process; }
    Process& views() { return views_; }

    /// Waits until the group is in view `number` or a later one, with all its backups in sync; returns that view.
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
    /// Waits until server `n` has applied its log up to `index`.
    ReplicaStatusResult await_applied(std::size_t n, Index index) const {
        asio::io_context io{1};
        Admin admin{net::AnyTransport{io}};
        ReplicaStatusResult status;
        std::function<void()> look = [&] {
            admin.async_replica_status(servers_[n].address, [&](std::error_code ec, ReplicaStatusResult result) {
                if (ec) throw std::system_error{ec, "status"};
                status = std::move(result);
                status.applied < index ? look() : io.stop();
            });
        };
        look();
        io.run();
        return status;
    }
    /// The number of the server that leads the view.
    std::size_t leader(const View& view) const { return view.primary.name == servers_[0].address ? 0 : 1; }

    /// Gives each key a value of `bytes` bytes, so many times.
    void fill(std::size_t bytes, std::size_t times = 1) const {
        asio::io_context io{1};
        ClientOptions options;
        options.view_service = {view_service_};
        Clerk<net::AnyTransport> clerk{net::AnyTransport{io}, options};
        const auto total = times * keys(bytes);
        std::size_t next = 0, done = 0;
        std::function<void()> put = [&] {
            clerk.async_put(key(next++ % keys(bytes)), std::string(bytes, 'v'), [&](std::error_code ec) {
                if (ec) throw std::system_error{ec, "understudy"};
                if (next < total) put();
                if (++done == total) io.stop();
            });
        };
        while (next < keys(bytes)) put();
        io.run();
    }

    /// Makes calls as `shape` says, until the meter has measured enough.
    void load(const Shape& shape, Meter& meter) const {
        asio::io_context io{1};
        ClientOptions options;
        options.view_service = {view_service_};
        std::vector<std::unique_ptr<Lane>> lanes;
        for (std::size_t n = 0; n < shape.connections; ++n) {
            auto clerk = std::make_shared<Clerk<net::AnyTransport>>(net::AnyTransport{io}, options);
            for (std::size_t i = 0; i < shape.in_flight; ++i) {
                lanes.push_back(std::make_unique<Lane>(Lane{io, shape, meter, clerk, lanes.size()}));
                lanes.back()->go_on();
            }
        }
        io.run();
    }

private:
    /// Makes one call after the other.
    struct Lane {
        asio::io_context& io;
        const Shape& shape;
        Meter& meter;
        std::shared_ptr<Clerk<net::AnyTransport>> clerk;
        std::size_t number;
        std::size_t calls = 0;
        Clock::time_point asked{};

        void go_on() {
            const auto n = calls++;
            const auto key = key_of(shape, number, n);
            const auto done = [this](std::error_code ec, auto&&...) { ended(ec); };
            asked = Clock::now();
            if (reads(shape.operation)) return clerk->async_get(key, done);
            if (begins_value(shape, n)) return clerk->async_put(key, std::string(shape.bytes, 'v'), done);
            clerk->async_append(key, std::string(shape.bytes, 'v'), done);
        }
        void ended(std::error_code ec) {
            if (ec) throw std::system_error{ec, "understudy"};
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
    ReplicaOptions replica_;
    Serve serve_;
    Address view_service_;
    Process views_;
    std::vector<Server> servers_;
};

}  // namespace understudy::bench
