// The requirements of a transport, over real sockets between nodes that follow the protocol.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <understudy/net/arrival_pool.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/net/unix.hpp>

#include <tests/support/net.hpp>

using namespace understudy;
using namespace understudy::test;
using net::AnyTransport;
using net::TcpTransport;
using net::UnixTransport;

static_assert(Transport<TcpTransport> && Transport<UnixTransport> && Transport<AnyTransport>);
static_assert(std::constructible_from<TcpTransport, asio::io_context&>);
static_assert(std::constructible_from<TcpTransport, asio::io_context::executor_type, const char*>);
static_assert(std::constructible_from<TcpTransport, asio::any_io_executor, TransportOptions>);
static_assert(!std::copyable<TcpTransport>);

TEST_SUITE("transport") {
    namespace {

    // One call of `next`, and how it ended.
    struct Call {
        std::optional<TransportEvents> arrivals;
        std::error_code fault;
        bool done() const { return arrivals || fault; }
    };

    template <typename T>
    asio::awaitable<void> call_next(T& transport, Time deadline, std::shared_ptr<Call> call) {
        try {
            call->arrivals = co_await transport.next(deadline);
        } catch (const std::system_error& failure) {
            call->fault = failure.code();
        }
    }

    template <typename T>
    std::shared_ptr<Call> start_next(asio::io_context& io, T& transport, Time deadline) {
        auto call = std::make_shared<Call>();
        asio::co_spawn(io, call_next(transport, deadline, call), asio::detached);
        return call;
    }

    std::vector<std::string> numbered(int count) {
        std::vector<std::string> messages;
        for (int i = 0; i < count; ++i) messages.push_back(message(std::to_string(i)));
        return messages;
    }

    }  // namespace

    TEST_CASE("a message and its answer travel over every kind of socket") {
        TemporaryFolder folder;
        Address listen;
        SUBCASE("IPv4") { listen = "tcp://127.0.0.1:0"; }
        SUBCASE("IPv6") { listen = "tcp://[::1]:0"; }
        SUBCASE("host name") { listen = "tcp://" + host_name() + ":0"; }
        SUBCASE("unix socket") { listen = folder.address("a"); }
        asio::io_context io;
        Endpoint<> server{io, listen};
        server->answers = true;
        Endpoint<> client{io};
        client.transport.send(server.local(), message("hello"));

        REQUIRE(run_until(io, [&] { return client->count<Delivered>() == 1; }));
        CHECK(client->all<Delivered>()[0].payload == message("hello"));
        CHECK(client->all<Delivered>()[0].from == server.local());
        CHECK(net::is_reply_address(server->all<Delivered>()[0].from.address()));
        CHECK(client.local().empty());
    }

    TEST_CASE("a port that was left open is known when the constructor returns") {
        asio::io_context io;
        const TcpTransport transport{io, "tcp://127.0.0.1:0"};
        CHECK(transport.local().starts_with("tcp://127.0.0.1:"));
        CHECK_FALSE(transport.local().ends_with(":0"));
    }

    TEST_CASE("the advertised address may be another one and takes the port that was found") {
        asio::io_context io;
        TransportOptions options;
        options.listen = "tcp://0.0.0.0:0";
        options.advertise = "tcp://" + host_name() + ":0";
        Endpoint<> server{io, options};
        CHECK(server.local().starts_with("tcp://" + host_name() + ":"));
        Endpoint<> client{io};
        client.transport.send(server.local(), message("x"));
        CHECK(run_until(io, [&] { return server->count<Delivered>() == 1; }));
    }

    TEST_CASE("what one turn sends arrives in one turn and in order") {
        asio::io_context io;
        Endpoint<> server{io, "tcp://127.0.0.1:0"};
        Endpoint<> client{io};
        client.transport.send(server.local(), message("first"));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 1; }));
        const auto messages = numbered(20);
        for (const auto& one : messages) client.transport.send(server.local(), one);
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 21; }));
        CHECK(server->turns.size() == 2);
        auto got = server->payloads();
        got.erase(got.begin());
        CHECK(got == messages);
    }

    TEST_CASE("what several peers sent arrives in one turn") {
        asio::io_context io;
        Endpoint<> server{io, "tcp://127.0.0.1:0"};
        std::vector<RawPeer> peers;
        for (int i = 0; i < 10; ++i) peers.push_back(RawPeer::connected_to(server.local()));
        for (auto& peer : peers) peer.write(frame(message("hello")));
        settle(io);  // accepts the connections
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 10; }));
        server->turns.clear();
        for (auto& peer : peers) peer.write(frame(message("again")));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 10; }));
        CHECK(server->turns.size() == 1);
    }

    TEST_CASE("peers that become active after one was alone come to share their turns again") {
        asio::io_context io;
        Endpoint<> server{io, "tcp://127.0.0.1:0"};
        std::vector<RawPeer> peers;
        for (int i = 0; i < 10; ++i) peers.push_back(RawPeer::connected_to(server.local()));
        std::size_t sent = 0;
        const auto say = [&](RawPeer& peer) { peer.write(frame(message(std::to_string(++sent)))); };
        const auto all_heard = [&] { return server->count<Delivered>() == sent; };
        settle(io);
        for (int i = 0; i < 50; ++i) {
            say(peers[0]);
            REQUIRE(run_until(io, all_heard));
        }
        CHECK(server->turns.size() == 50);
        for (int round = 0; round < 40; ++round) {
            for (auto& peer : peers) say(peer);
            REQUIRE(run_until(io, all_heard));
        }
        const auto before = server->turns.size();
        for (auto& peer : peers) say(peer);
        REQUIRE(run_until(io, all_heard));
        CHECK(server->turns.size() == before + 1);
    }

    TEST_CASE("what a turn gave back is filled again and nothing of it is seen") {
        net::ArrivalPool pool;
        TransportEvents used;
        used.push_back(Delivered{"first", std::string(500, 'x')});
        used.push_back(Disconnected{"first", "closed"});
        used.push_back(Delivered{"second", std::string(5'000, 'y')});  // too long to be retained
        const auto* memory = std::get<Delivered>(used[0]).payload.data();
        const auto* turn = used.data();
        pool.take_back(std::move(used));
        const auto filled = pool.fill("third", "short");
        CHECK(filled.from == "third");
        CHECK(filled.payload == "short");
        CHECK(filled.payload.data() == memory);
        CHECK(pool.fill("fourth", "other").payload == "other");
        const auto next = pool.empty_turn();
        CHECK(next.empty());
        CHECK(next.data() == turn);
    }

    TEST_CASE("a turn hands over no more than max_turn bytes and the rest follows in order") {
        asio::io_context io;
        TransportOptions options;
        options.listen = "tcp://127.0.0.1:0";
        options.max_turn = 4096;
        Endpoint<> server{io, options};
        Endpoint<> client{io};
        std::vector<std::string> messages;
        for (int i = 0; i < 200; ++i) messages.push_back(message(std::string(1000, static_cast<char>('a' + i % 26))));
        for (const auto& one : messages) client.transport.send(server.local(), one);
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == messages.size(); }));
        CHECK(server->payloads() == messages);
        for (const auto& turn : server->turns) CHECK(turn.size() <= 4);
    }

    TEST_CASE("a message of the largest size passes") {
        asio::io_context io;
        TransportOptions options;
        options.listen = "tcp://127.0.0.1:0";
        Endpoint<> server{io, options};
        server->answers = true;
        Endpoint<> client{io};
        const auto large = message(std::string(options.max_frame - 2, 'x'));
        client.transport.send(server.local(), large);
        REQUIRE(run_until(io, [&] { return client->count<Delivered>() == 1; }));
        CHECK(client->payloads()[0] == large);
    }

    TEST_CASE("reply addresses are never used twice") {
        asio::io_context io;
        Endpoint<> server{io, "tcp://127.0.0.1:0"};
        for (std::size_t i = 1; i <= 5; ++i) {
            auto peer = RawPeer::connected_to(server.local());
            peer.write(frame(message("x")));
            REQUIRE(run_until(io, [&] { return server->count<Delivered>() == i; }));
            peer.close();
            REQUIRE(run_until(io, [&] { return server->count<Disconnected>() == i; }));
        }
        auto messages = server->all<Delivered>();
        std::ranges::sort(messages, {}, &Delivered::from);
        CHECK(std::ranges::adjacent_find(messages, {}, &Delivered::from) == messages.end());
    }

    TEST_CASE("a reply after its connection has ended goes nowhere and brings no news") {
        asio::io_context io;
        Endpoint<> server{io, "tcp://127.0.0.1:0"};
        auto peer = RawPeer::connected_to(server.local());
        peer.write(frame(message("x")));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 1; }));
        peer.close();
        REQUIRE(run_until(io, [&] { return server->count<Disconnected>() == 1; }));
        server.transport.send(server->all<Delivered>()[0].from, message("late"));
        settle(io);
        CHECK(server->count<Disconnected>() == 1);
    }

    TEST_CASE("a server that is not there yet is reached once it is") {
        TemporaryFolder folder;
        asio::io_context io;
        Endpoint<> client{io};
        const auto address = folder.address("late");
        client.transport.send(address, message("lost"));
        REQUIRE(run_until(io, [&] { return client->count<Disconnected>() == 1; }));
        CHECK(client->all<Disconnected>()[0].peer == address);
        CHECK(client->all<Disconnected>()[0].why.starts_with("cannot connect: "));

        Endpoint<> server{io, address};
        REQUIRE(run_until(io, [&] {
            if (server->count<Delivered>() == 0) client.transport.send(address, message("found"));
            return server->count<Delivered>() > 0;
        }));
        CHECK(server->payloads()[0] == message("found"));
    }

    TEST_CASE("a server that comes back is dialled again") {
        TemporaryFolder folder;
        asio::io_context io;
        Endpoint<> client{io};
        const auto address = folder.address("a");
        for (std::size_t incarnation = 1; incarnation <= 3; ++incarnation) {
            Endpoint<> server{io, address};
            server->answers = true;
            REQUIRE(run_until(io, [&] {
                if (server->count<Delivered>() == 0) client.transport.send(address, message("hello"));
                return server->count<Delivered>() > 0 && client->count<Delivered>() >= incarnation;
            }));
            const auto gone = client->count<Disconnected>();
            server.transport.close();
            REQUIRE(run_until(io, [&] { return client->count<Disconnected>() > gone; }));
        }
    }

    TEST_CASE("an address that cannot be dialled is gone with the reason") {
        asio::io_context io;
        Endpoint<TcpTransport> client{io};
        client.transport.send("nonsense", message("x"));
        client.transport.send("unix:///tmp/x", message("x"));
        REQUIRE(run_until(io, [&] { return client->count<Disconnected>() == 2; }));
        CHECK(client->all<Disconnected>()[0].peer == "nonsense");
        CHECK(client->all<Disconnected>()[1].why.find("only knows tcp://host:port") != std::string::npos);
    }

    TEST_CASE("two hundred clients at once all get their answers") {
        TemporaryFolder folder;
        Address listen;
        SUBCASE("TCP") { listen = "tcp://127.0.0.1:0"; }
        SUBCASE("unix socket") { listen = folder.address("a"); }
        asio::io_context io;
        Endpoint<> server{io, listen};
        server->answers = true;
        std::vector<std::unique_ptr<Endpoint<>>> clients;
        for (int i = 0; i < 200; ++i) {
            auto& client = *clients.emplace_back(std::make_unique<Endpoint<>>(io));
            for (int j = 0; j < 10; ++j) client.transport.send(server.local(), message(std::to_string(i * 10 + j)));
        }
        const auto served = [](const auto& client) { return (*client)->template count<Delivered>() == 10; };
        REQUIRE(run_until(io, [&] { return std::ranges::all_of(clients, served); }));
        for (int i = 0; i < 200; ++i) {
            std::vector<std::string> expected;
            for (int j = 0; j < 10; ++j) expected.push_back(message(std::to_string(i * 10 + j)));
            CHECK((*clients[static_cast<std::size_t>(i)])->payloads() == expected);
        }
    }

    TEST_CASE("a wake before next ends it and only it") {
        asio::io_context io;
        TcpTransport transport{io};
        transport.wake();
        auto first = start_next(io, transport, never);
        REQUIRE(run_until(io, [&] { return first->done(); }));
        CHECK(first->arrivals->empty());
        auto second = start_next(io, transport, never);
        settle(io);
        CHECK_FALSE(second->done());
        transport.wake();
        REQUIRE(run_until(io, [&] { return second->done(); }));
        CHECK(second->arrivals->empty());
    }

    TEST_CASE("a deadline that passes ends next with nothing") {
        asio::io_context io;
        TcpTransport transport{io};
        const auto deadline = transport.now() + 20ms;
        auto call = start_next(io, transport, deadline);
        REQUIRE(run_until(io, [&] { return call->done(); }));
        CHECK(transport.now() >= deadline);
        CHECK(call->arrivals->empty());
        auto past = start_next(io, transport, Time{});
        REQUIRE(run_until(io, [&] { return past->done(); }));
        CHECK(past->arrivals->empty());
    }

    TEST_CASE("an earlier deadline after a later one still comes first") {
        asio::io_context io;
        TcpTransport transport{io};
        for (const auto deadline : {never, transport.now() + 1h}) {
            auto later = start_next(io, transport, deadline);
            transport.wake();
            REQUIRE(run_until(io, [&] { return later->done(); }));
        }
        auto call = start_next(io, transport, transport.now() + 10ms);
        REQUIRE(run_until(io, [&] { return call->done(); }));
    }

    TEST_CASE("a deadline that moved on is not met early") {
        asio::io_context io;
        TcpTransport transport{io};
        auto early = start_next(io, transport, transport.now() + 5ms);
        transport.wake();
        REQUIRE(run_until(io, [&] { return early->done(); }));
        const auto deadline = transport.now() + 30ms;
        auto call = start_next(io, transport, deadline);
        REQUIRE(run_until(io, [&] { return call->done(); }));
        CHECK(transport.now() >= deadline);
    }

    TEST_CASE("a cancelled next loses nothing") {
        asio::io_context io;
        TcpTransport server{io, "tcp://127.0.0.1:0"};
        asio::cancellation_signal signal;
        auto call = std::make_shared<Call>();
        asio::co_spawn(io, call_next(server, never, call), asio::bind_cancellation_slot(signal.slot(), asio::detached));
        settle(io);
        auto peer = RawPeer::connected_to(server.local());
        peer.write(frame(message("kept")));
        signal.emit(asio::cancellation_type::terminal);
        REQUIRE(run_until(io, [&] { return call->done(); }));
        CHECK(call->fault == asio::error::operation_aborted);
        auto again = start_next(io, server, never);
        REQUIRE(run_until(io, [&] { return again->done(); }));
        REQUIRE(again->arrivals->size() == 1);
        CHECK(std::get<Delivered>(again->arrivals->front()).payload == message("kept"));
    }

    TEST_CASE("an arrival that waits survives a cancellation at the same moment") {
        asio::io_context io;
        TcpTransport transport{io};
        asio::cancellation_signal signal;
        auto call = std::make_shared<Call>();
        asio::co_spawn(io, call_next(transport, never, call),
                       asio::bind_cancellation_slot(signal.slot(), asio::detached));
        settle(io);
        transport.probe("nonsense");  // its result is ready at once
        signal.emit(asio::cancellation_type::terminal);
        REQUIRE(run_until(io, [&] { return call->done(); }));
        CHECK(call->fault == asio::error::operation_aborted);
        auto again = start_next(io, transport, never);
        REQUIRE(run_until(io, [&] { return again->done(); }));
        CHECK(again->arrivals->size() == 1);
    }

    TEST_CASE("close ends a pending next and every later one") {
        asio::io_context io;
        TcpTransport transport{io, "tcp://127.0.0.1:0"};
        auto pending = start_next(io, transport, never);
        settle(io);
        transport.close();
        REQUIRE(run_until(io, [&] { return pending->done(); }));
        CHECK(pending->fault == error::closed);
        auto later = start_next(io, transport, never);
        REQUIRE(run_until(io, [&] { return later->done(); }));
        CHECK(later->fault == error::closed);
        transport.send("tcp://127.0.0.1:1", message("x"));
        transport.probe("tcp://127.0.0.1:1");
        io.restart();
        CHECK_NOTHROW(io.run());  // returns: no work is left that could keep it running
    }

    TEST_CASE("what was sent before close still leaves") {
        asio::io_context io;
        Endpoint<> server{io, "tcp://127.0.0.1:0"};
        Endpoint<> client{io};
        client.transport.send(server.local(), message("hello"));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 1; }));
        client.transport.send(server.local(), message("goodbye"));
        client.transport.close();
        REQUIRE(run_until(io, [&] { return server->count<Disconnected>() == 1; }));
        CHECK(server->payloads().back() == message("goodbye"));
    }

    TEST_CASE("a transport that is destroyed ends the next that waits on it") {
        asio::io_context io;
        auto transport = std::make_unique<TcpTransport>(io, "tcp://127.0.0.1:0");
        auto pending = start_next(io, *transport, never);
        settle(io);
        transport->send("tcp://127.0.0.1:1", message("x"));  // a dial is in progress
        transport.reset();
        REQUIRE(run_until(io, [&] { return pending->done(); }));
        CHECK(pending->fault == error::closed);
    }

    TEST_CASE("a context that ends takes the coroutine that waits with it") {
        auto io = std::make_unique<asio::io_context>();
        auto call = std::make_shared<Call>();
        asio::co_spawn(
            *io,
            [](auto executor, auto shared) -> asio::awaitable<void> {
                TcpTransport transport{executor, "tcp://127.0.0.1:0"};
                transport.send(transport.local(), message("to myself"));
                co_await call_next(transport, never, shared);
                co_await call_next(transport, never, shared);
            }(io->get_executor(), call),
            asio::detached);
        REQUIRE(run_until(*io, [&] { return call->done(); }));
        io.reset();
        CHECK(call.use_count() == 1);
    }

    TEST_CASE("a transport that was moved goes on under its new name") {
        asio::io_context io;
        TcpTransport first{io, "tcp://127.0.0.1:0"};
        auto pending = start_next(io, first, never);
        settle(io);
        TcpTransport second{std::move(first)};
        auto peer = RawPeer::connected_to(second.local());
        peer.write(frame(message("x")));
        REQUIRE(run_until(io, [&] { return pending->done(); }));
        CHECK(pending->arrivals->size() == 1);
        second = TcpTransport{io};  // closes its former transport
        REQUIRE(run_until(io, [&] { return peer.read(), peer.ended(); }));
    }

    TEST_CASE("time goes on and chance is not the same twice") {
        asio::io_context io;
        TcpTransport one{io};
        TcpTransport other{io};
        const auto start = one.now();
        CHECK(one.now() >= start);
        CHECK(one.random() != one.random());
        CHECK(one.random() != other.random());
    }

}  // TEST_SUITE
