// The view service: it hears the servers' pings and decides who is primary.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/core/view_rules.hpp>
#include <understudy/detail/service.hpp>
#include <understudy/detail/view_party.hpp>
#include <understudy/event.hpp>
#include <understudy/options.hpp>
#include <understudy/transport.hpp>
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
        : state_{make(transport, options, std::move(observer))} {}

    /// Goes on where the service stood whose `record()` this is: same cluster, same views. Every member counts as
    /// having just pinged, so that nobody is lost for the time without a view service.
    ViewService(T transport, const ViewRecord& record, ViewOptions options = {}, Observer observer = {})
        requires std::same_as<S, NoViewStore>
        : state_{make(transport, record, options, std::move(observer))} {}

    /// Goes on where the service stood that used this store before, as above, or begins a new cluster if the store is
    /// empty. It is read when `async_run` begins.
    ViewService(T transport, S store, ViewOptions options = {}, Observer observer = {})
        requires ViewStore<S>
        : state_{make(transport, std::move(store), options, std::move(observer))} {}

    /// Serves until `stop()` or a failure of the transport or the store. Completes with `void(std::error_code)`: no
    /// error after `stop()`, `asio::error::already_started` if another one is under way, `error::closed` if it was
    /// stopped before, `error::journal_failed` if the store failed, `error::store_conflict` if another view service has
    /// written to it, `error::invalid_options` if it holds more groups than `max_groups` (an event says how).
    /// Terminal cancellation ends it with `operation_aborted`; it can then be run again and knows all that it knew.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_run(Token&& token = Token()) {
        return detail::async_run(state_.share(), std::forward<Token>(token));
    }

    /// Closes the listener and every connection; `async_run` completes. It cannot be run again.
    void stop() { state_->stop(); }

    /// The group's view; number 0 if it has none.
    ViewInfo view(std::string_view group = "main") const {
        const auto* known = state_->machine.view(group);
        return known ? *known : ViewInfo{.group = std::string{group}, .cluster = {}, .ping_interval = {}, .view = {}};
    }
    /// What `view.status` answers: every group or one, its servers, and recent decisions.
    ViewStatusResult status(const std::optional<std::string>& group = {}) const {
        return state_->machine.status(group, state_->transport.now());
    }

    /// What a successor at the same address has to know. It is of use only if nothing was announced that depends on a
    /// newer one: an older record would give a number twice, or end leases too early. So it is to be kept before the
    /// service runs, also when it goes on from a record with other options, and before each message that depends on it.
    ViewRecord record() const { return state_->machine.record(); }

    /// The machine at work, for tests that look inside; what it shows is no part of the interface.
    const ViewRules& rules() const { return state_->machine; }

    /// The address at which servers and clients reach it.
    Address local() const { return state_->transport.local(); }
    asio::any_io_executor get_executor() const { return state_->executor(); }

private:
    using State = typename detail::ViewPartyOf<T, S>::type;

    static void require(const T& transport, const ViewOptions& options) {
        detail::require_valid(options.validate());
        detail::require_listening(transport.local());
    }
    static std::shared_ptr<State> make(T& transport, const ViewOptions& options, Observer observer) {
        require(transport, options);
        return std::make_shared<State>(begin(transport, options), std::move(transport), std::move(observer));
    }
    static std::shared_ptr<State> make(T& transport, const ViewRecord& record, const ViewOptions& options,
                                       Observer observer) {
        require(transport, options);
        detail::require_valid(detail::objection(record, options));
        ViewRules rules{options, record, transport.now()};
        return std::make_shared<State>(std::move(rules), std::move(transport), std::move(observer));
    }
    static std::shared_ptr<State> make(T& transport, S store, const ViewOptions& options, Observer observer) {
        require(transport, options);
        return std::make_shared<State>(begin(transport, options), std::move(transport), std::move(observer),
                                       std::move(store), options);
    }
    static ViewRules begin(T& transport, const ViewOptions& options) {
        const auto cluster = ClusterId{detail::draw_token(transport)};
        return ViewRules{options, cluster, transport.now()};
    }

    detail::Handle<State> state_;
};

}  // namespace understudy
