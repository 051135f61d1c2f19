// The seam to what outlives a view service: where its record is kept.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <utility>

#include <asio/awaitable.hpp>

#include <understudy/view_service/record.hpp>

namespace understudy {

/// What a store holds. The version says how many sets made it.
struct StoredViews {
    std::uint64_t version = 0;
    view_service::ViewRecord record;
};

/// A **ViewStore** keeps the record of one view service: in a file, or in a service that is replicated itself. Laws:
///  - `async_load()` completes with what the store holds, or with nothing if nothing was ever set;
///  - `async_compare_and_set(expected, changes)` applies the changes (`understudy::apply`) to what the store holds if
///    that has the version `expected`, 0 for an empty store, and raises the version by one. It completes with true once
///    the result is durable: no crash and no loss of power loses it. False, and nothing is done, if the version is
///    another one: somebody else has written;
///  - both throw `std::system_error` when the store fails. A set that threw, or was cancelled or abandoned, may have
///    been done or not, or may be done later unless another one was done before;
///  - one call is under way at a time; they complete on the executor of the coroutine that awaits them. A store that
///    does not answer holds the view service up, also its end: it should give up some time.
///
/// The versions keep two view services from deciding different views over one store. They do not keep the former one
/// from answering pings until its next change: where servers read by lease, it must have ended before another starts.
template <typename S>
concept ViewStore = std::movable<S> && requires(S store, std::uint64_t expected, view_service::ViewChanges changes) {
    { store.async_load() } -> std::same_as<asio::awaitable<std::optional<StoredViews>>>;
    { store.async_compare_and_set(expected, std::move(changes)) } -> std::same_as<asio::awaitable<bool>>;
};

/// Of a view service that remembers nothing.
struct NoViewStore {};

}  // namespace understudy
