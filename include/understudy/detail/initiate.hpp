// From the library's coroutines to any completion token of a host.
// The handler's executor, allocator and cancellation slot stay its own, from Asio 1.22 to the newest.
#pragma once

#include <exception>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associator.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>

#include <understudy/error.hpp>

namespace understudy::detail {

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
        std::move(handler)(ec, std::move(values)...);
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

template <typename Awaitable>
struct SpawnSignature;
template <typename T, typename Executor>
struct SpawnSignature<asio::awaitable<T, Executor>> {
    using type = void(std::error_code, T);
};
template <typename Executor>
struct SpawnSignature<asio::awaitable<void, Executor>> {
    using type = void(std::error_code);
};

/// When the operation is initiated, `make()` is called and the `awaitable<T>` that it returns run on `executor`;
/// `token` is completed with `void(std::error_code, T)`, or `void(std::error_code)` for an `awaitable<void>`.
/// Terminal cancellation reaches what the coroutine waits for.
template <typename Make, typename Token>
auto async_spawn(asio::any_io_executor executor, Make make, Token&& token) {
    using Signature = typename SpawnSignature<decltype(make())>::type;
    return asio::async_initiate<Token, Signature>(Spawn{}, token, std::move(executor), std::move(make));
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
