// Completion tokens: which ones a call takes, the signature that each gets, and the default.
#pragma once

#include <exception>
#include <system_error>
#include <type_traits>
#include <utility>

#include <asio/async_result.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/result.hpp>
#include <understudy/view.hpp>

namespace understudy::detail {

/// The executor type of a transport, which is also that of the services and clients over it.
template <typename T>
using ExecutorOf = std::remove_cvref_t<decltype(std::declval<T&>().get_executor())>;

/// The default token of an executor type: its own if it has one (`asio::use_awaitable_t<>::as_default_on` and the
/// like), otherwise `asio::use_awaitable`. This is not `asio::default_completion_token_t`, whose fallback depends on
/// the version of Asio.
template <typename Executor>
struct DefaultTokenOf {
    using type = asio::use_awaitable_t<>;
};
template <typename Executor>
    requires requires { typename Executor::default_completion_token_type; }
struct DefaultTokenOf<Executor> {
    using type = typename Executor::default_completion_token_type;
};
template <typename Executor>
using DefaultToken = typename DefaultTokenOf<Executor>::type;

/// Whether a token turns a failure into an exception. Such a call completes with the exception itself, because its text
/// says more than a code: the group, the server, the cause.
template <typename Token>
inline constexpr bool throws_failures = false;
template <typename Executor>
inline constexpr bool throws_failures<asio::use_awaitable_t<Executor>> = true;

/// The signatures of a call that completes with a `Value`. `throwing` is for a token that throws failures.
template <typename Value>
struct CallSignature {
    using type = void(std::error_code, Value);
    using throwing = void(std::exception_ptr, Value);
};
template <>
struct CallSignature<void> {
    using type = void(std::error_code);
    using throwing = void(std::exception_ptr);
};
template <typename Token, typename Value>
using SignatureFor = std::conditional_t<throws_failures<std::decay_t<Token>>, typename CallSignature<Value>::throwing,
                                        typename CallSignature<Value>::type>;

/// A completion token of a call that completes with a `Value`. A `Duration` is none, so that a deadline is not taken
/// for a token.
template <typename Token, typename Value>
concept TokenFor = !std::is_convertible_v<Token, Duration>
#if defined(ASIO_HAS_CONCEPTS)
                   && asio::completion_token_for<Token, SignatureFor<Token, Value>>
#endif
    ;

/// What `with_position` makes of a token.
template <typename Token>
inline constexpr bool asks_position = false;
template <typename Token>
inline constexpr bool asks_position<WithPosition<Token>> = true;

template <typename Token, typename Value>
struct TakesAnswer : std::bool_constant<TokenFor<Token, Value>> {};
template <typename Token, typename Value>
struct TakesAnswer<WithPosition<Token>, Value> : std::bool_constant<TokenFor<Token, Result<Value>>> {};
template <typename Value>
struct TakesAnswer<WithPosition<void>, Value> : std::true_type {};

/// A completion token of a call whose answer has a position: one that takes the `Value`, or `with_position` of one that
/// takes `Result<Value>`.
template <typename Token, typename Value>
concept AnswerTokenFor =
    TakesAnswer<std::conditional_t<asks_position<std::remove_cvref_t<Token>>, std::remove_cvref_t<Token>, Token>,
                Value>::value;

/// The kinds of cancellation that end a call. `total` asks for a call that then has had no effect, `partial` for one
/// whose effect is known. A call that only reads can always be ended so. A command or request that was sent cannot, so
/// only `terminal` ends it.
template <typename Request>
asio::cancellation_type cancellation_of(const Request& request) {
    using asio::cancellation_type;
    const auto terminal = cancellation_type::terminal;
    return request.only_reads() ? terminal | cancellation_type::partial | cancellation_type::total : terminal;
}

}  // namespace understudy::detail
