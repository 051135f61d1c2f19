// The drivers of a view service: one without a store, and one that stores its record before the output of a turn
// leaves.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/error.hpp>

#include <understudy/error.hpp>
#include <understudy/runtime/checked_options.hpp>
#include <understudy/runtime/driver.hpp>
#include <understudy/runtime/view_node.hpp>
#include <understudy/view_service/state_machine.hpp>

namespace understudy::detail {

/// Says why a view service cannot continue from this record. Empty if it can.
inline std::string objection(const view_service::ViewRecord& record, const ViewOptions& options) {
    if (record.cluster == ClusterId::none) return "the record names no cluster";
    if (record.groups.size() <= options.max_groups) return {};
    return "the record has " + std::to_string(record.groups.size()) + " groups, more than max_groups, which is " +
           std::to_string(options.max_groups);
}

/// What a host reads from either kind of view service.
class ViewDriver : public Driver<view_service::ViewStateMachine, ViewNode> {
public:
    using Driver<view_service::ViewStateMachine, ViewNode>::Driver;

    ViewInfo view(std::string_view group) const override {
        const auto* known = machine.view(group);
        return known ? *known : ViewInfo{.group = std::string{group}, .cluster = {}, .ping_interval = {}, .view = {}};
    }
    ViewStatusResult status(const std::optional<std::string>& group) const override {
        return machine.status(group, transport->now());
    }
    view_service::ViewRecord record() const override { return machine.record(); }
    const view_service::ViewStateMachine& state_machine() const override { return machine; }
};

/// The driver of a view service without a store: its record is lost with the process.
template <typename Lazy>
class MemoryViewDriver final : public ViewDriver {
public:
    using ViewDriver::ViewDriver;
    asio::awaitable<void> begin_run() override { return begin_run_of(*this); }
};

template <typename Lazy>
class StoredViewDriver final : public ViewDriver {
public:
    StoredViewDriver(view_service::ViewStateMachine state_machine, std::unique_ptr<TransportBase> carrier,
                     Observer observer, std::unique_ptr<ViewStoreBase> store, const ViewOptions& options)
        : ViewDriver{std::move(state_machine), std::move(carrier), std::move(observer)},
          store_{std::move(store)},
          options_{options} {}

    asio::awaitable<void> begin_run() override { return begin_run_of(*this); }

    /// Runs before the first turn of a run. Continues from the content of the store. The first time it also does a set,
    /// even if nothing has changed, because that raises the version: a former view service that still works on this
    /// store then fails with its next set and ends.
    asio::awaitable<void> prepare() {
        if (!owned_ || unsettled_) {
            const auto found = co_await load();
            if (stopped()) co_return;
            if (!owned_ && !unsettled_) begin(found);
            else settle(found);
        }
        if (!owned_ || machine.has_changes()) co_await store();
    }

    bool has_unstored() const { return machine.has_changes(); }

    /// Stores the changes of the last turn, after which its output may be carried out. Throws if they cannot be stored.
    /// If it is cancelled, the next `prepare` finds out whether the set was carried out.
    asio::awaitable<void> store() {
        // True until the store answers. If this coroutine is cancelled, the set may still be carried out, and `settle`
        // must look.
        unsettled_ = true;
        std::string failure;
        bool stored = false;
        try {
            auto changes = machine.changes();
            stored = co_await store_->async_compare_and_set(version_, std::move(changes));
        } catch (const std::system_error& thrown) {
            if (thrown.code() == asio::error::operation_aborted) throw;
            failure = thrown.what();
        }
        if (!failure.empty()) give_up(error::journal_failed, "a set failed: " + failure);
        if (!stored) give_up(error::store_conflict, "it no longer has version " + std::to_string(version_));
        is_stored();
    }

private:
    asio::awaitable<std::optional<StoredViews>> load() {
        std::optional<StoredViews> found;
        std::string failure;
        try {
            found = co_await store_->async_load();
        } catch (const std::system_error& thrown) {
            if (thrown.code() == asio::error::operation_aborted) throw;
            failure = thrown.what();
        }
        if (!failure.empty()) give_up(error::journal_failed, "a load failed: " + failure);
        co_return found;
    }

    void begin(const std::optional<StoredViews>& found) {
        view_service::ViewRecord record;
        if (found) {
            if (auto wrong = objection(found->record, options_); !wrong.empty())
                give_up(error::invalid_options, std::move(wrong));
            record = found->record;
            version_ = found->version;
            machine = view_service::ViewStateMachine{options_, record, transport->now()};
        }
        machine.track_changes(record);
    }

    /// Continues after a run that ended during a set. No turn has run since, so the state machine still has what was to
    /// be stored. The store shows whether that set was carried out. The output of the interrupted turn leaves with the
    /// next turn.
    void settle(const std::optional<StoredViews>& found) {
        const auto version = found ? found->version : 0;
        // The version alone is not enough: another view service may have done a set at the same time. The records show
        // which.
        const bool ours = version == version_ + 1 && found->record == machine.record();
        if (ours) is_stored();
        else if (version != version_)
            give_up(error::store_conflict, "it has version " + std::to_string(version) + ", not " +
                                               std::to_string(version_) + " or what was to follow that");
        transport->wake();
    }

    void is_stored() {
        ++version_;
        owned_ = true;
        unsettled_ = false;
        machine.changes_stored();
    }

    [[noreturn]] void give_up(error code, std::string what) {
        if (!stopped()) emit(ViewStoreFailed{code, what});
        throw std::system_error{make_error_code(code), what};
    }

    std::unique_ptr<ViewStoreBase> store_;
    ViewOptions options_;
    std::uint64_t version_ = 0;  // of the content of the store, as far as known
    bool owned_ = false;         // at least one set of this view service was carried out
    bool unsettled_ = false;     // a set was started, and whether it was carried out is not known
};

inline view_service::ViewStateMachine begin_cluster(TransportBase& transport, const ViewOptions& options) {
    const auto cluster = ClusterId{draw_token(transport)};
    return view_service::ViewStateMachine{options, cluster, transport.now()};
}
inline void require_valid(const TransportBase& transport, const ViewOptions& options) {
    require_valid(options.validate());
    require_listening(transport.local());
}

template <typename Lazy>
std::shared_ptr<ViewNode> make_view_node(std::unique_ptr<TransportBase> transport,
                                         const view_service::ViewRecord* record, const ViewOptions& options,
                                         Observer observer) {
    require_valid(*transport, options);
    if (record) require_valid(objection(*record, options));
    auto state_machine = record ? view_service::ViewStateMachine{options, *record, transport->now()}
                        : begin_cluster(*transport, options);
    return std::make_shared<MemoryViewDriver<Lazy>>(std::move(state_machine), std::move(transport),
                                                    std::move(observer));
}

template <typename Lazy>
std::shared_ptr<ViewNode> make_lasting_view_node(std::unique_ptr<TransportBase> transport,
                                                 std::unique_ptr<ViewStoreBase> store, const ViewOptions& options,
                                                 Observer observer) {
    require_valid(*transport, options);
    auto state_machine = begin_cluster(*transport, options);
    return std::make_shared<StoredViewDriver<Lazy>>(std::move(state_machine), std::move(transport), std::move(observer),
                                                    std::move(store), options);
}

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
template std::shared_ptr<ViewNode> make_view_node<>(std::unique_ptr<TransportBase>, const view_service::ViewRecord*,
                                                    const ViewOptions&, Observer);
template std::shared_ptr<ViewNode> make_lasting_view_node<>(std::unique_ptr<TransportBase>,
                                                            std::unique_ptr<ViewStoreBase>, const ViewOptions&,
                                                            Observer);
#endif

}  // namespace understudy::detail
