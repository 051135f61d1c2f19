// Functions that make a command or query inside the call, as in `async_execute<Acquire>("lock", "me")`. Also a warning
// for arguments that GCC 12 would destroy twice.
#pragma once

#include <concepts>
#include <cstddef>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <asio/use_awaitable.hpp>

#include <understudy/async/token.hpp>
#include <understudy/result.hpp>
#include <understudy/view.hpp>

namespace understudy::detail {

/// GCC before 13 destroys an aggregate temporary twice if it was made within a `co_await` expression, at every
/// optimization level. Tested: 12.2 and 12.4 have this bug, 13.3 and 14.2 do not.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
inline constexpr bool await_destroys_twice = true;
#else
inline constexpr bool await_destroys_twice = false;
#endif

template <typename T>
struct HoldsAggregate : std::bool_constant<std::is_aggregate_v<T> && !std::is_trivially_destructible_v<T>> {};
template <typename... Ts>
struct HoldsAggregate<std::variant<Ts...>> : std::disjunction<HoldsAggregate<Ts>...> {};

/// An argument that such a compiler may destroy twice: a temporary, or one that cannot be distinguished from it.
template <typename T>
concept Fragile = await_destroys_twice && !std::is_lvalue_reference_v<T> &&
                  HoldsAggregate<std::remove_cv_t<std::remove_reference_t<T>>>::value;

/// `use_awaitable` and `deferred`, also wrapped in `redirect_error`, `bind_executor` or similar adapters.
template <typename T>
struct AwaitedToken : std::bool_constant<requires { T::values(0); }> {};
template <typename Executor>
struct AwaitedToken<asio::use_awaitable_t<Executor>> : std::true_type {};
template <>
struct AwaitedToken<WithPosition<void>> : std::true_type {};
template <template <typename...> typename Wrapper, typename T, typename... More>
struct AwaitedToken<Wrapper<T, More...>> : AwaitedToken<T> {};

/// Whether a call is awaited, given the arguments that follow the command: none, a deadline, a token, or both.
template <typename... Rest>
struct Awaited : std::true_type {};
template <typename Last>
struct Awaited<Last>
    : std::disjunction<std::is_convertible<Last, Duration>, AwaitedToken<std::remove_cvref_t<Last>>> {};
template <typename First, typename Second, typename... Rest>
struct Awaited<First, Second, Rest...> : Awaited<Second, Rest...> {};

/// Whether the last argument is a token and the others make a `C`. A handler of the answer is a token, and so is
/// `with_position` of anything. Any other argument is one if no `C` can be made of all the arguments.
template <typename C, typename Answer, typename... Args>
struct EndsInToken : std::false_type {};
template <typename C, typename Answer, typename First, typename... Rest>
struct EndsInToken<C, Answer, First, Rest...> {
    using Last = std::tuple_element_t<sizeof...(Rest), std::tuple<First, Rest...>>;
    static constexpr bool value = asks_position<std::remove_cvref_t<Last>> ||
                                  std::invocable<std::decay_t<Last>&, std::error_code, Answer> ||
                                  !std::is_constructible_v<C, First, Rest...>;
};

template <typename C, typename... Args>
constexpr bool made_of(std::tuple<Args...>*) {
    return std::is_constructible_v<C, Args...>;
}
template <typename C, typename All, std::size_t... I>
constexpr bool made_of_first(std::index_sequence<I...>) {
    return made_of<C>(static_cast<std::tuple<std::tuple_element_t<I, All>...>*>(nullptr));
}

/// A `C` can be made of the arguments, either of all or of all but a token at the end. `C` converts to `Whole`, which
/// is the store's `Command` or `Query`.
template <typename C, typename Whole, typename Answer, typename... Args>
concept MadeOf = std::convertible_to<const C&, Whole> &&
                 made_of_first<C, std::tuple<Args&&...>>(
                     std::make_index_sequence<sizeof...(Args) - EndsInToken<C, Answer, Args&&...>::value>{});

template <typename... Args>
concept AwaitedWithFragile = (Fragile<Args> || ...) && Awaited<Args...>::value;

// As in `C{...}`, the last fields may be omitted.
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
/// Makes a `C` of the arguments. Calls `use` with it, as a constant, and with the token if there is one.
template <typename C, bool with_token, typename Use, typename... Args>
auto use_made(Use use, std::tuple<Args...> args) {
    constexpr auto fields = sizeof...(Args) - with_token;
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
        const C made(std::get<I>(std::move(args))...);
        if constexpr (with_token) {
            return use(made, std::get<fields>(std::move(args)));
        } else {
            return use(made);
        }
    }(std::make_index_sequence<fields>{});
}
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/// The functions of `Self` (a client, or a server of the host) that make a command or query of their arguments:
///
///     co_await client.async_execute<Acquire>("lock", "me");            // a token may follow the arguments
///
/// They call the functions of `Self` that take a value. Each has a deprecated second form for arguments that GCC 12
/// would destroy twice, and so has each function that takes a value. The deprecated forms exist only with such
/// compilers.
template <typename Self, typename S>
class InPlace {
    using Command = typename S::Command;
    using Query = typename S::Query;
    using Reply = typename S::Reply;

public:
    /// Makes a `C` as `C(arguments...)` and executes it. `C` is the store's `Command` or converts to it.
    template <typename C, typename... Args>
        requires MadeOf<C, Command, Reply, Args...>
    auto async_execute(Args&&... args) {
        return make<C, Reply>(Execute{self()}, std::forward<Args>(args)...);
    }
    /// Makes a `Q` as `Q(arguments...)` and executes the query. `Q` is the store's `Query` or converts to it.
    template <typename Q, typename... Args>
        requires MadeOf<Q, Query, Reply, Args...>
    auto async_query(Args&&... args) {
        return make<Q, Reply>(Ask{self()}, std::forward<Args>(args)...);
    }

    template <typename C, typename... Args>
        requires MadeOf<C, Command, Reply, Args...> && AwaitedWithFragile<Args...>
    [[deprecated("GCC 12 destroys an aggregate temporary twice in a co_await expression: name this argument first")]]
    auto async_execute(Args&&... args) {
        return make<C, Reply>(Execute{self()}, std::forward<Args>(args)...);
    }
    template <typename Q, typename... Args>
        requires MadeOf<Q, Query, Reply, Args...> && AwaitedWithFragile<Args...>
    [[deprecated("GCC 12 destroys an aggregate temporary twice in a co_await expression: name this argument first")]]
    auto async_query(Args&&... args) {
        return make<Q, Reply>(Ask{self()}, std::forward<Args>(args)...);
    }

    template <std::convertible_to<Command> C = Command, typename... Rest>
        requires Fragile<C> && (Awaited<Rest...>::value)
    [[deprecated("GCC 12 destroys an aggregate temporary twice in a co_await expression: "
                 "async_execute<Command>(arguments...) makes it in place; or name it first")]]
    auto async_execute(C&& command, Rest&&... rest) {
        return self().async_execute(std::as_const(command), std::forward<Rest>(rest)...);
    }
    template <std::convertible_to<Query> Q = Query, typename... Rest>
        requires Fragile<Q> && (Awaited<Rest...>::value)
    [[deprecated("GCC 12 destroys an aggregate temporary twice in a co_await expression: "
                 "async_query<Query>(arguments...) makes it in place; or name it first")]]
    auto async_query(Q&& query, Rest&&... rest) {
        return self().async_query(std::as_const(query), std::forward<Rest>(rest)...);
    }

protected:
    InPlace() = default;  // only as a base of `Self`

private:
    struct Execute {
        Self& self;
        auto operator()(const Command& command, auto&&... token) const {
            return self.async_execute(command, std::forward<decltype(token)>(token)...);
        }
    };
    struct Ask {
        Self& self;
        auto operator()(const Query& query, auto&&... token) const {
            return self.async_query(query, std::forward<decltype(token)>(token)...);
        }
    };

    Self& self() { return static_cast<Self&>(*this); }

    template <typename C, typename Answer, typename Use, typename... Args>
    static auto make(Use use, Args&&... args) {
        constexpr bool with_token = EndsInToken<C, Answer, Args&&...>::value;
        return use_made<C, with_token>(use, std::forward_as_tuple(std::forward<Args>(args)...));
    }
};

}  // namespace understudy::detail
