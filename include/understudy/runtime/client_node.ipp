// The driver of a client: its state machine, its loop (which starts with the first call), and its pending calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/client/state_machine.hpp>
#include <understudy/runtime/checked_options.hpp>
#include <understudy/runtime/client_node.hpp>
#include <understudy/runtime/driver.hpp>

namespace understudy::detail {

template <typename Lazy>
class ClientDriver final : public Driver<client::ClientStateMachine, ClientNode> {
public:
    using Driver<client::ClientStateMachine, ClientNode>::Driver;

    asio::awaitable<void> begin_run() override { return begin_run_of(*this); }
    const ViewInfo& view() const override { return machine.view(); }

    void start(std::uint64_t key, ExecuteCall call) override {
        if (!call.command) return calls.finish(key, error::bad_request);
        begin(key, [&](Time now) { machine.execute(key, std::move(*call.command), call.give_up_after, now); });
    }
    void start(std::uint64_t key, QueryCall call) override {
        if (!call.query) return calls.finish(key, error::bad_request);
        begin(key, [&](Time now) { machine.query(key, std::move(*call.query), call.give_up_after, now); });
    }
    void start(std::uint64_t key, DumpCall call) override {
        begin(key, [&](Time now) { machine.dump(key, call.at, call.chunk, {}, now); });
    }
    void cancel(std::uint64_t key) override {
        machine.cancel(key, transport->now());
        calls.finish(key, asio::error::operation_aborted);
    }

    void leave() override {
        if (left()) return;
        calls.finish_all(asio::error::operation_aborted);
        machine.leave(transport->now());
        silence();
        // Without a session, or without a loop that could close it, there is nothing to wait for.
        if (!running || !machine.leaving()) return stop();
        leaving_ = true;
        transport->wake();
    }
    /// A client that is closing its session finishes that before it stops.
    void abandoned() override {
        if (!leaving_) stop();
    }

    void follow() override {
        if (left()) return;
        machine.follow(transport->now());
        go();
    }

    void run_ended() override { calls.finish_all(asio::error::operation_aborted); }
    void run_dropped() override { calls.drop_all(); }

private:
    bool left() const { return leaving_ || stopped(); }

    template <typename Step>
    void begin(std::uint64_t key, Step step) {
        if (left()) return calls.finish(key, error::closed);
        step(transport->now());
        go();
    }
    void go() {
        transport->wake();
        run_in_background(*this);
    }

    void turn_ended() override {
        for (auto& done : machine.take_finished()) {
            if (done.error) {
                // In place of a value, the text of the exception: see `FailureText`.
                done.value = "group " + machine.options().group;
                if (!done.detail.empty()) {
                    done.value += ": " + done.detail;
                    emit(CallFailed{*done.error, std::move(done.detail)});
                }
            }
            if (done.dump) done.value = std::move(done.dump->data);
            calls.finish_with_others(done.key, done.error ? make_error_code(*done.error) : std::error_code{},
                                     {done.at, std::move(done.value), !done.dump || done.dump->last});
        }
        calls.post_finished(executor());
        if (leaving_ && !machine.leaving()) stop();
    }

    bool leaving_ = false;
};

template <typename Lazy>
std::shared_ptr<ClientNode> make_client_node(std::unique_ptr<TransportBase> transport, const ClerkOptions& options,
                                             Observer observer) {
    require_valid(options.validate());
    require_dialable(*transport, options.view_service);
    client::ClientStateMachine state_machine{options, transport->random()};
    return std::make_shared<ClientDriver<Lazy>>(std::move(state_machine), std::move(transport), std::move(observer));
}

template <typename Lazy>
asio::awaitable<Position> dump(std::shared_ptr<ClientNode> node, std::function<void(std::string_view)> sink) {
    DumpCall call;
    for (;; ++call.chunk) {
        Answer piece = co_await async_call(node, call, TakeAnswer{}, asio::use_awaitable);
        if (!piece.text.empty()) sink(piece.text);
        if (piece.last) co_return piece.at;
        call.at = piece.at;
    }
}

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
template std::shared_ptr<ClientNode> make_client_node<>(std::unique_ptr<TransportBase>, const ClerkOptions&, Observer);
template asio::awaitable<Position> dump<>(std::shared_ptr<ClientNode>, std::function<void(std::string_view)>);
#endif

}  // namespace understudy::detail
