// What the simulated network does on command: faults of links, connections, processes and computers.
#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include <understudy/sim/world/world.hpp>

#include "../support/transport_laws.hpp"

TEST_SUITE("sim_network") {
    namespace {

    using namespace understudy;
    using namespace understudy::laws;
    using sim::Fate;
    using sim::SimTransport;

    const Address a = "sim://a", b = "sim://b";

    /// A node that receives everything sent to it.
    struct Endpoint {
        SimTransport transport;
        Inbox inbox;

        Endpoint(sim::World& world, SimTransport made) : transport{std::move(made)} {
            world.spawn(receive_all(transport, inbox));
        }
        void send(const Address& to, int from, int until) {
            for (int n = from; n < until; ++n) transport.send(to, numbered(n));
        }
        std::size_t got() const { return inbox.count<Delivered>(); }
        std::size_t disconnected() const { return inbox.count<Disconnected>(); }
        const std::string& why() const {
            for (auto arrival = inbox.arrivals.rbegin(); arrival != inbox.arrivals.rend(); ++arrival)
                if (auto* match = std::get_if<Disconnected>(&*arrival)) return match->why;
            FAIL("nobody is gone");
            std::abort();
        }
    };

    /// Two servers, and a client whose connection to `b` is up.
    struct Three {
        sim::World world{5};
        Endpoint at_a{world, world.network().transport(a)};
        Endpoint at_b{world, world.network().transport(b)};
        Endpoint clerk{world, world.network().client("clerk")};

        Three() {
            clerk.transport.send(b, "{}");
            world.run_for(100ms);
            REQUIRE(at_b.got() == 1);
            at_b.inbox.arrivals.clear();
        }
        Address restart_b(std::optional<Endpoint>& again) {
            again.emplace(world, world.network().transport(b));
            return again->transport.local();
        }
    };

    }  // namespace

    TEST_CASE_FIXTURE(Three, "a connection is dialled by the first send and kept") {
        std::set<Address> peers;
        for (int n = 0; n < 5; ++n) {
            at_a.transport.send(b, numbered(n));
            world.run_for(10ms);
        }
        REQUIRE(at_b.got() == 5);
        for (const auto& each : at_b.inbox.all<Delivered>()) peers.insert(each.from);
        REQUIRE(peers.size() == 1);
        CHECK(peers.begin()->rfind("sim://b#", 0) == 0);
        CHECK(at_a.got() == 0);
    }

    TEST_CASE_FIXTURE(Three, "lost frames are lost and the others keep their order") {
        world.links().set_quality("clerk", b, {.loss = 0.3});
        for (int n = 0; n < 1000; ++n) {
            clerk.send(b, n, n + 1);
            if (n % 7 == 0) world.run_for(100us);
        }
        clerk.transport.send(a, "{}");
        world.run_for(1s);
        CHECK(at_b.got() > 600);
        CHECK(at_b.got() < 800);
        CHECK(at_a.got() == 1);
        CHECK(at_b.disconnected() + clerk.disconnected() == 0);
        auto numbers = std::vector<int>{};
        for (const auto& text : at_b.inbox.payloads()) numbers.push_back(std::stoi(text.substr(5)));
        CHECK(std::ranges::is_sorted(numbers));
    }

    TEST_CASE_FIXTURE(Three, "repeated frames arrive in order and then once more whenever they like") {
        world.links().set_quality("clerk", b, {.repeat = 1});
        clerk.send(b, 0, 20);
        world.run_for(4s);
        const auto payloads = at_b.inbox.payloads();
        std::vector<std::string> firsts;
        for (const auto& text : payloads)
            if (std::ranges::find(firsts, text) == firsts.end()) firsts.push_back(text);
        std::vector<std::string> sent;
        for (int number = 0; number < 20; ++number) sent.push_back(numbered(number));
        CHECK(firsts == sent);
        for (const auto& text : sent) CHECK(std::ranges::count(payloads, text) == 2);
        CHECK(!std::ranges::is_sorted(payloads, {}, [](const auto& text) { return std::stoi(text.substr(5)); }));
    }

    TEST_CASE_FIXTURE(Three, "a process that dies in place of a send has sent what came before and nothing after") {
        world.crash_at_send("clerk", 3);
        clerk.send(b, 0, 5);
        world.run_for(1s);
        CHECK(at_b.inbox.payloads() == std::vector{numbered(0), numbered(1)});
        CHECK(at_b.disconnected() == 1);
        CHECK(clerk.inbox.ended == make_error_code(error::closed));
        Endpoint next{world, world.network().client("clerk")};  // the crash applies to one incarnation only
        next.send(b, 5, 10);
        world.run_for(1s);
        CHECK(at_b.got() == 7);
    }

    TEST_CASE_FIXTURE(Three, "a slow process begins its next turn only when the last one is over") {
        world.slow_down(b, 100ms);
        const auto turns = at_b.inbox.turns;
        for (int n = 0; n < 50; ++n) {
            clerk.send(b, n, n + 1);
            world.run_for(10ms);
        }
        world.run_for(1s);
        CHECK(at_b.got() == 50);
        CHECK(at_b.inbox.turns - turns <= 7);
        CHECK(at_b.inbox.turns - turns >= 5);
        world.slow_down(b, 0s);
        const auto before = at_b.inbox.turns;
        for (int n = 0; n < 10; ++n) {
            clerk.send(b, n, n + 1);
            world.run_for(10ms);
        }
        CHECK(at_b.inbox.turns - before == 10);
    }

    TEST_CASE_FIXTURE(Three, "latencies with a heavy tail are mostly short and seldom long") {
        world.links().set_quality("clerk", b, {.latency_least = 1ms, .latency_most = 1s, .heavy_tail = true});
        int soon = 0, late = 0;
        for (int n = 0; n < 200; ++n) {
            const auto got = at_b.got();
            const auto sent = world.now();
            clerk.send(b, n, n + 1);
            REQUIRE(world.run_until([&] { return at_b.got() > got; }, 2s));
            soon += world.now() - sent < 4ms;
            late += world.now() - sent > 60ms;
        }
        CHECK(soon > 100);
        CHECK(late > 0);
        CHECK(late < 40);
    }

    TEST_CASE_FIXTURE(Three, "frames overtake one another only where that is allowed") {
        const auto sorted = [&](bool reorder) {
            at_b.inbox.arrivals.clear();
            world.links().set_quality("clerk", b, {.latency_least = 1ms, .latency_most = 50ms, .reorder = reorder});
            clerk.send(b, 10, 60);
            world.run_for(1s);
            REQUIRE(at_b.got() == 50);
            return std::ranges::is_sorted(at_b.inbox.payloads());
        };
        CHECK(sorted(false));
        CHECK_FALSE(sorted(true));
    }

    TEST_CASE_FIXTURE(Three, "latency stays in its range") {
        world.links().set_quality({.latency_least = 3ms, .latency_most = 5ms});
        Time arrived{};
        for (int n = 0; n < 50; ++n) {
            at_b.inbox.arrivals.clear();
            const auto sent = world.now();
            clerk.send(b, n, n + 1);
            REQUIRE(world.run_until([&] { return at_b.got() == 1; }, 1s));
            arrived = world.now();
            CHECK(arrived - sent >= 3ms);
            CHECK(arrived - sent <= 5ms);
        }
    }

    TEST_CASE_FIXTURE(Three, "a one-way cut is silent and lets the other way through") {
        clerk.send(b, 0, 1);
        world.run_for(50ms);
        const auto reply_address = at_b.inbox.all<Delivered>()[0].from;
        world.links().cut("clerk", b);
        clerk.send(b, 1, 2);
        at_b.transport.send(reply_address, "{\"back\":1}");
        world.run_for(60s);
        CHECK(at_b.got() == 1);
        CHECK(clerk.got() == 1);
        CHECK(clerk.disconnected() + at_b.disconnected() == 0);
        world.links().heal("clerk", b);
        clerk.send(b, 2, 3);
        world.run_for(50ms);
        CHECK(at_b.inbox.payloads() == std::vector{numbered(0), numbered(2)});
    }

    TEST_CASE_FIXTURE(Three, "a two-way cut loses what is on its way and a dial hangs until its timeout") {
        clerk.send(b, 0, 1);
        world.links().cut_both("clerk", b);
        world.run_for(1s);
        CHECK(at_b.got() == 0);
        world.links().partition({a}, {b, "clerk"});
        at_a.send(b, 0, 1);
        world.run_for(1900ms);
        CHECK(at_a.disconnected() == 0);
        world.run_for(200ms);
        REQUIRE(at_a.disconnected() == 1);
        CHECK(at_a.why() == "connect timed out");
        world.links().heal_all();
        at_a.send(b, 1, 2);
        world.run_for(1s);
        CHECK(at_b.got() == 1);
    }

    TEST_CASE_FIXTURE(Three, "an isolated party reaches nobody until it rejoins") {
        world.links().isolate(b);
        clerk.send(b, 0, 1);
        clerk.send(a, 0, 1);
        world.run_for(1s);
        CHECK(at_b.got() == 0);
        CHECK(at_a.got() == 1);
        world.links().rejoin(b);
        clerk.send(b, 1, 2);
        world.run_for(1s);
        CHECK(at_b.got() == 1);
    }

    TEST_CASE_FIXTURE(Three, "held frames wait for their release and keep their order") {
        world.network().hold("clerk", b);
        clerk.send(b, 0, 3);
        world.run_for(1h);
        CHECK(at_b.got() == 0);
        CHECK(world.network().held("clerk", b) == 3);
        world.network().release("clerk", b);
        clerk.send(b, 3, 4);
        world.run_for(1s);
        CHECK(at_b.inbox.payloads() == std::vector{numbered(0), numbered(1), numbered(2), numbered(3)});
        CHECK(clerk.disconnected() == 0);
    }

    TEST_CASE_FIXTURE(Three, "a broken connection is gone at both ends and loses what is on its way") {
        clerk.send(b, 0, 1);
        world.network().break_connections(b, "clerk");
        world.run_for(1s);
        CHECK(at_b.got() == 0);
        CHECK(at_b.disconnected() == 1);
        CHECK(clerk.disconnected() == 1);
        clerk.send(b, 1, 2);  // dials again
        world.run_for(1s);
        CHECK(at_b.inbox.payloads() == std::vector{numbered(1)});
    }

    TEST_CASE_FIXTURE(Three, "a filter sees each frame and decides what becomes of it") {
        world.links().add_filter([](const sim::Packet& packet) {
            if (packet.from != "clerk" || packet.to != b) return Fate::deliver();
            if (packet.payload == numbered(0)) return Fate::drop();
            if (packet.payload == numbered(1)) return Fate::duplicate();
            if (packet.payload == numbered(2)) return Fate::delayed(1s);
            return Fate::deliver();
        });
        clerk.send(b, 0, 2);
        world.run_for(100ms);
        CHECK(at_b.inbox.payloads() == std::vector{numbered(1), numbered(1)});
        clerk.send(b, 2, 4);
        world.run_for(900ms);
        CHECK(at_b.got() == 2);
        world.run_for(200ms);
        CHECK(at_b.inbox.payloads() == std::vector{numbered(1), numbered(1), numbered(2), numbered(3)});
    }

    TEST_CASE_FIXTURE(Three, "an unreliable party loses frames both ways but not those of the spared") {
        world.links().add_unreliable({b}, 0.1, {a});
        clerk.send(b, 0, 1000);
        at_a.send(b, 1000, 2000);
        world.run_for(1s);
        const auto all = at_b.inbox.all<Delivered>();
        const auto of_a = std::ranges::count_if(all, [](const auto& each) { return each.payload.size() > 9; });
        CHECK(of_a == 1000);
        CHECK(all.size() > 1860);
        CHECK(all.size() < 1940);
        for (int n = 0; n < 1000; ++n) at_b.transport.send(all[0].from, "{}");
        world.run_for(1s);
        const auto answered = clerk.got() + at_a.got();
        CHECK((answered == 1000 || (answered > 860 && answered < 940)));
        CHECK(clerk.disconnected() + at_b.disconnected() == 0);
    }

    TEST_CASE_FIXTURE(Three, "a crash is heard of by the other ends and refuses probes and dials") {
        clerk.send(b, 0, 1);
        world.crash(b);
        world.run_for(50ms);
        CHECK(at_b.inbox.ended == make_error_code(error::closed));
        CHECK(clerk.disconnected() == 1);
        at_a.transport.probe(b);
        at_a.transport.send(b, "{}");
        at_b.transport.send(a, "{\"from\":\"the dead\"}");
        world.run_for(50ms);
        REQUIRE(at_a.inbox.count<Probed>() == 1);
        CHECK(at_a.inbox.all<Probed>()[0].result == ProbeResult::refused);
        REQUIRE(at_a.disconnected() == 1);
        CHECK(at_a.why() == "connection refused");
        CHECK(at_a.got() == 0);
        std::optional<Endpoint> again;
        restart_b(again);
        clerk.send(b, 1, 2);
        world.run_for(50ms);
        CHECK(again->got() == 1);
        CHECK(at_b.got() == 0);
    }

    TEST_CASE_FIXTURE(Three, "a party whose new connections are refused lives on with those that it has") {
        clerk.send(b, 0, 1);
        world.run_for(50ms);
        world.network().refuse(b, true);
        clerk.send(b, 1, 2);
        at_a.transport.probe(b);
        at_a.transport.send(b, "{}");
        world.run_for(50ms);
        CHECK(at_b.got() == 2);
        REQUIRE(at_a.inbox.count<Probed>() == 1);
        CHECK(at_a.inbox.all<Probed>()[0].result == ProbeResult::refused);
        CHECK(at_a.why() == "connection refused");
        world.network().refuse(b, false);
        world.run_for(2s);
        at_a.transport.send(b, "{}");
        world.run_for(50ms);
        CHECK(at_b.got() == 3);
    }

    TEST_CASE_FIXTURE(Three, "a machine without power is silent and cannot be probed until it is back") {
        world.power_off(b);
        clerk.send(b, 0, 1);
        at_a.transport.probe(b);
        world.run_for(60s);
        CHECK(at_b.inbox.ended == make_error_code(error::closed));
        CHECK(clerk.disconnected() == 0);
        REQUIRE(at_a.inbox.count<Probed>() == 1);
        CHECK(at_a.inbox.all<Probed>()[0].result == ProbeResult::unknown);
        std::optional<Endpoint> again;
        restart_b(again);
        clerk.send(b, 1, 2);  // over a connection that the restarted computer does not know
        world.run_for(50ms);
        REQUIRE(clerk.disconnected() == 1);
        CHECK(clerk.why() == "connection reset");
        clerk.send(b, 2, 3);
        world.run_for(50ms);
        CHECK(again->inbox.payloads() == std::vector{numbered(2)});
    }

    TEST_CASE_FIXTURE(Three, "a probe through a partition is unknown") {
        world.links().cut(b, a);
        at_a.transport.probe(b);
        world.run_for(1s);
        CHECK(at_a.inbox.count<Probed>() == 0);
        world.run_for(2s);
        REQUIRE(at_a.inbox.count<Probed>() == 1);
        CHECK(at_a.inbox.all<Probed>()[0].result == ProbeResult::unknown);
    }

    TEST_CASE_FIXTURE(Three, "a crash behind a cut is noticed by the first frame after it healed") {
        world.links().cut_both("clerk", b);
        world.crash(b);
        world.run_for(10s);
        CHECK(clerk.disconnected() == 0);
        world.links().heal_all();
        clerk.send(b, 0, 1);
        world.run_for(50ms);
        CHECK(clerk.disconnected() == 1);
    }

    TEST_CASE_FIXTURE(Three, "dials to a dead address back off and start afresh after a success") {
        world.crash(b);
        world.run_for(50ms);
        std::vector<Time> refusals;
        std::size_t before = clerk.disconnected();
        for (int n = 0; n < 12; ++n) {
            clerk.send(b, n, n + 1);
            REQUIRE(world.run_until([&] { return clerk.disconnected() == before + 1; }, 5s));
            ++before;
            refusals.push_back(world.now());
        }
        CHECK(refusals[1] - refusals[0] < 15ms);
        CHECK(refusals[11] - refusals[10] >= 500ms);
        CHECK(refusals[11] - refusals[10] <= 1010ms);
        std::optional<Endpoint> again;
        restart_b(again);
        clerk.send(b, 100, 101);
        REQUIRE(world.run_until([&] { return again->got() == 1; }, 2s));
        world.crash(b);
        world.run_for(50ms);
        const auto start = world.now();
        before = clerk.disconnected();
        for (std::size_t n = 1; n <= 3; ++n) {
            clerk.send(b, 0, 1);
            REQUIRE(world.run_until([&] { return clerk.disconnected() == before + n; }, 5s));
        }
        CHECK(world.now() - start < 50ms);
    }

    TEST_CASE_FIXTURE(Three, "a paused process takes nothing while its clock and its kernel go on") {
        std::optional<Endpoint> sleeper{std::in_place, world, world.network().transport("sim://sleeper")};
        world.run_for(1ms);
        world.pause("sim://sleeper");
        const auto start = sleeper->transport.now();
        clerk.send("sim://sleeper", 0, 3);
        clerk.transport.probe("sim://sleeper");
        world.run_for(10s);
        CHECK(sleeper->got() == 0);
        CHECK(clerk.inbox.count<Probed>() == 1);
        CHECK(clerk.inbox.all<Probed>()[0].result == ProbeResult::alive);
        CHECK(sleeper->transport.now() - start == 10s);
        sleeper->transport.wake();
        world.run_for(1s);
        CHECK(sleeper->inbox.turns == 0);
        world.unpause("sim://sleeper");
        world.run_for(0s);
        CHECK(sleeper->got() == 3);
        CHECK(sleeper->inbox.turns == 1);
    }

    TEST_CASE("a deadline that passes during a pause fires after it") {
        sim::World world{1};
        auto node = world.network().transport(a);
        Inbox inbox;
        world.spawn(next_once(node, inbox, node.now() + 10ms));
        world.pause(a);
        world.run_for(1s);
        CHECK(inbox.turns == 0);
        world.unpause(a);
        world.run_for(0s);
        CHECK(inbox.turns == 1);
    }

    TEST_CASE("clocks run at their own rates and deadlines follow them") {
        sim::World world{1};
        auto fast = world.network().transport(a), slow = world.network().transport(b);
        const auto start = fast.now();
        CHECK(slow.now() == start);
        Inbox at_fast, at_slow;
        world.spawn(next_once(fast, at_fast, start + 1s));
        world.spawn(next_once(slow, at_slow, start + 1s));
        world.run_for(0s);
        world.set_clock(a, 2.0);
        world.set_clock(b, 0.5);
        world.run_for(499ms);
        CHECK(at_fast.turns == 0);
        world.run_for(2ms);
        CHECK(at_fast.turns == 1);
        CHECK(fast.now() - start == 1002ms);
        world.run_for(1498ms);
        CHECK(at_slow.turns == 0);
        world.run_for(2ms);
        CHECK(at_slow.turns == 1);
        const auto before = slow.now();
        world.set_clock(b, 1.0, 1h);
        CHECK(slow.now() == before + 1h);
    }

    TEST_CASE("each life of a party draws numbers of its own") {
        const auto draw = [](sim::World& world) {
            auto node = world.network().transport(a);
            return node.random();
        };
        sim::World one{1}, same{1}, other{2};
        const auto first = draw(one), second = draw(one);
        CHECK(first != second);
        CHECK(draw(same) == first);
        CHECK(draw(other) != first);
    }
}
