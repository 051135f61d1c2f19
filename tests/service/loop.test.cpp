// The driver with a state machine that echoes: which messages reach the state machine, what is sent, and how a peer's
// faulty messages are handled.
#include <stdexcept>

#include <doctest/doctest.h>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <tests/support/transport_archetype.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/runtime/loop.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace std::chrono_literals;
using test::ArchetypeTransport;
using test::MemoryNetwork;

TEST_SUITE("loop") {
    namespace {

    // Every kind of output that a state machine can have.
    struct Asked : CommonOutput {
        std::vector<Address> probes;
        std::vector<replica::Hold> holds;
        void clear() { *this = {}; }
    };

    // Answers `view.get` with a view whose number is the number of messages seen, and records everything else.
    struct Echo {
        using Output = Asked;

        int seen = 0, wakes = 0;
        Time due = never;
        std::vector<std::string> notes;

        void receive(Envelope envelope, Time, Output& out) {
            ++seen;
            if (auto* get = std::get_if<ViewGet>(&envelope.message)) {
                ViewResult result;
                result.info.group = get->group;
                result.info.view.number = static_cast<ViewNumber>(seen);
                out.send(envelope.peer, envelope.id, result);
                out.emit(ServerSeen{get->group, envelope.peer, {}});
            }
            if (std::holds_alternative<Failure>(envelope.message)) notes.push_back("failure");
        }
        void disconnected(const Address& peer, Time, Output&) { notes.push_back("gone " + peer); }
        void probed(const Address& peer, ProbeResult, Time, Output&) { notes.push_back("probed " + peer); }
        void wake(Time now, Output& out) {
            ++wakes;
            if (now < due) return;
            due = never;
            out.probes.push_back("b");
            out.holds.push_back({"b", true});
            out.holds.push_back({replica::local_peer, true});
            notes.push_back("due");
        }
        Time deadline() const { return due; }
        void invariants() const {}
    };

    template <StateMachine M>
    struct NodeOf : detail::Node {
        using Machine = M;

        NodeOf(std::unique_ptr<detail::TransportBase> transport, Observer observer)
            : driver{M{}, std::move(transport), std::move(observer)} {}

        detail::Driver<M> driver;

        asio::any_io_executor executor() override { return driver.transport->get_executor(); }
        Address local() const override { return driver.transport->local(); }
        void stop(std::error_code by = {}) override { driver.stop(by); }

        Time deadline() const { return driver.machine.deadline(); }
        void end_calls() {}
        void drop_calls() {}
    };

    struct EchoNode final : NodeOf<Echo> {
        using NodeOf<Echo>::NodeOf;

        std::function<void()> at_end_of_turn = [] {};

        asio::awaitable<void> begin_run() override { return detail::begin_run_of(*this); }
        void after_turn() { at_end_of_turn(); }
    };

    // Notes for how many entries the list of the last append has memory.
    struct Measure : Echo {
        std::size_t entries = 0, room = 0;

        using Echo::receive;
        void receive(const Caller&, const MessageView& message, Time, Output&) {
            const auto& append = std::get<AppendView>(message);
            entries = append.entries.size();
            room = append.entries.capacity();
        }
    };

    // In one turn it asks for all that a replica can ask for.
    struct Submitter {
        using Output = replica::Output;

        void receive(Envelope, Time, Output&) {}
        void disconnected(const Address&, Time, Output&) {}
        void probed(const Address&, ProbeResult, Time, Output&) {}
        void wake(Time, Output& out) {
            out.emit(ServerLost{});
            for (const auto& peer : {replica::local_peer, Address{"b"}})
                out.send(peer, make_call_id(Method::pb_execute, 1), ExecuteResult{});
            out.journal.emplace();
        }
        Time deadline() const { return never; }
        void invariants() const {}
    };

    // Notes in which order its parts are called.
    struct SubmitterNode final : NodeOf<Submitter> {
        using NodeOf<Submitter>::NodeOf;

        std::vector<std::string> called;
        std::shared_ptr<test::MemoryNode> peer;

        asio::awaitable<void> begin_run() override { return detail::begin_run_of(*this); }
        void before_wake(Time, replica::Output& out) {
            CHECK(!out.journal);  // what the journal has done reaches the machine before it decides
            called.push_back("before_wake");
        }
        void submit(JournalBatch&) {
            CHECK(peer->arrived.empty());
            called.push_back("submit");
        }
        void answer(Envelope) { called.push_back("answer"); }
        void after_turn() { called.push_back("after_turn"); }
    };

    struct World {
        asio::io_context io;
        MemoryNetwork network{io};
        std::vector<Event> events;
        std::shared_ptr<EchoNode> node = std::make_shared<EchoNode>(detail::erase(ArchetypeTransport{network, "a"}),
                                                                    [this](const Event& event) { on_event(event); });
        ArchetypeTransport peer{network, "b"};
        std::optional<std::error_code> ended;
        std::function<void(const Event&)> on_event = [this](const Event& event) { events.push_back(event); };

        World() { start(); }
        void start() {
            detail::async_run(node, [this](std::error_code ec) { ended = ec; });
            network.settle();
        }
        std::vector<Message> received() {
            std::vector<Message> messages;
            for (auto& arrival : std::exchange(network.find("b")->arrived, {}))
                if (auto* message = std::get_if<Delivered>(&arrival)) {
                    auto decoded = wire::decode(message->payload);
                    REQUIRE(std::holds_alternative<wire::Decoded>(decoded));
                    messages.push_back(std::get<wire::Decoded>(decoded).message);
                }
            return messages;
        }
        void get() { peer.send("a", wire::encode(make_call_id(Method::view_get, 1), ViewGet{"main"})); }
    };

    }  // namespace

    TEST_CASE("what arrives together is one turn and is answered") {
        World world;
        auto wakes = world.node->driver.machine.wakes;
        world.get();
        world.get();
        world.network.settle();
        CHECK(world.node->driver.machine.wakes == wakes + 1);
        auto answers = world.received();
        REQUIRE(answers.size() == 2);
        CHECK(std::get<ViewResult>(answers[1]).info.view.number == 2);
        CHECK(world.events.size() == 2);
    }

    TEST_CASE("the same garbage again and again is one event and then one in a minute") {
        World world;
        for (int i = 0; i < 20; ++i) {
            world.peer.send("a", "{");
            world.network.settle();
        }
        CHECK(world.received().size() == 20);
        CHECK(world.events.size() == 1);
        world.network.advance(1min, 1min);
        world.peer.send("a", "{");
        world.network.settle();
        REQUIRE(world.events.size() == 2);
        CHECK(std::get<Malformed>(world.events[1]).more == 20);
    }

    TEST_CASE("garbage is answered with an error and an event and the loop goes on") {
        World world;
        for (auto text : {"{", R"({"jsonrpc":"2.0","id":7,"method":"view.gett","params":{}})",
                          R"({"jsonrpc":"2.0","id":8,"method":"view.get","params":{"group":5,"protocol":1}})"})
            world.peer.send("a", text);
        world.network.settle();
        auto answers = world.received();
        REQUIRE(answers.size() == 3);
        CHECK(std::get<Failure>(answers[0]).code == error::parse_error);
        CHECK(std::get<Failure>(answers[1]).code == error::unknown_method);
        CHECK(std::get<Failure>(answers[2]).code == error::invalid_params);
        CHECK(world.events.size() == 3);
        CHECK(std::get<Malformed>(world.events[0]).peer == "b");
        CHECK(world.node->driver.machine.seen == 0);
        world.get();
        world.network.settle();
        CHECK(world.received().size() == 1);
    }

    TEST_CASE("a garbled answer is told to the observer but not to the peer") {
        World world;
        world.peer.send("a", R"({"jsonrpc":"2.0","id":"x","result":{}})");
        world.network.settle();
        CHECK(world.received().empty());
        CHECK(world.events.size() == 1);
    }

    TEST_CASE("a broken limit is an event") {
        World world;
        world.network.deliver("a", ProtocolError{"b", error::too_large, "a frame of 4 GiB"});
        world.network.settle();
        REQUIRE(world.events.size() == 1);
        CHECK(std::get<Malformed>(world.events[0]).code == error::too_large);
    }

    TEST_CASE("a deadline wakes the machine and its probes and holds are carried out") {
        World world;
        world.node->driver.ask([&](Echo& machine, Time now, Asked&) { machine.due = now + 20ms; });
        world.network.advance(15ms);
        CHECK(world.node->driver.machine.notes.empty());
        world.network.advance(10ms);
        CHECK(world.node->driver.machine.notes == std::vector<std::string>{"due", "probed b"});
        CHECK(world.network.find("a")->paused == std::set<Address>{"b"});
    }

    TEST_CASE("S9: a turn submits its batch before a message or an answer or an event leaves") {
        World world;
        std::shared_ptr<SubmitterNode> node;
        node = std::make_shared<SubmitterNode>(detail::erase(ArchetypeTransport{world.network, "c"}),
                                               [&](const Event&) {
                                                   CHECK(node->peer->arrived.size() == 1);
                                                   node->called.push_back("event");
                                               });
        node->peer = world.network.find("b");
        detail::async_run(node, [](std::error_code) {});
        world.network.settle();
        node->called.clear();
        node->peer->arrived.clear();
        node->driver.transport->wake();
        world.network.settle();
        CHECK(node->called == std::vector<std::string>{"before_wake", "submit", "answer", "event", "after_turn"});
    }

    TEST_CASE("a huge append leaves no memory behind") {
        World world;
        detail::Driver<Measure> driver{{}, detail::erase(ArchetypeTransport{world.network, "c"}), {}};
        const auto& seen = driver.machine;
        const auto receive = [&](std::size_t entries, EntryKind last) {
            Append append;
            for (Index n = 1; n <= entries; ++n)
                append.entries.push_back({{1, n}, n == entries ? last : EntryKind::command, {}, 0, 0, "1"});
            driver.receive("b", wire::encode(make_call_id(Method::replica_append, 1), append), Time{});
        };
        receive(20'000, EntryKind::command);
        CHECK(seen.entries == 20'000);
        receive(100, EntryKind::command);
        CHECK(seen.entries == 100);
        CHECK(seen.room < 5'000);
        receive(20'000, EntryKind::open);  // its last entry makes it a message that is read in general
        receive(10, EntryKind::command);
        CHECK(seen.entries == 10);
        CHECK(seen.room < 5'000);
        receive(1'000, EntryKind::command);
        receive(10, EntryKind::command);
        CHECK(seen.room >= 1'000);
    }

    TEST_CASE("the end of a connection reaches the machine") {
        World world;
        world.get();
        world.network.settle();
        world.peer.close();
        world.network.settle();
        CHECK(world.node->driver.machine.notes == std::vector<std::string>{"gone b"});
    }

    TEST_CASE("what an observer throws leaves run and the service goes on") {
        World world;
        world.on_event = [](const Event&) { throw std::runtime_error{"observer"}; };
        world.get();
        CHECK_THROWS_WITH_AS(world.network.settle(), "observer", std::runtime_error);
        world.network.settle();
        CHECK(world.received().size() == 1);
        CHECK(!world.ended);
        world.get();
        CHECK_THROWS_AS(world.network.settle(), std::runtime_error);
    }

    TEST_CASE("an observer may call back into the service and may stop it") {
        World world;
        world.on_event = [&](const Event&) {
            world.node->driver.ask([](Echo&, Time, Asked& out) { out.emit(ServerLost{}); });
            world.on_event = [&](const Event&) { world.node->stop(); };
        };
        world.get();
        world.network.settle();
        REQUIRE(world.ended);
        CHECK(!*world.ended);
    }

    TEST_CASE("stop ends the loop without an error or with the one given") {
        for (auto why : {std::error_code{}, make_error_code(error::internal)}) {
            World world;
            world.node->stop(why);
            CHECK(!world.ended);  // never completes inside `stop`
            world.network.settle();
            REQUIRE(world.ended);
            CHECK(*world.ended == why);
            CHECK(!world.node->driver.running);
        }
    }

    TEST_CASE("a second run is refused while one is under way and after stop") {
        World world;
        std::error_code second;
        detail::async_run(world.node, [&](std::error_code ec) { second = ec; });
        world.network.settle();
        CHECK(second == asio::error::already_started);
        CHECK(!world.ended);
        world.node->stop();
        world.network.settle();
        detail::async_run(world.node, [&](std::error_code ec) { second = ec; });
        world.network.settle();
        CHECK(second == error::closed);
    }

    TEST_CASE("a loop that dies with its executor leaves nothing behind") {
        std::weak_ptr<EchoNode> node;
        {
            World world;
            node = world.node;
            world.node.reset();
            CHECK(!node.expired());  // the loop owns it
        }
        CHECK(node.expired());
    }

    TEST_CASE("what a machine throws ends the run with internal and leaves run") {
        World world;
        world.node->driver.ask([](Echo& machine, Time now, Asked&) { machine.due = now; });
        auto throwing = std::make_shared<EchoNode>(detail::erase(ArchetypeTransport{world.network, "c"}), Observer{});
        throwing->at_end_of_turn = [] { throw std::runtime_error{"wrong"}; };
        std::error_code ended;
        detail::async_run(throwing, [&](std::error_code ec) { ended = ec; });
        throwing->driver.transport->wake();
        CHECK_THROWS_AS(world.network.settle(), std::runtime_error);
        CHECK(ended == error::internal);
    }
}
