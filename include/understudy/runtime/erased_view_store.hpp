// A type-erased `ViewStore`, so that the view service is compiled once for all stores.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <asio/awaitable.hpp>

#include <understudy/view_store.hpp>

namespace understudy::detail {

/// The functions of a `ViewStore`.
class ViewStoreBase {
public:
    virtual ~ViewStoreBase() = default;
    virtual asio::awaitable<std::optional<StoredViews>> async_load() = 0;
    virtual asio::awaitable<bool> async_compare_and_set(std::uint64_t expected, view_service::ViewChanges changes) = 0;
};

template <ViewStore S>
class ViewStoreOf final : public ViewStoreBase {
public:
    explicit ViewStoreOf(S store) : store_{std::move(store)} {}

    asio::awaitable<std::optional<StoredViews>> async_load() override { return store_.async_load(); }
    asio::awaitable<bool> async_compare_and_set(std::uint64_t expected, view_service::ViewChanges changes) override {
        return store_.async_compare_and_set(expected, std::move(changes));
    }

private:
    S store_;
};

template <ViewStore S>
std::unique_ptr<ViewStoreBase> erase(S store) {
    return std::make_unique<ViewStoreOf<S>>(std::move(store));
}

}  // namespace understudy::detail
