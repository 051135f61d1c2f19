// From the library's coroutines to any completion token of a host.
// The handler's executor, allocator and cancellation slot stay its own, from Asio 1.22 to the newest.
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
#include <asio/use_awaitable.hpp>

#include <understudy/error.hpp>

namespace understudy::detail {

/// Whether a token makes an exception of a failure. Such a call completes with the exception itself, since that says
/// more than its code: of which group, by which server, why.
template <typename Token>
inline constexpr bool throws_failures = false;
template <typename Executor>
inline constexpr bool throws_failures<asio::use_awaitable_t<Executor>> = true;

/// Completes a handler of `void(std::exception_ptr, values...)` with a code, or with an exception.
template <typename Handler>
struct Throwing {
    using explains_failures = void;

    Handler handler;

    template <typename... Values>
    void operator()(std::error_code ec, Values... values) {
        fail_with(ec ? std::make_exception_ptr(std::system_error{ec}) : nullptr, std::move(values)...);
    }
    /// As above; `why` is the beginning of the exception's text.
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

/// Turns the outcome of a coroutine, `(exception, value...)`, into `(std::error_code, value...)`. An exception that
/// is no `std::system_error` completes the call with `error::internal` and then leaves the executor's `run()`.
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

/// Starts on `executor` the coroutine that `make` returns. A named type, not a lambda: GCC 12 and lambdas that are
/// kept in the frame of a coroutine do not go together.
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
struct SpawnSignature;
template <typename T, typename Executor>
struct SpawnSignature<asio::awaitable<T, Executor>> {
    using type = void(std::error_code, T);
    using throwing = void(std::exception_ptr, T);
};
template <typename Executor>
struct SpawnSignature<asio::awaitable<void, Executor>> {
    using type = void(std::error_code);
    using throwing = void(std::exception_ptr);
};

/// When the operation is initiated, `make()` is called and the `awaitable<T>` that it returns run on `executor`;
/// `token` is completed with `void(std::error_code, T)`, or `void(std::error_code)` for an `awaitable<void>`; where the
/// token throws, with what the coroutine threw.
/// Terminal cancellation reaches what the coroutine waits for.
template <typename Make, typename Token>
auto async_spawn(asio::any_io_executor executor, Make make, Token&& token) {
    using Signature = SpawnSignature<decltype(make())>;
    if constexpr (throws_failures<std::decay_t<Token>>)
        return asio::async_initiate<Token, typename Signature::throwing>(SpawnThrowing{}, token, std::move(executor),
                                                                         std::move(make));
    else
        return asio::async_initiate<Token, typename Signature::type>(Spawn{}, token, std::move(executor),
                                                                     std::move(make));
}

}  // namespace understudy::detail

// Whatever is associated with the host's handler is associated with the one that co_spawn sees.
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
