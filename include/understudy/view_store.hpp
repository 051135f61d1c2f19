// The concept `ViewStore`: where a view service persists its record, so that a restart continues from it.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <utility>

#include <understudy/async/awaitable.hpp>
#include <understudy/view_service/record.hpp>

namespace understudy {

/// The content of a store. `version` is the number of successful sets since the store was empty.
struct StoredViews {
    std::uint64_t version = 0;
    view_service::ViewRecord record;
};

/// A **ViewStore** persists the record of one view service, for example in a file or in a replicated service. Laws:
///  - `async_load()` completes with the content of the store, or with nothing if nothing was ever set;
///  - `async_compare_and_set(expected, changes)` does nothing and completes with false if the content does not have the
///    version `expected` (0 for an empty store): somebody else has written. Otherwise it applies the changes
///    (`view_service::apply`), raises the version by one, and completes with true once the result is durable, so that
///    no crash and no loss of power loses it;
///  - both throw `std::system_error` if the store fails. A set that threw, was cancelled or was abandoned may have been
///    carried out or not. It may even be carried out later, unless another set was carried out before;
///  - only one call is pending at a time. It completes on the executor of the coroutine that awaits it. While a store
///    does not answer, the view service makes no progress and cannot end. So a store should give up after some time.
///
/// The versions prevent two view services from deciding different views over one store. They do not stop the former
/// view service from answering pings until its next change. Where servers read by lease, it must have ended before
/// another one starts.
template <typename S>
concept ViewStore = std::movable<S> && requires(S store, std::uint64_t expected, view_service::ViewChanges changes) {
    { store.async_load() } -> std::same_as<asio::awaitable<std::optional<StoredViews>>>;
    { store.async_compare_and_set(expected, std::move(changes)) } -> std::same_as<asio::awaitable<bool>>;
};

/// For a view service that persists nothing.
struct NoViewStore {};

}  // namespace understudy
