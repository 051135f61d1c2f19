// A ViewStore that answers only when the test says so. Its contents, and the record of what was asked of it, outlive
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/async/completion_handler.hpp>
#include <understudy/view_service/changes.hpp>
#include <understudy/view_store.hpp>

namespace understudy::test {

using namespace view_service;

/// The contents of a `HeldStore`, and the call that waits. While `held` is false, each call is answered at once.
struct Shelf {
    asio::any_io_executor executor;
    bool held = false;
    std::uint64_t version = 0;
    ViewRecord record;
    int loads = 0, sets = 0;

    bool waits() const { return static_cast<bool>(pending); }
    /// Performs the waiting call and completes it.
    void answer() { std::exchange(pending, {}).post(executor, {}, do_it()); }
    /// Completes the waiting call with an error, after performing it or not.
    void fail(bool done) {
        if (done) do_it();
        std::exchange(pending, {}).post(executor, asio::error::no_buffer_space, false);
    }
    /// Performs a call that was cancelled: cancellation does not prevent the effect.
    void do_late() { do_it(); }

    // ---- for the store ----

    std::uint64_t expected = 0;
    std::optional<ViewChanges> changes;  // the changes to be stored, if the call is a set
    detail::CompletionHandler<bool> pending;

    bool do_it() {
        if (!changes) return true;
        const auto asked = *std::exchange(changes, {});
        if (version != expected) return false;
        apply(record, asked);
        ++version;
        return true;
    }
};

class HeldStore {
public:
    explicit HeldStore(std::shared_ptr<Shelf> shelf) : shelf_{std::move(shelf)} {}
    HeldStore(HeldStore&&) = default;
    HeldStore& operator=(HeldStore&&) = default;

    asio::awaitable<std::optional<StoredViews>> async_load() {
        ++shelf_->loads;
        co_await wait();
        if (shelf_->version == 0) co_return std::nullopt;
        co_return StoredViews{shelf_->version, shelf_->record};
    }
    asio::awaitable<bool> async_compare_and_set(std::uint64_t expected, ViewChanges changes) {
        ++shelf_->sets;
        shelf_->expected = expected;
        shelf_->changes = std::move(changes);
        co_return co_await wait();
    }

private:
    struct Wait {
        std::shared_ptr<Shelf> shelf;
        template <typename Handler>
        void operator()(Handler handler) const {
            auto slot = asio::get_associated_cancellation_slot(handler);
            if (slot.is_connected()) slot.assign(Cancel{shelf});
            const auto as_it_is = [](std::error_code&, bool stored) { return stored; };
            shelf->pending = {std::move(handler), shelf->executor, as_it_is};
            if (!shelf->held) shelf->answer();
        }
    };
    struct Cancel {
        std::weak_ptr<Shelf> shelf;
        void operator()(asio::cancellation_type) const {
            if (auto alive = shelf.lock(); alive && alive->pending)
                std::exchange(alive->pending, {}).post(alive->executor, asio::error::operation_aborted, false);
        }
    };
    asio::awaitable<bool> wait() {
        return asio::async_initiate<const asio::use_awaitable_t<>, void(std::error_code, bool)>(Wait{shelf_},
                                                                                               asio::use_awaitable);
    }

    std::shared_ptr<Shelf> shelf_;
};
static_assert(ViewStore<HeldStore>);

}  // namespace understudy::test
