// Conformance tests for a Transport: they check the requirements of transport.hpp that a compiler cannot check. They
// are for the unit tests of a host that writes its own transport.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>

#include <understudy/sim/world/transport_inbox.hpp>
#include <understudy/transport.hpp>

/// Each requirement is a function over a **world**. It throws `BrokenLaw` if the transport breaks the requirement. The
/// name of the function says what is required. A world W offers:
///  - `W::Transport`: the type under test. `server()` listens on a fresh address, `server(address)` on that address,
///    `client()` only dials; each has a `max_frame` of 1 MiB. `nobody()` is an address on which nothing listens;
///  - `executor()`: the executor of the transports; `spawn(awaitable<void>)`: starts a coroutine there;
///  - `run_until(predicate)`: runs the world until the predicate holds. It returns false if that did not happen within
///    a limit that the world chooses.
///
/// A world is used for one requirement. Then it is destroyed, with the coroutines that still run in it.
/// `broken_transport_laws` checks all requirements.
namespace understudy::sim::laws {

inline std::string numbered(int number) { return "{\"n\":" + std::to_string(number) + "}"; }

template <typename W>
void carries_payloads_both_ways(W& world) {
    auto server = world.server();
    auto client = world.client();
    Inbox at_server, at_client;
    world.spawn(receive_all(server, at_server));
    world.spawn(receive_all(client, at_client));
    expect(client.local().empty(), "a transport that only dials has no address of its own");
    client.send(server.local(), "{\"question\":1}");
    expect(world.run_until([&] { return at_server.count<Delivered>() == 1; }), "what a client sends arrives");
    const auto question = at_server.all<Delivered>()[0];
    expect(question.payload == "{\"question\":1}", "a payload arrives as it was sent");
    server.send(question.from, "[\"answer\"]");
    expect(world.run_until([&] { return at_client.count<Delivered>() == 1; }), "an answer to `from` arrives");
    expect(at_client.all<Delivered>()[0].payload == "[\"answer\"]", "an answer arrives as it was sent");
    expect(at_client.all<Delivered>()[0].from == server.local(), "an answer comes from the address that was dialled");
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
    expect(world.run_until([&] { return at_server.count<Delivered>() == sent.size(); }),
           "all that is sent on one connection arrives");
    expect(at_server.payloads() == sent, "a connection keeps its order");
}

template <typename W>
void next_ends_with_nothing_at_its_deadline(W& world) {
    auto server = world.server();
    Inbox inbox;
    const auto deadline = server.now() + 20ms;
    world.spawn(next_once(server, inbox, deadline));
    expect(world.run_until([&] { return inbox.turns == 1; }), "next ends at its deadline");
    expect(server.now() >= deadline, "next does not end before its deadline");
    expect(inbox.arrivals.empty(), "next ends with nothing at its deadline");
    world.spawn(next_once(server, inbox, Time{}));  // a deadline in the past
    expect(world.run_until([&] { return inbox.turns == 2; }), "next ends at once if its deadline has passed");
    expect(inbox.arrivals.empty(), "next ends with nothing at its deadline");
}

template <typename W>
void wake_ends_next_before_and_during_it(W& world) {
    auto server = world.server();
    Inbox inbox;
    server.wake();
    server.wake();
    world.spawn(next_once(server, inbox, never));
    expect(world.run_until([&] { return inbox.turns == 1; }), "a wake before next ends it");
    world.spawn(next_once(server, inbox, server.now() + 10ms));  // the two wakes above counted as one
    const auto start = server.now();
    expect(world.run_until([&] { return inbox.turns == 2; }), "next ends at its deadline");
    expect(server.now() >= start + 10ms, "several wakes before next count as one");
    bool waiting = false;
    world.spawn([](auto& transport, auto& into, bool& begun) -> asio::awaitable<void> {
        begun = true;
        co_await next_once(transport, into, never);
    }(server, inbox, waiting));
    expect(world.run_until([&] { return waiting; }), "a coroutine that is spawned starts");
    server.wake();
    expect(world.run_until([&] { return inbox.turns == 3; }), "a wake ends the next that is pending");
    expect(inbox.arrivals.empty(), "a wake brings nothing");
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
    // A second coroutine shows that the first one has had time to run and waits in `next`.
    bool started = false;
    world.spawn([](bool& ran) -> asio::awaitable<void> {
        ran = true;
        co_return;
    }(started));
    expect(world.run_until([&] { return started; }), "a coroutine that is spawned starts");
    expect(!ended, "next waits for something");
    client.send(server.local(), "{}");
    cancel.emit(asio::cancellation_type::terminal);
    expect(world.run_until([&] { return ended; }), "cancellation ends next");
    expect(inbox.ended.has_value(), "a cancelled next throws");
    expect(*inbox.ended == asio::error::operation_aborted, "a cancelled next throws operation_aborted");
    inbox.ended.reset();
    world.spawn(receive_all(server, inbox));
    expect(world.run_until([&] { return inbox.count<Delivered>() == 1; }),
           "what arrives around a cancellation is not lost");
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
    expect(world.run_until([&] { return waiting; }), "a coroutine that is spawned starts");
    server.close();
    expect(world.run_until([&] { return pending.ended.has_value(); }), "close ends the next that is pending");
    expect(*pending.ended == error::closed, "after close next throws error::closed");
    world.spawn(next_once(server, later, never));
    expect(world.run_until([&] { return later.ended.has_value(); }), "next of a closed transport ends");
    expect(*later.ended == error::closed, "after close next throws error::closed");
    // A closed transport ignores every further call; none of these may crash or block.
    server.send(world.nobody(), "{}");
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
    expect(world.run_until([&] { return waiting; }), "a coroutine that is spawned starts");
    server.reset();
    expect(world.run_until([&] { return inbox.ended.has_value(); }),
           "destroying a transport ends the next that is pending");
    expect(*inbox.ended == error::closed, "after that next throws error::closed");
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
    expect(world.run_until([&] { return at_server.count<Delivered>() == 1; }), "what a client sends arrives");
    const auto reply_address = at_server.all<Delivered>()[0].from;
    client.close();
    expect(world.run_until([&] { return at_server.count<Disconnected>() == 1; }),
           "a peer that closed is reported as Disconnected");
    expect(at_server.all<Disconnected>()[0].peer == reply_address, "Disconnected names the peer as Delivered did");
    other.send(server.local(), "{}");
    expect(world.run_until([&] { return at_server.count<Delivered>() == 2; }), "what another client sends arrives");
    const auto address = server.local();
    server.close();
    expect(world.run_until([&] { return at_other.count<Disconnected>() == 1; }),
           "a server that closed is reported as Disconnected");
    expect(at_other.all<Disconnected>()[0].peer == address, "Disconnected names the address that was dialled");
}

template <typename W>
void a_refused_dial_is_gone_and_is_made_again_later(W& world) {
    auto client = world.client();
    Inbox at_client, at_server;
    world.spawn(receive_all(client, at_client));
    const auto address = world.nobody();
    client.send(address, "{}");
    expect(world.run_until([&] { return at_client.count<Disconnected>() == 1; }),
           "a dial that is refused is reported as Disconnected");
    expect(at_client.all<Disconnected>()[0].peer == address, "Disconnected names the address that was dialled");
    // A listener at the same address: the transport must dial again, after its backoff.
    auto server = world.server(address);
    world.spawn(receive_all(server, at_server));
    client.send(address, "{\"again\":1}");
    expect(world.run_until([&] { return at_server.count<Delivered>() == 1; }),
           "after a refusal the address is dialled again");
    expect(at_server.payloads()[0] == "{\"again\":1}", "what is sent then arrives as it was sent");
}

template <typename W>
void probe_tells_whether_anybody_listens(W& world) {
    auto server = world.server();
    auto client = world.client();
    Inbox inbox;
    world.spawn(receive_all(client, inbox));
    client.probe(server.local());
    expect(world.run_until([&] { return inbox.count<Probed>() == 1; }), "a probe is answered");
    expect(inbox.all<Probed>()[0].result == ProbeResult::alive, "a probe of a server that listens finds it alive");
    expect(inbox.all<Probed>()[0].address == server.local(), "a probe is answered for its address");
    const auto address = server.local();
    server.close();
    // The listener is closed now, so the same address must be refused.
    client.probe(address);
    expect(world.run_until([&] { return inbox.count<Probed>() == 2; }), "a probe is answered");
    expect(inbox.all<Probed>()[1].result == ProbeResult::refused, "a probe of a closed address is refused");
    expect(inbox.count<Disconnected>() == 0, "a probe is no connection that is gone");
}

template <typename W>
void a_paused_peer_is_read_after_resume(W& world) {
    auto server = world.server();
    auto client = world.client();
    auto other = world.client();
    Inbox at_server;
    world.spawn(receive_all(server, at_server));
    client.send(server.local(), numbered(1));
    expect(world.run_until([&] { return at_server.count<Delivered>() == 1; }), "what a client sends arrives");
    const auto peer = at_server.all<Delivered>()[0].from;
    // Frame 2 is sent while its peer is paused. It must wait, and must not be lost.
    server.pause(peer);
    client.send(server.local(), numbered(2));
    for (int n = 0; n < 3; ++n) {  // gives the paused frame time to arrive, and shows that other peers are read
        other.send(server.local(), "{}");
        expect(world.run_until([&] { return at_server.count<Delivered>() == static_cast<std::size_t>(n) + 2; }),
               "others are read while a peer is paused");
    }
    // 1 from the paused peer and 3 from the other client have arrived; frame 2 must be missing.
    for (const auto& text : at_server.payloads()) expect(text != numbered(2), "a paused peer is not read");
    server.resume(peer);
    expect(world.run_until([&] { return at_server.count<Delivered>() == 5; }), "a resumed peer is read");
    expect(at_server.payloads().back() == numbered(2), "a resumed peer is read");
}

/// A second pair of transports that exchange frames. `go_on` takes long enough for frames between other transports to
/// arrive. The tests use it instead of a fixed waiting time, because a world may have a simulated clock.
template <typename W>
struct Talk {
    explicit Talk(W& where) : world{where}, server{world.server()}, client{world.client()} {
        world.spawn(receive_all(server, inbox));
    }
    void go_on() {
        for (int n = 0; n < 30; ++n) {
            client.send(server.local(), "{}");
            ++sent;
            expect(world.run_until([&] { return inbox.count<Delivered>() == sent; }), "what a client sends arrives");
        }
    }
    W& world;
    typename W::Transport server, client;
    Inbox inbox;
    std::size_t sent = 0;
};

template <typename W>
void one_that_sends_much_keeps_nobody_waiting(W& world) {
    auto server = world.server();
    auto many = world.client();
    auto few = world.client();
    Talk<W> others{world};
    constexpr int much = 20'000;
    const auto text_of = [](int n) { return "[" + std::to_string(n) + "]"; };
    for (int n = 0; n < much; ++n) many.send(server.local(), text_of(n));
    others.go_on();
    few.send(server.local(), "{\"few\":1}");
    others.go_on();
    Inbox inbox;
    // `few` sent one frame after 20,000 frames of `many`. If turns do not alternate between the connections, that frame
    // arrives only behind all the others.
    bool heard = false;
    for (std::size_t turn = 1; turn <= 4 && !heard; ++turn) {
        world.spawn(next_once(server, inbox, never));
        expect(world.run_until([&] { return inbox.turns == turn; }), "next ends when something has arrived");
        for (const auto& text : inbox.payloads()) heard = heard || text == "{\"few\":1}";
    }
    expect(heard, "a peer that sends much delays no other for more than a few turns");
    world.spawn(receive_all(server, inbox));
    expect(world.run_until([&] { return inbox.count<Delivered>() == much + 1; }), "all that is sent arrives");
    int next = 0;
    for (const auto& text : inbox.payloads())
        if (text != "{\"few\":1}") expect(text == text_of(next++), "a connection keeps its order");
}

template <typename W>
void a_peer_that_goes_between_two_turns_is_gone(W& world) {
    auto server = world.server();
    auto client = world.client();
    Talk<W> others{world};
    constexpr std::size_t sent = 3;  // 40,000 bytes each: one frame is as much as a turn takes
    for (std::size_t n = 0; n < sent; ++n) client.send(server.local(), "{" + std::string(40'000, ' ') + "}");
    others.go_on();
    client.close();
    others.go_on();
    Inbox inbox;
    for (std::size_t turn = 1; inbox.count<Disconnected>() == 0; ++turn) {
        world.spawn(next_once(server, inbox, never));
        expect(world.run_until([&] { return inbox.turns == turn; }), "a peer that closed is reported as Disconnected");
    }
    expect(inbox.count<Delivered>() == sent, "Disconnected comes after all that came over the connection");
}

template <typename W>
void a_wake_beside_a_cancellation_is_kept(W& world) {
    Talk<W> others{world};
    // A wake and a cancellation at the same time, in both orders. A wake that is lost here would leave a service asleep
    // with work to do.
    for (const bool wake_first : {true, false}) {
        auto server = world.server();
        Inbox inbox;
        asio::cancellation_signal cancel;
        bool ended = false;
        asio::co_spawn(world.executor(), next_once(server, inbox, never),
                       asio::bind_cancellation_slot(cancel.slot(), [&ended](std::exception_ptr) { ended = true; }));
        others.go_on();
        if (wake_first) server.wake();
        cancel.emit(asio::cancellation_type::terminal);
        if (!wake_first) server.wake();
        expect(world.run_until([&] { return ended; }), "cancellation ends next");
        // Either the wake or the cancellation may end `next`. If the cancellation did, the wake must end a later
        // `next`.
        if (inbox.turns == 1) continue;
        world.spawn(next_once(server, inbox, never));
        expect(world.run_until([&] { return inbox.turns == 1; }), "a wake beside a cancellation ends a later next");
    }
}

/// Sends `payload`, which breaks the framing. Expects `ProtocolError` with `code` at the receiver, `Disconnected` at
/// both ends, and that connections of other peers go on.
template <typename W>
void a_peer_that_breaks_the_framing_is_cut_off(W& world, std::string payload, error code) {
    auto server = world.server();
    auto client = world.client();
    auto other = world.client();
    Inbox at_server, at_client;
    world.spawn(receive_all(server, at_server));
    world.spawn(receive_all(client, at_client));
    client.send(server.local(), std::move(payload));
    expect(
        world.run_until([&] { return at_server.count<Disconnected>() == 1 && at_client.count<Disconnected>() == 1; }),
        "both ends of a broken connection get Disconnected");
    expect(at_server.count<ProtocolError>() == 1, "a peer that breaks the framing is reported as ProtocolError");
    expect(at_server.all<ProtocolError>()[0].code == code, "ProtocolError says what was wrong");
    expect(at_server.count<Delivered>() == 0, "nothing of a broken frame is delivered");
    other.send(server.local(), "{}");
    expect(world.run_until([&] { return at_server.count<Delivered>() == 1; }), "others are undisturbed");
}

template <typename W>
void a_peer_that_sends_too_much_is_cut_off(W& world) {
    a_peer_that_breaks_the_framing_is_cut_off(world, "{" + std::string(1u << 20, ' ') + "}", error::too_large);
}
template <typename W>
void a_peer_that_sends_no_json_is_cut_off(W& world) {
    a_peer_that_breaks_the_framing_is_cut_off(world, "GET / HTTP/1.1", error::parse_error);
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
    expect(world.run_until([&] { return inbox.count<Delivered>() == 1; }), "a moved transport receives");
    expect(second.local() == address, "a moved transport keeps its address");
    second = world.server();  // assignment closes the transport that it replaces
    expect(world.run_until([&] { return inbox.ended.has_value(); }), "what is assigned over is closed");
    expect(*inbox.ended == error::closed, "what is assigned over is closed with error::closed");
}

}  // namespace understudy::sim::laws

namespace understudy::sim {

/// Checks every requirement, each in its own world. `make_world()` returns a pointer to a new world. Returns the
/// requirements that are broken, one sentence each; empty if none is. A requirement's function stops at its first
/// failed expectation, so its later expectations are not checked.
template <typename MakeWorld>
std::vector<std::string> broken_transport_laws(MakeWorld make_world) {
    std::vector<std::string> broken;
    auto keep = [&](auto law) {
        auto world = make_world();
        try {
            law(*world);
        } catch (const laws::BrokenLaw& failure) {
            broken.emplace_back(failure.what());
        }
    };
    keep([](auto& world) { laws::carries_payloads_both_ways(world); });
    keep([](auto& world) { laws::keeps_the_order_of_a_connection(world); });
    keep([](auto& world) { laws::next_ends_with_nothing_at_its_deadline(world); });
    keep([](auto& world) { laws::wake_ends_next_before_and_during_it(world); });
    keep([](auto& world) { laws::cancellation_ends_next_and_loses_nothing(world); });
    keep([](auto& world) { laws::close_ends_next_for_good(world); });
    keep([](auto& world) { laws::a_destroyed_handle_ends_its_pending_next(world); });
    keep([](auto& world) { laws::a_peer_that_closes_is_gone(world); });
    keep([](auto& world) { laws::a_refused_dial_is_gone_and_is_made_again_later(world); });
    keep([](auto& world) { laws::probe_tells_whether_anybody_listens(world); });
    keep([](auto& world) { laws::a_paused_peer_is_read_after_resume(world); });
    keep([](auto& world) { laws::one_that_sends_much_keeps_nobody_waiting(world); });
    keep([](auto& world) { laws::a_peer_that_goes_between_two_turns_is_gone(world); });
    keep([](auto& world) { laws::a_wake_beside_a_cancellation_is_kept(world); });
    keep([](auto& world) { laws::a_peer_that_sends_too_much_is_cut_off(world); });
    keep([](auto& world) { laws::a_peer_that_sends_no_json_is_cut_off(world); });
    keep([](auto& world) { laws::a_moved_handle_goes_on(world); });
    return broken;
}

}  // namespace understudy::sim
