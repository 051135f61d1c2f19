// Redis with one replica, for comparison. Writes are SET (or APPEND) and WAIT 1, reads GET; through hiredis.
#pragma once

#include <hiredis/hiredis.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/bench/content.hpp"
#include "tests/bench/meter.hpp"

namespace understudy::bench {

class RedisGroup {
public:
    /// `durable`: both servers make each command stable before they answer.
    RedisGroup(Network network, const std::string& folder, bool durable = false)
        : network_{network}, folder_{folder} {
        port_ = free_port();
        const auto behind = free_port();
        path_ = folder + "/redis";
        const auto with = [&](const char* name, std::vector<std::string> more) {
            if (durable) more.insert(more.end(), {"--appendonly", "yes", "--appendfsync", "always", "--appenddirname",
                                                  name, "--appendfilename", name});
            return more;
        };
        primary_ = start(port_, path_, folder, with("aof_primary", {}));
        wait_until_up(port_);
        replica_ = start(behind, folder + "/redis_replica", folder,
                         with("aof_replica", {"--replicaof", "127.0.0.1 " + std::to_string(port_)}));
        const auto context = connect_tcp(port_);
        for (;;) {
            const auto reply = ask(context.get(), "WAIT 1 100");
            if (reply->type == REDIS_REPLY_INTEGER && reply->integer >= 1) break;
        }
        settle(context.get());
    }
    /// A primary alone, filled with the content.
    RedisGroup(Network network, const std::string& folder, const Content& content)
        : network_{network}, port_{free_port()}, path_{folder + "/redis"}, folder_{folder} {
        primary_ = start(port_, path_, folder, {});
        wait_until_up(port_);
        const auto context = connect_tcp(port_);
        const std::string value(content.bytes, 'v');
        constexpr std::size_t batch = 100;
        for (std::size_t n = 0; n < content.keys; n += batch) {
            const auto end = std::min(n + batch, content.keys);
            for (auto i = n; i < end; ++i) append_set(context.get(), content.key(i), value);
            for (auto i = n; i < end; ++i) {
                void* reply = nullptr;
                if (redisGetReply(context.get(), &reply) != REDIS_OK) throw std::runtime_error{context->errstr};
                freeReplyObject(reply);
            }
        }
    }
    static constexpr std::size_t most_backlog = 256u << 20;
    /// Bytes of commands that the primary keeps for replicas that come back, at most `most_backlog`.
    std::size_t backlog() const {
        const auto bytes = field("repl_backlog_histlen");
        return bytes.empty() ? 0 : std::stoul(bytes);
    }
    std::vector<pid_t> processes() const { return {primary_.id(), replica_.id()}; }

    /// Gives each key a value of `bytes` bytes.
    void fill(std::size_t bytes) const {
        const auto context = connect_tcp(port_);
        const std::string value(bytes, 'v');
        for (std::size_t n = 0; n < keys(bytes); ++n)
            check(ask(context.get(), "SET %s %b", key(n).c_str(), value.data(), value.size()).get());
        check(ask(context.get(), "WAIT 1 0").get());
    }
    /// Starts an empty replica and waits until its link is up; `no_disk`: it loads the data directly from the socket.
    void join(bool no_disk) {
        replica_.kill_now();
        const auto behind = free_port();
        replica_ = start(behind, folder_ + "/redis_replica", folder_,
                         {"--replicaof", "127.0.0.1 " + std::to_string(port_), "--repl-diskless-load",
                          no_disk ? "on-empty-db" : "disabled"});
        while (field(behind, "master_link_status") != "up") pass(0.001);
    }
    void lose_replica() { replica_.kill_now(); }
    /// A field of INFO; empty while the server does not answer.
    std::string field(const std::string& name) const { return field(port_, name); }

    /// Runs clients, each with one SET in flight, until `done` returns false.
    void write(std::size_t clients, std::size_t bytes, auto name, const auto& done) const {
        Poll poll;
        std::vector<Connection> connections(clients);
        const std::string value(bytes, 'v');
        const auto go_on = [&](Connection& it) {
            append_set(it.context.get(), name(), value);
            it.asked = Clock::now();
            for (int all = 0; !all;)
                if (redisBufferWrite(it.context.get(), &all) != REDIS_OK) throw std::runtime_error{it.context->errstr};
        };
        for (std::uint32_t n = 0; n < clients; ++n) {
            open(connections[n], poll, n);
            go_on(connections[n]);
        }
        for (bool on = true; on;)
            poll.wait(-1, [&](std::uint32_t n) {
                auto& it = connections[n];
                take_replies(it, [&] {
                    on = done(it.asked, Clock::now()) && on;
                    if (on) go_on(it);
                });
            });
    }

    /// Makes calls as `shape` says; with `batch` the calls of one connection share one WAIT.
    void load(const Shape& shape, Meter& meter, bool batch) const {
        Poll poll;
        std::vector<Connection> connections(shape.connections);
        for (std::uint32_t n = 0; n < connections.size(); ++n) {
            open(connections[n], poll, n);
            ask_again(connections[n], shape, batch);
        }
        while (!meter.over())
            poll.wait(-1, [&](std::uint32_t n) {
                auto& it = connections[n];
                take_replies(it, [&] {
                    if (--it.expected > 0) return;
                    const auto now = Clock::now();
                    for (std::size_t i = 0; i < shape.in_flight; ++i) meter.done(it.asked, now);
                    ask_again(it, shape, batch);
                });
            });
    }

private:
    struct Free {
        void operator()(redisContext* context) const { redisFree(context); }
        void operator()(redisReply* reply) const { freeReplyObject(reply); }
    };
    using Context = std::unique_ptr<redisContext, Free>;
    using Reply = std::unique_ptr<redisReply, Free>;

    struct Connection {
        Context context;
        std::size_t number = 0;
        std::size_t turns = 0;     // in each of them, every call is in flight once
        std::size_t expected = 0;  // replies
        Clock::time_point asked;
    };

    void open(Connection& it, Poll& poll, std::uint32_t number) const {
        it.context = network_ == Network::tcp ? connect_tcp(port_) : connect_unix(path_);
        unblock(it.context->fd);
        it.context->flags &= ~REDIS_BLOCK;
        it.number = number;
        poll.add(it.context->fd, number);
    }
    /// Reads what is available, and calls `each` for each reply.
    static void take_replies(Connection& it, const auto& each) {
        if (redisBufferRead(it.context.get()) != REDIS_OK) throw std::runtime_error{it.context->errstr};
        for (void* reply = nullptr; next_reply(it, reply);) {
            check(static_cast<redisReply*>(reply));
            freeReplyObject(reply);
            each();
        }
    }
    static bool next_reply(Connection& it, void*& reply) {
        reply = nullptr;
        if (redisGetReplyFromReader(it.context.get(), &reply) != REDIS_OK) throw std::runtime_error{"redis"};
        return reply != nullptr;
    }
    static void check(const redisReply* reply) {
        if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error{reply->str};
        if (reply->type == REDIS_REPLY_NIL) throw std::runtime_error{"Redis lacks a key"};
    }

    static void ask_again(Connection& it, const Shape& shape, bool batch) {
        static const std::string value(shape.bytes, 'v');
        const bool write = !reads(shape.operation);
        auto* to = it.context.get();
        const auto n = it.turns++;
        it.asked = Clock::now();
        for (std::size_t i = 0; i < shape.in_flight; ++i) {
            const auto name = key_of(shape, it.number * shape.in_flight + i, n);
            if (!write)
                redisAppendCommand(to, "GET %b", name.data(), name.size());
            else if (begins_value(shape, n))
                append_set(to, name, value);
            else
                redisAppendCommand(to, "APPEND %b %b", name.data(), name.size(), value.data(), value.size());
            if (write && !batch) redisAppendCommand(to, "WAIT 1 0");
        }
        if (write && batch) redisAppendCommand(to, "WAIT 1 0");
        it.expected = shape.in_flight * (write && !batch ? 2 : 1) + (write && batch ? 1 : 0);
        for (int done = 0; !done;) {
            if (redisBufferWrite(to, &done) != REDIS_OK) throw std::runtime_error{to->errstr};
            if (!done) await_room(to->fd);
        }
    }

    static void append_set(redisContext* to, const std::string& name, const std::string& value) {
        redisAppendCommand(to, "SET %b %b", name.data(), name.size(), value.data(), value.size());
    }
    static std::string field(std::uint16_t port, const std::string& name) {
        const Context context{redisConnect("127.0.0.1", port)};
        if (!context || context->err) return {};
        const Reply reply{static_cast<redisReply*>(redisCommand(context.get(), "INFO"))};
        if (!reply || reply->type != REDIS_REPLY_STRING) return {};
        const std::string text{reply->str, reply->len};
        const auto at = text.find("\n" + name + ":");
        if (at == text.npos) return {};
        const auto begin = at + name.size() + 2;
        return text.substr(begin, text.find('\r', begin) - begin);
    }

    static Process start(std::uint16_t port, const std::string& path, const std::string& folder,
                         std::vector<std::string> more) {
        std::vector<std::string> arguments{"redis-server", "--port", std::to_string(port), "--bind", "127.0.0.1"};
        const auto backlog = std::to_string(most_backlog);
        for (const auto& [name, value] :
             std::initializer_list<std::pair<std::string, std::string>>{{"--unixsocket", path},
                                                                        {"--logfile", path + ".log"},
                                                                        {"--save", ""},
                                                                        {"--appendonly", "no"},
                                                                        {"--dir", folder},
                                                                        {"--loglevel", "warning"},
                                                                        {"--repl-diskless-sync-delay", "0"},
                                                                        {"--repl-backlog-size", backlog}})
            arguments.insert(arguments.end(), {name, value});
        arguments.insert(arguments.end(), more.begin(), more.end());
        return Process{[&] {
            std::vector<char*> raw;
            for (auto& argument : arguments) raw.push_back(argument.data());
            raw.push_back(nullptr);
            execvp(raw[0], raw.data());
            fail("redis-server");
        }};
    }
    static Context connect_tcp(std::uint16_t port) { return checked(redisConnect("127.0.0.1", port)); }
    static Context connect_unix(const std::string& path) { return checked(redisConnectUnix(path.c_str())); }
    static Context checked(redisContext* made) {
        Context context{made};
        if (!made || made->err) throw std::runtime_error{made ? made->errstr : "redis"};
        return context;
    }
    static Reply ask(redisContext* context, const char* command, auto... values) {
        Reply reply{static_cast<redisReply*>(redisCommand(context, command, values...))};
        if (!reply) throw std::runtime_error{context->errstr};
        return reply;
    }
    static void wait_until_up(std::uint16_t port) {
        for (const auto end = Clock::now() + std::chrono::seconds{10}; Clock::now() < end;) {
            const Context context{redisConnect("127.0.0.1", port)};
            if (context && !context->err) return;
        }
        throw std::runtime_error{"redis-server does not start"};
    }
    /// Waits until WAIT is fast: for about a second after a full sync a WAIT can be slow.
    static void settle(redisContext* context) {
        for (int quick = 0; quick < 1000;) {
            const auto begun = Clock::now();
            ask(context, "SET settle 1");
            ask(context, "WAIT 1 0");
            quick = Clock::now() - begun < std::chrono::milliseconds{20} ? quick + 1 : 0;
        }
    }

    Network network_;
    std::uint16_t port_ = 0;
    std::string path_, folder_;
    Process primary_, replica_;
};

}  // namespace understudy::bench
