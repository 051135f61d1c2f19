// A replica of the host's store: the thing that is kept on several servers and survives one of them.
#pragma once

#include <concepts>
#include <memory>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/event.hpp>
#include <understudy/journal.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/result.hpp>
#include <understudy/runtime/call_table.hpp>
#include <understudy/runtime/in_place.hpp>
#include <understudy/runtime/replica_node.hpp>
#include <understudy/runtime/typed_call.hpp>
#include <understudy/store.hpp>
#include <understudy/transport.hpp>
#include <understudy/view.hpp>
#include <understudy/wire/store_text.hpp>

namespace understudy {

/// One server of a group: idle, backup or primary, as the view service decides (protocol, section 3). Its name is the
/// transport's `local()`, its life an incarnation drawn when it is constructed. It works while its `async_run` is
/// under way.
///
/// Every `async_` verb takes a completion token (`asio::use_awaitable` if none is given), completes through the
/// handler's executor, never from within the call that started it, and supports terminal cancellation. Verbs other
/// than `async_run` end with `error::closed` if that is not under way, and with `operation_aborted` when it ends.
///
/// Without a journal its state lives in memory, and a server that is started again is a new and empty one. With one it
/// goes on from what it had (protocol, S9): a group whose members all died comes back with every answered write.
///
/// Not thread-safe: use it, and run its transport's executor, on one strand. Destroying it is `stop()`: to its group it
/// has crashed then; `async_leave` first spares that the wait for another primary.
template <Store S, Transport T, Journal J = NoJournal>
class PBService : public detail::InPlace<PBService<S, T, J>, S> {
    using InPlace = detail::InPlace<PBService<S, T, J>, S>;

public:
    /// Of each verb that takes a value also the form that makes it: `async_execute<Acquire>(arguments..., token)`.
    using InPlace::async_execute;
    using InPlace::async_execute_at;
    using InPlace::async_query;
    using InPlace::async_query_at;

    using Command = typename S::Command;
    using Query = typename S::Query;
    using Reply = typename S::Reply;

    /// Throws `std::system_error` with `error::invalid_options` and a sentence that says what is wrong, also if the
    /// transport does not listen, can never dial an address of the view service, or has frames too small for what the
    /// options allow. The observer is called for every event; what it throws leaves the executor's `run()` and harms
    /// nothing else.
    PBService(S store, T transport, ReplicaOptions options, Observer observer = {})
        requires std::same_as<J, NoJournal>
        : node_{make(std::move(store), std::move(transport), NoJournal{}, std::move(options), std::move(observer))} {}

    /// Reads the journal, which may block and takes as long as the store needs to apply what is there, and goes on from
    /// it. Throws as above, and what the journal throws if it is damaged; `error::invalid_options` too if it was
    /// written by a server of another name or group.
    PBService(S store, T transport, J journal, ReplicaOptions options, Observer observer = {})
        requires(!std::same_as<J, NoJournal>)
        : node_{make(std::move(store), std::move(transport), std::move(journal), std::move(options),
                     std::move(observer))} {}

    /// Serves until `stop()` or a failure. Completes with `void(std::error_code)`: no error after `stop()`;
    /// `error::internal` if the store failed, `error::journal_failed` if stable storage did (an event says how); what
    /// the transport failed with;
    /// `asio::error::already_started` if another one is under way, `error::closed` if it was stopped before.
    /// Terminal cancellation ends it with `operation_aborted`; it can then be run again and knows all that it knew.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_run(Token&& token = Token()) {
        return detail::async_run(node_.share(), std::forward<Token>(token));
    }

    /// Talks to nobody any more: closes the listener and every connection; calls end with `operation_aborted`, and
    /// `async_run` completes. It cannot be run again.
    void stop() { node_->stop(); }

    /// Hands over to another server and leaves the group (R6); completes with `void(std::error_code)` once no view
    /// names this server. It can then be stopped without anybody noticing. After `timeout`, by the transport's clock,
    /// ends with `error::deadline_passed`, if cancelled with `operation_aborted`: it stays then, and goes on serving.
    template <detail::Token Token = asio::use_awaitable_t<>>
    auto async_leave(Duration timeout, Token&& token = Token()) {
        Wait what{[](const Node& node) { return node.left(); }, timeout, true};
        return wait(std::move(what), std::forward<Token>(token));
    }

    /// Completes with `void(std::error_code)` when this server serves as primary, at once if it does.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_wait_primary(Token&& token = Token()) {
        return wait(Wait{[](const Node& node) { return node.serving(); }}, std::forward<Token>(token));
    }
    /// Completes with `void(std::error_code)` when this server does not serve as primary, at once if it does not.
    /// Another may have become primary before: what two must not do is fenced with `Result::at`, not with this.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_wait_not_primary(Token&& token = Token()) {
        return wait(Wait{[](const Node& node) { return !node.serving(); }}, std::forward<Token>(token));
    }
    /// Completes with `void(std::error_code)` when this server has that role, at once if it has.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_wait_role(Role role, Token&& token = Token()) {
        return wait(Wait{[role](const Node& node) { return node.role() == role; }}, std::forward<Token>(token));
    }

    /// Executes a command, if this server is primary; completes with its `Reply` when it is committed and applied. It
    /// has no session (C5): ends with `error::not_primary` if this server is not primary or ceases to be, when the
    /// command may or may not have taken effect; if it is given again it may have effect twice.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_execute(const Command& command, Token&& token = Token()) {
        return execute<detail::TakeReply<S>>(command, std::forward<Token>(token));
    }
    /// As above; completes with `Result<Reply>`, which says at which position of the log the command stands.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_execute_at(const Command& command, Token&& token = Token()) {
        return execute<detail::WithPosition<detail::TakeReply<S>>>(command, std::forward<Token>(token));
    }
    /// Reads, linearizably, if this server is primary (else `error::not_primary`); completes with the store's `Reply`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_query(const Query& query, Token&& token = Token()) {
        return ask<detail::TakeReply<S>>(query, std::forward<Token>(token));
    }
    /// As above; completes with `Result<Reply>`: what was read is not older than this position.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_query_at(const Query& query, Token&& token = Token()) {
        return ask<detail::WithPosition<detail::TakeReply<S>>>(query, std::forward<Token>(token));
    }

    Role role() const { return node_->role(); }
    /// Is primary, operating, and was not told to stop.
    bool serving() const { return node_->serving(); }
    /// The newest view that it knows; number 0 if none.
    const ViewInfo& view() const { return node_->view(); }
    /// What `pb.status` answers.
    ReplicaStatusResult status() const { return node_->status(); }
    /// This replica's state as far as it has applied the log, which may lag behind what was answered elsewhere.
    const S& store() const { return node_->store().template as<S>(); }

    /// The machine at work, for tests that look inside; what it shows is no part of the interface.
    const auto& rules() const { return node_->rules(); }

    /// The name of this server: the address at which others reach it.
    Address local() const { return node_->local(); }
    asio::any_io_executor get_executor() const { return node_->executor(); }

private:
    using Node = detail::ReplicaNode;
    using Wait = Node::Wait;

    static std::shared_ptr<Node> make(S store, T transport, J journal, ReplicaOptions options, Observer observer) {
        return detail::make_replica_node(detail::ErasedStore{std::move(store)}, detail::erase(std::move(transport)),
                                         detail::erase(std::move(journal)), std::move(options), std::move(observer));
    }

    template <typename Token>
    auto wait(Wait what, Token&& token) {
        return detail::async_call(node_.share(), std::move(what), detail::TakeNothing{}, std::forward<Token>(token));
    }
    template <typename Take, typename Token>
    auto execute(const Command& command, Token&& token) {
        detail::LocalExecute call{detail::try_encode(&wire::encode_command<S>, command)};
        return detail::async_call(node_.share(), std::move(call), Take{}, std::forward<Token>(token));
    }
    template <typename Take, typename Token>
    auto ask(const Query& query, Token&& token) {
        detail::LocalQuery call{detail::try_encode(&wire::encode_query<S>, query)};
        return detail::async_call(node_.share(), std::move(call), Take{}, std::forward<Token>(token));
    }

    detail::Handle<Node> node_;
};

}  // namespace understudy
