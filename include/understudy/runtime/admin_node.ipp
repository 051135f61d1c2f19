// A running operator client: it sends questions through `client::AdminStateMachine`, and delivers views to watchers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <system_error>
#include <utility>
#include <variant>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>

#include <understudy/client/admin_state_machine.hpp>
#include <understudy/error.hpp>
#include <understudy/runtime/admin_node.hpp>
#include <understudy/runtime/driver.hpp>
#include <understudy/runtime/loop.hpp>

namespace understudy::detail {

template <typename Lazy>
class RunningAdmin final : public AdminNode {
public:
    using Machine = client::AdminStateMachine;

    RunningAdmin(Machine state_machine, std::unique_ptr<TransportBase> transport, Observer observer)
        : driver{std::move(state_machine), std::move(transport), std::move(observer)} {}

    Driver<Machine> driver;

    // ---- for the host ----

    asio::any_io_executor executor() override { return driver.transport->get_executor(); }
    Address local() const override { return driver.transport->local(); }
    asio::awaitable<void> begin_run() override { return begin_run_of(*this); }
    void stop(std::error_code by = {}) override { driver.stop(by); }

    void start(std::uint64_t key, client::Question question) override {
        if (driver.stopped()) return calls.finish(key, error::closed);
        if (auto wrong = driver.transport->objection(question.to); !wrong.empty()) {
            watching_.erase(key);
            driver.emit(Refused{question.to, error::invalid_options, std::move(wrong)});
            return calls.finish(key, error::invalid_options);
        }
        driver.machine.ask(key, std::move(question), driver.transport->now());
        driver.transport->wake();
        run_in_background(*this);
    }
    void start(std::uint64_t key, client::Watch watch) override {
        watching_.emplace(key, Watching{std::move(watch.watcher), {}});
        start(key,
              client::Question{std::move(watch.view_service), Method::view_watch, ViewWatch{std::move(watch.group)}});
    }
    void cancel(std::uint64_t key) override {
        driver.machine.cancel(key);
        watching_.erase(key);
        calls.finish(key, asio::error::operation_aborted);
    }

    // ---- for the loop (see `Driven`) ----

    Time deadline() const { return driver.machine.deadline(); }
    void after_turn() {
        for (auto& answer : driver.machine.take_answers()) {
            auto watching = watching_.find(answer.key);
            if (watching != watching_.end() && !answer.code) {
                show(watching->second, std::get_if<ViewResult>(&*answer.message));
                continue;
            }
            if (watching != watching_.end()) watching_.erase(watching);
            calls.finish(answer.key, answer.code ? make_error_code(*answer.code) : std::error_code{},
                         answer.message ? std::move(*answer.message) : Message{});
        }
    }
    void end_calls() {
        watching_.clear();
        calls.finish_all(asio::error::operation_aborted);
    }
    void drop_calls() {
        watching_.clear();
        calls.drop_all();
    }

private:
    struct Watching {
        client::Watcher watcher;
        ViewInfo seen;
    };

    void show(Watching& watching, const ViewResult* news) {
        // After a connection broke, the view is asked for again, and may be the one that the watcher already has.
        if (!news || news->info == watching.seen) return;
        watching.seen = news->info;
        // Posted, because the watcher is code of the host: it may call this object, or throw.
        asio::post(executor(), [watcher = watching.watcher, info = news->info] { watcher(info); });
    }

    std::map<std::uint64_t, Watching> watching_;
};

template <typename Lazy>
std::shared_ptr<AdminNode> make_admin_node(std::unique_ptr<TransportBase> transport, Observer observer) {
    return std::make_shared<RunningAdmin<Lazy>>(client::AdminStateMachine{}, std::move(transport), std::move(observer));
}

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
template std::shared_ptr<AdminNode> make_admin_node<>(std::unique_ptr<TransportBase>, Observer);
#endif

}  // namespace understudy::detail
