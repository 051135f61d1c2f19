// `Client`: the client of any Store. It sends typed commands and queries, and makes each command take effect exactly
// once, whatever fails on the way.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <understudy/async/initiate.hpp>
#include <understudy/async/token.hpp>
#include <understudy/event.hpp>
#include <understudy/options.hpp>
#include <understudy/result.hpp>
#include <understudy/runtime/client_node.hpp>
#include <understudy/runtime/in_place.hpp>
#include <understudy/runtime/typed_call.hpp>
#include <understudy/store.hpp>
#include <understudy/transport.hpp>
#include <understudy/view.hpp>
#include <understudy/wire/store_text.hpp>

namespace understudy {

template <Transport T>
class Clerk;

/// A client of one group. It finds the primary and follows it when the primary changes. Any number of calls may be
/// pending at once. Calls that are started one after the other, without waiting for the first, may take effect in any
/// order.
///
/// Each call takes a completion token and completes with `void(std::error_code, T)`. The default is the executor's
/// token if it has one (`executor_type::default_completion_token_type`), otherwise `asio::use_awaitable`. With the
/// token `with_position` a command or query completes with `Result<T>`, which also has its position in the log. The
/// handler runs through its own executor, and never from within the call that started the operation. Errors:
///  - `error::outcome_unknown`: the deadline (`give_up_after`) passed after the command was sent. The command may have
///    taken effect, or may not, or may still do so (C2);
///  - `error::deadline_passed`: the deadline passed, and the call had no effect;
///  - `bad_request`, `too_large`, `wrong_cluster`, `unauthorized` and other refusals that a retry cannot change;
///  - `operation_aborted`: the call was cancelled or the client was stopped. If a command had been sent, it may take
///    effect nevertheless. Terminal cancellation ends every call. Partial and total cancellation end only those that
///    read (`async_query`, `async_dump`), as these have no effect; `async_dump` once it has begun to run;
///  - `error::closed`: the client was stopped before the call.
/// Before a failed call completes, the observer gets a `CallFailed` event if anything is known about the cause.
///
/// Not thread-safe: use it, and run the executor of its transport, on one strand. It keeps that executor busy from its
/// first call until it is stopped or destroyed.
///
/// GCC 12 destroys an aggregate temporary twice if it is made within a `co_await` expression. To avoid that, let the
/// call make the command, as in `co_await client.async_execute<Acquire>(name, owner)`, or give the command a name
/// first.
template <StoreApi S, Transport T>
class Client : public detail::InPlace<Client<S, T>, S> {
    using InPlace = detail::InPlace<Client<S, T>, S>;
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

    /// Throws `std::system_error` with `error::invalid_options` and a text that says what is wrong. An address of the
    /// view service that the transport can never dial is such an error too.
    explicit Client(T transport, ClientOptions options = {}, Observer observer = {})
        : executor_{transport.get_executor()},
          node_{detail::make_client_node(detail::erase(std::move(transport)), options, std::move(observer))} {}

    /// Executes a command exactly once, or at least once if `ClientOptions::session` is false. Completes with its
    /// `Reply`. Its position is that of the command in the log.
    template <detail::AnswerTokenFor<Reply> Token = DefaultToken>
    auto async_execute(const Command& command, Token&& token = Token()) {
        return execute<detail::TakeReply<S>>(command, {}, std::forward<Token>(token));
    }
    /// As above, with a deadline for this call alone in place of `ClientOptions::give_up_after`.
    template <detail::AnswerTokenFor<Reply> Token = DefaultToken>
    auto async_execute(const Command& command, Duration give_up_after, Token&& token = Token()) {
        return execute<detail::TakeReply<S>>(command, give_up_after, std::forward<Token>(token));
    }

    /// Executes a linearizable read. Completes with the store's `Reply`. A query that fails had no effect. The state
    /// that was read includes the log up to the position of the answer.
    template <detail::AnswerTokenFor<Reply> Token = DefaultToken>
    auto async_query(const Query& query, Token&& token = Token()) {
        return ask<detail::TakeReply<S>>(query, {}, std::forward<Token>(token));
    }
    /// As above, with a deadline for this call alone.
    template <detail::AnswerTokenFor<Reply> Token = DefaultToken>
    auto async_query(const Query& query, Duration give_up_after, Token&& token = Token()) {
        return ask<detail::TakeReply<S>>(query, give_up_after, std::forward<Token>(token));
    }

    /// Exports a consistent snapshot of the store while the store continues to work. Calls `sink` with one piece after
    /// the other. Completes with `void(std::error_code, Position)`: the position of the last command in the snapshot.
    /// Ends with `error::bad_chunk` if the primary changed in between; then start again from the beginning. An
    /// exception of `sink` ends the operation. If it is not a `std::system_error`, it also leaves the executor's
    /// `run()`.
    template <detail::TokenFor<Position> Token = DefaultToken>
    auto async_dump(std::function<void(std::string_view)> sink, Token&& token = Token()) {
        detail::MakeDump make{node_.share(), std::move(sink)};
        return detail::async_spawn(get_executor(), std::move(make), std::forward<Token>(token));
    }

    /// Asks for the view now instead of at the first call, and follows its changes from then on.
    void follow() { node_->follow(); }
    /// The newest view that the client knows. Its number is 0 if the client has not learned any view.
    const ViewInfo& view() const { return node_->view(); }

    /// Ends every pending call with `operation_aborted` and each later call with `error::closed`. The observer gets no
    /// more events. Then the client closes its session at the primary (C4). This keeps the executor busy until the
    /// primary answers, but at most for two `resend_after` and at most for 2 s, even if the client is destroyed in
    /// between. Without `stop`, a client that is destroyed ends at once, and its session stays open until `session_ttl`
    /// has passed.
    void stop() { node_->leave(); }
    executor_type get_executor() const noexcept { return executor_; }

private:
    template <Transport>
    friend class Clerk;
    using Node = detail::ClientNode;

    template <typename Take, typename Token>
    auto execute(const Command& command, std::optional<Duration> give_up_after, Token&& token) {
        return execute_text<Take>(detail::try_encode(&wire::encode_command<S>, command), give_up_after,
                                  std::forward<Token>(token));
    }
    template <typename Take, typename Token>
    auto ask(const Query& query, std::optional<Duration> give_up_after, Token&& token) {
        return ask_text<Take>(detail::try_encode(&wire::encode_query<S>, query), give_up_after,
                              std::forward<Token>(token));
    }

    // The same for a command or query that is encoded already, as in `Clerk`. `text_buffer` has room for the text.
    std::string text_buffer() { return node_->text_buffer(); }
    template <typename Take, typename Token>
    auto execute_text(detail::CallText&& command, std::optional<Duration> give_up_after, Token&& token) {
        return detail::async_answer<DefaultToken>(node_.share(), detail::ExecuteCall{std::move(command), give_up_after},
                                                  Take{}, std::forward<Token>(token));
    }
    template <typename Take, typename Token>
    auto ask_text(detail::CallText&& query, std::optional<Duration> give_up_after, Token&& token) {
        return detail::async_answer<DefaultToken>(node_.share(), detail::QueryCall{std::move(query), give_up_after},
                                                  Take{}, std::forward<Token>(token));
    }

    executor_type executor_;
    detail::Handle<Node> node_;
};

}  // namespace understudy
