// Names whose name server does not answer: the caller that asked for them, and all others, go on.
#include <doctest/doctest.h>

#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <tests/support/net.hpp>
#include <understudy/net/connect.hpp>
#include <understudy/net/resolver.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("resolver") {
    namespace {

    // Resolves every name to 127.0.0.1, but names that begin with "slow" only when it is released.
    struct NameServer {
        struct State {
            std::mutex mutex;
            std::condition_variable changed;
            std::map<std::string, int> asked;
            std::size_t held = 0, most_held = 0;
            bool released = false;
        };
        std::shared_ptr<State> state = std::make_shared<State>();

        std::shared_ptr<net::Resolver> resolver() const {
            return std::make_shared<net::Resolver>([state = state](const std::string& host) {
                std::unique_lock lock{state->mutex};
                ++state->asked[host];
                state->most_held = std::max(state->most_held, ++state->held);
                state->changed.notify_all();
                if (host.starts_with("slow")) state->changed.wait(lock, [&] { return state->released; });
                --state->held;
                state->changed.notify_all();
                return net::Resolved{{{asio::ip::address_v4::loopback(), 0}}, {}};
            });
        }
        template <typename Condition>
        bool wait_until(Condition condition) const {
            std::unique_lock lock{state->mutex};
            return state->changed.wait_for(lock, 30s, [&] { return condition(*state); });
        }
        ~NameServer() {
            {
                const std::lock_guard lock{state->mutex};
                state->released = true;
                state->changed.notify_all();
            }
            CHECK(wait_until([](const State& now) { return now.held == 0; }));
        }
    };

    struct Dial {
        std::shared_ptr<net::Connector> connector;
        std::shared_ptr<std::optional<std::error_code>> ended = std::make_shared<std::optional<std::error_code>>();

        Dial(asio::io_context& io, std::shared_ptr<net::Resolver> resolver, const std::string& host,
             std::uint16_t port, Duration timeout)
            : connector{std::make_shared<net::Connector>(io.get_executor(), std::move(resolver))} {
            asio::co_spawn(io, run(connector, ended, host, port, timeout), asio::detached);
        }
        static asio::awaitable<void> run(std::shared_ptr<net::Connector> connector,
                                         std::shared_ptr<std::optional<std::error_code>> ended, std::string host,
                                         std::uint16_t port, Duration timeout) {
            net::Target target;
            target.host = host;
            target.port = port;
            const auto outcome = co_await connector->run(target, timeout);
            *ended = outcome.fault;
        }
    };

    std::uint16_t port_of(const Address& address) {
        return std::get<net::Target>(net::parse_address(address)).port;
    }

    }  // namespace

    TEST_CASE("a name that nobody answers for ends its own attempt and delays no other name") {
        const NameServer names;
        const auto resolver = names.resolver();
        asio::io_context io;
        Endpoint<> server{io, "tcp://127.0.0.1:0"};
        const auto port = port_of(server.local());
        Dial slow{io, resolver, "slow", port, 50ms};
        Dial also_slow{io, resolver, "slow", port, 60s};
        Dial quick{io, resolver, "quick", port, 30s};
        REQUIRE(run_until(io, [&] { return quick.ended->has_value() && slow.ended->has_value(); }));
        CHECK_FALSE(**quick.ended);
        CHECK(**slow.ended == asio::error::timed_out);
        CHECK_FALSE(also_slow.ended->has_value());
        also_slow.connector->cancel();
        REQUIRE(run_until(io, [&] { return also_slow.ended->has_value(); }));
        CHECK(**also_slow.ended == asio::error::operation_aborted);
        CHECK(names.wait_until([](const auto& now) { return now.asked.at("slow") == 1 && now.held == 1; }));
    }

    TEST_CASE("an execution context ends while a name server is still being asked") {
        const NameServer names;
        {
            asio::io_context io;
            Dial slow{io, names.resolver(), "slow", 1, 60s};
            settle(io);
            CHECK(names.wait_until([](const auto& now) { return now.held == 1; }));
        }
        CHECK(names.wait_until([](const auto& now) { return now.held == 1; }));
    }

    TEST_CASE("an answer that came too late serves who asks next") {
        const NameServer names;
        const auto resolver = names.resolver();
        CHECK(resolver->ask_and_wait("slow", 1ms).fault == asio::error::timed_out);
        {
            const std::lock_guard lock{names.state->mutex};
            names.state->released = true;
            names.state->changed.notify_all();
        }
        CHECK(resolver->ask_and_wait("slow", 30s).endpoints.size() == 1);
        CHECK(names.state->asked["slow"] == 1);
    }

    TEST_CASE("names that nobody answers for take a bounded number of threads") {
        const NameServer names;
        const auto resolver = names.resolver();
        for (int n = 0; n < 100; ++n) resolver->ask("slow" + std::to_string(n), [](const net::Resolved&) {});
        CHECK(names.wait_until([](const auto& now) { return now.held == net::Resolver::most_threads; }));
        {
            const std::lock_guard lock{names.state->mutex};
            names.state->released = true;
            names.state->changed.notify_all();
        }
        CHECK(names.wait_until([](const auto& now) { return now.asked.size() == 100; }));
        CHECK(names.state->most_held == net::Resolver::most_threads);
    }

    TEST_CASE("the system's names are found and unknown ones are told as such") {
        const auto found = net::look_up(host_name());
        REQUIRE_FALSE(found.endpoints.empty());
        CHECK(found.endpoints[0].address().is_loopback());
        CHECK(net::look_up("no.such.host.invalid").fault);
    }

}  // TEST_SUITE
