// The part of the socket transport that is not a template: a handle that forwards to its connection manager.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>

#include <understudy/net/address.hpp>
#include <understudy/net/connection_manager.hpp>
#include <understudy/net/descriptor.hpp>
#include <understudy/net/receive_queue.hpp>
#include <understudy/net/stream_transport.hpp>

namespace understudy::net {

UNDERSTUDY_DECL SocketTransport::SocketTransport(const asio::any_io_executor& executor, TransportOptions options,
                                                 Schemes schemes)
    : manager_{ConnectionManager::open(executor, std::move(options), schemes)} {}
UNDERSTUDY_DECL SocketTransport& SocketTransport::operator=(SocketTransport&& other) noexcept {
    if (manager_ && manager_ != other.manager_) manager_->close();
    manager_ = std::move(other.manager_);
    return *this;
}
UNDERSTUDY_DECL SocketTransport::~SocketTransport() {
    if (manager_) manager_->close();
}

UNDERSTUDY_DECL asio::any_io_executor SocketTransport::get_executor() const { return manager_->executor(); }
UNDERSTUDY_DECL const Address& SocketTransport::local() const { return manager_->local(); }
UNDERSTUDY_DECL std::size_t SocketTransport::max_frame() const { return manager_->max_frame(); }
UNDERSTUDY_DECL Time SocketTransport::now() const { return boot_time(); }
UNDERSTUDY_DECL std::string SocketTransport::objection(const Address& address) const {
    return manager_->objection(address);
}
UNDERSTUDY_DECL std::uint64_t SocketTransport::random() { return manager_->random(); }

UNDERSTUDY_DECL std::string SocketTransport::name_fault(const Address& name) {
    const auto parsed = parse_address(name);
    if (const auto* wrong = std::get_if<std::string>(&parsed)) return *wrong;
    const auto& target = std::get<Target>(parsed);
    if (target.is_wildcard()) return name + " means every interface of a machine: others cannot dial it";
    return target.scheme == Schemes::tcp && target.port == 0 ? name + " has no port" : std::string{};
}

UNDERSTUDY_DECL void SocketTransport::send(const Address& to, std::string_view payload) { manager_->send(to, payload); }
UNDERSTUDY_DECL void SocketTransport::send_to(const Peer& to, std::string_view payload) {
    manager_->send_to(to, payload);
}
UNDERSTUDY_DECL std::string* SocketTransport::begin_frame(const Peer& to) { return manager_->begin_frame(to); }
UNDERSTUDY_DECL void SocketTransport::end_frame() { manager_->end_frame(); }
UNDERSTUDY_DECL void SocketTransport::drop_frame() { manager_->drop_frame(); }
UNDERSTUDY_DECL asio::awaitable<TransportEvents> SocketTransport::next(Time deadline) {
    return manager_->queue().next(deadline);
}
UNDERSTUDY_DECL void SocketTransport::handle_turns(TurnHandler* handler) { manager_->queue().handle_turns(handler); }
UNDERSTUDY_DECL void SocketTransport::reuse(TransportEvents&& used) { manager_->queue().reuse(std::move(used)); }
UNDERSTUDY_DECL void SocketTransport::wake() { manager_->queue().wake(); }
UNDERSTUDY_DECL void SocketTransport::probe(const Address& address) { manager_->probe(address); }
UNDERSTUDY_DECL void SocketTransport::pause(const Address& peer) { manager_->pause(peer); }
UNDERSTUDY_DECL void SocketTransport::resume(const Address& peer) { manager_->resume(peer); }
UNDERSTUDY_DECL void SocketTransport::malformed(const Address& peer) { manager_->malformed(peer); }
UNDERSTUDY_DECL void SocketTransport::close() { manager_->close(); }

}  // namespace understudy::net
