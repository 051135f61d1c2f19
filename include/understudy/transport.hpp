// The concept `Transport`: the boundary between the state machines and the network. It carries messages, and has the
// library's only clock.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <asio/any_io_executor.hpp>

#include <understudy/async/awaitable.hpp>
#include <understudy/error.hpp>
#include <understudy/event.hpp>
#include <understudy/peer.hpp>
#include <understudy/probe_result.hpp>
#include <understudy/view.hpp>

namespace understudy {

/// The payload of one frame. `from` is an address or, for an accepted connection, its reply address. Answers go there.
struct Delivered {
    Peer from;
    std::string payload;
};
/// A connection ended. `peer` is the `from` of its `Delivered` events, or the address that was dialled.
struct Disconnected {
    Address peer;
    std::string why;
};
/// The outcome of `probe(address)`.
struct Probed {
    Address address;
    ProbeResult result;
};
/// A peer broke the framing or a limit. The transport sent it an error and closed the connection.
struct ProtocolError {
    Address peer;
    error code;
    std::string what;
};
/// An accepted connection takes data more slowly than it is sent. While `full`, hold back what can wait.
struct Backlog {
    Address peer;
    bool full = false;
};
/// What `next` delivers. Besides events of peers, a transport reports when it begins to refuse connections and when it
/// stops.
using TransportEvent =
    std::variant<Delivered, Disconnected, Probed, ProtocolError, ConnectionsRefused, ConnectionsAccepted, Backlog>;
using TransportEvents = std::vector<TransportEvent>;

/// What a transport may call in place of completing `next` (`Transport`, `handle_turns`): a turn as a plain function.
/// A coroutine that is resumed for each turn, and events that own what they carry, cost more than the rest of a turn
/// with one message. All functions are called on the executor, and never from within a call of the transport.
class TurnHandler {
public:
    /// A message of the coming turn. The payload is valid during this call only. `now` is when it was received.
    virtual void message(const Peer& from, std::string_view payload, Time now) = 0;
    /// The other events of the coming turn, and messages that had to wait.
    virtual void arrived(TransportEvents&& events) = 0;
    /// Runs what the host waits for. It may throw what the host's handlers throw, and other turns may come within it.
    virtual void complete() = 0;
    /// Ends the turn, and returns the deadline of the next one; or nothing if the coroutine that awaits `next` has to
    /// go on. Then `next` completes without events.
    virtual std::optional<Time> turn() = 0;

protected:
    ~TurnHandler() = default;
};

/// A **Transport** carries payloads between addresses. `sim::broken_transport_laws` (sim/laws/transport_laws.hpp)
/// checks its laws. A **turn** begins when `next` completes, and ends when the coroutine that awaited it waits again.
/// Laws:
///  - over one connection payloads keep their order, and none is lost while it stands. Where connections break,
///    payloads may be lost, and those of different connections may arrive in any order. A transport never alters a
///    payload, and never delivers one to another address;
///  - a payload that cannot be JSON by its beginning, or that exceeds the limit of a frame, ends the connection with
///    `ProtocolError`. `Disconnected` comes after all `Delivered` of a connection, also for a dial that is refused;
///  - it is fair: turns take from all connections in rotation, so that a peer that sends much does not delay others;
///  - `send` never waits and never reports an outcome. What one turn sends to one peer leaves in one write. Connections
///    are dialled when needed, with backoff. Queues are bounded;
///  - `next(deadline)` completes with the events that have arrived. It completes with none once the deadline has
///    passed, or if `wake()` is called before or during it. Only one `next` is pending at a time. It throws
///    `std::system_error`: with `error::closed` after `close()`, with `asio::error::operation_aborted` if it is
///    cancelled. Cancellation loses no event;
///  - `now()` is monotonic and includes the time during which the machine sleeps. `random()` returns random bits. Both
///    are part of the transport so that the simulator can control them;
///  - `probe(address)` opens a new connection to find out whether anybody listens. The outcome arrives as `Probed`;
///  - `pause(peer)` stops reading from a connection, `resume(peer)` continues;
///  - `local()` is the address that peers dial. It is empty if the transport only dials. It does not change after
///    construction;
///  - `close()` ends everything: the listener, the connections and a pending `next`. Later calls have no effect. The
///    destructor ends a pending `next` too;
///  - optional: `Backlog` arrives when much data waits to be sent over an accepted connection, and when that is over;
///  - optional: `send_to(peer, payload)`: the same as `send(peer.address(), payload)`, for a transport that notes in
///    the peer where to send (`Peer::route`);
///  - optional: `begin_frame(peer)`, a `std::string*`, with `end_frame()` and `drop_frame()`: the driver appends a
///    payload to that string, and ends or drops it before it calls anything else. Null: it has to `send` the payload;
///  - optional: `reuse(arrivals)` takes back the vector that `next` returned, to reuse its memory;
///  - optional: `handle_turns(handler)`: while a `next` is pending, turns go to this `TurnHandler*` and not to `next`,
///    until `handle_turns(nullptr)`. A turn is then: any number of `message`, `arrived`, `complete`, and `turn`;
///  - optional: `malformed(peer)` tells the transport that the last payload of a peer was not a message;
///  - optional: `max_frame()` is the largest payload in bytes. A replica whose messages would not fit is refused;
///  - optional: `objection(address)`, a `std::string`, says why this address can never be dialled, or is empty. A
///    service or client whose options name such an address is refused;
///  - optional: the static `name_fault(name)`, a `std::string`, says why other nodes could not dial a server of that
///    name, or is empty. A ping of such a server is refused, because others would be told to dial it.
template <typename T>
concept Transport = std::movable<T> &&
    requires(T transport, const T& fixed, Address address, std::string payload, Time time) {
    { transport.get_executor() } -> std::convertible_to<asio::any_io_executor>;
    { fixed.local() } -> std::convertible_to<Address>;
    { fixed.now() } -> std::same_as<Time>;
    { transport.random() } -> std::same_as<std::uint64_t>;
    transport.send(address, std::as_const(payload));  // by const reference: the caller keeps the buffer
    { transport.next(time) } -> std::same_as<asio::awaitable<TransportEvents>>;
    transport.wake();
    transport.probe(address);
    transport.pause(address);
    transport.resume(address);
    transport.close();
};

}  // namespace understudy
