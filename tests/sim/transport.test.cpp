// The simulated transport satisfies the requirements of Transport.
#include <functional>

#include <doctest/doctest.h>

#include <understudy/sim/world/world.hpp>

#include "../support/transport_laws.hpp"

TEST_SUITE("sim_transport") {
    namespace {

    using namespace understudy;
    using namespace understudy::laws;

    struct SimLaws {
        using Transport = sim::SimTransport;
        sim::World world{42};
        int named = 0;

        Address nobody() { return "sim://s" + std::to_string(++named); }
        Transport server(Address address) {
            return Transport{world,
                             TransportOptions{.listen = std::move(address), .advertise = {}, .max_frame = 1u << 20}};
        }
        Transport server() { return server(nobody()); }
        Transport client() {
            return Transport{world, TransportOptions{.listen = {}, .advertise = {}, .max_frame = 1u << 20}};
        }
        asio::any_io_executor executor() { return world.get_executor(); }
        void spawn(asio::awaitable<void> coroutine) { world.spawn(std::move(coroutine)); }
        bool run_until(const std::function<bool()>& holds) { return world.run_until(holds, 30s); }
    };

    }  // namespace

    TEST_CASE_FIXTURE(SimLaws, "payloads travel both ways") { carries_payloads_both_ways(*this); }
    TEST_CASE_FIXTURE(SimLaws, "a connection keeps its order") { keeps_the_order_of_a_connection(*this); }
    TEST_CASE_FIXTURE(SimLaws, "next ends with nothing at its deadline") {
        next_ends_with_nothing_at_its_deadline(*this);
    }
    TEST_CASE_FIXTURE(SimLaws, "wake ends next before and during it") { wake_ends_next_before_and_during_it(*this); }
    TEST_CASE_FIXTURE(SimLaws, "cancellation ends next and loses nothing") {
        cancellation_ends_next_and_loses_nothing(*this);
    }
    TEST_CASE_FIXTURE(SimLaws, "close ends next for good") { close_ends_next_for_good(*this); }
    TEST_CASE_FIXTURE(SimLaws, "a destroyed handle ends its pending next") {
        a_destroyed_handle_ends_its_pending_next(*this);
    }
    TEST_CASE_FIXTURE(SimLaws, "a peer that closes is gone") { a_peer_that_closes_is_gone(*this); }
    TEST_CASE_FIXTURE(SimLaws, "a refused dial is gone and is made again later") {
        a_refused_dial_is_gone_and_is_made_again_later(*this);
    }
    TEST_CASE_FIXTURE(SimLaws, "a probe says whether anybody listens") { probe_tells_whether_anybody_listens(*this); }
    TEST_CASE_FIXTURE(SimLaws, "a paused peer is read after resume") { a_paused_peer_is_read_after_resume(*this); }
    TEST_CASE_FIXTURE(SimLaws, "a frame over the limit is refused") {
        a_peer_that_breaks_the_framing_is_cut_off(*this, "{" + std::string(1u << 20, ' ') + "}", error::too_large);
    }
    TEST_CASE_FIXTURE(SimLaws, "a payload that is no JSON text is refused") {
        a_peer_that_breaks_the_framing_is_cut_off(*this, "GET / HTTP/1.1", error::parse_error);
    }
    TEST_CASE_FIXTURE(SimLaws, "one that sends much keeps nobody waiting") {
        one_that_sends_much_keeps_nobody_waiting(*this);
    }
    TEST_CASE_FIXTURE(SimLaws, "a peer that goes between two turns is gone") {
        a_peer_that_goes_between_two_turns_is_gone(*this);
    }
    TEST_CASE_FIXTURE(SimLaws, "a wake beside a cancellation is kept") { a_wake_beside_a_cancellation_is_kept(*this); }
    TEST_CASE_FIXTURE(SimLaws, "a moved handle goes on") { a_moved_handle_goes_on(*this); }

    TEST_CASE_FIXTURE(SimLaws, "what arrives in one instant is handed over together") {
        auto server = this->server();
        std::vector<Transport> clients;
        Inbox inbox;
        world.links().set_quality({.latency_least = 1ms, .latency_most = 1ms});
        for (int n = 0; n < 50; ++n) clients.push_back(client());
        for (auto& each : clients) each.send(server.local(), "{}");
        spawn(next_once(server, inbox, never));
        REQUIRE(run_until([&] { return inbox.turns == 1; }));
        CHECK(inbox.count<Delivered>() == 50);
    }

    TEST_CASE_FIXTURE(SimLaws, "a turn has at most max_turn bytes and the rest follows") {
        Transport server{world, TransportOptions{.listen = "sim://narrow", .advertise = {}, .max_turn = 100}};
        auto client = this->client();
        Inbox inbox;
        for (int n = 0; n < 10; ++n) client.send("sim://narrow", "{" + std::string(38, ' ') + "}");
        spawn(next_once(server, inbox, never));
        REQUIRE(run_until([&] { return inbox.turns == 1; }));
        CHECK(inbox.count<Delivered>() == 2);
        spawn(receive_all(server, inbox));
        CHECK(run_until([&] { return inbox.count<Delivered>() == 10; }));
        CHECK(inbox.turns == 5);
    }

    TEST_CASE_FIXTURE(SimLaws, "a connection whose peer reads too slowly is closed") {
        auto server = this->server();
        Transport client{world,
                         TransportOptions{.listen = {}, .advertise = {}, .max_frame = 2000, .max_send_queue = 10'000}};
        Inbox at_client;
        spawn(receive_all(client, at_client));
        for (int n = 0; n < 10; ++n) client.send(server.local(), "{" + std::string(998, ' ') + "}");
        world.run_for(1s);  // it has arrived, but the server does not read it
        CHECK(at_client.count<Disconnected>() == 0);
        client.send(server.local(), "{" + std::string(998, ' ') + "}");
        world.run_for(1s);
        REQUIRE(at_client.count<Disconnected>() == 1);
        CHECK(at_client.all<Disconnected>()[0].why == "send queue is full");
    }

    TEST_CASE_FIXTURE(SimLaws, "one address has one listener and bad options are refused") {
        auto server = this->server("sim://twice");
        CHECK_THROWS_AS(this->server("sim://twice"), std::system_error);
        const TransportOptions bad{.listen = {}, .advertise = {}, .max_frame = 1};
        CHECK_THROWS_AS((Transport{world, bad}), std::system_error);
        server.close();
        CHECK(this->server("sim://twice").local() == "sim://twice");
    }

    TEST_CASE_FIXTURE(SimLaws, "a server that advertises another name is dialled by it") {
        Transport server{world, TransportOptions{.listen = "sim://inside", .advertise = "sim://outside"}};
        auto client = this->client();
        Inbox inbox;
        CHECK(server.local() == "sim://outside");
        spawn(receive_all(server, inbox));
        client.send("sim://outside", "{}");
        client.send("sim://inside", "{}");
        CHECK(run_until([&] { return inbox.count<Delivered>() == 2; }));
    }

    TEST_CASE_FIXTURE(SimLaws, "connections beyond the limit are closed at once") {
        Transport server{world, TransportOptions{.listen = "sim://small", .advertise = {}, .max_connections = 1}};
        auto first = client(), second = client();
        Inbox at_server, at_second;
        spawn(receive_all(server, at_server));
        spawn(receive_all(second, at_second));
        first.send("sim://small", "{}");
        world.run_for(10ms);
        second.send("sim://small", "{}");
        REQUIRE(run_until([&] { return at_second.count<Disconnected>() == 1; }));
        CHECK(at_server.count<Delivered>() == 1);
    }

    TEST_CASE("a handle and a coroutine that wait when the world ends are no harm") {
        Inbox inbox;
        std::optional<sim::SimTransport> handle;
        {
            sim::World world{1};
            handle.emplace(world.network().transport("sim://a"));
            world.spawn(receive_all(*handle, inbox));
            world.spawn([](sim::SimTransport owned) -> asio::awaitable<void> {
                co_await owned.next(never);
            }(world.network().transport("sim://b")));
            world.run_for(1s);
        }
        handle->send("sim://b", "{}");
        handle->wake();
        handle->close();
        CHECK_FALSE(inbox.ended.has_value());
    }
}
