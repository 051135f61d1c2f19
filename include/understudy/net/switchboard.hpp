// What a socket transport is behind its handle: who is connected, who is being dialled, and who may not be yet.
// Shared by the handle and by whatever is under way, so that a handle may go at any time.
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
#include <understudy/net/doorbell.hpp>
#include <understudy/net/listen.hpp>
#include <understudy/options.hpp>
#include <understudy/transport.hpp>

namespace understudy::net {

/// To be made by `open`, and ended by `close`.
class Switchboard final : public ConnectionOwner, public std::enable_shared_from_this<Switchboard> {
public:
    /// Listens, if the options say so. Throws `std::system_error`.
    static std::shared_ptr<Switchboard> open(const asio::any_io_executor& executor, TransportOptions options,
                                             Schemes schemes) {
        auto board = std::make_shared<Switchboard>(Private{}, executor, std::move(options), schemes);
        board->bell_ = std::make_shared<Doorbell>(executor, board->options_.max_turn, [weak = board->weak_from_this()] {
            if (auto self = weak.lock()) self->after_turn();
        });
        const auto tell = [weak = board->weak_from_this()](Arrival arrival) {
            if (auto self = weak.lock()) self->bell_->push(std::move(arrival));
        };
        const auto open = [board = board.get()] { return board->accepted_; };  // which outlives the limits' use of it
        board->limits_ = std::make_shared<ConnectionLimits>(executor, board->options_, tell, open);
        board->listen();
        return board;
    }

    struct Private {};
    Switchboard(Private, const asio::any_io_executor& executor, TransportOptions options, Schemes schemes)
        : executor_{executor}, options_{std::move(options)}, schemes_{schemes}, random_{seeded()} {}

    const asio::any_io_executor& executor() const { return executor_; }
    const Address& local() const { return local_; }
    Doorbell& bell() { return *bell_; }
    std::uint64_t random() { return random_(); }
    std::size_t max_frame() const { return options_.max_frame; }

    void send(const Address& to, std::string_view payload) {
        if (bell_->closed()) return;
        auto found = peers_.find(to);
        if (found == peers_.end()) {
            if (is_reply_address(to)) return;  // its connection has ended
            prune();
            found = peers_.try_emplace(to).first;
        }
        // Sending may end the connection, and so may dialling, where an address is refused at once.
        const auto connection = found->second.connection ? found->second.connection : dial(to, found->second);
        connection->send(payload);
    }

    /// Why that address can never be dialled, or nothing.
    std::string objection(const Address& address) const {
        const auto parsed = parse_address(address, schemes_);
        const auto* wrong = std::get_if<std::string>(&parsed);
        return wrong ? *wrong : std::string{};
    }

    void probe(const Address& address) {
        auto parsed = parse_address(address, schemes_);
        if (bell_->closed()) return;
        if (std::holds_alternative<std::string>(parsed) || is_reply_address(address))
            return bell_->push(Probed{address, ProbeResult::unknown});
        auto target = std::get<Target>(std::move(parsed));
        asio::co_spawn(executor_, examine(shared_from_this(), address, attempt(), std::move(target)), asio::detached);
    }

    void pause(const Address& peer) {
        if (const auto connection = find(peer)) connection->pause();
    }
    void resume(const Address& peer) {
        if (const auto connection = find(peer)) connection->resume();
    }

    void malformed(const Address& peer) {
        const auto found = peers_.find(peer);
        if (found == peers_.end() || !found->second.connection) return;
        const auto& connection = found->second.connection;
        connection->malformed();
        if (!connection->dialled() && !connection->said_something())
            limits_->is_silent(found->second.number, connection, found->second.accepted);
    }

    /// What was sent is offered to the kernel once more; then everything ends.
    void close() {
        if (bell_->closed()) return;
        flush();
        bell_->close();
        listening_path_.release();
        for (const auto& acceptor : std::exchange(acceptors_, {})) acceptor->close();
        for (const auto& attempt : std::exchange(attempts_, {})) attempt->cancel();
        for (const auto& [name, peer] : std::exchange(peers_, {}))
            if (peer.connection) peer.connection->close();
        for (const auto& connection : std::exchange(leaving_, {})) connection->close();
        stalled_.clear();
        limits_->close();
        progress_.reset();
    }

private:
    struct Peer {
        std::shared_ptr<Connection> connection;
        Backoff backoff;
        std::uint64_t number = 0;    // of an accepted connection
        std::uint64_t accepted = 0;  // in ticks of the limits
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
        if (bell_->closed() || !limits_->admit(descriptor)) return;  // closes it
        asio::generic::stream_protocol::endpoint remote;
        auto size = static_cast<socklen_t>(remote.capacity());
        if (::getpeername(descriptor.get(), remote.data(), &size) != 0) return;  // gone again
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

    // For people it names the peer where it can; what makes it unique is the number, which is never used again.
    Address reply_address(const asio::generic::stream_protocol::endpoint& remote) {
        const auto number = "#" + std::to_string(++last_number_);
        if (remote.protocol().family() == AF_UNIX) return unix_name_ + number;
        asio::ip::tcp::endpoint endpoint;
        std::memcpy(endpoint.data(), remote.data(), remote.size());
        const auto host = endpoint.address().to_string();
        return format_address({.scheme = Schemes::tcp, .host = host, .port = endpoint.port(), .path = {}}) + number;
    }

    // ---- dialling ----------------------------------------------------------------------------------------

    /// The new connection, which may have ended already: the coroutine may begin, and fail, within `co_spawn`.
    std::shared_ptr<Connection> dial(const Address& to, Peer& peer) {
        auto connection = peer.connection = connect_to(to, true);
        const auto delay = peer.backoff.left(boot_time());
        asio::co_spawn(executor_, reach(shared_from_this(), connection, attempt(), delay), asio::detached);
        return connection;
    }

    static asio::awaitable<void> reach(std::shared_ptr<Switchboard> self, std::shared_ptr<Connection> connection,
                                       std::shared_ptr<Attempt> attempt, Duration delay) {
        if (delay > Duration{}) co_await attempt->rest(delay);
        if (self->bell_->closed()) co_return;
        auto parsed = parse_address(connection->peer(), self->schemes_);
        if (auto* wrong = std::get_if<std::string>(&parsed)) {
            connection->end(std::move(*wrong));
        } else {
            auto outcome = co_await attempt->run(std::get<Target>(std::move(parsed)), self->options_.connect_timeout);
            if (self->bell_->closed()) co_return;
            if (outcome.fault)
                connection->end("cannot connect: " + outcome.fault.message());
            else
                connection->open(std::move(outcome.socket));
        }
        self->attempts_.erase(attempt);
    }

    static asio::awaitable<void> examine(std::shared_ptr<Switchboard> self, Address address,
                                         std::shared_ptr<Attempt> attempt, Target target) {
        const std::string path = target.path;
        const auto outcome = co_await attempt->run(std::move(target), self->options_.connect_timeout);
        self->attempts_.erase(attempt);
        auto result = judge(outcome);
        if (result == ProbeResult::refused && !path.empty() && UnixPath::is_held(path)) result = ProbeResult::alive;
        self->bell_->push(Probed{std::move(address), result});
    }

    std::shared_ptr<Attempt> attempt() { return *attempts_.insert(std::make_shared<Attempt>(executor_)).first; }

    std::shared_ptr<Connection> connect_to(const Address& name, bool dialled) {
        return std::make_shared<Connection>(executor_, shared_from_this(), name, dialled, options_);
    }

    std::shared_ptr<Connection> find(const Address& peer) const {
        const auto found = peers_.find(peer);
        return found == peers_.end() ? nullptr : found->second.connection;
    }

    // Addresses that could not be reached are remembered for their wait; they must not gather for ever.
    void prune() {
        if (peers_.size() < prune_at_) return;
        const auto now = boot_time();
        std::erase_if(peers_, [now](const auto& entry) {
            return !entry.second.connection && entry.second.backoff.left(now) == Duration{};
        });
        prune_at_ = std::max<std::size_t>(1024, peers_.size() * 2);
    }

    // ---- what connections tell ---------------------------------------------------------------------------

    bool may_deliver(Connection& connection) override {
        if (bell_->may_deliver(connection.source())) return true;
        if (connection.note_stalled(true)) stalled_.push_back(connection.shared_from_this());
        return false;
    }
    void backlog(Connection& connection, bool full) override { bell_->push(Backlog{connection.peer(), full}); }
    void awaits_room(Connection&) override { check_progress_later(); }
    void bar(Connection& connection, bool on) override { bell_->bar(connection.source(), on); }

    void flush_later(Connection& connection) override {
        unflushed_.push_back(connection.shared_from_this());
        if (bell_->in_turn() || flush_posted_) return;
        flush_posted_ = true;
        asio::post(executor_, [self = shared_from_this()] { self->flush(); });
    }

    bool deliver(Connection& connection, std::string_view payload) override {
        bell_->deliver(connection.source(), connection.peer(), payload);
        return may_deliver(connection);
    }
    void delivered() override {
        limits_->relieve();
        bell_->delivered();
    }
    ReceiveMemory& receive_memory() override { return limits_->memory(); }
    void attend(Connection& connection) override { limits_->attend(connection.shared_from_this()); }
    void exceeded(Connection& connection, error code, std::string what) override {
        bell_->push(connection.source(), Broken{connection.peer(), code, std::move(what)});
    }

    void broken(Connection& connection, error code, std::string what) override {
        bell_->push(connection.source(), Broken{connection.peer(), code, what});
        leaving_.insert(connection.shared_from_this());
        forget(connection, std::move(what), true);
    }

    void half_closed(Connection& connection, std::string why) override {
        bell_->bar(connection.source(), false);
        bell_->push(connection.source(), Gone{connection.peer(), std::move(why)});
    }

    void ended(Connection& connection, std::string why) override {
        if (!connection.dialled()) --accepted_;
        forget(connection, std::move(why), !connection.heard());
    }

    void released(Connection& connection) override {
        if (!connection.dialled()) --accepted_;
        leaving_.erase(connection.shared_from_this());
    }

    void forget(Connection& connection, std::string why, bool failed) {
        if (!connection.half_closed()) {
            bell_->bar(connection.source(), false);
            bell_->push(connection.source(), Gone{connection.peer(), std::move(why)});
        }
        const auto found = peers_.find(connection.peer());
        if (found == peers_.end() || found->second.connection.get() != &connection) return;
        const auto keep_alive = std::exchange(found->second.connection, nullptr);
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

    // One timer for all, and only while somebody does not take what it is sent.
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
        std::vector<std::shared_ptr<Connection>> all;  // since one that ends is forgotten
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
    std::shared_ptr<Doorbell> bell_;
    std::shared_ptr<ConnectionLimits> limits_;
    Address local_;
    UnixPath listening_path_;
    Address unix_name_;
    std::vector<std::shared_ptr<Acceptor>> acceptors_;
    std::unordered_map<Address, Peer> peers_;
    std::unordered_set<std::shared_ptr<Attempt>> attempts_;
    std::unordered_set<std::shared_ptr<Connection>> leaving_;  // broken ones that still say goodbye
    std::vector<std::shared_ptr<Connection>> stalled_;         // wait until what they delivered is served
    std::vector<std::shared_ptr<Connection>> unflushed_;
    std::vector<std::shared_ptr<Connection>> flushing_;
    std::optional<asio::steady_timer> progress_;               // while somebody takes nothing
    std::size_t accepted_ = 0;
    std::size_t prune_at_ = 1024;
    std::uint64_t last_number_ = 0;
    bool flush_posted_ = false;
};

}  // namespace understudy::net
