// Turns that a transport calls as plain functions (`TurnHandler`), over real sockets.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <understudy/net/unix.hpp>

#include <tests/support/net.hpp>

using namespace understudy;
using namespace understudy::test;
using net::UnixTransport;

TEST_SUITE("turns") {
    namespace {

    /// Writes down what is called, in order, and does what the test asks for.
    struct Recorder : TurnHandler {
        std::vector<std::string> calls;
        std::vector<Peer> froms;
        std::function<void()> completing = [] {}, handling = [] {};
        std::optional<Time> next = never;

        void message(const Peer& from, std::string_view payload, Time) override {
            froms.push_back(from);
            handling();
            calls.emplace_back(payload);
        }
        void arrived(TransportEvents&& events) override {
            for (const auto& event : events) {
                if (const auto* late = std::get_if<Delivered>(&event)) calls.push_back("late " + late->payload);
                if (std::holds_alternative<Disconnected>(event)) calls.push_back("gone");
            }
        }
        void complete() override { completing(); }
        std::optional<Time> turn() override {
            calls.push_back("turn");
            return next;
        }
        std::size_t turns() const { return static_cast<std::size_t>(std::ranges::count(calls, "turn")); }
        bool has(const std::string& call) const { return std::ranges::count(calls, call) > 0; }
    };

    asio::awaitable<void> await_next(UnixTransport & transport, std::vector<std::size_t> & completed,
                                     std::error_code & ended) {
        try {
            for (;;) completed.push_back((co_await transport.next(never)).size());
        } catch (const std::system_error& failure) {
            ended = failure.code();
        }
    }

    /// A listening transport whose turns are handled, and a peer.
    struct Handled {
        TemporaryFolder folder;
        asio::io_context io;
        UnixTransport transport{io, folder.address("handled")};
        Recorder handler;
        std::vector<std::size_t> completed;  // of `next`: how many events it had
        std::error_code ended;
        RawPeer peer = RawPeer::connected_to(transport.local());

        explicit Handled(bool awaits = true) {
            transport.handle_turns(&handler);
            if (awaits) await();
        }
        void await() { asio::co_spawn(io, await_next(transport, completed, ended), asio::detached); }
        bool runs_until(auto condition) { return run_until(io, condition); }
    };

    using Calls = std::vector<std::string>;

    }  // namespace

    TEST_CASE("what one read brings is handled message by message and then comes a turn") {
        Handled it;
        it.peer.write(frame("{1}") + frame("{2}"));
        REQUIRE(it.runs_until([&] { return it.handler.turns() > 0; }));
        CHECK(it.handler.calls == Calls{"{1}", "{2}", "turn"});
        CHECK(it.completed.empty());
    }

    TEST_CASE("what comes while nobody awaits next waits for the turn") {
        Handled it{false};
        it.peer.write(frame("{1}"));
        settle(it.io);
        CHECK(it.handler.calls.empty());
        it.await();
        REQUIRE(it.runs_until([&] { return it.handler.turns() > 0; }));
        CHECK(it.handler.calls == Calls{"late {1}", "turn"});
    }

    TEST_CASE("the end of a connection comes after its messages") {
        Handled it;
        it.peer.write(frame("{1}"));
        it.peer.close();
        REQUIRE(it.runs_until([&] { return it.handler.has("gone"); }));
        CHECK(it.handler.calls.front() == "{1}");
    }

    TEST_CASE("a turn that leaves something to the coroutine completes next without events") {
        Handled it;
        it.handler.next.reset();
        it.peer.write(frame("{1}"));
        REQUIRE(it.runs_until([&] { return !it.completed.empty(); }));
        CHECK(it.completed.front() == 0);
        CHECK(it.handler.calls == Calls{"{1}", "turn"});
    }

    TEST_CASE("the deadline of a turn starts the next one") {
        Handled it;
        it.handler.next = it.transport.now() + 10ms;
        it.transport.wake();
        CHECK(it.runs_until([&] { return it.handler.turns() >= 3; }));
    }

    TEST_CASE("a wake-up while calls complete belongs to the turn that follows") {
        Handled it;
        int woken = 0;
        it.handler.completing = [&] {
            if (++woken <= 2) it.transport.wake();
        };
        it.peer.write(frame("{1}"));
        REQUIRE(it.runs_until([&] { return it.handler.turns() > 0; }));
        settle(it.io);
        CHECK(it.handler.turns() == 1);
    }

    TEST_CASE("what is thrown while calls complete leaves run and the turn follows") {
        Handled it;
        bool thrown = false;
        it.handler.completing = [&] {
            if (!std::exchange(thrown, true)) throw std::runtime_error{"of the host"};
        };
        it.peer.write(frame("{1}"));
        CHECK_THROWS_AS(it.runs_until([&] { return it.handler.turns() > 0; }), std::runtime_error);
        CHECK(it.handler.turns() == 0);
        CHECK(it.runs_until([&] { return it.handler.turns() > 0; }));
    }

    TEST_CASE("a host that runs its context while calls complete gets other turns within") {
        Handled it;
        bool within = false;
        it.handler.completing = [&] {
            if (std::exchange(within, true)) return;
            it.peer.write(frame("{2}"));
            CHECK(it.runs_until([&] { return it.handler.has("{2}") && it.handler.turns() > 0; }));
        };
        it.peer.write(frame("{1}"));
        REQUIRE(it.runs_until([&] { return it.handler.turns() > 1; }));
        CHECK(it.handler.calls == Calls{"{1}", "{2}", "turn", "turn"});
    }

    TEST_CASE("a host that wakes the transport and runs its context while calls complete gets a turn within") {
        Handled it;
        bool within = false;
        it.handler.completing = [&] {
            if (std::exchange(within, true)) return;
            it.transport.wake();
            CHECK(it.runs_until([&] { return it.handler.turns() > 0; }));
        };
        it.peer.write(frame("{1}"));
        CHECK(it.runs_until([&] { return it.handler.turns() > 1; }));
    }

    TEST_CASE("a transport that is closed while a message is handled lends its bytes until that returns") {
        Handled it;
        it.handler.handling = [&] { it.transport.close(); };
        it.peer.write(frame("{1}") + frame("{2}"));
        REQUIRE(it.runs_until([&] { return bool(it.ended); }));
        CHECK(it.ended == error::closed);
        CHECK(it.handler.calls == Calls{"{1}"});
    }

    TEST_CASE("a transport that is closed while calls complete ends next and has no other turn") {
        Handled it;
        it.handler.completing = [&] { it.transport.close(); };
        it.peer.write(frame("{1}"));
        REQUIRE(it.runs_until([&] { return bool(it.ended); }));
        CHECK(it.ended == error::closed);
        CHECK(it.handler.calls == Calls{"{1}"});
    }

    TEST_CASE("more than a turn takes waits for the next one and keeps its order") {
        Handled it;
        std::string all;
        for (int n = 0; n < 3000; ++n) all += frame(message(std::to_string(n)));
        std::size_t written = 0;
        REQUIRE(it.runs_until([&] {
            written += it.peer.write(std::string_view{all}.substr(written));
            return it.handler.has("late {2999}") || it.handler.has("{2999}");
        }));
        Calls messages;
        for (const auto& call : it.handler.calls)
            if (call != "turn") messages.push_back(call.starts_with("late ") ? call.substr(5) : call);
        REQUIRE(messages.size() == 3000);
        for (int n = 0; n < 3000; ++n) REQUIRE(messages[static_cast<std::size_t>(n)] == message(std::to_string(n)));
        CHECK(std::ranges::any_of(it.handler.calls, [](const auto& call) { return call.starts_with("late "); }));
    }

    TEST_CASE("without a handler turns are those of next again") {
        Handled it;
        it.transport.handle_turns(nullptr);
        it.peer.write(frame("{1}"));
        REQUIRE(it.runs_until([&] { return !it.completed.empty(); }));
        CHECK(it.completed.front() == 1);
        CHECK(it.handler.calls.empty());
    }
}
