// `Result`: the value of a call together with its position in the replicated log. And the token `with_position`, with
// which a call completes with a `Result`.
#pragma once

#include <type_traits>
#include <utility>

#include <understudy/view.hpp>

namespace understudy {

/// `at` is the position of the command in the replicated log. For a query it is the position up to which the answering
/// primary had applied the log. Positions only grow, whichever server is primary. So other systems can use them as
/// fencing tokens.
template <typename T>
struct Result {
    T value{};
    Position at;
    friend bool operator==(const Result&, const Result&) = default;
};

/// The result of a call that has no value.
template <>
struct Result<void> {
    Position at;
    friend bool operator==(const Result&, const Result&) = default;
};

/// The completion token that `with_position(token)` returns.
template <typename Token>
class WithPosition {
public:
    // No aggregate: GCC 12 would destroy it twice within a `co_await` expression.
    explicit WithPosition(Token of) : token{std::move(of)} {}

    Token token;
};
/// `with_position` alone: the default token of the call.
template <>
class WithPosition<void> {
public:
    template <typename Token>
    constexpr WithPosition<std::decay_t<Token>> operator()(Token&& token) const {
        return WithPosition<std::decay_t<Token>>{std::forward<Token>(token)};
    }
};

/// Makes a call complete with `Result<T>` in place of `T`. `with_position(token)` is a completion token for every
/// command and query of `Client`, `Clerk` and `PBService`. `token` then takes `Result<T>`. `with_position` alone is the
/// same with the default token:
///
///     Result<std::string> found = co_await clerk.async_get("key", with_position);
///     clerk.async_put("key", "value", with_position([](std::error_code ec, Result<void> done) { /* ... */ }));
///
/// Other adapters (`asio::redirect_error`, `asio::bind_executor`) stand inside of it, as in
/// `with_position(asio::redirect_error(token, ec))`.
inline constexpr WithPosition<void> with_position;

}  // namespace understudy
