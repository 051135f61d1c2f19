// Runs the library's coroutines for any completion token of a host. The executor, allocator and cancellation slot
// associated with the host's handler take effect, with Asio 1.22 and later.
#pragma once

#include <exception>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associator.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>

#include <understudy/async/token.hpp>
#include <understudy/error.hpp>

namespace understudy::detail {

/// Completes a handler of `void(std::exception_ptr, values...)`. A failure given as a code becomes an exception.
template <typename Handler>
struct Throwing {
    using explains_failures = void;

    Handler handler;

    template <typename... Values>
    void operator()(std::error_code ec, Values... values) {
        fail_with(ec ? std::make_exception_ptr(std::system_error{ec}) : nullptr, std::move(values)...);
    }
    /// As above; the exception's text begins with `why`.
    template <typename... Values>
    void explained(std::error_code ec, const std::string& why, Values... values) {
        if (!ec || why.empty()) return (*this)(ec, std::move(values)...);
        fail_with(std::make_exception_ptr(std::system_error{ec, why}), std::move(values)...);
    }
    template <typename... Values>
    void fail_with(std::exception_ptr thrown, Values... values) {
        std::move(handler)(std::move(thrown), std::move(values)...);
    }
};

/// Turns the outcome of a coroutine, `(exception, value...)`, into `(std::error_code, value...)`. An exception that is
/// not a `std::system_error` is a bug or comes from the host's code. It completes the call with `error::internal`, and
/// then leaves the executor's `run()`, so that it is not lost.
template <typename Handler>
struct Spawned {
    Handler handler;

    template <typename... Values>
    void operator()(std::exception_ptr thrown, Values... values) {
        std::error_code ec;
        bool foreign = false;
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const std::system_error& known) {
            ec = known.code();
        } catch (...) {
            ec = error::internal;
            foreign = true;
        }
        if constexpr (requires { typename Handler::explains_failures; }) {
            if (foreign) std::move(handler)(ec, std::move(values)...);
            else handler.fail_with(thrown, std::move(values)...);
        } else {
            std::move(handler)(ec, std::move(values)...);
        }
        if (foreign) std::rethrow_exception(thrown);
    }
};

/// Starts, on `executor`, the coroutine that `make` returns. It is a named type and not a lambda, because GCC 12 has
/// bugs with lambdas that are stored in the frame of a coroutine.
struct Spawn {
    template <typename Handler, typename Make>
    void operator()(Handler handler, asio::any_io_executor executor, Make make) const {
        asio::co_spawn(std::move(executor), make(), Spawned<Handler>{std::move(handler)});
    }
};

struct SpawnThrowing {
    template <typename Handler, typename Make>
    void operator()(Handler handler, asio::any_io_executor executor, Make make) const {
        Spawn{}(Throwing<Handler>{std::move(handler)}, std::move(executor), std::move(make));
    }
};

template <typename Awaitable>
struct AwaitedValue;
template <typename T, typename Executor>
struct AwaitedValue<asio::awaitable<T, Executor>> {
    using type = T;
};

/// When the operation is initiated, calls `make()` and runs the `awaitable<T>` that it returns on `executor`. Completes
/// `token` with `void(std::error_code, T)`, or with `void(std::error_code)` for an `awaitable<void>`. If the token
/// throws, it completes with the exception of the coroutine. Terminal cancellation is passed on to what the coroutine
/// awaits.
template <typename Make, typename Token>
auto async_spawn(asio::any_io_executor executor, Make make, Token&& token) {
    using Signature = SignatureFor<Token, typename AwaitedValue<decltype(make())>::type>;
    using Start = std::conditional_t<throws_failures<std::decay_t<Token>>, SpawnThrowing, Spawn>;
    return asio::async_initiate<Token, Signature>(Start{}, token, std::move(executor), std::move(make));
}

}  // namespace understudy::detail

// Everything associated with the host's handler is associated with the handler that co_spawn gets.
template <template <typename, typename> class Associator, typename Handler, typename Default>
struct asio::associator<Associator, understudy::detail::Spawned<Handler>, Default> : Associator<Handler, Default> {
    static auto get(const understudy::detail::Spawned<Handler>& spawned) noexcept {
        return Associator<Handler, Default>::get(spawned.handler);
    }
    static auto get(const understudy::detail::Spawned<Handler>& spawned, const Default& fallback) noexcept {
        return Associator<Handler, Default>::get(spawned.handler, fallback);
    }
};
template <template <typename, typename> class Associator, typename Handler, typename Default>
struct asio::associator<Associator, understudy::detail::Throwing<Handler>, Default> : Associator<Handler, Default> {
    static auto get(const understudy::detail::Throwing<Handler>& spawned) noexcept {
        return Associator<Handler, Default>::get(spawned.handler);
    }
    static auto get(const understudy::detail::Throwing<Handler>& spawned, const Default& fallback) noexcept {
        return Associator<Handler, Default>::get(spawned.handler, fallback);
    }
};
