// The laws of the concept Transport as test bodies that run over any world: simulated or sockets.
// A world W offers:  W::Transport;  server() listens on a fresh address;  server(address) on that one;  client() only
// dials;  nobody() is an address where nobody listens;  spawn(awaitable<void>);  executor();
// run_until(predicate) -> bool runs until it holds, up to the world's own limit.  max_frame is 1 MiB in all of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <doctest/doctest.h>

#include <understudy/transport.hpp>

namespace understudy::laws {

using namespace std::chrono_literals;

/// What a party received, and how its last `next` ended.
struct Inbox {
    Arrivals arrivals;
    std::optional<std::error_code> ended;
    std::size_t turns = 0;

    template <typename Kind>
    std::vector<Kind> all() const {
        std::vector<Kind> found;
        for (const auto& arrival : arrivals)
            if (const auto* match = std::get_if<Kind>(&arrival)) found.push_back(*match);
        return found;
    }
    template <typename Kind>
    std::size_t count() const {
        return all<Kind>().size();
    }
    std::vector<std::string> payloads() const {
        std::vector<std::string> texts;
        for (const auto& delivered : all<Delivered>()) texts.push_back(delivered.payload);
        return texts;
    }
};

/// One `next`, noted in the inbox.
template <typename T>
asio::awaitable<void> next_once(T& transport, Inbox& inbox, Time deadline) {
    try {
        auto arrivals = co_await transport.next(deadline);
        ++inbox.turns;
        for (auto& arrival : arrivals) inbox.arrivals.push_back(std::move(arrival));
    } catch (const std::system_error& failure) {
        inbox.ended = failure.code();
    }
}

/// Receives until the transport is closed.
template <typename T>
asio::awaitable<void> receive_all(T& transport, Inbox& inbox) {
    while (!inbox.ended) co_await next_once(transport, inbox, never);
}

inline std::string numbered(int number) { return "{\"n\":" + std::to_string(number) + "}"; }

template <typename W>
void carries_payloads_both_ways(W& world) {
    auto server = world.server();
    auto client = world.client();
    Inbox at_server, at_client;
    world.spawn(receive_all(server, at_server));
    world.spawn(receive_all(client, at_client));
    CHECK(client.local().empty());
    client.send(server.local(), "{\"question\":1}");
    REQUIRE(world.run_until([&] { return at_server.count<Delivered>() == 1; }));
    const auto question = at_server.all<Delivered>()[0];
    CHECK(question.payload == "{\"question\":1}");
    server.send(question.from, "[\"answer\"]");
    REQUIRE(world.run_until([&] { return at_client.count<Delivered>() == 1; }));
    CHECK(at_client.all<Delivered>()[0].payload == "[\"answer\"]");
    CHECK(at_client.all<Delivered>()[0].from == server.local());
}

template <typename W>
void keeps_the_order_of_a_connection(W& world) {
    auto server = world.server();
    auto client = world.client();
    Inbox at_server;
    world.spawn(receive_all(server, at_server));
    std::vector<std::string> sent;
    for (int n = 0; n < 500; ++n) {
        sent.push_back(numbered(n));
        client.send(server.local(), sent.back());
    }
    REQUIRE(world.run_until([&] { return at_server.count<Delivered>() == sent.size(); }));
    CHECK(at_server.payloads() == sent);
}

template <typename W>
void next_ends_with_nothing_at_its_deadline(W& world) {
    auto server = world.server();
    Inbox inbox;
    const auto deadline = server.now() + 20ms;
    world.spawn(next_once(server, inbox, deadline));
    REQUIRE(world.run_until([&] { return inbox.turns == 1; }));
    CHECK(server.now() >= deadline);
    CHECK(inbox.arrivals.empty());
    world.spawn(next_once(server, inbox, Time{}));  // one that has passed already
    REQUIRE(world.run_until([&] { return inbox.turns == 2; }));
    CHECK(inbox.arrivals.empty());
}

template <typename W>
void wake_ends_next_before_and_during_it(W& world) {
    auto server = world.server();
    Inbox inbox;
    server.wake();
    server.wake();
    world.spawn(next_once(server, inbox, never));
    REQUIRE(world.run_until([&] { return inbox.turns == 1; }));
    world.spawn(next_once(server, inbox, server.now() + 10ms));  // the two wakes were one
    const auto start = server.now();
    REQUIRE(world.run_until([&] { return inbox.turns == 2; }));
    CHECK(server.now() >= start + 10ms);
    bool waiting = false;
    world.spawn([](auto& transport, auto& into, bool& begun) -> asio::awaitable<void> {
        begun = true;
        co_await next_once(transport, into, never);
    }(server, inbox, waiting));
    REQUIRE(world.run_until([&] { return waiting; }));
    server.wake();
    REQUIRE(world.run_until([&] { return inbox.turns == 3; }));
    CHECK(inbox.arrivals.empty());
}

template <typename W>
void cancellation_ends_next_and_loses_nothing(W& world) {
    auto server = world.server();
    auto client = world.client();
    Inbox inbox;
    asio::cancellation_signal cancel;
    bool ended = false;
    asio::co_spawn(world.executor(), next_once(server, inbox, never),
                   asio::bind_cancellation_slot(cancel.slot(), [&ended](std::exception_ptr) { ended = true; }));
    bool started = false;
    world.spawn([](bool& ran) -> asio::awaitable<void> {
        ran = true;
        co_return;
    }(started));
    REQUIRE(world.run_until([&] { return started; }));
    CHECK_FALSE(ended);
    client.send(server.local(), "{}");
    cancel.emit(asio::cancellation_type::terminal);
    REQUIRE(world.run_until([&] { return ended; }));
    REQUIRE(inbox.ended.has_value());
    CHECK(*inbox.ended == asio::error::operation_aborted);
    inbox.ended.reset();
    world.spawn(receive_all(server, inbox));
    CHECK(world.run_until([&] { return inbox.count<Delivered>() == 1; }));
}

template <typename W>
void close_ends_next_for_good(W& world) {
    auto server = world.server();
    Inbox pending, later;
    bool waiting = false;
    world.spawn([](auto& transport, auto& into, bool& begun) -> asio::awaitable<void> {
        begun = true;
        co_await next_once(transport, into, never);
    }(server, pending, waiting));
    REQUIRE(world.run_until([&] { return waiting; }));
    server.close();
    REQUIRE(world.run_until([&] { return pending.ended.has_value(); }));
    CHECK(*pending.ended == error::closed);
    world.spawn(next_once(server, later, never));
    REQUIRE(world.run_until([&] { return later.ended.has_value(); }));
    CHECK(*later.ended == error::closed);
    server.send(world.nobody(), "{}");  // ignored, as are the others
    server.wake();
    server.close();
}

template <typename W>
void a_destroyed_handle_ends_its_pending_next(W& world) {
    auto server = std::make_unique<typename W::Transport>(world.server());
    Inbox inbox;
    bool waiting = false;
    world.spawn([](auto& transport, auto& into, bool& begun) -> asio::awaitable<void> {
        begun = true;
        co_await next_once(transport, into, never);
    }(*server, inbox, waiting));
    REQUIRE(world.run_until([&] { return waiting; }));
    server.reset();
    REQUIRE(world.run_until([&] { return inbox.ended.has_value(); }));
    CHECK(*inbox.ended == error::closed);
}

template <typename W>
void a_peer_that_closes_is_gone(W& world) {
    auto server = world.server();
    auto client = world.client();
    auto other = world.client();
    Inbox at_server, at_client, at_other;
    world.spawn(receive_all(server, at_server));
    world.spawn(receive_all(client, at_client));
    world.spawn(receive_all(other, at_other));
    client.send(server.local(), "{}");
    REQUIRE(world.run_until([&] { return at_server.count<Delivered>() == 1; }));
    const auto reply_address = at_server.all<Delivered>()[0].from;
    client.close();
    REQUIRE(world.run_until([&] { return at_server.count<Gone>() == 1; }));
    CHECK(at_server.all<Gone>()[0].peer == reply_address);
    other.send(server.local(), "{}");
    REQUIRE(world.run_until([&] { return at_server.count<Delivered>() == 2; }));
    const auto address = server.local();
    server.close();
    REQUIRE(world.run_until([&] { return at_other.count<Gone>() == 1; }));
    CHECK(at_other.all<Gone>()[0].peer == address);
}

template <typename W>
void a_refused_dial_is_gone_and_is_made_again_later(W& world) {
    auto client = world.client();
    Inbox at_client, at_server;
    world.spawn(receive_all(client, at_client));
    const auto address = world.nobody();
    client.send(address, "{}");
    REQUIRE(world.run_until([&] { return at_client.count<Gone>() == 1; }));
    CHECK(at_client.all<Gone>()[0].peer == address);
    auto server = world.server(address);
    world.spawn(receive_all(server, at_server));
    client.send(address, "{\"again\":1}");
    REQUIRE(world.run_until([&] { return at_server.count<Delivered>() == 1; }));
    CHECK(at_server.payloads()[0] == "{\"again\":1}");
}

template <typename W>
void probe_tells_whether_anybody_listens(W& world) {
    auto server = world.server();
    auto client = world.client();
    Inbox inbox;
    world.spawn(receive_all(client, inbox));
    client.probe(server.local());
    REQUIRE(world.run_until([&] { return inbox.count<Probed>() == 1; }));
    CHECK(inbox.all<Probed>()[0].result == ProbeResult::alive);
    CHECK(inbox.all<Probed>()[0].address == server.local());
    const auto address = server.local();
    server.close();
    client.probe(address);
    REQUIRE(world.run_until([&] { return inbox.count<Probed>() == 2; }));
    CHECK(inbox.all<Probed>()[1].result == ProbeResult::refused);
    CHECK(inbox.count<Gone>() == 0);
}

template <typename W>
void a_paused_peer_is_read_after_resume(W& world) {
    auto server = world.server();
    auto client = world.client();
    auto other = world.client();
    Inbox at_server;
    world.spawn(receive_all(server, at_server));
    client.send(server.local(), numbered(1));
    REQUIRE(world.run_until([&] { return at_server.count<Delivered>() == 1; }));
    const auto peer = at_server.all<Delivered>()[0].from;
    server.pause(peer);
    client.send(server.local(), numbered(2));
    for (int n = 0; n < 3; ++n) {  // others are read meanwhile
        other.send(server.local(), "{}");
        REQUIRE(world.run_until([&] { return at_server.count<Delivered>() == static_cast<std::size_t>(n) + 2; }));
    }
    for (const auto& text : at_server.payloads()) CHECK(text != numbered(2));
    server.resume(peer);
    REQUIRE(world.run_until([&] { return at_server.count<Delivered>() == 5; }));
    CHECK(at_server.payloads().back() == numbered(2));
}

/// Sends `payload`; expects `code` at the receiver, `Gone` at both ends, and others undisturbed.
template <typename W>
void a_peer_that_breaks_the_framing_is_cut_off(W& world, std::string payload, error code) {
    auto server = world.server();
    auto client = world.client();
    auto other = world.client();
    Inbox at_server, at_client;
    world.spawn(receive_all(server, at_server));
    world.spawn(receive_all(client, at_client));
    client.send(server.local(), std::move(payload));
    REQUIRE(world.run_until([&] { return at_server.count<Gone>() == 1 && at_client.count<Gone>() == 1; }));
    REQUIRE(at_server.count<Broken>() == 1);
    CHECK(at_server.all<Broken>()[0].code == code);
    CHECK(at_server.count<Delivered>() == 0);
    other.send(server.local(), "{}");
    CHECK(world.run_until([&] { return at_server.count<Delivered>() == 1; }));
}

template <typename W>
void a_moved_handle_goes_on(W& world) {
    auto first = world.server();
    auto client = world.client();
    const auto address = first.local();
    auto second = std::move(first);
    Inbox inbox;
    world.spawn(receive_all(second, inbox));
    client.send(address, "{}");
    REQUIRE(world.run_until([&] { return inbox.count<Delivered>() == 1; }));
    CHECK(second.local() == address);
    second = world.server();  // the one before is closed
    REQUIRE(world.run_until([&] { return inbox.ended.has_value(); }));
    CHECK(*inbox.ended == error::closed);
}

}  // namespace understudy::laws
