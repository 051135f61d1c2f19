// The implementation of a socket transport behind its handle: the table of peers that are connected, are being dialled,
// or wait for a redial. The handle and every pending operation share ownership, so that the handle may be destroyed at
// any time.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <understudy/net/acceptor.hpp>
#include <understudy/net/address.hpp>
#include <understudy/net/backoff.hpp>
#include <understudy/net/connect.hpp>
#include <understudy/net/connection.hpp>
#include <understudy/net/connection_limits.hpp>
#include <understudy/net/listen.hpp>
#include <understudy/net/receive_queue.hpp>
#include <understudy/net/routes.hpp>
#include <understudy/options.hpp>
#include <understudy/transport.hpp>

namespace understudy::net {

/// The connection manager of one transport. Create it with `open` and end it with `close`. Not thread-safe: everything
/// runs on the executor.
class ConnectionManager final : public ConnectionOwner, public std::enable_shared_from_this<ConnectionManager> {
public:
    /// Creates a connection manager, which listens if the options name an address (see `listen_as`). Throws
    /// `std::system_error`.
    static std::shared_ptr<ConnectionManager> open(const asio::any_io_executor& executor, TransportOptions options,
                                             Schemes schemes) {
        auto manager = std::make_shared<ConnectionManager>(Private{}, executor, std::move(options), schemes);
        manager->queue_ =
            std::make_shared<ReceiveQueue>(executor, manager->options_.max_turn, [weak = manager->weak_from_this()] {
                if (auto self = weak.lock()) self->after_turn();
            });
        const auto emit = [weak = manager->weak_from_this()](TransportEvent arrival) {
            if (auto self = weak.lock()) self->queue_->push(std::move(arrival));
        };
        // A plain pointer is safe: the limits call this only until `close`, and nothing calls them after it.
        const auto open = [manager = manager.get()] { return manager->accepted_; };
        manager->limits_ = std::make_shared<ConnectionLimits>(executor, manager->options_, emit, open,
                                                               manager->queue_);
        manager->listen();
        return manager;
    }

    struct Private {};
    ConnectionManager(Private, const asio::any_io_executor& executor, TransportOptions options, Schemes schemes)
        : executor_{executor}, options_{std::move(options)}, schemes_{schemes}, random_{seeded()} {}

    const asio::any_io_executor& executor() const { return executor_; }
    const Address& local() const { return local_; }
    ReceiveQueue& queue() { return *queue_; }
    std::uint64_t random() { return random_(); }
    std::size_t max_frame() const { return options_.max_frame; }

    /// Queues a payload, and dials the address if there is no connection. Nothing happens for a reply address whose
    /// connection has ended. Never blocks and never reports; a failure shows as a `Disconnected` event.
    void send(const Address& to, std::string_view payload) {
        if (queue_->closed()) return;
        auto found = peers_.find(to);
        if (found == peers_.end()) {
            if (is_reply_address(to)) return;  // its connection has ended
            prune();
            found = peers_.try_emplace(to).first;
        }
        // Keep a reference: `send` may end the connection, and so may `dial` if the address is refused at once. Both
        // would erase `found`.
        const auto connection = found->second.connection ? found->second.connection : dial(to, found->second);
        connection->send(payload);
    }
    /// The same, and notes in `to` which connection that is.
    void send_to(const Peer& to, std::string_view payload) {
        if (to.address().empty()) return send(to.address(), payload);
        if (auto* connection = routes_.find(to.route())) return connection->send(payload);
        send(to.address(), payload);
        if (const auto connection = find(to)) to.route() = connection->route;
    }

    /// As `send_to`, for a payload that is written in place: append it to the string, then call `end_frame` or
    /// `drop_frame` before anything else. Null if `send_to` has to be called instead.
    std::string* begin_frame(const Peer& to) {
        writing_ = to.address().empty() ? nullptr : routes_.find(to.route());
        return writing_ ? writing_->begin_frame() : nullptr;
    }
    void end_frame() { std::exchange(writing_, nullptr)->end_frame(); }
    void drop_frame() { std::exchange(writing_, nullptr)->drop_frame(); }

    /// Why this address can never be dialled, or an empty text.
    std::string objection(const Address& address) const {
        const auto parsed = parse_address(address, schemes_);
        const auto* wrong = std::get_if<std::string>(&parsed);
        return wrong ? *wrong : std::string{};
    }

    /// Connects anew to see whether anything listens at the address; one `Probed` event follows. The result is
    /// `unknown` for an address that cannot be dialled.
    void probe(const Address& address) {
        auto parsed = parse_address(address, schemes_);
        if (queue_->closed()) return;
        if (std::holds_alternative<std::string>(parsed) || is_reply_address(address))
            return queue_->push(Probed{address, ProbeResult::unknown});
        auto target = std::get<Target>(std::move(parsed));
        asio::co_spawn(executor_, probe(shared_from_this(), address, new_connector(), std::move(target)),
                       asio::detached);
    }

    void pause(const Address& peer) {
        if (const auto connection = find(peer)) connection->pause();
    }
    void resume(const Address& peer) {
        if (const auto connection = find(peer)) connection->resume();
    }

    /// The last payload of this peer was not a message. An accepted connection that has sent no message so far counts
    /// as silent again, from the tick at which it was accepted.
    void malformed(const Address& peer) {
        const auto found = peers_.find(peer);
        if (found == peers_.end() || !found->second.connection) return;
        const auto& connection = found->second.connection;
        connection->malformed();
        if (!connection->dialled() && !connection->said_something())
            limits_->is_silent(found->second.number, connection, found->second.accepted);
    }

    /// Flushes what was sent to the kernel once more, without waiting, and then ends everything: the listener, all
    /// connectors and connections, and a pending `next` (with `error::closed`). It may be called again.
    void close() {
        if (queue_->closed()) return;
        flush();
        queue_->close();
        listening_path_.release();
        for (const auto& acceptor : std::exchange(acceptors_, {})) acceptor->close();
        for (const auto& connector : std::exchange(connectors_, {})) connector->cancel();
        routes_.clear();
        auto end = [peers = std::exchange(peers_, {})] {
            for (const auto& [name, peer] : peers)
                if (peer.connection) peer.connection->close();
        };
        // A connection whose message is being handled lends its buffer until that returns.
        if (queue_->handling()) asio::post(executor_, std::move(end));
        else end();
        for (const auto& connection : std::exchange(leaving_, {})) connection->close();
        stalled_.clear();
        limits_->close();
        progress_.reset();
    }

private:
    struct Known {
        std::shared_ptr<Connection> connection;  // null: waits for a redial
        Backoff backoff;
        std::uint64_t number = 0;    // of an accepted connection; 0 for a dialled one
        std::uint64_t accepted = 0;  // the tick of the limits at which it was accepted
    };

    // ---- listening ---------------------------------------------------------------------------------------

    void listen() {
        auto listening = listen_as(options_, schemes_);
        local_ = listening.advertise;
        listening_path_ = std::move(listening.path);
        unix_name_ = "unix://" + listening.target.path;
        const auto accepted = [weak = weak_from_this()](Descriptor taken) {
            if (auto self = weak.lock()) self->accept(std::move(taken));
        };
        const auto failed = [weak = std::weak_ptr{limits_}](std::error_code fault) {
            if (auto limits = weak.lock()) limits->out_of_descriptors(fault);
        };
        for (auto& socket : listening.sockets)
            acceptors_.push_back(std::make_shared<Acceptor>(executor_, std::move(socket), accepted, failed));
        for (const auto& acceptor : acceptors_) acceptor->start();
    }

    void accept(Descriptor descriptor) {
        if (queue_->closed() || !limits_->admit(descriptor)) return;  // closes the descriptor
        asio::generic::stream_protocol::endpoint remote;
        auto size = static_cast<socklen_t>(remote.capacity());
        if (::getpeername(descriptor.get(), remote.data(), &size) != 0) return;  // has disconnected already
        remote.resize(size);
        const auto family = remote.protocol().family();
        auto name = reply_address(remote);
        if (family != AF_UNIX) tune_tcp(descriptor.get());
        auto socket = adopt_socket(executor_, family, std::move(descriptor));
        if (!socket.is_open()) return;

        const auto connection = connect_to(name, false);
        ++accepted_;
        auto& peer = peers_.try_emplace(std::move(name)).first->second;
        peer.connection = connection;
        peer.number = last_number_;
        peer.accepted = limits_->ticks();
        limits_->is_silent(peer.number, connection, peer.accepted);
        connection->open(std::move(socket));
    }

    // The name of an accepted connection: the peer's address for human readers, where there is one, and a number that
    // is never used again. The number makes it unique; an address alone could belong to a later connection.
    Address reply_address(const asio::generic::stream_protocol::endpoint& remote) {
        const auto number = "#" + std::to_string(++last_number_);
        if (remote.protocol().family() == AF_UNIX) return unix_name_ + number;
        asio::ip::tcp::endpoint endpoint;
        std::memcpy(endpoint.data(), remote.data(), remote.size());
        const auto host = endpoint.address().to_string();
        return format_address({.scheme = Schemes::tcp, .host = host, .port = endpoint.port(), .path = {}}) + number;
    }

    // ---- dialling ----------------------------------------------------------------------------------------

    /// Begins to dial and returns the new connection. It may have ended already, because the coroutine may begin, and
    /// fail, within `co_spawn`. The dial starts after the remaining backoff of this peer.
    std::shared_ptr<Connection> dial(const Address& to, Known& peer) {
        auto connection = peer.connection = connect_to(to, true);
        const auto delay = peer.backoff.left(boot_time());
        asio::co_spawn(executor_, reach(shared_from_this(), connection, new_connector(), delay), asio::detached);
        return connection;
    }

    static asio::awaitable<void> reach(std::shared_ptr<ConnectionManager> self, std::shared_ptr<Connection> connection,
                                       std::shared_ptr<Connector> connector, Duration delay) {
        if (delay > Duration{}) co_await connector->rest(delay);
        if (self->queue_->closed()) co_return;
        auto parsed = parse_address(connection->peer().address(), self->schemes_);
        if (auto* wrong = std::get_if<std::string>(&parsed)) {
            connection->end(std::move(*wrong));
        } else {
            auto outcome = co_await connector->run(std::get<Target>(std::move(parsed)), self->options_.connect_timeout);
            if (self->queue_->closed()) co_return;
            if (outcome.fault)
                connection->end("cannot connect: " + outcome.fault.message());
            else
                connection->open(std::move(outcome.socket));
        }
        self->connectors_.erase(connector);
    }

    // Probes an address. Even if a unix socket refuses, a process that holds the lock of its path is alive: its socket
    // file may have been removed, or replaced. Without this check such a process would be declared dead.
    static asio::awaitable<void> probe(std::shared_ptr<ConnectionManager> self, Address address,
                                         std::shared_ptr<Connector> connector, Target target) {
        const std::string path = target.path;
        const auto outcome = co_await connector->run(std::move(target), self->options_.connect_timeout);
        self->connectors_.erase(connector);
        auto result = classify(outcome);
        if (result == ProbeResult::refused && !path.empty() && UnixPath::is_held(path)) result = ProbeResult::alive;
        self->queue_->push(Probed{std::move(address), result});
    }

    std::shared_ptr<Connector> new_connector() {
        return *connectors_.insert(std::make_shared<Connector>(executor_)).first;
    }

    std::shared_ptr<Connection> connect_to(const Address& name, bool dialled) {
        auto connection = std::make_shared<Connection>(executor_, shared_from_this(), name, dialled, options_);
        routes_.add(*connection);
        return connection;
    }

    std::shared_ptr<Connection> find(const Address& peer) const {
        const auto found = peers_.find(peer);
        return found == peers_.end() ? nullptr : found->second.connection;
    }

    // Drops the backoff of addresses whose wait is over. Without this, the table would grow with every address that was
    // ever dialled in vain. The threshold doubles with the table, so the cost is amortized O(1) for each new address.
    void prune() {
        if (peers_.size() < prune_at_) return;
        const auto now = boot_time();
        std::erase_if(peers_, [now](const auto& entry) {
            return !entry.second.connection && entry.second.backoff.left(now) == Duration{};
        });
        prune_at_ = std::max<std::size_t>(1024, peers_.size() * 2);
    }

    // ---- ConnectionOwner ---------------------------------------------------------------------------------

    bool may_deliver(Connection& connection) override {
        if (queue_->may_deliver(connection.source())) return true;
        if (connection.note_stalled(true)) stalled_.push_back(connection.shared_from_this());
        return false;
    }
    void backlog(Connection& connection, bool full) override { queue_->push(Backlog{connection.peer(), full}); }
    void awaits_room(Connection&) override { check_progress_later(); }
    void bar(Connection& connection, bool on) override { queue_->bar(connection.source(), on); }

    // Within a turn `after_turn` flushes: all messages that one turn sends to one peer leave in one write. Outside of a
    // turn a posted flush does the same for all that is sent until it runs.
    void flush_later(Connection& connection) override {
        unflushed_.push_back(connection.shared_from_this());
        if (queue_->in_turn() || flush_posted_) return;
        flush_posted_ = true;
        asio::post(executor_, [self = shared_from_this()] { self->flush(); });
    }

    bool deliver(Connection& connection, std::string_view payload) override {
        queue_->deliver(connection.source(), connection.peer(), payload);
        return may_deliver(connection);
    }
    void delivered() override {
        limits_->relieve();
        queue_->delivered();
    }
    ConnectionMemory& memory() override { return limits_->memory(); }
    void attend(Connection& connection) override { limits_->attend(connection.shared_from_this()); }
    void exceeded(Connection& connection, error code, std::string what) override {
        queue_->push(connection.source(), ProtocolError{connection.peer(), code, std::move(what)});
    }

    void broken(Connection& connection, error code, std::string what) override {
        queue_->push(connection.source(), ProtocolError{connection.peer(), code, what});
        leaving_.insert(connection.shared_from_this());
        forget(connection, std::move(what), true);
    }

    // Lifts the bar, so that `Disconnected` is delivered even if the connection was paused.
    void half_closed(Connection& connection, std::string why) override {
        queue_->bar(connection.source(), false);
        queue_->push(connection.source(), Disconnected{connection.peer(), std::move(why)});
    }

    void ended(Connection& connection, std::string why) override {
        if (!connection.dialled()) --accepted_;
        forget(connection, std::move(why), !connection.heard());
    }

    void released(Connection& connection) override {
        if (!connection.dialled()) --accepted_;
        leaving_.erase(connection.shared_from_this());
    }

    // Emits `Disconnected`, unless `half_closed` did, and removes the connection from its peer. `failed` says that the
    // connection was of no use; then the peer's backoff grows. Otherwise the peer is erased, and with it its backoff.
    void forget(Connection& connection, std::string why, bool failed) {
        if (!connection.half_closed()) {
            queue_->bar(connection.source(), false);
            queue_->push(connection.source(), Disconnected{connection.peer(), std::move(why)});
        }
        const auto found = peers_.find(connection.peer());
        if (found == peers_.end() || found->second.connection.get() != &connection) return;
        const auto keep_alive = std::exchange(found->second.connection, nullptr);
        routes_.remove(connection);
        limits_->ended(found->second.number);
        if (connection.dialled() && failed)
            found->second.backoff.lengthen(boot_time(), options_.redial_first, options_.redial_last, random());
        else
            peers_.erase(found);
    }

    // ---- between turns -----------------------------------------------------------------------------------

    void after_turn() {
        flush();
        if (stalled_.empty()) return;
        for (const auto& connection : std::exchange(stalled_, {})) {
            connection->note_stalled(false);
            if (may_deliver(*connection)) connection->resume_reading();
        }
    }

    // One timer for all accepted connections. It runs only while at least one peer does not take what it is sent.
    void check_progress_later() {
        if (progress_) return;
        progress_.emplace(executor_);
        progress_->expires_after(options_.write_timeout / 2);
        progress_->async_wait([weak = weak_from_this()](std::error_code fault) {
            if (auto self = weak.lock(); self && !fault) self->check_progress();
        });
    }
    void check_progress() {
        progress_.reset();
        std::vector<std::shared_ptr<Connection>> all;  // a copy: a connection that ends is erased from `peers_`
        for (const auto& [name, peer] : peers_)
            if (peer.connection && !peer.connection->dialled()) all.push_back(peer.connection);
        bool waits = false;
        for (const auto& connection : all) waits = connection->check_progress() || waits;
        if (waits) check_progress_later();
    }

    void flush() {
        flush_posted_ = false;
        flushing_.swap(unflushed_);
        for (const auto& connection : flushing_) connection->flush();
        flushing_.clear();
    }

    // Seeds with 256 random bits; a 32-bit seed could give two nodes the same sequence.
    static std::mt19937_64 seeded() {
        std::random_device source;
        std::array<std::uint32_t, 8> words;
        std::ranges::generate(words, std::ref(source));
        std::seed_seq seed(words.begin(), words.end());
        return std::mt19937_64{seed};
    }

    asio::any_io_executor executor_;
    TransportOptions options_;
    Schemes schemes_;
    std::mt19937_64 random_;
    std::shared_ptr<ReceiveQueue> queue_;
    std::shared_ptr<ConnectionLimits> limits_;
    Address local_;
    UnixPath listening_path_;
    Address unix_name_;
    std::vector<std::shared_ptr<Acceptor>> acceptors_;
    std::unordered_map<Address, Known> peers_;
    Routes routes_;  // to the connections in `peers_`
    Connection* writing_ = nullptr;  // in whose buffer a frame is being written
    std::unordered_set<std::shared_ptr<Connector>> connectors_;
    std::unordered_set<std::shared_ptr<Connection>> leaving_;  // broken ones that still send the error and linger
    std::vector<std::shared_ptr<Connection>> stalled_;         // wait until the frames they delivered are handled
    std::vector<std::shared_ptr<Connection>> unflushed_;
    std::vector<std::shared_ptr<Connection>> flushing_;
    std::optional<asio::steady_timer> progress_;               // set while a peer takes nothing
    std::size_t accepted_ = 0;
    std::size_t prune_at_ = 1024;
    std::uint64_t last_number_ = 0;
    bool flush_posted_ = false;
};

}  // namespace understudy::net
