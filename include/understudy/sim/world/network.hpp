// The simulated network: connections that open, carry frames, break and end like TCP connections. Connections are
// simulated, not only frames, because the protocol draws conclusions from them, for example from a refused or a broken
// connection. Everything happens in events of the world; nothing here waits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/error.hpp>
#include <understudy/options.hpp>
#include <understudy/sim/world/connection.hpp>
#include <understudy/sim/world/endpoint.hpp>
#include <understudy/sim/world/links.hpp>
#include <understudy/sim/world/schedule.hpp>
#include <understudy/transport.hpp>

namespace understudy::sim {

class SimTransport;

/// All nodes of a world and their connections. Faults of links (loss, latency, cuts) are in `links()`; the functions
/// here are faults of connections, processes and machines. A name is the address of a server or the name of a client.
class Network {
public:
    Network(Schedule& schedule, Random random) : schedule_{schedule}, random_{random}, links_{random.split("links")} {}
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;
    ~Network() {
        for (auto& [id, endpoint] : endpoints_) endpoint->close();  // handles may outlive the world
    }

    Links& links() { return links_; }

    /// Create a transport that listens on `address`, and a transport called `name` that only dials.
    SimTransport transport(Address address);
    SimTransport client(std::string name);

    // ---- connections and processes -----------------------------------------------------------------------

    /// From now on all segments from `from` to `to`, also dials and ends of connections, wait until `release` sends
    /// them in their order. For tests that need an exact interleaving.
    void hold(const std::string& from, const std::string& to) { held_.try_emplace({from, to}); }
    void release(const std::string& from, const std::string& to) {
        auto waiting = held_.extract({from, to});
        if (waiting.empty()) return;
        for (auto& segment : waiting.mapped())
            if (auto* connection = find(segment.sender.connection)) transmit(*connection, std::move(segment));
    }
    /// How many segments wait there.
    std::size_t held(const std::string& from, const std::string& to) const {
        auto found = held_.find({from, to});
        return found == held_.end() ? 0 : found->second.size();
    }

    /// Ends every connection between the two nodes at both ends, as when a network device resets them. Segments under
    /// way are lost.
    void break_connections(const std::string& a, const std::string& b) {
        std::vector<ConnectionId> between;
        for (const auto& [id, connection] : connections_) {
            const auto &dialler = connection.ends[0].name, &acceptor = connection.ends[1].name;
            if ((dialler == a && acceptor == b) || (dialler == b && acceptor == a)) between.push_back(id);
        }
        for (auto id : between)
            for (std::size_t side : {0u, 1u})
                if (auto* connection = find(id)) end(*connection, side, "connection broke", Notify::no);
    }

    /// The process dies: its `next` ends with `closed`, and the kernel closes its sockets, so the other ends get
    /// `Disconnected`.
    void crash(const std::string& name) {
        note(name, "", "crash");
        for (auto& endpoint : of(name)) close(endpoint);
    }
    /// The machine dies: like `crash`, but the other ends get nothing, since the machine no longer sends. A new
    /// transport with that name starts the machine again.
    void power_off(const std::string& name) {
        nodes_[name].off = true;
        crash(name);
    }
    /// The process dies instead of its `count`-th send from now on. With 1 it dies in its next turn that sends
    /// anything: after the work of the turn, before the first message. This finds errors of the order of storing and
    /// sending. It applies to the present incarnation only; 0 cancels it.
    void crash_at_send(const std::string& name, std::uint64_t count) { nodes_[name].sends_left = count; }
    /// From now on each turn of the process takes this long, also in later incarnations.
    void slow_down(const std::string& name, Duration turn_time) {
        nodes_[name].turn_time = turn_time;
        for (auto& endpoint : of(name)) endpoint->rearm();
    }
    /// Refuses new connections to that node, like a firewall that resets them, although its process runs. Existing
    /// connections stay.
    void refuse(const std::string& name, bool on) {
        if (on)
            refusing_.insert(name);
        else
            refusing_.erase(name);
    }
    /// Suspends the process until `unpause`. Its kernel continues to accept connections and to receive.
    void pause(const std::string& name) {
        for (auto& endpoint : of(name)) endpoint->pause(true);
    }
    void unpause(const std::string& name) {
        for (auto& endpoint : of(name)) endpoint->pause(false);
    }
    /// From now on the node's clock runs at `rate`, after a leap of `ahead`, also in later incarnations.
    void set_clock(const std::string& name, double rate, Duration ahead = {}) {
        nodes_[name].clock.set(schedule_.now(), rate, ahead);
        for (auto& endpoint : of(name)) endpoint->rearm();
    }

    /// The open endpoints of a node. There is at most one for a server.
    std::vector<std::shared_ptr<Endpoint>> of(const std::string& name) const {
        std::vector<std::shared_ptr<Endpoint>> lives;
        for (const auto& [id, endpoint] : endpoints_)
            if (endpoint->name() == name) lives.push_back(endpoint);
        return lives;
    }
    // ---- for transports ------------------------------------------------------------------------------------

    /// Opens the endpoint of a new incarnation. Throws `std::system_error` with `error::invalid_options`, or with
    /// `address_in_use` if another transport listens at this address.
    std::shared_ptr<Endpoint> open(TransportOptions options, std::string name) {
        if (auto wrong = options.validate(); !wrong.empty()) throw std::system_error{error::invalid_options, wrong};
        const auto id = ++last_endpoint_;
        if (!options.listen.empty()) name = options.advertise.empty() ? options.listen : options.advertise;
        if (name.empty()) name = "client-" + std::to_string(id);
        const auto listen = options.listen;
        if (listeners_.contains(listen) || (!listen.empty() && listeners_.contains(name)))
            throw std::system_error{make_error_code(std::errc::address_in_use), listen};
        auto& node = nodes_[name];
        node.off = false;
        node.sends_left = 0;
        auto endpoint =
            std::make_shared<Endpoint>(schedule_, node, id, name, std::move(options), random_.split(name, id));
        endpoints_.emplace(id, endpoint);
        if (!listen.empty()) listeners_[listen] = listeners_[name] = endpoint;
        if (listen != name) names_[listen] = name;
        return endpoint;
    }

    /// Closes an endpoint and all its connections; the other ends get `Disconnected`.
    void close(const std::shared_ptr<Endpoint>& endpoint) {
        if (endpoint->closed()) return;
        std::erase_if(listeners_, [&](const auto& listener) { return listener.second == endpoint; });
        endpoints_.erase(endpoint->id());
        endpoint->close();
        for (const auto& [peer, name] : std::exchange(endpoint->connections, {}))
            if (auto* connection = find(name.connection)) end(*connection, name.side, "closed", Notify::yes);
    }

    /// Sets a function that is called with every frame when a process sends it, even if the frame is lost afterwards.
    void on_send(std::function<void(const Packet&)> seen) { seen_ = std::move(seen); }

    /// Sends a payload; dials if there is no connection. A payload to a reply address whose connection has ended is
    /// dropped. A connection whose send queue would exceed `max_send_queue` is ended.
    void send(const std::shared_ptr<Endpoint>& endpoint, const Address& to, std::string payload) {
        if (seen_) seen_({schedule_.now(), endpoint->name(), to, payload});
        if (auto& left = nodes_.at(endpoint->name()).sends_left; left != 0 && --left == 0)
            return crash(endpoint->name());
        auto known = endpoint->connections.find(to);
        const bool connected = known != endpoint->connections.end();
        if (!connected && to.find('#') != Address::npos) return;  // a reply address whose connection has ended
        const auto name = connected ? known->second : EndName{dial(endpoint, to, false), 0};
        auto& connection = connections_.at(name.connection);
        auto& sender = connection.ends[name.side];
        if (sender.outstanding + payload.size() > endpoint->options().max_send_queue)
            return end(connection, name.side, "send queue is full", Notify::yes);
        if (name.side == 1 || connection.established) return send_frame(connection, name.side, std::move(payload));
        sender.outstanding += payload.size();
        connection.queue.push_back(std::move(payload));
    }

    void probe(const std::shared_ptr<Endpoint>& endpoint, const Address& address) { dial(endpoint, address, true); }

    void pause_reading(Endpoint& endpoint, const Address& peer) {
        auto* reader = find_end(endpoint, peer);
        if (!reader) return;
        reader->paused = true;
        endpoint.bar(reader->source, true);
    }
    void resume_reading(Endpoint& endpoint, const Address& peer) {
        auto* reader = find_end(endpoint, peer);
        if (!reader) return;
        reader->paused = false;
        read_on(endpoint, peer);
    }

    /// Takes the events of one turn from the receive queue, and removes their bytes from the senders' queues. Then
    /// reads on from peers whose queue was full.
    TransportEvents take(Endpoint& endpoint) {
        TransportEvents arrivals;
        for (auto& item : endpoint.take()) {
            if (auto* connection = find(item.sender.connection))
                has_left(connection->ends[item.sender.side], item.bytes);
            arrivals.push_back(std::move(item.arrival));
        }
        for (const auto& peer : std::exchange(endpoint.stalled, {})) read_on(endpoint, peer);
        return arrivals;
    }

private:
    using Kind = Segment::Kind;
    enum class Notify { no, yes };  // whether the other end learns of it

    Connection* find(ConnectionId id) {
        auto found = connections_.find(id);
        return found == connections_.end() ? nullptr : &found->second;
    }
    End* find_end(Endpoint& endpoint, const Address& peer) {
        auto found = endpoint.connections.find(peer);
        if (found == endpoint.connections.end()) return nullptr;
        return &connections_.at(found->second.connection).ends[found->second.side];
    }
    bool is_off(const std::string& name) const {
        auto found = nodes_.find(name);
        return found != nodes_.end() && found->second.off;
    }
    void note(std::string_view from, std::string_view to, std::string_view what) {
        schedule_.fold(from, to, what);
        if (schedule_.traced())
            schedule_.trace_line(std::string{from} + " -> " + std::string{to} + ": " + std::string{what});
    }

    // ---- dialling ------------------------------------------------------------------------------------------

    /// Creates a connection and sends its dial, after the backoff of this address; probes ignore the backoff. Fails the
    /// dial after `connect_timeout`.
    ConnectionId dial(const std::shared_ptr<Endpoint>& endpoint, const Address& to, bool probe) {
        const auto id = ++last_connection_;
        auto& connection = connections_[id];
        connection.id = id;
        connection.probe = probe;
        auto alias = names_.find(to);
        connection.ends[0].name = endpoint->name();
        connection.ends[0].owner = endpoint;
        connection.ends[0].peer = to;
        connection.ends[0].source = std::make_shared<Source::element_type>(true);
        connection.ends[1].name = alias == names_.end() ? to : alias->second;
        auto start = schedule_.now();
        if (!probe) {
            endpoint->connections[to] = {id, 0};
            start = std::max(start, endpoint->backoffs[to].not_before);
        }
        schedule_.at(start, [this, id] {
            if (auto* dialling = find(id)) transmit(*dialling, {Kind::dial, {id, 0}});
        });
        schedule_.at(after(start, endpoint->options().connect_timeout), [this, id] {
            if (auto* dialling = find(id); dialling && !dialling->established)
                fail_dial(*dialling, "connect timed out", ProbeResult::unknown);
        });
        return id;
    }

    /// A dial has arrived: accepts or refuses it. A probe needs only the answer. Above `max_connections` the connection
    /// is accepted and ended at once.
    void accept(Connection& connection) {
        const auto id = connection.id;
        auto listener = listeners_.find(connection.ends[0].peer);
        if (listener == listeners_.end() || refusing_.contains(connection.ends[0].peer))
            return transmit(connection, {Kind::refused, {id, 1}});
        auto& endpoint = listener->second;
        transmit(connection, {Kind::accepted, {id, 1}});
        if (connection.probe) return;
        if (endpoint->accepted >= endpoint->options().max_connections)
            return transmit(connection, {Kind::ended, {id, 1}, "too many connections"});
        auto& acceptor = connection.ends[1];
        acceptor.owner = endpoint;
        acceptor.peer = endpoint->name() + "#" + std::to_string(id);
        endpoint->connections[acceptor.peer] = {id, 1};
        ++endpoint->accepted;
    }

    /// The acceptance has arrived at the dialler: sends the queued payloads. If the dialler has closed meanwhile, ends
    /// the connection.
    void establish(Connection& connection) {
        auto& dialler = connection.ends[0];
        if (!dialler.open()) return transmit(connection, {Kind::ended, {connection.id, 0}, "closed"});
        if (connection.probe) return end_probe(connection, ProbeResult::alive);
        connection.established = true;
        dialler.owner->backoffs.erase(dialler.peer);
        dialler.outstanding = 0;
        for (auto& payload : std::exchange(connection.queue, {})) send_frame(connection, 0, std::move(payload));
    }

    /// A dial was refused or timed out: doubles the backoff within its limits, with jitter, and ends the connection.
    void fail_dial(Connection& connection, const std::string& why, ProbeResult result) {
        auto& dialler = connection.ends[0];
        if (connection.probe) return end_probe(connection, result);
        if (dialler.open()) {
            const auto& options = dialler.owner->options();
            auto& backoff = dialler.owner->backoffs[dialler.peer];
            backoff.wait = std::min(options.redial_last, std::max(options.redial_first, backoff.wait * 2));
            backoff.not_before = after(schedule_.now(), random_.between(backoff.wait / 2, backoff.wait));
        }
        end(connection, 0, why, Notify::yes);
    }

    void end_probe(Connection& connection, ProbeResult result) {
        auto& prober = connection.ends[0];
        note(connection.ends[1].name, prober.name, "probed " + std::to_string(static_cast<int>(result)));
        if (prober.open()) prober.owner->arrive({}, {Probed{prober.peer, result}, {}, 0});
        connections_.erase(connection.id);
    }

    // ---- on the wire ---------------------------------------------------------------------------------------

    /// Sends one frame. Filters, loss and repeats decide how many copies are sent, and when.
    void send_frame(Connection& connection, std::size_t side, std::string payload) {
        auto& sender = connection.ends[side];
        const auto& receiver = connection.ends[1 - side];
        const auto& link = links_.quality(sender.name, receiver.name);
        const auto fate = links_.judge({schedule_.now(), sender.name, receiver.name, payload}, link);
        for (int copy = 1; copy <= fate.copies; ++copy) {
            sender.outstanding += payload.size();
            note_backlog(sender, side == 1);
            auto text = copy == fate.copies ? std::move(payload) : payload;
            const bool repeat = copy > 1;
            const auto later = repeat ? links_.lateness(link) : Duration{};
            transmit(connection, {Kind::frame, {connection.id, side}, std::move(text), fate.delay + later, repeat});
        }
    }

    /// Puts a segment on the wire: it is lost, held, or arrives after the latency of the link.
    void transmit(Connection& connection, Segment segment) {
        auto& sender = connection.ends[segment.sender.side];
        const auto& receiver = connection.ends[1 - segment.sender.side];
        if (is_off(sender.name) || links_.is_cut(sender.name, receiver.name)) return lose(sender, segment);
        if (auto held = held_.find({sender.name, receiver.name}); held != held_.end())
            return held->second.push_back(std::move(segment));
        const auto time = arrival(sender, links_.quality(sender.name, receiver.name), segment);
        schedule_.at(time, [this, moved = std::move(segment)]() mutable { arrive(std::move(moved)); });
    }

    /// When a segment arrives. Segments that are sent at the same time over one connection arrive together, like data
    /// of one write. A segment does not overtake an earlier one of its connection, unless it is a repeat or the link
    /// reorders.
    Time arrival(End& sender, const LinkQuality& link, const Segment& segment) {
        const auto now = schedule_.now();
        const bool overtakes = segment.repeat || (link.reorder && segment.kind == Kind::frame);
        const bool alone = overtakes || segment.delay > Duration{} || sender.sent_at != now;
        auto time = alone ? after(now, links_.latency(link) + segment.delay) : sender.arrives_at;
        if (!overtakes) time = std::max(time, sender.arrives_at);
        if (segment.repeat) return time;
        sender.sent_at = now;
        sender.arrives_at = std::max(sender.arrives_at, time);
        return time;
    }

    /// A segment was lost: its bytes no longer wait in the sender's queue.
    void lose(End& sender, const Segment& segment) {
        if (segment.kind == Kind::frame) has_left(sender, segment.text.size());
    }

    void has_left(End& sender, std::size_t bytes) {
        sender.outstanding -= bytes;
        note_backlog(sender, sender.full);
    }

    /// Flow control: an acceptor does not read from a connection while `full_send_queue` bytes of its own output wait
    /// there, until at most half of that waits. Otherwise a peer that sends requests and reads no answers would fill
    /// its memory. The owner gets a `Backlog` event at both changes.
    void note_backlog(End& sender, bool accepted) {
        if (!accepted || !sender.open()) return;
        auto& owner = *sender.owner;
        const auto most = owner.options().full_send_queue;
        if (sender.full == (sender.outstanding >= (sender.full ? most / 2 + 1 : most))) return;
        const bool full = sender.full = !sender.full;
        owner.arrive({}, {Backlog{sender.peer, full}, {}, 0});
        if (full) return owner.bar(sender.source, true);
        // In a separate event, because reading may end connections that the callers still use.
        schedule_.at(schedule_.now(), [this, weak = std::weak_ptr{sender.owner}, peer = sender.peer] {
            if (auto endpoint = weak.lock()) read_on(*endpoint, peer);
        });
    }

    /// A segment reaches the other end. Cuts and power cuts that began while it was under way lose it too.
    void arrive(Segment segment) {
        auto* connection = find(segment.sender.connection);
        if (!connection) return;
        const auto side = 1 - segment.sender.side;
        auto &sender = connection->ends[segment.sender.side], &receiver = connection->ends[side];
        if (is_off(receiver.name) || links_.is_cut(sender.name, receiver.name)) return lose(sender, segment);
        switch (segment.kind) {
            case Kind::dial: return accept(*connection);
            case Kind::accepted: return establish(*connection);
            case Kind::refused: return fail_dial(*connection, "connection refused", ProbeResult::refused);
            case Kind::ended:
                if (receiver.open())
                    receive(*connection, side, {Disconnected{receiver.peer, std::move(segment.text)}, {}, 0});
                return;
            case Kind::frame: break;
        }
        note(sender.name, receiver.name, segment.text);
        if (!receiver.open()) {
            lose(sender, segment);
            return transmit(*connection, {Kind::ended, {connection->id, side}, "connection reset"});
        }
        const auto bytes = segment.text.size();
        receive(*connection, side, {Delivered{receiver.peer, std::move(segment.text)}, segment.sender, bytes});
    }

    // ---- at an end -----------------------------------------------------------------------------------------

    /// Reads an item, or queues it behind others while this end does not read.
    void receive(Connection& connection, std::size_t side, Item item) {
        auto& receiver = connection.ends[side];
        if (receiver.unread.empty() && may_read(receiver)) return read(connection, side, std::move(item));
        receiver.unread.push_back(std::move(item));
    }

    /// Whether this end reads now: it is not paused, its output is not full, and the receive queue has room.
    bool may_read(End& receiver) {
        if (receiver.paused || receiver.full) return false;
        const bool may = receiver.owner->may_arrive(receiver.source);
        if (!may) receiver.owner->stalled.insert(receiver.peer);
        return may;
    }

    /// Reads the queued items of a peer while it may. It looks the connection up again after each item, because reading
    /// may end it.
    void read_on(Endpoint& endpoint, const Address& peer) {
        for (auto* reader = find_end(endpoint, peer); reader; reader = find_end(endpoint, peer)) {
            if (!reader->paused && !reader->full) endpoint.bar(reader->source, false);
            if (reader->unread.empty() || !may_read(*reader)) return;
            const auto name = endpoint.connections.find(peer)->second;
            auto item = std::move(reader->unread.front());
            reader->unread.pop_front();
            read(connections_.at(name.connection), name.side, std::move(item));
        }
    }

    /// Handles one item as the framing code of a socket does: the end of the connection, a frame above `max_frame`, a
    /// payload that is not JSON, or a valid payload, which goes to the receive queue.
    void read(Connection& connection, std::size_t side, Item item) {
        auto& receiver = connection.ends[side];
        if (auto* gone = std::get_if<Disconnected>(&item.arrival)) return end(connection, side, gone->why, Notify::no);
        const auto& payload = std::get<Delivered>(item.arrival).payload;
        const auto limit = receiver.owner->options().max_frame;
        if (payload.size() > limit)
            return refuse(connection, side, error::too_large,
                          "a frame is larger than max_frame, " + std::to_string(limit) + " bytes");
        if (payload.empty() || (payload[0] != '{' && payload[0] != '['))
            return refuse(connection, side, error::parse_error, "a payload does not start with { or [");
        receiver.owner->arrive(receiver.source, std::move(item));
    }

    /// The peer broke the framing: emits `ProtocolError`, sends an error to the peer, and ends the connection.
    void refuse(Connection& connection, std::size_t side, error code, const std::string& what) {
        auto& receiver = connection.ends[side];
        note(connection.ends[1 - side].name, receiver.name, "broken: " + what);
        receiver.owner->arrive(receiver.source, {ProtocolError{receiver.peer, code, what}, {}, 0});
        const auto number = std::to_string(wire_code(code));
        send_frame(connection, side,
                   R"({"jsonrpc":"2.0","id":null,"error":{"code":)" + number + R"(,"message":")" + what + R"("}})");
        end(connection, side, what, Notify::yes);
    }

    /// Closes one end; its owner gets `Disconnected`. With `Notify::yes` a segment is sent to the other end, which
    /// closes when it arrives. The connection is erased when both ends are closed.
    void end(Connection& connection, std::size_t side, const std::string& why, Notify notify) {
        auto& closing = connection.ends[side];
        if (auto owner = std::exchange(closing.owner, nullptr)) {
            note(connection.ends[1 - side].name, closing.name, "gone: " + why);
            owner->connections.erase(closing.peer);
            if (side == 1) --owner->accepted;
            owner->bar(closing.source, false);
            owner->arrive(closing.source, {Disconnected{closing.peer, why}, {}, 0});
        }
        if (notify == Notify::yes) transmit(connection, {Kind::ended, {connection.id, side}, "closed by peer"});
        if (!connection.ends[0].open() && !connection.ends[1].open()) connections_.erase(connection.id);
    }

    Schedule& schedule_;
    std::function<void(const Packet&)> seen_;
    Random random_;
    Links links_;
    std::set<std::string> refusing_;
    std::map<std::string, Node> nodes_;  // a map, so that references from endpoints stay valid
    std::map<EndpointId, std::shared_ptr<Endpoint>> endpoints_;
    std::map<Address, std::shared_ptr<Endpoint>> listeners_;
    std::map<Address, std::string> names_;  // listen address to name, of nodes that advertise another address
    std::map<ConnectionId, Connection> connections_;
    std::map<std::pair<std::string, std::string>, std::deque<Segment>> held_;
    EndpointId last_endpoint_ = 0;
    ConnectionId last_connection_ = 0;
};

}  // namespace understudy::sim
