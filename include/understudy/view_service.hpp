// The view service: it hears the servers' pings and decides who is primary.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/event.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/message.hpp>
#include <understudy/runtime/view_node.hpp>
#include <understudy/transport.hpp>
#include <understudy/view.hpp>
#include <understudy/view_service/record.hpp>
#include <understudy/view_store.hpp>

namespace understudy {

/// A view service over any transport (protocol, section 2). It supervises any number of groups and works while its
/// `async_run` is under way. Not thread-safe: use it, and run its transport's executor, on one strand.
/// Destroying it stops it.
///
/// With a store (`ViewStore`) it survives its process: it goes on from what the store holds, and what follows from a
/// turn leaves only once what the turn changed is stored. Without one, it is a new cluster after each start.
template <Transport T, typename S = NoViewStore>
    requires std::same_as<S, NoViewStore> || ViewStore<S>
class ViewService {
public:
    /// Throws `std::system_error` with `error::invalid_options` and a sentence that says what is wrong, also if the
    /// transport does not listen. The observer is called for every event; what it throws leaves the executor's `run()`
    /// and harms nothing else.
    explicit ViewService(T transport, ViewOptions options = {}, Observer observer = {})
        requires std::same_as<S, NoViewStore>
        : node_{detail::make_view_node(detail::erase(std::move(transport)), nullptr, options, std::move(observer))} {}

    /// Goes on where the service stood whose `record()` this is: same cluster, same views. Every member counts as
    /// having just pinged, so that nobody is lost for the time without a view service.
    ViewService(T transport, const view_service::ViewRecord& record, ViewOptions options = {}, Observer observer = {})
        requires std::same_as<S, NoViewStore>
        : node_{detail::make_view_node(detail::erase(std::move(transport)), &record, options, std::move(observer))} {}

    /// Goes on where the service stood that used this store before, as above, or begins a new cluster if the store is
    /// empty. It is read when `async_run` begins.
    ViewService(T transport, S store, ViewOptions options = {}, Observer observer = {})
        requires ViewStore<S>
        : node_{detail::make_lasting_view_node(detail::erase(std::move(transport)), detail::erase(std::move(store)),
                                               options, std::move(observer))} {}

    /// Serves until `stop()` or a failure of the transport or the store. Completes with `void(std::error_code)`: no
    /// error after `stop()`, `asio::error::already_started` if another one is under way, `error::closed` if it was
    /// stopped before, `error::journal_failed` if the store failed, `error::store_conflict` if another view service has
    /// written to it, `error::invalid_options` if it holds more groups than `max_groups` (an event says how).
    /// Terminal cancellation ends it with `operation_aborted`; it can then be run again and knows all that it knew.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_run(Token&& token = Token()) {
        return detail::async_run(node_.share(), std::forward<Token>(token));
    }

    /// Closes the listener and every connection; `async_run` completes. It cannot be run again.
    void stop() { node_->stop(); }

    /// The group's view; number 0 if it has none.
    ViewInfo view(std::string_view group = "main") const { return node_->view(group); }
    /// What `view.status` answers: every group or one, its servers, and recent decisions.
    ViewStatusResult status(const std::optional<std::string>& group = {}) const {
        return node_->status(group);
    }

    /// What a successor at the same address has to know. It is of use only if nothing was announced that depends on a
    /// newer one: an older record would give a number twice, or end leases too early. So it is to be kept before the
    /// service runs, also when it goes on from a record with other options, and before each message that depends on it.
    view_service::ViewRecord record() const { return node_->record(); }

    /// The machine at work, for tests that look inside; what it shows is no part of the interface.
    const view_service::ViewRules& rules() const { return node_->rules(); }

    /// The address at which servers and clients reach it.
    Address local() const { return node_->local(); }
    asio::any_io_executor get_executor() const { return node_->executor(); }

private:
    detail::Handle<detail::ViewNode> node_;
};

}  // namespace understudy
