// Peers that vanish, send invalid bytes, do not read, or come in large numbers: each is handled without disturbing the
// others.
#include <doctest/doctest.h>

#include <algorithm>

#include <tests/support/net.hpp>
#include <understudy/net/unix_path.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("faults") {
    namespace {

    // A server that answers, and a client that shows whether the server still does.
    struct Pair {
        explicit Pair(asio::io_context& context, TransportOptions options = {})
            : io{context}, server{io, listening(std::move(options))} {
            server->answers = true;
        }
        static TransportOptions listening(TransportOptions options) {
            options.listen = "tcp://127.0.0.1:0";
            return options;
        }
        bool still_serves() {
            Endpoint<> client{io};
            client.transport.send(server.local(), message("are you there"));
            return run_until(io, [&] { return client->count<Delivered>() == 1; });
        }

        asio::io_context& io;
        Endpoint<> server;
    };

    // Reads until the peer has closed; returns nothing if it does not close.
    std::string read_to_the_end(asio::io_context& io, RawPeer& peer) {
        std::string bytes;
        const bool ended = run_until(io, [&] { return bytes += peer.read(), peer.ended(); });
        return ended ? bytes : "the connection does not end";
    }

    }  // namespace

    TEST_CASE("a peer that breaks the framing reads why before it is cut off") {
        std::string bytes;
        error code{};
        std::string_view says;
        SUBCASE("garbage") {
            bytes = "GET / HTTP/1.1\r\nHost: example\r\n\r\n";
            code = error::too_large;
            says = "exceeds the limit";
        }
        SUBCASE("a frame of 4 GiB") {
            bytes = "\xff\xff\xff\xff{";
            code = error::too_large;
            says = "4294967295";
        }
        SUBCASE("a frame that is no JSON") {
            bytes = frame("hello");
            code = error::parse_error;
            says = "not with { or [";
        }
        SUBCASE("an empty frame") {
            bytes = frame("");
            code = error::parse_error;
            says = "empty";
        }
        asio::io_context io;
        Pair pair{io};
        auto peer = RawPeer::connected_to(pair.server.local());
        peer.write(bytes + std::string(100'000, 'z'));  // the bytes after it are ignored
        std::string answer;
        REQUIRE(run_until(io, [&] { return answer += peer.read(), peer.ended(); }));
        CHECK_FALSE(peer.was_reset());
        wire::FrameDecoder decoder{1u << 20};
        decoder.feed(answer);
        const auto said = decoder.next();
        REQUIRE(said.has_value());
        CHECK(said->find(std::to_string(wire_code(code))) != std::string_view::npos);
        CHECK(said->find(says) != std::string_view::npos);

        peer.close();
        REQUIRE(run_until(io, [&] { return pair.server->count<Disconnected>() == 1; }));
        const auto broken = pair.server->all<ProtocolError>();
        REQUIRE(broken.size() == 1);
        CHECK(broken[0].code == code);
        CHECK(broken[0].what.find(says) != std::string::npos);
        CHECK(pair.server->all<Disconnected>()[0].peer == broken[0].peer);
        CHECK(pair.server->count<Delivered>() == 0);
        CHECK(pair.still_serves());
    }

    TEST_CASE("frames before the one that is broken are delivered") {
        asio::io_context io;
        Pair pair{io};
        auto peer = RawPeer::connected_to(pair.server.local());
        peer.write(frame(message("good")) + frame("bad") + frame(message("ignored")));
        REQUIRE(run_until(io, [&] { return pair.server->count<Disconnected>() == 1; }));
        CHECK(pair.server->payloads() == std::vector{message("good")});
    }

    TEST_CASE("a broken peer that never closes is not kept for ever") {
        asio::io_context io;
        TransportOptions options;
        options.max_connections = 1;
        Pair pair{io, options};
        auto peer = RawPeer::connected_to(pair.server.local());
        peer.write(frame("rubbish"));
        REQUIRE(run_until(io, [&] { return pair.server->count<Disconnected>() == 1; }));
        // Its place is free again once the close is complete.
        CHECK(run_until(io, [&] {
            auto next = RawPeer::connected_to(pair.server.local());
            next.write(frame(message("x")));
            settle(io);
            return pair.server->count<Delivered>() > 0;
        }));
    }

    TEST_CASE("half a frame and then the end is told as such") {
        asio::io_context io;
        Pair pair{io};
        std::string bytes;
        std::string why = "closed by the peer in the middle of a frame";
        SUBCASE("half a header") { bytes = std::string(2, '\0'); }
        SUBCASE("half a payload") { bytes = frame(message("hello")).substr(0, 7); }
        SUBCASE("nothing") { why = "closed by the peer"; }
        auto peer = RawPeer::connected_to(pair.server.local());
        peer.write(bytes);
        settle(io);
        peer.close();
        REQUIRE(run_until(io, [&] { return pair.server->count<Disconnected>() == 1; }));
        CHECK(pair.server->all<Disconnected>()[0].why == why);
        CHECK(pair.server->count<Delivered>() == 0);
    }

    TEST_CASE("a frame may come byte by byte") {
        asio::io_context io;
        Pair pair{io};
        auto peer = RawPeer::connected_to(pair.server.local());
        for (const char byte : frame(message("slowly"))) {
            peer.write({&byte, 1});
            settle(io);
        }
        REQUIRE(run_until(io, [&] { return pair.server->count<Delivered>() == 1; }));
        CHECK(pair.server->payloads()[0] == message("slowly"));
    }

    TEST_CASE("a peer that vanished is gone once and after all that it sent") {
        asio::io_context io;
        Pair pair{io};
        auto peer = RawPeer::connected_to(pair.server.local());
        for (int i = 0; i < 100; ++i) peer.write(frame(message(std::to_string(i))));
        bool reset = false;
        SUBCASE("by closing") { peer.close(); }
        SUBCASE("by a reset") {
            REQUIRE(run_until(io, [&] { return pair.server->count<Delivered>() == 100; }));
            peer.reset();
            reset = true;
        }
        REQUIRE(run_until(io, [&] { return pair.server->count<Disconnected>() == 1; }));
        settle(io);
        CHECK(pair.server->count<Disconnected>() == 1);
        CHECK(pair.server->count<Delivered>() == 100);
        CHECK(std::holds_alternative<Disconnected>(pair.server->turns.back().back()));
        CHECK((pair.server->all<Disconnected>()[0].why == "closed by the peer") == !reset);
    }

    TEST_CASE("a peer that closed its sending side gets the answers to what it asked") {
        asio::io_context io;
        Pair pair{io};
        pair.server->answers = false;
        auto peer = RawPeer::connected_to(pair.server.local());
        peer.write(frame(message("one")) + frame(message("two")));
        peer.close_sending();
        REQUIRE(run_until(io, [&] { return pair.server->count<Delivered>() == 2; }));
        REQUIRE(run_until(io, [&] { return pair.server->count<Disconnected>() == 1; }));  // at once
        CHECK(std::holds_alternative<Disconnected>(pair.server->turns.back().back()));
        const auto from = pair.server->all<Delivered>()[0].from;
        pair.server.transport.send(from, message("first"));
        settle(io);
        pair.server.transport.send(from, message("second"));
        CHECK(read_to_the_end(io, peer) == frame(message("first")) + frame(message("second")));
        CHECK_FALSE(peer.was_reset());
        settle(io);
        CHECK(pair.server->count<Disconnected>() == 1);
        CHECK(pair.server->all<Disconnected>()[0].why == "closed by the peer");
    }

    TEST_CASE("a peer that closed all of its connection is gone once and at once") {
        asio::io_context io;
        Pair pair{io};
        pair.server->answers = false;
        auto peer = RawPeer::connected_to(pair.server.local());
        peer.write(frame(message("one")) + frame(message("two")) + frame(message("three")));
        peer.close();
        REQUIRE(run_until(io, [&] { return pair.server->count<Delivered>() == 3; }));
        const auto from = pair.server->all<Delivered>()[0].from;
        REQUIRE(run_until(io, [&] { return pair.server->count<Disconnected>() == 1; }));
        for (int i = 0; i < 5; ++i) {
            pair.server.transport.send(from, message("answer"));
            settle(io);
        }
        CHECK(pair.server->count<Disconnected>() == 1);
    }

    TEST_CASE("a peer that does not read is closed when its queue is full") {
        asio::io_context io;
        TransportOptions options;
        options.max_frame = 64u << 10;
        options.max_send_queue = 256u << 10;
        Pair pair{io, options};
        pair.server->answers = false;
        auto peer = RawPeer::connected_to(pair.server.local());
        peer.write(frame(message("subscribe")));
        REQUIRE(run_until(io, [&] { return pair.server->count<Delivered>() == 1; }));
        const auto name = pair.server->all<Delivered>()[0].from;
        std::size_t sent = 0;
        REQUIRE(run_until(io, [&] {
            pair.server.transport.send(name, message(std::string(32'000, 'x')));
            sent += 32'000;
            settle(io);
            return pair.server->count<Disconnected>() == 1;
        }));
        CHECK(pair.server->all<Disconnected>()[0].why.starts_with("the peer reads too slowly: "));
        CHECK(sent < (64u << 20));  // the kernel's buffers and the queue take some, but there is a limit
        pair.server->answers = true;
        CHECK(pair.still_serves());
    }

    TEST_CASE("one burst that is larger than the kernel takes is no slow reader") {
        asio::io_context io;
        Endpoint<> server{io, "tcp://127.0.0.1:0"};
        Endpoint<> client{io};
        const auto large = message(std::string(1u << 20, 'x'));
        for (int i = 0; i < 40; ++i) client.transport.send(server.local(), large);
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 40; }));
        for (const auto& payload : server->payloads()) CHECK(payload == large);
        CHECK(client->count<Disconnected>() == 0);
    }

    TEST_CASE("a paused peer is read again after resume and others are read meanwhile") {
        asio::io_context io;
        Pair pair{io};
        auto peer = RawPeer::connected_to(pair.server.local());
        peer.write(frame(message("first")));
        REQUIRE(run_until(io, [&] { return pair.server->count<Delivered>() == 1; }));
        const auto name = pair.server->all<Delivered>()[0].from;
        pair.server.transport.pause(name);
        // Backpressure: the kernel's buffers fill up, and then the peer cannot write any more.
        const auto piece = frame(message(std::string(60'000, 'p')));
        std::string unsent;
        std::size_t frames = 0;
        for (bool full = false; !full;) {
            if (unsent.empty()) unsent = piece, ++frames;
            const auto taken = peer.write(unsent);
            unsent.erase(0, taken);
            settle(io);
            full = taken == 0;
        }
        CHECK(pair.still_serves());
        CHECK(pair.server->count<Delivered>() == 2);
        pair.server.transport.resume(name);
        CHECK(run_until(io, [&] {
            unsent.erase(0, peer.write(unsent));
            peer.read();
            return pair.server->count<Delivered>() == 2 + frames;
        }));
    }

    TEST_CASE("while arrivals wait for next no more is read than fits") {
        asio::io_context io;
        TransportOptions options;
        options.listen = "tcp://127.0.0.1:0";
        options.max_turn = 100'000;
        net::AnyTransport server{io, options};  // its owner never reads
        auto peer = RawPeer::connected_to(server.local());
        std::string piece;
        for (int i = 0; i < 60; ++i) piece += frame(message(std::string(1000, 'x')));
        std::string unsent;
        std::size_t written = 0;
        std::size_t pieces = 0;
        for (bool full = false; !full;) {
            if (unsent.empty()) unsent = piece, ++pieces;
            const auto taken = peer.write(unsent);
            unsent.erase(0, taken);
            written += taken;
            settle(io);
            full = taken == 0;
        }
        CHECK(written < (64u << 20));
        auto diary = std::make_shared<Diary>();
        asio::co_spawn(io, keep_diary(server, diary), asio::detached);
        REQUIRE(run_until(io, [&] {
            unsent.erase(0, peer.write(unsent));
            return diary->count<Delivered>() == pieces * 60;
        }));
        for (const auto& turn : diary->turns) CHECK(turn.size() <= 100);
    }

    TEST_CASE("who sends much while next is awaited by nobody shuts nobody out") {
        asio::io_context io;
        net::AnyTransport server{io, "tcp://127.0.0.1:0"};  // its owner never reads
        std::string flood;
        for (int i = 0; i < 50'000; ++i) flood += frame("{}");
        std::vector<RawPeer> floods;
        for (int i = 0; i < 40; ++i) floods.push_back(RawPeer::connected_to(server.local()));
        std::size_t written = 0;
        for (std::size_t taken = 1; taken != 0; settle(io)) {
            taken = 0;
            for (auto& peer : floods) taken += peer.write(flood);
            written += taken;
        }
        CHECK(written < (512u << 20));  // the kernel's buffers and the queue take some, but there is a limit
        auto few = RawPeer::connected_to(server.local());
        few.write(frame(message("few")));
        settle(io);
        auto diary = std::make_shared<Diary>();
        asio::co_spawn(io, keep_diary(server, diary), asio::detached);
        const auto heard = [&] { return std::ranges::count(diary->payloads(), message("few")) == 1; };
        REQUIRE(run_until(io, heard));
        CHECK(diary->turns.size() <= 10);
    }

    TEST_CASE("a peer that does not take what it is sent is not read further") {
        asio::io_context io;
        TransportOptions options;
        options.full_send_queue = 64u << 10;
        options.write_timeout = 1h;
        Pair pair{io, options};
        pair.server->answers = true;
        auto peer = RawPeer::connected_to(pair.server.local());
        const auto piece = frame(message(std::string(10'000, 'q')));
        std::size_t written = 0, pieces = 0;
        for (std::string unsent; ; settle(io)) {
            if (unsent.empty()) unsent = piece, ++pieces;
            const auto taken = peer.write(unsent);
            if (taken == 0) {  // the kernel's buffers are full in both directions
                peer.write(unsent);
                break;
            }
            unsent.erase(0, taken);
            written += taken;
            REQUIRE(written < (256u << 20));
        }
        CHECK(pair.server->count<Disconnected>() == 0);
        CHECK(pair.still_serves());
        std::size_t answered = 0;  // once the peer reads, all complete messages are answered
        const auto whole = written / piece.size();
        CHECK(run_until(io, [&] { return (answered += peer.read().size()) >= whole * piece.size(); }));
    }

    TEST_CASE("a peer that takes nothing of what waits for it is closed after write_timeout") {
        asio::io_context io;
        TransportOptions options;
        options.write_timeout = 20ms;
        Pair pair{io, options};
        auto idle = RawPeer::connected_to(pair.server.local());
        auto peer = RawPeer::connected_to(pair.server.local());
        idle.write(frame(message("hello")));
        REQUIRE(run_until(io, [&] { return pair.server->count<Delivered>() == 1; }));
        peer.write(frame(message("hello")));
        REQUIRE(run_until(io, [&] { return pair.server->count<Delivered>() == 2; }));
        for (const auto& hello : pair.server->all<Delivered>()) pair.server.transport.send(hello.from, message("x"));
        settle(io);
        idle.read();
        CHECK(peer.read().size() > 0);
        const auto name = pair.server->all<Delivered>()[1].from;
        for (int i = 0; i < 20; ++i) pair.server.transport.send(name, message(std::string(1u << 20, 'x')));
        REQUIRE(run_until(io, [&] { return pair.server->count<Disconnected>() == 1; }));
        CHECK(pair.server->all<Disconnected>()[0].peer == name);
        CHECK(pair.server->all<Disconnected>()[0].why.starts_with("the peer takes nothing: "));
        const auto backlogs = pair.server->all<Backlog>();
        REQUIRE(backlogs.size() == 1);
        CHECK(backlogs[0].full);
        CHECK(pair.still_serves());
    }

    TEST_CASE("pauses and resumptions leave one wait however many there were") {
        asio::io_context io;
        Pair pair{io};
        auto peer = RawPeer::connected_to(pair.server.local());
        peer.write(frame(message("first")));
        REQUIRE(run_until(io, [&] { return pair.server->count<Delivered>() == 1; }));
        const auto name = pair.server->all<Delivered>()[0].from;
        for (int i = 0; i < 1000; ++i) {
            pair.server.transport.pause(name);
            pair.server.transport.resume(name);
        }
        settle(io);
        peer.write(frame(message("second")));
        std::size_t handlers = 0;
        REQUIRE(run_until(io, [&] {
            handlers += io.poll();
            return pair.server->count<Delivered>() == 2;
        }));
        CHECK(handlers < 50);
    }

    TEST_CASE("beyond max_connections one more is closed at once") {
        asio::io_context io;
        TransportOptions options;
        options.max_connections = 2;
        Pair pair{io, options};
        auto first = RawPeer::connected_to(pair.server.local());
        auto second = RawPeer::connected_to(pair.server.local());
        for (auto* peer : {&first, &second}) peer->write(frame(message("I am in")));
        REQUIRE(run_until(io, [&] { return pair.server->count<Delivered>() == 2; }));
        auto third = RawPeer::connected_to(pair.server.local());
        CHECK(read_to_the_end(io, third).empty());
        CHECK(pair.server->count<Disconnected>() == 0);  // a connection that was never accepted is not reported
        first.close();
        REQUIRE(run_until(io, [&] { return pair.server->count<Disconnected>() == 1; }));
        CHECK(pair.still_serves());
    }

    TEST_CASE("a process without descriptors accepts again when it has some") {
        asio::io_context io;
        Pair pair{io};
        auto waiting = RawPeer::connected_to(pair.server.local());
        {
            const FewDescriptors none{0};
            waiting.write(frame(message("x")));
            io.restart();
            const auto handlers = io.run_for(100ms);
            CHECK(handlers < 50);  // it does not spin
            CHECK(pair.server->count<Delivered>() == 0);
        }
        CHECK(run_until(io, [&] { return pair.server->count<Delivered>() == 1; }));
    }

    TEST_CASE("a process without descriptors fails to dial and says why") {
        asio::io_context io;
        Pair pair{io};
        Endpoint<> client{io};
        {
            const FewDescriptors none{0};
            client.transport.send(pair.server.local(), message("x"));
            REQUIRE(run_until(io, [&] { return client->count<Disconnected>() == 1; }));
            CHECK(client->all<Disconnected>()[0].why == "cannot connect: Too many open files");
        }
        client.transport.send(pair.server.local(), message("x"));
        CHECK(run_until(io, [&] { return client->count<Delivered>() == 1; }));
    }

    TEST_CASE("a dial that nobody answers ends after connect_timeout") {
        TemporaryFolder folder;
        asio::io_context io;
        // A listener whose backlog is full: the kernel neither accepts nor refuses.
        const net::Descriptor listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
        REQUIRE(::listen(listener.get(), 0) == 0);
        REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        const auto name = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
        const auto filler = RawPeer::connected_to(name);

        TransportOptions options;
        options.connect_timeout = 50ms;
        Endpoint<> client{io, options};
        client.transport.send(name, message("x"));
        client.transport.probe(name);
        REQUIRE(run_until(io, [&] { return client->count<Disconnected>() == 1 && client->count<Probed>() == 1; }));
        CHECK(client->all<Disconnected>()[0].why == "cannot connect: Connection timed out");
        CHECK(client->all<Probed>()[0].result == ProbeResult::unknown);
    }

    TEST_CASE("what is sent while dialling is bounded") {
        asio::io_context io;
        TransportOptions options;
        options.max_frame = 1024;
        options.max_send_queue = 10'000;
        Endpoint<> client{io, options};
        Pair pair{io};
        for (int i = 0; i < 100; ++i) client.transport.send(pair.server.local(), message(std::string(1000, 'x')));
        REQUIRE(run_until(io, [&] { return client->count<Delivered>() == 9; }));
        settle(io);
        CHECK(pair.server->count<Delivered>() == 9);
    }

    TEST_CASE("a probe tells whether anybody listens") {
        TemporaryFolder folder;
        Address listen;
        SUBCASE("TCP") { listen = "tcp://127.0.0.1:0"; }
        SUBCASE("IPv6") { listen = "tcp://[::1]:0"; }
        SUBCASE("unix socket") { listen = folder.address("a"); }
        asio::io_context io;
        Endpoint<> prober{io};
        auto server = std::make_unique<net::AnyTransport>(io, listen);
        const auto address = server->local();
        prober.transport.probe(address);
        REQUIRE(run_until(io, [&] { return prober->count<Probed>() == 1; }));
        server.reset();
        prober.transport.probe(address);
        REQUIRE(run_until(io, [&] { return prober->count<Probed>() == 2; }));
        prober.transport.probe("tcp://no.such.host.invalid:1");
        prober.transport.probe(address + "#1");
        REQUIRE(run_until(io, [&] { return prober->count<Probed>() == 4; }));
        auto probes = prober->all<Probed>();
        CHECK(probes[0].address == address);
        CHECK(probes[0].result == ProbeResult::alive);
        CHECK(probes[1].result == ProbeResult::refused);
        CHECK(probes[2].result == ProbeResult::unknown);
        CHECK(probes[3].result == ProbeResult::unknown);
    }

    TEST_CASE("a probe of a unix socket whose process died is refused") {
        TemporaryFolder folder;
        const auto path = folder.file("dead");
        {
            const net::Descriptor socket{::socket(AF_UNIX, SOCK_STREAM, 0)};
            const auto address = net::unix_socket_address(path);
            REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        }
        REQUIRE(std::filesystem::exists(path));
        asio::io_context io;
        Endpoint<> prober{io};
        prober.transport.probe("unix://" + path);
        REQUIRE(run_until(io, [&] { return prober->count<Probed>() == 1; }));
        CHECK(prober->all<Probed>()[0].result == ProbeResult::refused);
    }

    TEST_CASE("a server that talks rubbish is broken under the address that was dialled") {
        asio::io_context io;
        const net::Descriptor listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
        REQUIRE(::listen(listener.get(), 8) == 0);
        REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        const auto name = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
        Endpoint<> client{io};
        client.transport.send(name, message("x"));
        settle(io);
        RawPeer server{net::Descriptor{::accept(listener.get(), nullptr, nullptr)}};
        server.write("HTTP/1.1 400 Bad Request\r\n\r\n");
        REQUIRE(run_until(io, [&] { return client->count<Disconnected>() == 1; }));
        REQUIRE(client->count<ProtocolError>() == 1);
        CHECK(client->all<ProtocolError>()[0].peer == name);
    }

}  // TEST_SUITE
