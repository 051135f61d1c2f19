// `Admin`: an operator's requests to view services and replicas. Tools such as `pbc` are built on it.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include <understudy/async/token.hpp>
#include <understudy/error.hpp>
#include <understudy/event.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/runtime/admin_node.hpp>
#include <understudy/transport.hpp>
#include <understudy/view.hpp>

namespace understudy {

namespace detail {

/// Extracts the result `M` from the answer. An answer of any other type completes the call with `error::internal`.
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

/// Sends an operator's requests to addresses that the caller names. Each call is one request.
///
/// A call that only reads is repeated until it is answered. After `timeout` it ends with `error::deadline_passed`. A
/// call that changes something is sent once: repeating it could carry out the change twice. It ends with
/// `error::outcome_unknown` if no answer comes within `timeout` or if the connection breaks.
/// A refusal completes the call with the code of the refusal, and the observer gets its text in the event `Refused`. An
/// address that the transport can never dial is refused in the same way, with `error::invalid_options`.
/// Completion, cancellation and threading are those of `Client`: what only reads also ends by partial or total
/// cancellation.
template <Transport T>
class Admin {
    using DefaultToken = detail::DefaultToken<detail::ExecutorOf<T>>;

public:
    using executor_type = detail::ExecutorOf<T>;

    /// `timeout`: how long each call may take. `observer` gets the events, among them the text of each refusal.
    explicit Admin(T transport, Duration timeout = std::chrono::seconds{5}, Observer observer = {})
        : executor_{transport.get_executor()},
          node_{detail::make_admin_node(detail::erase(std::move(transport)), std::move(observer))},
          timeout_{timeout} {}

    /// Reads the view of a group (`view.get`). Completes with `ViewInfo`; its view number is 0 if the group has no
    /// view.
    template <detail::TokenFor<ViewInfo> Token = DefaultToken>
    auto async_view(Address view_service, std::string group, Token&& token = Token()) {
        return read<detail::TakeView>(std::move(view_service), protocol::Method::view_get,
            protocol::ViewGet{.group = std::move(group)}, std::forward<Token>(token));
    }
    /// Reads the state of one group, or of all groups if `group` is empty (`view.status`). Completes with
    /// `ViewStatusResult`.
    template <detail::TokenFor<ViewStatusResult> Token = DefaultToken>
    auto async_view_status(Address view_service, std::optional<std::string> group, Token&& token = Token()) {
        return read<detail::TakeMessage<ViewStatusResult>>(std::move(view_service), protocol::Method::view_status,
            protocol::ViewStatus{std::move(group)}, std::forward<Token>(token));
    }
    /// Reads the state of one server (`pb.status`). Completes with `ReplicaStatusResult`.
    template <detail::TokenFor<ReplicaStatusResult> Token = DefaultToken>
    auto async_replica_status(Address server, Token&& token = Token()) {
        return read<detail::TakeMessage<ReplicaStatusResult>>(std::move(server), protocol::Method::pb_status,
            protocol::ReplicaStatus{}, std::forward<Token>(token));
    }
    /// Makes a synced backup the primary (R6). Completes with the new `ViewInfo`.
    template <detail::TokenFor<ViewInfo> Token = DefaultToken>
    auto async_promote(Address view_service, std::string group, Address server, Token&& token = Token()) {
        return change<detail::TakeView>(std::move(view_service), protocol::Method::view_promote,
            protocol::ViewPromote{std::move(group), std::move(server)}, std::forward<Token>(token));
    }
    /// Makes a server primary although it may lack answered writes. This is the last resort when no member that has the
    /// state can return. Completes with `ViewForceResult`, which says what may be lost.
    template <detail::TokenFor<ViewForceResult> Token = DefaultToken>
    auto async_force(Address view_service, std::string group, Address server, Token&& token = Token()) {
        return change<detail::TakeMessage<ViewForceResult>>(std::move(view_service), protocol::Method::view_force,
            protocol::ViewForce{std::move(group), std::move(server)}, std::forward<Token>(token));
    }
    /// Continues a group of a former view service whose record is lost, from the newest view that its servers know.
    /// Completes with `ViewForceResult`.
    template <detail::TokenFor<ViewForceResult> Token = DefaultToken>
    auto async_adopt(Address view_service, std::string group, ClusterId cluster, Token&& token = Token()) {
        return change<detail::TakeMessage<ViewForceResult>>(std::move(view_service), protocol::Method::view_adopt,
            protocol::ViewAdopt{std::move(group), cluster}, std::forward<Token>(token));
    }
    /// Removes a group none of whose servers pings any more. The state that these servers hold is given up. Completes
    /// with the group's last `ViewInfo`.
    template <detail::TokenFor<ViewInfo> Token = DefaultToken>
    auto async_remove_group(Address view_service, std::string group, Token&& token = Token()) {
        return change<detail::TakeView>(std::move(view_service), protocol::Method::view_remove,
                                        protocol::ViewRemove{std::move(group)}, std::forward<Token>(token));
    }
    /// Calls `watcher` on the executor with the current view, and then with every later view. It continues over a new
    /// connection if one breaks. Completes with `void(std::error_code)` only when it is cancelled, stopped or refused.
    template <detail::TokenFor<void> Token = DefaultToken>
    auto async_watch(Address view_service, std::string group, std::function<void(const ViewInfo&)> watcher,
                     Token&& token = Token()) {
        client::Watch watch{std::move(view_service), std::move(group), std::move(watcher)};
        return detail::async_call(node_.share(), std::move(watch), detail::IgnoreMessage{},
                                  std::forward<Token>(token));
    }

    /// Ends every pending call with `operation_aborted` and each later call with `error::closed`.
    void stop() { node_->stop(); }
    executor_type get_executor() const noexcept { return executor_; }

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

    executor_type executor_;
    detail::Handle<detail::AdminNode> node_;
    Duration timeout_;
};

}  // namespace understudy
