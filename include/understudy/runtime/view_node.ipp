// A running view service: its driver and, if it has a store, what stores the record before the output of a turn leaves.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/error.hpp>

#include <understudy/error.hpp>
#include <understudy/runtime/checked_options.hpp>
#include <understudy/runtime/driver.hpp>
#include <understudy/runtime/loop.hpp>
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

/// The store of a view service, in which the record survives the loss of the process.
template <typename Lazy>
class RecordStorage {
public:
    RecordStorage(Driver<view_service::ViewStateMachine>& driver, std::unique_ptr<ViewStoreBase> store,
                  const ViewOptions& options)
        : driver_{driver}, store_{std::move(store)}, options_{options} {}

    /// Runs before the first turn of a run. Continues from the content of the store. The first time it also does a set,
    /// even if nothing has changed, because that raises the version: a former view service that still works on this
    /// store then fails with its next set and ends.
    asio::awaitable<void> load() {
        if (!owned_ || unsettled_) {
            const auto found = co_await read();
            if (driver_.stopped()) co_return;
            if (!owned_ && !unsettled_) begin(found);
            else settle(found);
        }
        if (!owned_ || driver_.machine.has_changes()) co_await store();
    }

    /// Stores the changes of the last turn, after which its output may be carried out. Throws if they cannot be stored.
    /// If it is cancelled, the next `load` finds out whether the set was carried out.
    asio::awaitable<void> store() {
        // True until the store answers. If this coroutine is cancelled, the set may still be carried out, and `settle`
        // must look.
        unsettled_ = true;
        std::string failure;
        bool stored = false;
        try {
            auto changes = driver_.machine.changes();
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
    asio::awaitable<std::optional<StoredViews>> read() {
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
            driver_.machine = view_service::ViewStateMachine{options_, record, driver_.transport->now()};
        }
        driver_.machine.track_changes(record);
    }

    /// Continues after a run that ended during a set. No turn has run since, so the state machine still has what was to
    /// be stored. The store shows whether that set was carried out. The output of the interrupted turn leaves with the
    /// next turn.
    void settle(const std::optional<StoredViews>& found) {
        const auto version = found ? found->version : 0;
        // The version alone is not enough: another view service may have done a set at the same time. The records show
        // which.
        const bool ours = version == version_ + 1 && found->record == driver_.machine.record();
        if (ours) is_stored();
        else if (version != version_)
            give_up(error::store_conflict, "it has version " + std::to_string(version) + ", not " +
                                               std::to_string(version_) + " or what was to follow that");
        driver_.transport->wake();
    }

    void is_stored() {
        ++version_;
        owned_ = true;
        unsettled_ = false;
        driver_.machine.changes_stored();
    }

    [[noreturn]] void give_up(error code, std::string what) {
        if (!driver_.stopped()) driver_.emit(ViewStoreFailed{code, what});
        throw std::system_error{make_error_code(code), what};
    }

    Driver<view_service::ViewStateMachine>& driver_;
    std::unique_ptr<ViewStoreBase> store_;
    ViewOptions options_;
    std::uint64_t version_ = 0;  // of the content of the store, as far as known
    bool owned_ = false;         // at least one set of this view service was carried out
    bool unsettled_ = false;     // a set was started, and whether it was carried out is not known
};

/// In place of a `RecordStorage`: the record is lost with the process.
template <typename Lazy>
struct NoStorage {
    explicit NoStorage(Driver<view_service::ViewStateMachine>&) {}
};

/// `Storage` is a `RecordStorage` or `NoStorage`.
template <typename Storage>
class RunningViewService final : public ViewNode {
public:
    using Machine = view_service::ViewStateMachine;

    /// `with` are the arguments of the storage after the driver.
    template <typename... With>
    RunningViewService(Machine state_machine, std::unique_ptr<TransportBase> transport, Observer observer,
                       With&&... with)
        : driver{std::move(state_machine), std::move(transport), std::move(observer)},
          storage{driver, std::forward<With>(with)...} {}

    Driver<Machine> driver;
    Storage storage;

    // ---- for the host ----

    asio::any_io_executor executor() override { return driver.transport->get_executor(); }
    Address local() const override { return driver.transport->local(); }
    asio::awaitable<void> begin_run() override { return begin_run_of(*this); }
    void stop(std::error_code by = {}) override { driver.stop(by); }

    ViewInfo view(std::string_view group) const override {
        const auto* known = driver.machine.view(group);
        return known ? *known : ViewInfo{.group = std::string{group}, .cluster = {}, .ping_interval = {}, .view = {}};
    }
    ViewStatusResult status(const std::optional<std::string>& group) const override {
        return driver.machine.status(group, driver.transport->now());
    }
    view_service::ViewRecord record() const override { return driver.machine.record(); }
    const Machine& state_machine() const override { return driver.machine; }

    // ---- for the loop (see `Driven`) ----

    Time deadline() const { return driver.machine.deadline(); }
    // No call of the host waits for a view service.
    void after_turn() {}
    void end_calls() {}
    void drop_calls() {}
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
    return std::make_shared<RunningViewService<NoStorage<Lazy>>>(std::move(state_machine), std::move(transport),
                                                                 std::move(observer));
}

template <typename Lazy>
std::shared_ptr<ViewNode> make_lasting_view_node(std::unique_ptr<TransportBase> transport,
                                                 std::unique_ptr<ViewStoreBase> store, const ViewOptions& options,
                                                 Observer observer) {
    require_valid(*transport, options);
    auto state_machine = begin_cluster(*transport, options);
    return std::make_shared<RunningViewService<RecordStorage<Lazy>>>(std::move(state_machine), std::move(transport),
                                                                     std::move(observer), std::move(store), options);
}

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
template std::shared_ptr<ViewNode> make_view_node<>(std::unique_ptr<TransportBase>, const view_service::ViewRecord*,
                                                    const ViewOptions&, Observer);
template std::shared_ptr<ViewNode> make_lasting_view_node<>(std::unique_ptr<TransportBase>,
                                                            std::unique_ptr<ViewStoreBase>, const ViewOptions&,
                                                            Observer);
#endif

}  // namespace understudy::detail
