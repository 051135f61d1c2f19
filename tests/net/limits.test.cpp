// Limits on what unknown peers may take of a process: time until the first message, connections, descriptors, and
// memory of incomplete frames.
#include <doctest/doctest.h>

#include <vector>

#include <tests/support/net.hpp>
#include <understudy/net/connection.hpp>

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("limits") {
    namespace {

    TransportOptions listening() {
        TransportOptions options;
        options.listen = "tcp://127.0.0.1:0";
        return options;
    }

    bool has_ended(RawPeer& peer) { return peer.read(), peer.ended(); }

    std::vector<RawPeer> connect(const Address& address, std::size_t count, std::string_view bytes) {
        std::vector<RawPeer> peers;
        for (std::size_t n = 0; n < count; ++n) {
            peers.push_back(RawPeer::connected_to(address));
            peers.back().write(bytes);
        }
        return peers;
    }
    std::size_t how_many_ended(std::vector<RawPeer>& peers) {
        std::size_t count = 0;
        for (auto& peer : peers) count += has_ended(peer);
        return count;
    }

    }  // namespace

    TEST_CASE("a connection that says nothing valid is closed after first_message_timeout") {
        asio::io_context io;
        auto options = listening();
        options.first_message_timeout = 40ms;
        Endpoint<> server{io, options};
        auto silent = RawPeer::connected_to(server.local());
        auto speaks = RawPeer::connected_to(server.local());
        auto babbles = RawPeer::connected_to(server.local());
        auto is_slow = RawPeer::connected_to(server.local());
        speaks.write(frame(message("hello")));
        babbles.write(frame(message("rubbish")));
        is_slow.write(frame(message("a message that takes its time")).substr(0, 10));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 2; }));
        for (const auto& delivered : server->all<Delivered>())
            if (delivered.payload == message("rubbish")) server.transport.malformed(delivered.from);
        CHECK(run_until(io, [&] { return has_ended(silent); }));
        CHECK(run_until(io, [&] { return has_ended(babbles); }));
        CHECK_FALSE(has_ended(speaks));
        CHECK_FALSE(has_ended(is_slow));
        CHECK(run_until(io, [&] { return server->count<Disconnected>() == 2; }));
    }

    TEST_CASE("a connection that says something invalid again and again is closed too") {
        asio::io_context io;
        auto options = listening();
        options.first_message_timeout = 40ms;
        Endpoint<> server{io, options};
        auto babbles = RawPeer::connected_to(server.local());
        std::size_t answered = 0;
        babbles.write(frame(message("rubbish")));
        CHECK(run_until(io, [&] {
            const auto came = server->all<Delivered>();
            for (; answered < came.size(); ++answered) {
                server.transport.malformed(came[answered].from);
                babbles.write(frame(message("rubbish")));
            }
            return has_ended(babbles);
        }));
    }

    TEST_CASE("half a frame ends its connection if it does not go on and one that grows does not") {
        asio::io_context io;
        auto options = listening();
        options.frame_timeout = 40ms;
        Endpoint<> server{io, options};
        const auto large = frame(message(std::string(2u << 20, 'x')));
        auto stopped = RawPeer::connected_to(server.local());
        auto slow = RawPeer::connected_to(server.local());
        stopped.write(large.substr(0, 100'000));
        std::size_t sent = 0;
        const auto go_on = [&] { sent += slow.write(std::string_view{large}.substr(sent, 1100)); };
        CHECK(run_until(io, [&] { return go_on(), has_ended(stopped); }));
        REQUIRE(run_until(io, [&] { return server->count<ProtocolError>() == 1; }));
        CHECK(server->all<ProtocolError>()[0].what == "a frame was begun and does not go on");
        CHECK(run_until(io, [&] {
            for (int piece = 0; piece < 100; ++piece) go_on();
            return server->count<Delivered>() == 1;
        }));
        CHECK_FALSE(has_ended(slow));
    }

    TEST_CASE("half-received frames of all connections are bounded and honest ones come through") {
        asio::io_context io;
        auto options = listening();
        options.max_frame = 1u << 20;
        options.max_receive_bytes = 1u << 20;
        Endpoint<> server{io, options};
        const auto large = frame(message(std::string(512u << 10, 'x')));
        auto halves = connect(server.local(), 20, "");
        std::vector<std::size_t> sent(halves.size());
        REQUIRE(run_until(io, [&] {  // each sends half a frame, or is disconnected before
            bool done = true;
            for (std::size_t n = 0; n < halves.size(); ++n) {
                sent[n] += halves[n].write(std::string_view{large}.substr(sent[n], (256u << 10) - sent[n]));
                done = done && (sent[n] == 256u << 10 || has_ended(halves[n]));
            }
            return done;
        }));
        settle(io);
        CHECK(how_many_ended(halves) >= 16);  // four halves reach the bound
        CHECK(run_until(io, [&] { return server->count<ProtocolError>() == how_many_ended(halves); }));
        CHECK(server->all<ProtocolError>()[0].code == error::overloaded);
        Endpoint<> honest{io};
        for (int n = 0; n < 5; ++n) honest.transport.send(server.local(), message(std::string(700u << 10, 'y')));
        CHECK(run_until(io, [&] { return server->count<Delivered>() == 5; }));
        CHECK(honest->count<Disconnected>() == 0);
    }

    TEST_CASE("of half-received frames the one that began earliest goes first however much it holds or brings") {
        asio::io_context io;
        auto options = listening();
        options.max_frame = 1u << 20;
        options.max_receive_bytes = 2u << 20;
        Endpoint<> server{io, options};
        const auto large = frame(message(std::string(900u << 10, 'x')));
        auto peers = connect(server.local(), 5, "");
        const auto send = [&](RawPeer& peer, std::size_t from, std::size_t to) {
            REQUIRE(run_until(io, [&] {
                from += peer.write(std::string_view{large}.substr(from, to - from));
                return from == to || has_ended(peer);
            }));
            settle(io);
        };
        send(peers[0], 0, 100u << 10);
        send(peers[1], 0, 400u << 10);
        send(peers[2], 0, 500u << 10);
        CHECK(how_many_ended(peers) == 0);
        send(peers[0], 100u << 10, 110u << 10);  // more bytes do not make its frame younger
        send(peers[3], 0, 850u << 10);
        send(peers[4], 0, 850u << 10);
        REQUIRE(run_until(io, [&] { return server->count<ProtocolError>() >= 1; }));
        CHECK(has_ended(peers[0]));
        CHECK_FALSE(has_ended(peers[4]));
        send(peers[4], 850u << 10, large.size());
        CHECK(run_until(io, [&] { return server->count<Delivered>() == 1; }));
    }

    TEST_CASE("one that is silent gives its place to one that comes later") {
        asio::io_context io;
        auto options = listening();
        options.max_connections = 3;
        options.first_message_timeout = 40ms;
        Endpoint<> server{io, options};
        auto speaks = connect(server.local(), 2, frame(message("hello")));
        REQUIRE(run_until(io, [&] { return server->count<Delivered>() == 2; }));
        {
            auto later = connect(server.local(), 5, frame(message("I want to come in")));
            REQUIRE(run_until(io, [&] { return server->count<Delivered>() >= 3 && how_many_ended(later) == 4; }));
            CHECK(how_many_ended(speaks) == 0);
            const auto refused = server->all<ConnectionsRefused>();
            REQUIRE(refused.size() == 1);  // and not one event for each
            CHECK(refused[0].why.find("max_connections") != std::string::npos);
            CHECK(server->count<ConnectionsAccepted>() == 0);
        }
        CHECK(run_until(io, [&] { return server->count<ConnectionsAccepted>() == 1; }));
        CHECK(server->all<ConnectionsAccepted>()[0].refused == 4);
    }

    TEST_CASE("accepted connections leave descriptors for files and dialling") {
        asio::io_context io;
        auto options = listening();
        options.reserved_descriptors = 10;
        Endpoint<> server{io, options};
        server->answers = true;
        Endpoint<> client{io};
        std::vector<RawPeer> peers;
        std::vector<net::Descriptor> files;
        {
            const FewDescriptors few{60};
            const auto hello = frame(message("hello"));
            REQUIRE(run_until(io, [&] {
                peers.push_back(RawPeer::connected_to(server.local()));
                peers.back().write(hello);
                settle(io);
                return how_many_ended(peers) >= 2;
            }));
            std::erase_if(peers, [](auto& peer) { return peer.ended(); });
            for (int n = 0; n < 8; ++n) {
                files.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
                CHECK(files.back());
            }
            files.clear();
            CHECK(server->count<ConnectionsRefused>() == 1);
            while (peers.size() > 5) peers.pop_back();
            client.transport.send(server.local(), message("and now?"));
            CHECK(run_until(io, [&] { return client->count<Delivered>() == 1; }));
        }
    }

    TEST_CASE("running out of descriptors is told") {
        asio::io_context io;
        Endpoint<> server{io, listening()};
        auto waiting = RawPeer::connected_to(server.local());
        waiting.write(frame(message("x")));
        {
            const FewDescriptors none{0};
            CHECK(run_until(io, [&] { return server->count<ConnectionsRefused>() == 1; }));
        }
        CHECK(run_until(io, [&] { return server->count<Delivered>() == 1; }));
    }

    // ---- memory of one connection ------------------------------------------------------------------------

    namespace {

    struct Owner final : net::ConnectionOwner {
        net::ConnectionMemory shared{
            wire::FrameRoom{net::Connection::largest_room + wire::FrameDecoder::most_moved}};
        std::vector<std::string> delivered_payloads;
        int attended = 0, ends = 0;
        bool flushes = true;
        std::shared_ptr<net::Connection>* holds = nullptr;  ///< The last pointer, dropped when the connection ends.

        bool may_deliver(net::Connection&) override { return true; }
        void bar(net::Connection&, bool) override {}
        void flush_later(net::Connection& connection) override {
            if (flushes) connection.flush();
        }
        bool deliver(net::Connection&, std::string_view payload) override {
            delivered_payloads.emplace_back(payload);
            return true;
        }
        void backlog(net::Connection&, bool) override {}
        void awaits_room(net::Connection&) override {}
        void half_closed(net::Connection&, std::string) override {}
        void delivered() override {}
        void broken(net::Connection&, error, std::string) override {}
        void ended(net::Connection&, std::string) override {
            ++ends;
            if (holds) holds->reset();
        }
        void released(net::Connection&) override {}
        void exceeded(net::Connection&, error, std::string) override {}
        net::ConnectionMemory& memory() override { return shared; }
        void attend(net::Connection&) override { ++attended; }
    };

    struct Couple {
        asio::io_context io;
        std::shared_ptr<Owner> owner = std::make_shared<Owner>();
        std::shared_ptr<net::Connection> connection;
        std::unique_ptr<RawPeer> peer;

        explicit Couple(const TransportOptions& options = {})
            : connection{std::make_shared<net::Connection>(io.get_executor(), owner, "peer", false, options)} {
            int ends[2];
            REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
            peer = std::make_unique<RawPeer>(net::Descriptor{ends[0]});
            connection->open(net::adopt_socket(io.get_executor(), AF_UNIX, net::Descriptor{ends[1]}));
        }
        void send(std::string_view bytes) {
            REQUIRE(run_until(io, [&] { return bytes.remove_prefix(peer->write(bytes)), bytes.empty(); }));
            settle(io);
        }
    };

    }  // namespace

    TEST_CASE("a connection holds memory for half a frame and none between two") {
        Couple couple;
        const auto large = frame(message(std::string(3'000'000, 'x')));
        const auto small = frame(message("small"));
        for (int round = 0; round < 3; ++round) {
            couple.send(small + large.substr(0, 1'000'000));
            CHECK(couple.connection->memory() >= 1'000'000);
            CHECK(couple.connection->memory() <= 2'000'000 + net::Connection::largest_room);
            CHECK(couple.owner->shared.held == couple.connection->memory());
            couple.send(large.substr(1'000'000) + small);
            CHECK(couple.connection->memory() == 0);
            CHECK(couple.owner->shared.held == 0);
        }
        CHECK(couple.owner->delivered_payloads.size() == 9);
        couple.send(large.substr(0, 10));
        CHECK(couple.connection->memory() <= 10);
        couple.connection->close();
        CHECK(couple.owner->shared.held == 0);
    }

    TEST_CASE("the memory of a large frame serves the next one and is freed when none comes") {
        Couple couple;
        const auto large = frame(message(std::string(1'000'000, 'x')));
        auto& rooms = couple.owner->shared.rooms;
        for (int round = 0; round < 5; ++round) {
            couple.send(large.substr(0, 700'000));
            CHECK(couple.connection->memory() <= 2 * 700'000);
            CHECK(rooms.bytes() <= rooms.usual_most);
            couple.send(large.substr(700'000));
            CHECK(couple.connection->memory() == 0);
            CHECK(rooms.bytes() >= large.size());
            CHECK(rooms.bytes() <= rooms.usual_most);
            couple.owner->shared.age();
        }
        CHECK(couple.owner->delivered_payloads == std::vector<std::string>(5, large.substr(4)));
        couple.owner->shared.age();
        CHECK(rooms.bytes() == 0);
    }

    TEST_CASE("a frame that has only begun holds no memory for the rest of it") {
        Couple couple;
        const auto large = frame(message(std::string(1'000'000, 'x')));
        couple.send(large);
        REQUIRE(couple.owner->shared.rooms.bytes() >= large.size());
        for (const std::size_t part : {5u, 10'000u, 20'000u}) {
            Couple other;
            other.owner->shared.rooms = std::move(couple.owner->shared.rooms);
            other.send(large.substr(0, part));
            CHECK(other.connection->memory() <= 4 * part);
            CHECK(other.owner->shared.held == other.connection->memory());
            couple.owner->shared.rooms = std::move(other.owner->shared.rooms);
        }
    }

    TEST_CASE("a connection that was idle for an interval gives the memory back that it sent from") {
        Couple couple;
        couple.connection->send(message(std::string(50'000, 'x')));
        CHECK(couple.owner->attended == 1);
        REQUIRE(run_until(couple.io, [&] { return couple.peer->read(), couple.connection->memory() > 50'000; }));
        settle(couple.io);
        while (!couple.peer->read().empty()) settle(couple.io);
        CHECK(couple.connection->tick(4));  // it sent within this interval
        CHECK_FALSE(couple.connection->tick(4));
        CHECK(couple.connection->memory() == 0);
        couple.connection->send(message("more"));
        CHECK(couple.owner->attended == 2);
    }

    TEST_CASE("a connection that ends while it makes room for a frame is there until send returns") {
        TransportOptions options;
        options.max_send_queue = 100;
        Couple couple{options};
        couple.owner->holds = &couple.connection;
        auto& connection = *couple.connection;
        connection.pause();
        couple.owner->flushes = false;
        connection.send(message(std::string(60, 'x')));
        couple.peer.reset();
        settle(couple.io);
        connection.send(message(std::string(60, 'x')));  // the write fails, and the last pointer goes
        CHECK(couple.owner->ends == 1);
        CHECK_FALSE(couple.connection);
    }

}  // TEST_SUITE
