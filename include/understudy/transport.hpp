// The seam between the rules and the world: what carries messages, and the library's only clock.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>

#include <understudy/error.hpp>
#include <understudy/event.hpp>
#include <understudy/probe_result.hpp>
#include <understudy/view.hpp>

namespace understudy {

/// The payload of one frame. `from` can be answered: it is an address, or a reply address of this connection.
struct Delivered {
    Address from;
    std::string payload;
};
/// A connection ended; `peer` is what `Delivered::from` was, or the address that was dialled.
struct Gone {
    Address peer;
    std::string why;
};
/// The answer to `probe(address)`.
struct Probed {
    Address address;
    ProbeResult result;
};
/// A peer broke the framing or a limit; its connection was closed after an error was sent to it.
struct Broken {
    Address peer;
    error code;
    std::string what;
};
/// The peer of an accepted connection takes more slowly than it is sent to: what can wait should; or that is over.
struct Backlog {
    Address peer;
    bool full = false;
};
/// Besides what peers do, a transport may tell its host that it turns connections away, and that this has ended.
using Arrival = std::variant<Delivered, Gone, Probed, Broken, ConnectionsRefused, ConnectionsAccepted, Backlog>;
using Arrivals = std::vector<Arrival>;

/// A **Transport** carries payloads between addresses. Laws:
///  - it may lose, delay, repeat and reorder them; it never alters one and never delivers to somebody else;
///  - who sends much keeps nobody waiting: turns take from the connections in turn;
///  - `send` never waits and never reports; what one turn sends to one peer leaves in one write.
///    Dialling is lazy, with backoff; queues are bounded;
///  - `next(deadline)` completes with what has arrived, or with nothing once the deadline has passed or `wake()` was
///    called (before or during it); one at a time. It throws `std::system_error` with `error::closed` after `close()`,
///    with `asio::error::operation_aborted` when cancelled, losing nothing;
///  - `now()` is monotone and counts the time asleep; `random()` is its source of chance: both belong to the
///    transport so that a simulated world can own them;
///  - `probe(address)` makes a fresh connection to see whether anybody listens; a `Probed` arrives;
///  - `pause(peer)` stops reading from a connection, `resume(peer)` goes on;
///  - `local()` is the address that peers dial, empty for a party that only dials. It is final after construction.
///  - `close()` ends everything: the listener, the connections, a pending `next`;
///  - optional: `Backlog` arrives when much waits to be sent over an accepted connection, and when it no longer does;
///  - optional: `reuse(arrivals)` takes back what `next` gave, for its memory;
///  - optional: `malformed(peer)` hears that the last payload of a peer was no message;
///  - optional: `max_frame()`, the largest payload in bytes, so that a replica whose messages would not fit is refused;
///  - optional: `objection(address)`, why that can never be dialled, or nothing, as a `std::string`, so that a service
///    or client whose options name such an address is refused.
template <typename T>
concept Transport = std::movable<T> &&
    requires(T transport, const T& fixed, Address address, std::string payload, Time time) {
    { transport.get_executor() } -> std::convertible_to<asio::any_io_executor>;
    { fixed.local() } -> std::convertible_to<Address>;
    { fixed.now() } -> std::same_as<Time>;
    { transport.random() } -> std::same_as<std::uint64_t>;
    transport.send(address, std::as_const(payload));  // whoever sends keeps the buffer
    { transport.next(time) } -> std::same_as<asio::awaitable<Arrivals>>;
    transport.wake();
    transport.probe(address);
    transport.pause(address);
    transport.resume(address);
    transport.close();
};

}  // namespace understudy
