// A node on the simulated network that is not part of the cluster: an operator that sends requests, or a program that
// sends invalid or foreign messages. Runs need both, and neither needs a full client.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/sim/world/world.hpp>
#include <understudy/wire/json.hpp>

namespace understudy::sim {

/// Sends single messages from its own transport. It reads answers and drops them, so that its connections do not fill
/// up. The destructor closes the transport.
class Stranger {
public:
    Stranger(World& world, std::string name) : random_{world.random().split(name)}, line_{open(world, name)} {
        asio::co_spawn(world.get_executor(), drain(line_), asio::detached);
    }
    Stranger(Stranger&&) = default;
    ~Stranger() {
        if (line_) line_->close();
    }

    /// Sends one message as a request. Does not wait for an answer.
    void say(const Address& to, Message message) {
        std::string payload;
        wire::encode(payload, {to, make_call_id(Method::pb_status, ++calls_), std::move(message)});
        line_->send(to, std::move(payload));
    }
    /// Sends an operator request (`view.promote`) that asks for this server as primary.
    void promote(const Address& views, const std::string& group, const Address& server) {
        say(views, ViewPromote{group, server});
    }

    /// Sends one random message that no node of the cluster sends: invalid JSON, an unknown method, another cluster,
    /// group or protocol version, or a view that was never decided. The receiver must refuse it, and its state must not
    /// change. `ours` is the real cluster id; only the last case uses it.
    void disturb(const Address& to, const std::string& group, ClusterId ours, bool is_views) {
        const auto cluster = ClusterId{random_() | 1};
        const ViewRef view{1'000'000, {}};
        switch (random_.below(is_views ? 6 : 11)) {
            case 0: return line_->send(to, "this is no JSON");
            case 1: return line_->send(to, R"({"jsonrpc":"2.0","id":1,"method":"no.such","params":{}})");
            case 2: return line_->send(to, R"({"jsonrpc":"2.0","id":2,"method":"pb.execute","params":[7]})");
            case 3: return line_->send(to, R"({"jsonrpc":"2.0","id":3,"result":{"view":9}})");
            case 4:
                if (!is_views) return say(to, Open{cluster, group, 99});
                return say(to, ViewGet{.group = group, .protocol = 99});
            case 5:
                if (!is_views) return say(to, Open{cluster, "another", 1});
                return say(to, foreign_ping(group, cluster));
            case 6: return say(to, Execute{cluster, group, {}, 0, 0, "{}"});
            case 7: return say(to, Append{cluster, group, view, {}, {}, 7, 1});
            case 8: return say(to, Install{cluster, group, view, {}, 0, {}, true});
            case 9: return say(to, Append{cluster, "another", view, {}, {}, 7, 1});
            default: return say(to, Append{ours, group, view, {}, {}, 7, 1});  // of a view that was never decided
        }
    }

private:
    /// A ping of a server that belongs to another cluster.
    static Ping foreign_ping(const std::string& group, ClusterId cluster) {
        Ping ping;
        ping.group = group;
        ping.server = "stranger";
        ping.incarnation = Incarnation{1};
        ping.n = 1;
        ping.cluster = cluster;
        return ping;
    }
    static std::shared_ptr<SimTransport> open(World& world, const std::string& name) {
        return std::make_shared<SimTransport>(world.network().client(name));
    }
    static asio::awaitable<void> drain(std::shared_ptr<SimTransport> line) {
        for (;;) co_await line->next(never);
    }

    Random random_;
    std::shared_ptr<SimTransport> line_;
    std::uint64_t calls_ = 0;
};

}  // namespace understudy::sim
