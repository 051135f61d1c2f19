// A view service, servers and clients of the key/value store over the network in memory.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/io_context.hpp>

#include <tests/support/transport_archetype.hpp>
#include <understudy/clerk.hpp>
#include <understudy/understudy.hpp>

namespace understudy::test {

struct ServiceWorld {
    using T = ArchetypeTransport;
    using Replica = PBService<KvStore, T>;

    asio::io_context io;
    MemoryNetwork network{io};
    std::vector<Event> events;
    std::unique_ptr<ViewService<T>> views;
    std::map<std::string, std::unique_ptr<Replica>> replicas;
    std::map<std::string, std::error_code> ended;  // by name: the replicas whose async_run has completed

    ServiceWorld() {
        views = std::make_unique<ViewService<T>>(T{network, "views"});
        views->async_run([](std::error_code) {});
    }

    Replica& start(const std::string& name, ReplicaOptions options = {}) {
        options.view_service = {"views"};
        auto& replica = replicas[name];
        replica = std::make_unique<Replica>(KvStore{}, T{network, name}, options,
                                            [this](const Event& event) { events.push_back(event); });
        replica->async_run([this, name](std::error_code ec) { ended[name] = ec; });
        return *replica;
    }
    void kill(const std::string& name) { replicas.erase(name); }

    Clerk<T> clerk(ClientOptions options = {}) {
        options.view_service = {"views"};
        return Clerk<T>{T{network}, options};
    }

    /// Whether a primary serves and has that many backups in sync.
    bool ready(std::size_t backups) {
        return network.until([&] {
            auto info = views->view();
            auto primary = replicas.find(info.view.primary.name);
            return info.view.number != 0 && info.view.synced_count() == backups && primary != replicas.end() &&
                   primary->second && primary->second->serving();
        });
    }
    std::string primary() { return views->view().view.primary.name; }
};

/// A callback that stores its arguments.
template <typename V>
struct Kept {
    struct State {
        std::optional<std::error_code> ec;
        V value{};
    };
    std::shared_ptr<State> state = std::make_shared<State>();

    void operator()(std::error_code ec, V value) const {
        state->ec = ec;
        state->value = std::move(value);
    }
    bool done() const { return state->ec.has_value(); }
    std::error_code ec() const { return state->ec.value_or(make_error_code(error::internal)); }
    const V& value() const { return state->value; }
};
template <>
struct Kept<void> {
    std::shared_ptr<std::optional<std::error_code>> state = std::make_shared<std::optional<std::error_code>>();

    void operator()(std::error_code ec) const { *state = ec; }
    bool done() const { return state->has_value(); }
    std::error_code ec() const { return state->value_or(make_error_code(error::internal)); }
};

}  // namespace understudy::test
