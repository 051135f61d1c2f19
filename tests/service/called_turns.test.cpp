// Turns that a transport calls as plain functions, and what of them is left to the coroutine of the loop. The test is
// the transport: it decides what arrives and how `next` ends.
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/async/completion_handler.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/runtime/loop.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace std::chrono_literals;

TEST_SUITE("called_turns") {
    namespace {

    using Calls = std::vector<std::string>;

    struct HandTransport final : detail::TransportBase {
        explicit HandTransport(asio::io_context& context) : io{context} {}

        asio::io_context& io;
        TurnHandler* handler = nullptr;
        detail::CompletionHandler<TransportEvents> pending;  // `next`

        struct Next {
            HandTransport* transport;
            template <typename Handler>
            void operator()(Handler next) const {
                transport->pending = {std::move(next), transport->get_executor(),
                                      [](std::error_code&, TransportEvents&& events) { return std::move(events); }};
            }
        };
        void complete(std::error_code ec) {
            if (pending) std::exchange(pending, {}).post(get_executor(), ec, {});
        }

        asio::any_io_executor get_executor() override { return io.get_executor(); }
        Address local() const override { return "hand"; }
        Time now() const override { return Time{}; }
        std::uint64_t random() override { return 1; }
        void send(const Peer&, const std::string&) override {}
        asio::awaitable<TransportEvents> next(Time) override {
            return asio::async_initiate<const asio::use_awaitable_t<>, void(std::error_code, TransportEvents)>(
                Next{this}, asio::use_awaitable);
        }
        void wake() override {}
        void probe(const Address&) override {}
        void pause(const Address&) override {}
        void resume(const Address&) override {}
        void close() override { complete(error::closed); }
        bool handle_turns(TurnHandler* of) override {
            handler = of;
            return true;
        }
    };

    /// Notes what is called. It stores and works as the test says.
    struct Script {
        using Output = CommonOutput;

        std::shared_ptr<Calls> calls = std::make_shared<Calls>();
        bool throws = false, changed = false, slow = false;
        int to_do = 0;
        Time due = never;

        void receive(Envelope, Time, Output&) {
            calls->push_back("message");
            if (throws) throw std::runtime_error{"of the machine"};
        }
        void disconnected(const Address&, Time, Output&) {}
        void probed(const Address&, ProbeResult, Time, Output&) {}
        void wake(Time now, Output& out) { respond(now, out); }
        void respond(Time, Output&) { calls->push_back("respond"); }
        bool has_changes() const { return changed; }
        bool has_work() const { return to_do > 0; }
        bool works_slowly() const { return slow; }
        void work(Time, Output&) {
            calls->push_back("work");
            --to_do;
        }
        void end_work(Time, Output&) { calls->push_back("end_work"); }
        Time deadline() const { return due; }
        void invariants() const {}
    };

    struct ScriptNode final : detail::Node {
        using Machine = Script;

        struct Storage {
            ScriptNode& node;
            asio::awaitable<void> load() { co_return; }
            asio::awaitable<void> store() {
                node.driver.machine.changed = false;
                node.note("store");
                co_return;
            }
        };

        detail::Driver<Script> driver;
        Storage storage{*this};
        std::string stops_at;  // what stops the node when it is called

        explicit ScriptNode(asio::io_context& io) : driver{{}, std::make_unique<HandTransport>(io), {}} {}

        asio::any_io_executor executor() override { return driver.transport->get_executor(); }
        Address local() const override { return driver.transport->local(); }
        asio::awaitable<void> begin_run() override { return detail::begin_run_of(*this); }
        void stop(std::error_code by = {}) override { driver.stop(by); }
        Time deadline() const { return driver.machine.deadline(); }
        void complete_calls() { note("complete_calls"); }
        void after_turn() { note("after_turn"); }
        void end_calls() { note(transport().handler ? "end_calls amid turns" : "end_calls"); }
        void drop_calls() {}

        HandTransport& transport() { return static_cast<HandTransport&>(*driver.transport); }
        void note(const std::string& what) {
            driver.machine.calls->push_back(what);
            if (what == stops_at) stop();
        }
    };

    struct Loop {
        asio::io_context io;
        std::shared_ptr<ScriptNode> node = std::make_shared<ScriptNode>(io);
        Script& machine = node->driver.machine;
        HandTransport& transport = node->transport();
        std::optional<std::error_code> ended;

        Loop() { start(); }
        // The loop waits in a handler that its own node holds: without its end they would keep each other alive.
        ~Loop() {
            node->stop();
            settle();
        }
        void start() {
            ended.reset();
            detail::async_run(node, [this](std::error_code ec) { ended = ec; });
            settle();
        }
        void settle() {
            io.restart();
            io.poll();
        }
        const std::string payload = wire::encode(make_call_id(Method::view_get, 1), ViewGet{"main"});
        void message() { transport.handler->message("peer", payload, Time{}); }
        /// Whether the turn was all, and nothing is left to the coroutine.
        bool turn() { return transport.handler->turn().has_value(); }
        Calls taken() { return std::exchange(*machine.calls, {}); }
    };

    }  // namespace

    TEST_CASE("a turn that need not wait is taken without the coroutine") {
        Loop loop;
        REQUIRE(loop.transport.handler);
        loop.message();
        loop.message();
        CHECK(loop.turn());
        CHECK(loop.taken() == Calls{"message", "message", "respond", "after_turn"});
        loop.machine.to_do = 2;
        CHECK(loop.turn());
        CHECK(loop.taken() == Calls{"respond", "after_turn", "work", "work", "end_work", "after_turn"});
        loop.settle();
        CHECK(loop.taken().empty());
        loop.machine.due = Time{} + 7s;
        CHECK(loop.transport.handler->turn() == loop.machine.due);
    }

    TEST_CASE("what had to wait and the calls of the host belong to the turn") {
        Loop loop;
        loop.message();
        TransportEvents late;
        late.push_back(Delivered{"peer", loop.payload});
        loop.transport.handler->arrived(std::move(late));
        loop.transport.handler->complete();
        CHECK(loop.turn());
        CHECK(loop.taken() == Calls{"message", "message", "complete_calls", "respond", "after_turn"});
    }

    TEST_CASE("a turn that has to store ends in the coroutine and not twice") {
        Loop loop;
        for (const int work : {0, 1}) {
            loop.machine.changed = true;
            loop.machine.to_do = work;
            loop.message();
            CHECK_FALSE(loop.turn());
            CHECK(loop.taken() == Calls{"message", "respond"});
            loop.transport.complete({});
            loop.settle();
            const auto called = loop.taken();
            CHECK(called == (work == 0 ? Calls{"store", "after_turn"}
                                       : Calls{"store", "after_turn", "work", "end_work", "after_turn"}));
        }
        CHECK(loop.turn());
        CHECK(loop.taken() == Calls{"respond", "after_turn"});
    }

    TEST_CASE("slow work is done in the coroutine and not twice") {
        Loop loop;
        loop.machine.slow = true;
        loop.machine.to_do = 1;
        CHECK_FALSE(loop.turn());
        CHECK(loop.taken() == Calls{"respond", "after_turn"});
        loop.transport.complete({});
        loop.settle();
        CHECK(loop.taken() == Calls{"work", "end_work", "after_turn"});
        loop.transport.complete({});  // a turn of the coroutine's own
        loop.settle();
        CHECK(loop.taken() == Calls{"respond", "after_turn"});
    }

    TEST_CASE("an exception of a message ends the loop and nothing is done after it") {
        Loop loop;
        loop.machine.throws = true;
        loop.message();
        loop.message();
        CHECK_FALSE(loop.turn());
        CHECK(loop.taken() == Calls{"message"});
        loop.transport.complete({});
        CHECK_THROWS_WITH_AS(loop.settle(), "of the machine", std::runtime_error);
        CHECK(loop.ended == make_error_code(error::internal));
        CHECK(loop.taken() == Calls{"end_calls"});
    }

    TEST_CASE("an exception of a message is not lost when the loop is cancelled before its turn") {
        Loop loop;
        loop.machine.throws = true;
        loop.message();
        loop.transport.complete(asio::error::operation_aborted);
        CHECK_THROWS_WITH_AS(loop.settle(), "of the machine", std::runtime_error);
        CHECK(loop.ended == make_error_code(error::internal));
    }

    TEST_CASE("a stop takes precedence over an exception of a message") {
        for (const auto why : {std::error_code{}, make_error_code(error::internal)}) {
            Loop loop;
            loop.machine.throws = true;
            loop.message();
            loop.node->stop(why);
            loop.settle();
            CHECK(loop.ended == why);
        }
    }

    TEST_CASE("a loop that is stopped within a turn does nothing more") {
        for (const bool slow : {false, true}) {
            Loop loop;
            loop.machine.to_do = 1;
            loop.machine.slow = slow;
            loop.node->stops_at = "after_turn";
            loop.turn();
            loop.settle();
            CHECK(loop.ended == std::error_code{});
            CHECK(loop.taken() == Calls{"respond", "after_turn", "end_calls"});
        }
        Loop loop;
        loop.machine.changed = true;
        loop.node->stops_at = "store";
        CHECK_FALSE(loop.turn());
        loop.transport.complete({});
        loop.settle();
        CHECK(loop.ended == std::error_code{});
        CHECK(loop.taken() == Calls{"respond", "store", "end_calls"});
    }

    TEST_CASE("slow work is not begun if the loop is stopped before it") {
        Loop loop;
        loop.machine.to_do = 1;
        loop.machine.slow = true;
        loop.transport.complete({});
        loop.node->stops_at = "after_turn";
        loop.settle();
        CHECK(loop.ended == std::error_code{});
        CHECK(loop.taken() == Calls{"respond", "after_turn", "end_calls"});
    }

    TEST_CASE("a cancelled loop gets no turns until it is started again") {
        Loop loop;
        loop.transport.complete(asio::error::operation_aborted);
        loop.settle();
        CHECK(loop.ended == std::error_code{asio::error::operation_aborted});
        CHECK(loop.transport.handler == nullptr);
        CHECK(loop.taken() == Calls{"end_calls"});
        loop.start();
        REQUIRE(loop.transport.handler);
        CHECK(loop.turn());
        CHECK(loop.taken() == Calls{"respond", "after_turn"});
    }
}
