// Routes: which connection a peer has, without a look-up by name.
#include <doctest/doctest.h>

#include <memory>
#include <optional>

#include <understudy/net/unix.hpp>

#include <tests/support/net.hpp>

using namespace understudy;
using namespace understudy::test;
using net::UnixTransport;

TEST_SUITE("routes") {
    TEST_CASE("a peer leads to the same connection by route and by name") {
        TemporaryFolder folder;
        asio::io_context io;
        Endpoint<UnixTransport> server{io, folder.address("server")}, client{io};
        const Peer to = server.local();
        client.transport.send_to(to, message("1"));
        CHECK(to.route().transport != 0);
        client.transport.send_to(to, message("2"));
        client.transport.send(server.local(), message("3"));
        client.transport.send_to(server.local(), message("4"));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 4; }));
        CHECK(server->payloads() == std::vector{message("1"), message("2"), message("3"), message("4")});
        CHECK(server->all<Delivered>()[0].from == server->all<Delivered>()[3].from);
    }

    TEST_CASE("a route of a connection that ended leads nowhere and the name is dialled anew") {
        TemporaryFolder folder;
        asio::io_context io;
        Endpoint<UnixTransport> client{io};
        std::optional<Endpoint<UnixTransport>> server{std::in_place, io, folder.address("server")};
        const Peer to = server->local();
        client.transport.send_to(to, message("1"));
        REQUIRE(run_until(io, [&] { return (*server)->count<Delivered>() == 1; }));
        const Peer answered = (*server)->all<Delivered>()[0].from;
        server->transport.send_to(answered, message("answer"));
        REQUIRE(run_until(io, [&] { return client->count<Delivered>() == 1; }));
        server.reset();
        REQUIRE(run_until(io, [&] { return client->count<Disconnected>() == 1; }));
        server.emplace(io, folder.address("server"));
        server->transport.send_to(answered, message("of another transport"));
        client.transport.send_to(to, message("2"));
        REQUIRE(run_until(io, [&] { return (*server)->count<Delivered>() == 1; }));
        CHECK((*server)->payloads() == std::vector{message("2")});
        CHECK(client->count<Delivered>() == 1);
    }

    TEST_CASE("a connection that takes the place of another one is not mistaken for it") {
        TemporaryFolder folder;
        asio::io_context io;
        Endpoint<UnixTransport> server{io, folder.address("server")};
        auto first = std::make_unique<Endpoint<UnixTransport>>(io);
        first->transport.send(server.local(), message("1"));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 1; }));
        const Peer gone = server->all<Delivered>()[0].from;
        server.transport.send_to(gone, message("a"));
        first.reset();
        REQUIRE(run_until(io, [&] { return server->count<Disconnected>() == 1; }));
        Endpoint<UnixTransport> second{io};
        second.transport.send(server.local(), message("2"));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 2; }));
        server.transport.send_to(gone, message("for the first"));
        server.transport.send_to(server->all<Delivered>()[1].from, message("for the second"));
        REQUIRE(run_until(io, [&] { return second->count<Delivered>() == 1; }));
        CHECK(second->payloads() == std::vector{message("for the second")});
    }

    TEST_CASE("payloads that are written in place arrive like others and in order") {
        TemporaryFolder folder;
        asio::io_context io;
        Endpoint<UnixTransport> server{io, folder.address("server")}, client{io};
        const Peer to = server.local();
        CHECK(client.transport.begin_frame(to) == nullptr);  // not known yet
        client.transport.send_to(to, message("1"));
        for (const auto* text : {"2", "3"}) {
            auto* const frame = client.transport.begin_frame(to);
            REQUIRE(frame);
            *frame += message(text);
            client.transport.end_frame();
        }
        *client.transport.begin_frame(to) += "{a part of";
        client.transport.drop_frame();
        client.transport.send_to(to, message("4"));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 4; }));
        CHECK(server->payloads() == std::vector{message("1"), message("2"), message("3"), message("4")});
    }

    TEST_CASE("a payload written in place for which the queue has no room ends the connection like another one") {
        TemporaryFolder folder;
        asio::io_context io;
        Endpoint<UnixTransport> server{io, folder.address("server")};
        TransportOptions options;
        options.max_frame = 2u << 20;
        options.max_send_queue = 4u << 20;
        Endpoint<UnixTransport> client{io, options};
        const Peer to = server.local();
        client.transport.send_to(to, message("1"));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 1; }));
        const std::string large = message(std::string(1u << 20, 'x'));
        int written = 0;
        for (std::string* frame = nullptr; written < 64 && (frame = client.transport.begin_frame(to)); ++written) {
            *frame += large;
            client.transport.end_frame();
        }
        CHECK(written > 3);
        CHECK(written < 64);
        REQUIRE(run_until(io, [&] { return client->count<Disconnected>() == 1; }));
        CHECK(client->all<Disconnected>()[0].why.starts_with("the peer reads too slowly"));
    }

    TEST_CASE("a peer that another transport has used leads its own to no connection that ended") {
        TemporaryFolder folder;
        asio::io_context io;
        Endpoint<UnixTransport> one{io}, other{io};
        std::optional<Endpoint<UnixTransport>> server{std::in_place, io, folder.address("server")};
        const Peer to = server->local();
        one.transport.send_to(to, message("1"));
        REQUIRE(run_until(io, [&] { return (*server)->count<Delivered>() == 1; }));
        server->transport.send_to((*server)->all<Delivered>()[0].from, message("2"));
        REQUIRE(run_until(io, [&] { return one->count<Delivered>() == 1; }));
        other.transport.send_to(one->all<Delivered>()[0].from, message("3"));
        REQUIRE(run_until(io, [&] { return (*server)->count<Delivered>() == 2; }));
        server.reset();
        REQUIRE(run_until(io, [&] { return one->count<Disconnected>() == 1; }));
        settle(io);
        CHECK(one.transport.begin_frame(to) == nullptr);
        one.transport.send_to(to, message("4"));
        one.transport.send_to(Peer{}, message("5"));
        settle(io);
    }

    TEST_CASE("a route of one transport is none of another one") {
        TemporaryFolder folder;
        asio::io_context io;
        Endpoint<UnixTransport> a{io, folder.address("a")}, b{io, folder.address("b")}, one{io}, other{io};
        const Peer to_a = a.local(), to_b = b.local();
        one.transport.send_to(to_a, message("1"));
        other.transport.send_to(to_b, message("2"));  // in the same place there, and as often used
        CHECK(other.transport.begin_frame(to_a) == nullptr);
        other.transport.send_to(to_a, message("3"));
        REQUIRE(run_until(io, [&] { return a->count<Delivered>() == 2 && b->count<Delivered>() == 1; }));
        CHECK(b->payloads() == std::vector{message("2")});
    }

    TEST_CASE("a transport that was closed has no route") {
        TemporaryFolder folder;
        asio::io_context io;
        Endpoint<UnixTransport> server{io, folder.address("server")}, client{io};
        const Peer to = server.local();
        client.transport.send_to(to, message("1"));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 1; }));
        client.transport.close();
        CHECK(client.transport.begin_frame(to) == nullptr);
        client.transport.send_to(to, message("2"));
        settle(io);
        CHECK(server->payloads() == std::vector{message("1")});
    }
}
