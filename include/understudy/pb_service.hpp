// `PBService`: one server of a group. It runs a replica of the host's store inside the host's process.
#pragma once

#include <concepts>
#include <memory>
#include <system_error>
#include <utility>

#include <understudy/async/token.hpp>
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

/// One server of a group. It is idle, backup or primary, as the view service decides (protocol, section 3). Its name is
/// the transport's `local()`. Its incarnation is drawn when it is constructed. It works while its `async_run` is under
/// way.
///
/// Every `async_` function takes a completion token, whose default is that of `Client`. With the token `with_position`
/// a command or query completes with `Result<T>`. Every function supports terminal cancellation. Those that only wait
/// or read (`async_wait_...`, `async_query`) have no effect and support partial and total cancellation too. The handler
/// runs through its own executor, and never from within the call that started the operation. Functions other than
/// `async_run` end with `error::closed` if `async_run` is not under way, and with `operation_aborted` when it ends.
///
/// Without a journal the state is in memory only, and a server that is started again is new and empty. With a journal
/// it continues from its previous state (protocol, S9): even if all members of a group died, the group comes back with
/// every answered write.
///
/// Not thread-safe: use it, and run the executor of its transport, on one strand. The destructor does the same as
/// `stop()`. To the group that looks like a crash, so that it must detect the loss before another server becomes
/// primary. Call `async_leave` first to spare the group that wait.
template <Store S, Transport T, Journal J = NoJournal>
class PBService : public detail::InPlace<PBService<S, T, J>, S> {
    using InPlace = detail::InPlace<PBService<S, T, J>, S>;
    using DefaultToken = detail::DefaultToken<detail::ExecutorOf<T>>;

public:
    using executor_type = detail::ExecutorOf<T>;

    /// Each function that takes a command or query has another form that makes it:
    /// `async_execute<Acquire>(arguments..., token)`.
    using InPlace::async_execute;
    using InPlace::async_query;

    using Command = typename S::Command;
    using Query = typename S::Query;
    using Reply = typename S::Reply;

    /// Throws `std::system_error` with `error::invalid_options` and a text that says what is wrong. Errors are also:
    /// the transport does not listen, can never dial an address of the view service, or has frames too small for what
    /// the options allow. The observer is called for every event. An exception of the observer leaves the executor's
    /// `run()` and has no other effect.
    PBService(S store, T transport, ReplicaOptions options, Observer observer = {})
        requires std::same_as<J, NoJournal>
        : executor_{transport.get_executor()},
          node_{make(std::move(store), std::move(transport), NoJournal{}, std::move(options), std::move(observer))} {}

    /// Reads the journal and continues from it. This may block, and takes as long as the store needs to apply the
    /// journal's content. Throws as above, and what the journal throws if it is damaged. Also throws
    /// `std::system_error` with `error::wrong_journal` if a server of another name or group wrote the journal.
    PBService(S store, T transport, J journal, ReplicaOptions options, Observer observer = {})
        requires(!std::same_as<J, NoJournal>)
        : executor_{transport.get_executor()},
          node_{make(std::move(store), std::move(transport), std::move(journal), std::move(options),
                     std::move(observer))} {}

    /// Serves until `stop()` or a failure. Completes with `void(std::error_code)`:
    ///  - no error after `stop()`;
    ///  - `error::store_failed` if the store failed, `error::journal_failed` if stable storage failed (an event has the
    ///    details), or the error with which the transport failed;
    ///  - `asio::error::already_started` if another `async_run` is under way, `error::closed` if the server was stopped
    ///    before;
    ///  - `operation_aborted` after terminal cancellation. The server keeps its state, and `async_run` can be called
    ///    again.
    template <detail::TokenFor<void> Token = DefaultToken>
    auto async_run(Token&& token = Token()) {
        return detail::async_run(node_.share(), std::forward<Token>(token));
    }

    /// Closes the listener and every connection. Pending calls end with `operation_aborted`, and `async_run` completes.
    /// The server cannot be run again.
    void stop() { node_->stop(); }

    /// Hands over to another server and leaves the group (R6). Completes with `void(std::error_code)` once no view
    /// names this server; then it can be stopped without an effect on the group. Ends with `error::deadline_passed`
    /// after `timeout` (by the transport's clock), and with `operation_aborted` if it is cancelled. In both cases the
    /// server stays in the group and continues to serve.
    template <detail::TokenFor<void> Token = DefaultToken>
    auto async_leave(Duration timeout, Token&& token = Token()) {
        Wait what{[](const Node& node) { return node.left(); }, timeout, true};
        return wait(std::move(what), std::forward<Token>(token));
    }

    /// Completes with `void(std::error_code)` when this server serves as primary; at once if it already does.
    template <detail::TokenFor<void> Token = DefaultToken>
    auto async_wait_primary(Token&& token = Token()) {
        return wait(Wait{[](const Node& node) { return node.serving(); }}, std::forward<Token>(token));
    }
    /// Completes with `void(std::error_code)` when this server does not serve as primary; at once if it already does
    /// not. Another server may have become primary before this completes. So it does not protect an external resource
    /// from two primaries; use `Result::at` as a fencing token for that.
    template <detail::TokenFor<void> Token = DefaultToken>
    auto async_wait_not_primary(Token&& token = Token()) {
        return wait(Wait{[](const Node& node) { return !node.serving(); }}, std::forward<Token>(token));
    }
    /// Completes with `void(std::error_code)` when this server has the role `role`; at once if it already has.
    template <detail::TokenFor<void> Token = DefaultToken>
    auto async_wait_role(Role role, Token&& token = Token()) {
        return wait(Wait{[role](const Node& node) { return node.role() == role; }}, std::forward<Token>(token));
    }

    /// Executes a command if this server is primary. Completes with its `Reply` when the command is committed and
    /// applied. The command has no session (C5). Ends with `error::not_primary` if this server is not primary or stops
    /// being primary. In the second case the command may or may not have taken effect, and may take effect twice if it
    /// is executed again.
    template <detail::AnswerTokenFor<Reply> Token = DefaultToken>
    auto async_execute(const Command& command, Token&& token = Token()) {
        return execute<detail::TakeReply<S>>(command, std::forward<Token>(token));
    }
    /// Executes a linearizable read if this server is primary, otherwise ends with `error::not_primary`. Completes with
    /// the store's `Reply`. The state that was read includes the log up to the position of the answer.
    template <detail::AnswerTokenFor<Reply> Token = DefaultToken>
    auto async_query(const Query& query, Token&& token = Token()) {
        return ask<detail::TakeReply<S>>(query, std::forward<Token>(token));
    }

    Role role() const { return node_->role(); }
    /// Whether this server is primary, operates in its view, and was not told to stop.
    bool serving() const { return node_->serving(); }
    /// The newest view that this server knows. Its number is 0 if it knows none.
    const ViewInfo& view() const { return node_->view(); }
    /// The same as the answer to `pb.status`.
    ReplicaStatusResult status() const { return node_->status(); }
    /// This replica's state, as far as it has applied the log. Other replicas may have applied, and answered, more.
    const S& store() const { return node_->store().template as<S>(); }

    /// The running state machine, for tests that look inside. Its members are not part of the public interface.
    const auto& state_machine() const { return node_->state_machine(); }

    /// The name of this server: the address at which others reach it.
    Address local() const { return node_->local(); }
    executor_type get_executor() const noexcept { return executor_; }

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
        return detail::async_answer<DefaultToken>(node_.share(), std::move(call), Take{}, std::forward<Token>(token));
    }
    template <typename Take, typename Token>
    auto ask(const Query& query, Token&& token) {
        detail::LocalQuery call{detail::try_encode(&wire::encode_query<S>, query)};
        return detail::async_answer<DefaultToken>(node_.share(), std::move(call), Take{}, std::forward<Token>(token));
    }

    executor_type executor_;
    detail::Handle<Node> node_;
};

}  // namespace understudy
