// A client of any Store: typed commands and queries, each carried out exactly once whatever fails on the way.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/async/initiate.hpp>
#include <understudy/event.hpp>
#include <understudy/options.hpp>
#include <understudy/result.hpp>
#include <understudy/runtime/call_table.hpp>
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

/// A client of one group. It finds the primary by itself and follows it when it changes. Any number of calls may be
/// under way at once; those that one client started one after the other without waiting may take effect in any order.
///
/// Each call takes a completion token (`asio::use_awaitable` if none is given) and completes with
/// `void(std::error_code, T)`, through the handler's executor and never from within the call that started it:
///  - `error::outcome_unknown`: the deadline (`give_up_after`) passed; the command may or may not have taken effect, or
///    may yet (C2). `error::deadline_passed`: it had no effect;
///  - a refusal that trying again cannot cure: `bad_request`, `too_large`, `wrong_cluster`, `unauthorized`, …;
///  - `operation_aborted`: the call was cancelled (terminal cancellation) or the client stopped. If a command was sent,
///    it may take effect nevertheless. `error::closed`: the client was stopped before the call.
/// Of a call that failed the observer is told first what is known about the cause (`CallFailed`).
///
/// Not thread-safe: use it, and run its transport's executor, on one strand. It keeps that executor busy from its first
/// call until it is stopped or destroyed.
///
/// GCC 12 destroys an aggregate temporary twice in a `co_await` expression. So make the command in the call,
/// `co_await client.async_execute<Acquire>(name, owner)`, or name it first.
template <Store S, Transport T>
class Client : public detail::InPlace<Client<S, T>, S> {
    using InPlace = detail::InPlace<Client<S, T>, S>;

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
    /// transport can never dial an address of the view service.
    explicit Client(T transport, ClerkOptions options = {}, Observer observer = {})
        : node_{detail::make_client_node(detail::erase(std::move(transport)), options, std::move(observer))} {}

    /// Executes a command exactly once (without `session` in the options: at least once); completes with its `Reply`.
    template <detail::Token Token = asio::use_awaitable_t<>>
    auto async_execute(const Command& command, Token&& token = Token()) {
        return execute<detail::TakeReply<S>>(command, {}, std::forward<Token>(token));
    }
    /// As above, with a deadline of its own for this call.
    template <detail::Token Token = asio::use_awaitable_t<>>
    auto async_execute(const Command& command, Duration give_up_after, Token&& token = Token()) {
        return execute<detail::TakeReply<S>>(command, give_up_after, std::forward<Token>(token));
    }
    /// As above; completes with `Result<Reply>`, which says at which position of the log the command stands.
    template <detail::Token Token = asio::use_awaitable_t<>>
    auto async_execute_at(const Command& command, Token&& token = Token()) {
        return execute<detail::WithPosition<detail::TakeReply<S>>>(command, {}, std::forward<Token>(token));
    }
    template <detail::Token Token = asio::use_awaitable_t<>>
    auto async_execute_at(const Command& command, Duration give_up_after, Token&& token = Token()) {
        return execute<detail::WithPosition<detail::TakeReply<S>>>(command, give_up_after, std::forward<Token>(token));
    }

    /// Reads, linearizably; completes with the store's `Reply`. A query that fails had no effect.
    template <detail::Token Token = asio::use_awaitable_t<>>
    auto async_query(const Query& query, Token&& token = Token()) {
        return ask<detail::TakeReply<S>>(query, {}, std::forward<Token>(token));
    }
    template <detail::Token Token = asio::use_awaitable_t<>>
    auto async_query(const Query& query, Duration give_up_after, Token&& token = Token()) {
        return ask<detail::TakeReply<S>>(query, give_up_after, std::forward<Token>(token));
    }
    /// As above; completes with `Result<Reply>`: what was read is not older than this position.
    template <detail::Token Token = asio::use_awaitable_t<>>
    auto async_query_at(const Query& query, Token&& token = Token()) {
        return ask<detail::WithPosition<detail::TakeReply<S>>>(query, {}, std::forward<Token>(token));
    }
    template <detail::Token Token = asio::use_awaitable_t<>>
    auto async_query_at(const Query& query, Duration give_up_after, Token&& token = Token()) {
        return ask<detail::WithPosition<detail::TakeReply<S>>>(query, give_up_after, std::forward<Token>(token));
    }

    /// Reads a consistent snapshot of the store while it goes on working: calls `sink` with one piece after the other,
    /// and completes with `void(std::error_code, Position)`, the position of the last command in it. Ends with
    /// `error::bad_chunk` if the primary changed meanwhile: begin anew. What `sink` throws ends it and, unless it is
    /// a `std::system_error`, leaves the executor's `run()`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_dump(std::function<void(std::string_view)> sink, Token&& token = Token()) {
        detail::MakeDump make{node_.share(), std::move(sink)};
        return detail::async_spawn(get_executor(), std::move(make), std::forward<Token>(token));
    }

    /// Asks for the view now, rather than with the first call, and goes on following it.
    void follow() { node_->follow(); }
    /// The newest view that the client knows; number 0 if it has not learned one.
    const ViewInfo& view() const { return node_->view(); }

    /// Ends every call with `operation_aborted`, and each later one with `error::closed`. The observer is told nothing
    /// more. The session is closed at the primary (C4): that keeps the executor busy until it is answered, for two
    /// `resend_after` and 2 s at most, also if the client is destroyed meanwhile. One that is destroyed without `stop`
    /// ends at once, and its session is left to `session_ttl`.
    void stop() { node_->leave(); }
    asio::any_io_executor get_executor() const { return node_->executor(); }

private:
    template <Transport>
    friend class Clerk;
    using Node = detail::ClientNode;

    template <typename Take, typename Token>
    auto execute(const Command& command, std::optional<Duration> give_up_after, Token&& token) {
        detail::ExecuteCall call{detail::try_encode(&wire::encode_command<S>, command), give_up_after};
        return detail::async_call(node_.share(), std::move(call), Take{}, std::forward<Token>(token));
    }
    template <typename Take, typename Token>
    auto ask(const Query& query, std::optional<Duration> give_up_after, Token&& token) {
        detail::QueryCall call{detail::try_encode(&wire::encode_query<S>, query), give_up_after};
        return detail::async_call(node_.share(), std::move(call), Take{}, std::forward<Token>(token));
    }

    detail::Handle<Node> node_;
};

}  // namespace understudy
