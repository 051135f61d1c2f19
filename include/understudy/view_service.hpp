// `ViewService`: it receives the pings of the servers, and decides which of them is primary.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <understudy/async/token.hpp>
#include <understudy/event.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/runtime/view_node.hpp>
#include <understudy/transport.hpp>
#include <understudy/view.hpp>
#include <understudy/view_service/record.hpp>
#include <understudy/view_store.hpp>

namespace understudy {

/// A view service over any transport (protocol, section 2). It manages any number of groups, and works while its
/// `async_run` is under way. Not thread-safe: use it, and run the executor of its transport, on one strand. The
/// destructor stops it.
///
/// With a store (`ViewStore`) it survives the loss of its process: after a restart it continues from what the store
/// holds. The messages of a turn leave only after the changes of that turn are stored. Without a store every start
/// begins a new cluster.
template <Transport T, typename S = NoViewStore>
    requires std::same_as<S, NoViewStore> || ViewStore<S>
class ViewService {
    using DefaultToken = detail::DefaultToken<detail::ExecutorOf<T>>;

public:
    using executor_type = detail::ExecutorOf<T>;

    /// Throws `std::system_error` with `error::invalid_options` and a text that says what is wrong; it is also an error
    /// if the transport does not listen. The observer is called for every event. An exception of the observer leaves
    /// the executor's `run()` and has no other effect.
    explicit ViewService(T transport, ViewOptions options = {}, Observer observer = {})
        requires std::same_as<S, NoViewStore>
        : executor_{transport.get_executor()},
          node_{detail::make_view_node(detail::erase(std::move(transport)), nullptr, options, std::move(observer))} {}

    /// Continues from the `record()` of a former view service, with the same cluster and the same views. Every member
    /// counts as having just pinged. Otherwise the time without a view service would count as silence, and members
    /// would be declared dead.
    ViewService(T transport, const view_service::ViewRecord& record, ViewOptions options = {}, Observer observer = {})
        requires std::same_as<S, NoViewStore>
        : executor_{transport.get_executor()},
          node_{detail::make_view_node(detail::erase(std::move(transport)), &record, options, std::move(observer))} {}

    /// Continues, as above, from the view service that used this store before. If the store is empty, begins a new
    /// cluster. The store is read when `async_run` begins.
    ViewService(T transport, S store, ViewOptions options = {}, Observer observer = {})
        requires ViewStore<S>
        : executor_{transport.get_executor()},
          node_{detail::make_lasting_view_node(detail::erase(std::move(transport)), detail::erase(std::move(store)),
                                               options, std::move(observer))} {}

    /// Serves until `stop()` or a failure of the transport or the store. Completes with `void(std::error_code)`:
    ///  - no error after `stop()`;
    ///  - `asio::error::already_started` if another `async_run` is under way, `error::closed` if it was stopped before;
    ///  - `error::journal_failed` if the store failed, `error::store_conflict` if another view service has written to
    ///    it, `error::invalid_options` if it holds more groups than `max_groups` (an event has the details);
    ///  - `operation_aborted` after terminal cancellation. The view service keeps its state, and `async_run` can be
    ///    called again.
    template <detail::TokenFor<void> Token = DefaultToken>
    auto async_run(Token&& token = Token()) {
        return detail::async_run(node_.share(), std::forward<Token>(token));
    }

    /// Closes the listener and every connection; `async_run` completes. The view service cannot be run again.
    void stop() { node_->stop(); }

    /// The view of a group. Its number is 0 if the group has none.
    ViewInfo view(std::string_view group = "main") const { return node_->view(group); }
    /// The same as the answer to `view.status`: one group or all groups, their servers, and recent decisions.
    ViewStatusResult status(const std::optional<std::string>& group = {}) const {
        return node_->status(group);
    }

    /// The record from which a successor at the same address can continue. Persist it before the service runs (also if
    /// it continues from a record with other options), and again before any message leaves that depends on a change of
    /// it. An older record is not safe: the successor would use a view number twice, or end leases too early.
    view_service::ViewRecord record() const { return node_->record(); }

    /// The running state machine, for tests that look inside. Its members are not part of the public interface.
    const view_service::ViewStateMachine& state_machine() const { return node_->state_machine(); }

    /// The address at which servers and clients reach it.
    Address local() const { return node_->local(); }
    executor_type get_executor() const noexcept { return executor_; }

private:
    executor_type executor_;
    detail::Handle<detail::ViewNode> node_;
};

}  // namespace understudy
