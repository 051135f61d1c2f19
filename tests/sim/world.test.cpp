// Random numbers, virtual time, and that a run depends on its seed alone.
#include <algorithm>
#include <limits>
#include <map>
#include <memory>

#include <doctest/doctest.h>

#include <understudy/sim/world/world.hpp>

#include "../support/transport_laws.hpp"

TEST_SUITE("sim_world") {
    namespace {

    using namespace understudy;
    using namespace understudy::laws;
    using sim::Random;
    using sim::SimTransport;

    /// Answers every message.
    asio::awaitable<void> echo(SimTransport& transport) {
        for (;;) {
            auto arrivals = co_await transport.next(never);
            for (auto& arrival : arrivals)
                if (auto* delivered = std::get_if<Delivered>(&arrival))
                    transport.send(delivered->from, std::move(delivered->payload));
        }
    }

    /// Sends, and counts the answers until there are `rounds`; sends again after a while without an answer.
    asio::awaitable<void> ping(SimTransport& transport, Address to, int rounds, int& answers) {
        while (answers < rounds) {
            transport.send(to, numbered(answers));
            const auto deadline = transport.now() + 50ms;
            bool answered = false;
            while (!answered && transport.now() < deadline) {
                auto arrivals = co_await transport.next(deadline);
                for (const auto& arrival : arrivals)
                    if (const auto* delivered = std::get_if<Delivered>(&arrival))
                        answered = answered || delivered->payload == numbered(answers);
            }
            if (answered) ++answers;
        }
    }

    /// Ends a coroutine without an exception when its transport closes.
    asio::awaitable<void> until_closed(asio::awaitable<void> coroutine) {
        try {
            co_await std::move(coroutine);
        } catch (const std::system_error& failure) {
            if (failure.code() != error::closed) throw;
        }
    }

    /// A busy minute with every kind of fault; the whole run follows from the seed.
    std::uint64_t stormy_run(std::uint64_t seed) {
        sim::World world{seed};
        world.links().set_quality({.loss = 0.05, .repeat = 0.05, .reorder = true});
        std::vector<std::unique_ptr<SimTransport>> nodes;
        std::vector<int> answers(10, 0);
        const auto start = [&](const Address& address) {
            nodes.push_back(std::make_unique<SimTransport>(world.network().transport(address)));
            world.spawn(until_closed(echo(*nodes.back())));
        };
        const auto address = [](std::uint64_t n) { return "sim://" + std::to_string(n); };
        for (std::uint64_t n = 0; n < 5; ++n) start(address(n));
        for (std::size_t n = 0; n < answers.size(); ++n) {
            nodes.push_back(std::make_unique<SimTransport>(world.network().client("clerk" + std::to_string(n))));
            world.spawn(until_closed(ping(*nodes.back(), address(n % 5), 1000, answers[n])));
        }
        for (int second = 0; second < 20; ++second) {
            const auto victim = address(world.random().below(5));
            world.crash(victim);
            world.run_for(world.random().exponential(300ms));
            start(victim);
            const auto cut = address(world.random().below(5));
            world.links().isolate(cut);
            world.run_for(world.random().heavy_tail(10ms, 1s));
            world.links().rejoin(cut);
        }
        return world.event_hash();
    }

    }  // namespace

    TEST_CASE("a seed gives the same numbers everywhere") {
        Random random{1};
        CHECK(random() == 0x40bc05834d211f4au);
        CHECK(random() == 0x53a0d5e80dc45f64u);
        CHECK(Random{1}.split("a")() == 0xd3e4d4fefe9bd022u);
        CHECK(Random{1}.split("a")() != Random{1}.split("b")());
        CHECK(Random{1}.split("a", 1)() != Random{1}.split("a", 2)());
    }

    TEST_CASE("ranges are inclusive and even") {
        Random random{3};
        std::map<std::int64_t, int> seen;
        for (int n = 0; n < 70'000; ++n) ++seen[random.between(-3, 3)];
        REQUIRE(seen.size() == 7);
        for (const auto& [value, times] : seen) {
            CHECK(times > 9'500);
            CHECK(times < 10'500);
        }
        CHECK(random.between(5, 5) == 5);
        CHECK(random.below(1) == 0);
        using Limits = std::numeric_limits<std::int64_t>;
        CHECK_NOTHROW(random.between(Limits::min(), Limits::max()));
    }

    TEST_CASE("chance and the distributions have the right shape") {
        Random random{4};
        int hits = 0, over_a_second = 0;
        Duration sum{};
        for (int n = 0; n < 100'000; ++n) {
            hits += random.chance(0.1);
            sum += random.exponential(10ms);
            const auto tail = random.heavy_tail(1ms, 10s);
            CHECK_UNARY(tail >= 1ms && tail <= 10s);
            over_a_second += tail > 1s;
        }
        CHECK(hits > 9'600);
        CHECK(hits < 10'400);
        CHECK(sum / 100'000 > 9'850us);
        CHECK(sum / 100'000 < 10'150us);
        CHECK(over_a_second > 30);
        CHECK(over_a_second < 400);
        CHECK_FALSE(random.chance(0));
        CHECK(random.chance(1));
    }

    TEST_CASE("pick and shuffle reach every element") {
        Random random{5};
        std::vector<int> values{1, 2, 3, 4, 5};
        std::map<int, int> picked;
        for (int n = 0; n < 1000; ++n) ++picked[random.pick(values)];
        CHECK(picked.size() == 5);
        const auto before = values;
        random.shuffle(values);
        CHECK(std::ranges::is_permutation(values, before));
    }

    TEST_CASE("events run by time and then by insertion") {
        sim::World world{1};
        const auto start = world.now();
        CHECK(start > Time{});
        std::string order;
        world.at(start + 2s, [&] { order += "c"; });
        world.at(start + 1s, [&] { order += "a"; });
        world.at(start + 1s, [&] { order += "b"; });
        world.at(start - 1s, [&] { order += "0"; });  // late: runs at once
        world.at(never, [&] { order += "x"; });
        world.run_until(start + 1s);
        CHECK(order == "0ab");
        CHECK(world.now() == start + 1s);
        CHECK(world.step());
        CHECK(order == "0abc");
        CHECK(world.now() == start + 2s);
        CHECK_FALSE(world.step());
        world.run_for(1h);
        CHECK(world.now() == start + 2s + 1h);
    }

    TEST_CASE("running until something holds stops there or at its limit") {
        sim::World world{1};
        const auto start = world.now();
        int ticks = 0;
        for (int n = 1; n <= 10; ++n) world.at(start + n * 1s, [&] { ++ticks; });
        CHECK(world.run_until([&] { return ticks == 3; }, 1h));
        CHECK(world.now() == start + 3s);
        CHECK_FALSE(world.run_until([&] { return ticks == 9; }, 2s));
        CHECK(world.now() == start + 5s);
        CHECK_FALSE(world.run_until([&] { return ticks == 11; }, 1h));
        CHECK(world.now() == start + 5s + 1h);
    }

    TEST_CASE("what a coroutine throws comes out of the run") {
        sim::World world{1};
        world.spawn([]() -> asio::awaitable<void> {
            throw std::logic_error{"oops"};
            co_return;
        }());
        CHECK_THROWS_AS(world.run_for(1s), std::logic_error);
    }

    TEST_CASE("a party that spins without letting time pass is found out") {
        sim::World world{1};
        world.set_limit(10'000);
        auto node = world.network().transport("sim://a");
        world.spawn([](SimTransport& transport) -> asio::awaitable<void> {
            for (;;) co_await transport.next(Time{});
        }(node));
        CHECK_THROWS_AS(world.run_for(1s), std::runtime_error);
    }

    TEST_CASE("two coroutines play ping-pong") {
        sim::World world{1};
        auto server = world.network().transport("sim://a");
        SimTransport client{world, {}, "clerk"};
        int answers = 0;
        world.spawn(echo(server));
        world.spawn(ping(client, "sim://a", 1000, answers));
        CHECK(world.run_until([&] { return answers == 1000; }, 10s));
    }

    TEST_CASE("a seed means one run") {
        const auto hash = stormy_run(7);
        CHECK(stormy_run(7) == hash);
        CHECK(stormy_run(8) != hash);
    }

    TEST_CASE("the trace tells each delivery in short lines") {
        sim::World world{1};
        std::vector<std::string> lines;
        world.trace([&](Time time, std::string_view text) {
            CHECK(time == world.now());
            lines.emplace_back(text);
        });
        auto server = world.network().transport("sim://a");
        auto client = world.network().client("clerk");
        client.send("sim://a", numbered(1));
        client.send("sim://a", "{" + std::string(100'000, ' ') + "}");
        world.run_for(1s);
        REQUIRE(lines.size() == 2);
        CHECK(lines[0] == "clerk -> sim://a: {\"n\":1}");
        CHECK(lines[1].size() < 300);
    }

    TEST_CASE("a thousand nodes exchange quickly") {
        sim::World world{1};
        std::vector<std::unique_ptr<SimTransport>> nodes;
        std::vector<int> answers(1000, 0);
        auto server = world.network().transport("sim://hub");
        world.spawn(echo(server));
        for (auto& count : answers) {
            nodes.push_back(std::make_unique<SimTransport>(world.network().client({})));
            world.spawn(ping(*nodes.back(), "sim://hub", 20, count));
        }
        CHECK(world.run_until([&] { return std::ranges::count(answers, 20) == 1000; }, 10s));
    }
}
