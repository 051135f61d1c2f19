// What an operator's tools ask of view services and replicas.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include <asio/any_io_executor.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/error.hpp>
#include <understudy/event.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/runtime/admin_node.hpp>
#include <understudy/transport.hpp>
#include <understudy/view.hpp>

namespace understudy {

namespace detail {

/// The answer `M`; another one is `error::internal`.
template <typename M>
struct TakeMessage {
    using Value = M;
    M operator()(std::error_code& ec, protocol::Message&& message) const {
        if (ec) return {};
        if (auto* wanted = std::get_if<M>(&message)) return std::move(*wanted);
        ec = error::internal;
        return {};
    }
};
struct TakeView {
    using Value = ViewInfo;
    ViewInfo operator()(std::error_code& ec, protocol::Message&& message) const {
        return TakeMessage<protocol::ViewResult>{}(ec, std::move(message)).info;
    }
};
struct IgnoreMessage {
    using Value = void;
    void operator()(std::error_code&, protocol::Message&&) const {}
};

}  // namespace detail

/// Asks given addresses, one request for each call. Reads are repeated until they are answered or `timeout` has passed
/// (`error::deadline_passed`); what changes something is sent once (`error::outcome_unknown`). A refusal completes with
/// its code, and the observer gets its text as an event `Refused`; so does an address that the transport could never
/// dial, with `error::invalid_options`. Completion, cancellation and threads: as `Client`.
template <Transport T>
class Admin {
public:
    explicit Admin(T transport, Duration timeout = std::chrono::seconds{5}, Observer observer = {})
        : node_{detail::make_admin_node(detail::erase(std::move(transport)), std::move(observer))},
          timeout_{timeout} {}

    /// The group's view (`view.get`); completes with `ViewInfo`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_view(Address view_service, std::string group, Token&& token = Token()) {
        return read<detail::TakeView>(std::move(view_service), protocol::Method::view_get,
            protocol::ViewGet{.group = std::move(group)}, std::forward<Token>(token));
    }
    /// One group, or all if none is named (`view.status`); completes with `ViewStatusResult`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_view_status(Address view_service, std::optional<std::string> group, Token&& token = Token()) {
        return read<detail::TakeMessage<ViewStatusResult>>(std::move(view_service), protocol::Method::view_status,
            protocol::ViewStatus{std::move(group)}, std::forward<Token>(token));
    }
    /// What a server says of itself (`pb.status`); completes with `ReplicaStatusResult`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_replica_status(Address server, Token&& token = Token()) {
        return read<detail::TakeMessage<ReplicaStatusResult>>(std::move(server), protocol::Method::pb_status,
            protocol::ReplicaStatus{}, std::forward<Token>(token));
    }
    /// Makes a backup that is in sync primary (R6); completes with the new `ViewInfo`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_promote(Address view_service, std::string group, Address server, Token&& token = Token()) {
        return change<detail::TakeView>(std::move(view_service), protocol::Method::view_promote,
            protocol::ViewPromote{std::move(group), std::move(server)}, std::forward<Token>(token));
    }
    /// Makes a server primary that may lack answered writes: the last resort. Completes with `ViewForceResult`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_force(Address view_service, std::string group, Address server, Token&& token = Token()) {
        return change<detail::TakeMessage<ViewForceResult>>(std::move(view_service), protocol::Method::view_force,
            protocol::ViewForce{std::move(group), std::move(server)}, std::forward<Token>(token));
    }
    /// Goes on with a group of a former view service whose record is lost, as its servers know it. Completes with
    /// `ViewForceResult`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_adopt(Address view_service, std::string group, ClusterId cluster, Token&& token = Token()) {
        return change<detail::TakeMessage<ViewForceResult>>(std::move(view_service), protocol::Method::view_adopt,
            protocol::ViewAdopt{std::move(group), cluster}, std::forward<Token>(token));
    }
    /// Forgets a group of which nobody is heard; what its servers hold is given up. Completes with its last `ViewInfo`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_remove_group(Address view_service, std::string group, Token&& token = Token()) {
        return change<detail::TakeView>(std::move(view_service), protocol::Method::view_remove,
                                        protocol::ViewRemove{std::move(group)}, std::forward<Token>(token));
    }
    /// Calls `watcher` on the executor with the view as it is and then with every later one, also over connections that
    /// break. Completes with `void(std::error_code)` when it is cancelled, stopped or refused, not before.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_watch(Address view_service, std::string group, std::function<void(const ViewInfo&)> watcher,
                     Token&& token = Token()) {
        client::Watch watch{std::move(view_service), std::move(group), std::move(watcher)};
        return detail::async_call(node_.share(), std::move(watch), detail::IgnoreMessage{},
                                  std::forward<Token>(token));
    }

    /// Ends every call with `operation_aborted`, and each later one with `error::closed`.
    void stop() { node_->stop(); }
    asio::any_io_executor get_executor() const { return node_->executor(); }

private:
    template <typename Take, typename Token>
    auto read(Address to, protocol::Method method, protocol::Message message, Token&& token) {
        client::Question question{std::move(to), method, std::move(message), timeout_, true};
        return detail::async_call(node_.share(), std::move(question), Take{}, std::forward<Token>(token));
    }
    template <typename Take, typename Token>
    auto change(Address to, protocol::Method method, protocol::Message message, Token&& token) {
        client::Question question{std::move(to), method, std::move(message), timeout_, false};
        return detail::async_call(node_.share(), std::move(question), Take{}, std::forward<Token>(token));
    }

    detail::Handle<detail::AdminNode> node_;
    Duration timeout_;
};

}  // namespace understudy
