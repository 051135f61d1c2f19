// A running client: its driver, whose loop starts with the first call, and its pending calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/client/state_machine.hpp>
#include <understudy/runtime/checked_options.hpp>
#include <understudy/runtime/client_node.hpp>
#include <understudy/runtime/driver.hpp>
#include <understudy/runtime/loop.hpp>

namespace understudy::detail {

template <typename Lazy>
class RunningClient final : public ClientNode {
public:
    using Machine = client::ClientStateMachine;

    RunningClient(Machine state_machine, std::unique_ptr<TransportBase> transport, Observer observer)
        : driver{std::move(state_machine), std::move(transport), std::move(observer)} {}

    Driver<Machine> driver;

    // ---- for the host ----

    asio::any_io_executor executor() override { return driver.transport->get_executor(); }
    Address local() const override { return driver.transport->local(); }
    asio::awaitable<void> begin_run() override { return begin_run_of(*this); }
    void stop(std::error_code by = {}) override { driver.stop(by); }
    const ViewInfo& view() const override { return driver.machine.view(); }

    void start(std::uint64_t key, ExecuteCall&& call) override {
        if (!call.command) return calls.finish(key, error::bad_request);
        begin(key, [&](Machine& machine, Time now) {
            machine.execute(key, std::move(*call.command), call.give_up_after, now);
        });
    }
    void start(std::uint64_t key, QueryCall&& call) override {
        if (!call.query) return calls.finish(key, error::bad_request);
        begin(key, [&](Machine& machine, Time now) {
            machine.query(key, std::move(*call.query), call.give_up_after, now);
        });
    }
    void start(std::uint64_t key, DumpCall call) override {
        begin(key, [&](Machine& machine, Time now) { machine.dump(key, call.at, call.chunk, {}, now); });
    }
    std::string text_buffer() override { return driver.machine.text_buffer(); }
    void cancel(std::uint64_t key) override {
        driver.machine.cancel(key, now());
        calls.finish(key, asio::error::operation_aborted);
    }

    void leave() override {
        if (left()) return;
        calls.finish_all(asio::error::operation_aborted);
        driver.machine.leave(now());
        driver.silence();
        // Without a session, or without a loop that could close it, there is nothing to wait for.
        if (!driver.running || !driver.machine.leaving()) return stop();
        leaving_ = true;
        driver.transport->wake();
    }
    /// A client that is closing its session finishes that before it stops.
    void abandoned() override {
        if (!leaving_) stop();
    }

    void follow() override {
        if (left()) return;
        driver.machine.follow(now());
        go();
    }

    // ---- for the loop (see `Driven`) ----

    Time deadline() const { return driver.machine.deadline(); }
    /// Runs the handlers of the calls that the messages of this turn have finished. The calls that they start leave
    /// with the same turn.
    void complete_calls() {
        take_finished();
        calls.run_finished();
    }
    void after_turn() {
        take_finished();
        calls.post_finished();
        if (leaving_ && !driver.machine.leaving()) stop();
    }
    void end_calls() { calls.finish_all(asio::error::operation_aborted); }
    void drop_calls() { calls.drop_all(); }

private:
    Time now() const { return driver.transport->now(); }
    bool left() const { return leaving_ || driver.stopped(); }

    template <typename Step>
    void begin(std::uint64_t key, Step step) {
        if (left()) return calls.finish(key, error::closed);
        step(driver.machine, now());
        go();
    }
    void go() {
        driver.transport->wake();
        run_in_background(*this);
    }

    void take_finished() {
        auto finished = driver.machine.take_finished();
        for (auto& done : finished) finish(done);
        driver.machine.reuse(std::move(finished));
    }
    void finish(client::Finished& done) {
        if (done.error) {
            // In place of a value, the text of the exception: see `FailureText`.
            done.value = "group " + driver.machine.options().group;
            if (!done.detail.empty()) {
                done.value += ": " + done.detail;
                driver.emit(CallFailed{*done.error, std::move(done.detail)});
            }
        }
        if (done.dump) done.value = std::move(done.dump->data);
        calls.finish_with_others(done.key, done.error ? make_error_code(*done.error) : std::error_code{},
                                 {done.at, std::move(done.value), !done.dump || done.dump->last});
    }

    bool leaving_ = false;
};

template <typename Lazy>
std::shared_ptr<ClientNode> make_client_node(std::unique_ptr<TransportBase> transport, const ClientOptions& options,
                                             Observer observer) {
    require_valid(options.validate());
    require_dialable(*transport, options.view_service);
    client::ClientStateMachine state_machine{options, transport->random()};
    return std::make_shared<RunningClient<Lazy>>(std::move(state_machine), std::move(transport), std::move(observer));
}

template <typename Lazy>
asio::awaitable<Position> dump(std::shared_ptr<ClientNode> node, std::function<void(std::string_view)> sink) {
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());  // it only reads
    DumpCall call;
    for (;; ++call.chunk) {
        Answer piece = co_await async_call(node, call, TakeAnswer{}, asio::use_awaitable);
        if (!piece.text.empty()) sink(piece.text);
        if (piece.last) co_return piece.at;
        call.at = piece.at;
    }
}

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
template std::shared_ptr<ClientNode> make_client_node<>(std::unique_ptr<TransportBase>, const ClientOptions&, Observer);
template asio::awaitable<Position> dump<>(std::shared_ptr<ClientNode>, std::function<void(std::string_view)>);
#endif

}  // namespace understudy::detail
