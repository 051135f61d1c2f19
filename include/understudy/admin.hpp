// What an operator's tools ask of view services and replicas.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include <asio/any_io_executor.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/detail/ask_rules.hpp>
#include <understudy/detail/call_table.hpp>
#include <understudy/detail/service.hpp>
#include <understudy/event.hpp>
#include <understudy/transport.hpp>

namespace understudy {

namespace detail {

template <>
struct FailureText<Message> {
    static std::string take(Message& message) {
        auto* failure = std::get_if<Failure>(&message);
        return failure ? std::move(failure->text) : std::string{};
    }
};

using Watcher = std::function<void(const ViewInfo&)>;
struct Watch {
    Address view_service;
    std::string group;
    Watcher watcher;
};

/// The answer `M`; another one is `error::internal`.
template <typename M>
struct TakeMessage {
    using Value = M;
    M operator()(std::error_code& ec, Message&& message) const {
        if (ec) return {};
        if (auto* wanted = std::get_if<M>(&message)) return std::move(*wanted);
        ec = error::internal;
        return {};
    }
};
struct TakeView {
    using Value = ViewInfo;
    ViewInfo operator()(std::error_code& ec, Message&& message) const {
        return TakeMessage<ViewResult>{}(ec, std::move(message)).info;
    }
};
struct IgnoreMessage {
    using Value = void;
    void operator()(std::error_code&, Message&&) const {}
};

template <Transport T>
class AdminParty final : public Party<AskRules, T>, public std::enable_shared_from_this<AdminParty<T>> {
public:
    using Party<AskRules, T>::Party;

    CallTable<Message> calls;

    void start(std::uint64_t key, Question question) {
        if (this->stopped()) return calls.finish(key, error::closed);
        if (auto wrong = objection(question.to); !wrong.empty()) {
            watching_.erase(key);
            this->tell(Refused{question.to, error::invalid_options, std::move(wrong)});
            return calls.finish(key, error::invalid_options);
        }
        this->machine.ask(key, std::move(question), this->transport.now());
        this->transport.wake();
        run_in_background(this->shared_from_this());
    }
    void start(std::uint64_t key, Watch watch) {
        watching_.emplace(key, Watching{std::move(watch.watcher), {}});
        start(key, Question{std::move(watch.view_service), Method::view_watch, ViewWatch{std::move(watch.group)}});
    }
    void cancel(std::uint64_t key) {
        this->machine.cancel(key);
        watching_.erase(key);
        calls.finish(key, asio::error::operation_aborted);
    }
    void run_ended() override {
        watching_.clear();
        calls.finish_all(asio::error::operation_aborted);
    }
    void run_dropped() override {
        watching_.clear();
        calls.drop_all();
    }

private:
    struct Watching {
        Watcher watcher;
        ViewInfo seen;
    };

    /// Why the transport can never dial this address; empty if it can, or does not say.
    std::string objection(const Address& address) const {
        if constexpr (requires {
                          { this->transport.objection(address) } -> std::same_as<std::string>;
                      })
            return this->transport.objection(address);
        else
            return {};
    }
    void turn_ended() override {
        for (auto& told : this->machine.take_told()) {
            auto watching = watching_.find(told.key);
            if (watching != watching_.end() && !told.code) {
                show(watching->second, std::get_if<ViewResult>(&*told.message));
                continue;
            }
            if (watching != watching_.end()) watching_.erase(watching);
            calls.finish(told.key, told.code ? make_error_code(*told.code) : std::error_code{},
                         told.message ? std::move(*told.message) : Message{});
        }
    }
    void show(Watching& watching, const ViewResult* news) {
        if (!news || news->info == watching.seen) return;
        watching.seen = news->info;
        asio::post(this->executor(), [watcher = watching.watcher, info = news->info] { watcher(info); });
    }

    std::map<std::uint64_t, Watching> watching_;
};

}  // namespace detail

/// Asks given addresses, one request for each call. Reads are repeated until they are answered or `timeout` has passed
/// (`error::deadline_passed`); what changes something is sent once (`error::outcome_unknown`). A refusal completes with
/// its code, and the observer gets its text as an event `Refused`; so does an address that the transport could never
/// dial, with `error::invalid_options`. Completion, cancellation and threads: as `Client`.
template <Transport T>
class Admin {
public:
    explicit Admin(T transport, Duration timeout = std::chrono::seconds{5}, Observer observer = {})
        : state_{std::make_shared<State>(detail::AskRules{}, std::move(transport), std::move(observer))},
          timeout_{timeout} {}

    /// The group's view (`view.get`); completes with `ViewInfo`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_view(Address view_service, std::string group, Token&& token = Token()) {
        return read<detail::TakeView>(std::move(view_service), Method::view_get,
            ViewGet{.group = std::move(group)}, std::forward<Token>(token));
    }
    /// One group, or all if none is named (`view.status`); completes with `ViewStatusResult`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_view_status(Address view_service, std::optional<std::string> group, Token&& token = Token()) {
        return read<detail::TakeMessage<ViewStatusResult>>(std::move(view_service), Method::view_status,
            ViewStatus{std::move(group)}, std::forward<Token>(token));
    }
    /// What a server says of itself (`pb.status`); completes with `ReplicaStatusResult`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_replica_status(Address server, Token&& token = Token()) {
        return read<detail::TakeMessage<ReplicaStatusResult>>(std::move(server), Method::pb_status,
            ReplicaStatus{}, std::forward<Token>(token));
    }
    /// Makes a backup that is in sync primary (R6); completes with the new `ViewInfo`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_promote(Address view_service, std::string group, Address server, Token&& token = Token()) {
        return change<detail::TakeView>(std::move(view_service), Method::view_promote,
            ViewPromote{std::move(group), std::move(server)}, std::forward<Token>(token));
    }
    /// Makes a server primary that may lack answered writes: the last resort. Completes with `ViewForceResult`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_force(Address view_service, std::string group, Address server, Token&& token = Token()) {
        return change<detail::TakeMessage<ViewForceResult>>(std::move(view_service), Method::view_force,
            ViewForce{std::move(group), std::move(server)}, std::forward<Token>(token));
    }
    /// Goes on with a group of a former view service whose record is lost, as its servers know it. Completes with
    /// `ViewForceResult`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_adopt(Address view_service, std::string group, ClusterId cluster, Token&& token = Token()) {
        return change<detail::TakeMessage<ViewForceResult>>(std::move(view_service), Method::view_adopt,
            ViewAdopt{std::move(group), cluster}, std::forward<Token>(token));
    }
    /// Forgets a group of which nobody is heard; what its servers hold is given up. Completes with its last `ViewInfo`.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_remove_group(Address view_service, std::string group, Token&& token = Token()) {
        return change<detail::TakeView>(std::move(view_service), Method::view_remove, ViewRemove{std::move(group)},
                                        std::forward<Token>(token));
    }
    /// Calls `watcher` on the executor with the view as it is and then with every later one, also over connections that
    /// break. Completes with `void(std::error_code)` when it is cancelled, stopped or refused, not before.
    template <typename Token = asio::use_awaitable_t<>>
    auto async_watch(Address view_service, std::string group, std::function<void(const ViewInfo&)> watcher,
                     Token&& token = Token()) {
        detail::Watch watch{std::move(view_service), std::move(group), std::move(watcher)};
        return detail::async_call(state_.share(), std::move(watch), detail::IgnoreMessage{},
                                  std::forward<Token>(token));
    }

    /// Ends every call with `operation_aborted`, and each later one with `error::closed`.
    void stop() { state_->stop(); }
    asio::any_io_executor get_executor() const { return state_->executor(); }

private:
    using State = detail::AdminParty<T>;

    template <typename Take, typename Token>
    auto read(Address to, Method method, Message message, Token&& token) {
        detail::Question question{std::move(to), method, std::move(message), timeout_, true};
        return detail::async_call(state_.share(), std::move(question), Take{}, std::forward<Token>(token));
    }
    template <typename Take, typename Token>
    auto change(Address to, Method method, Message message, Token&& token) {
        detail::Question question{std::move(to), method, std::move(message), timeout_, false};
        return detail::async_call(state_.share(), std::move(question), Take{}, std::forward<Token>(token));
    }

    detail::Handle<State> state_;
    Duration timeout_;
};

}  // namespace understudy
