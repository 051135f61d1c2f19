// A running replica: its driver, its journal, and the calls of the host in the same process.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/error.hpp>

#include <understudy/protocol/call_id.hpp>
#include <understudy/replica/output.hpp>
#include <understudy/replica/recovery.hpp>
#include <understudy/runtime/checked_options.hpp>
#include <understudy/runtime/driver.hpp>
#include <understudy/runtime/loop.hpp>
#include <understudy/runtime/replica_machine.hpp>
#include <understudy/runtime/replica_node.hpp>
#include <understudy/runtime/running_journal.hpp>

namespace understudy::detail {

template <typename Lazy>
class RunningReplica final : public ReplicaNode {
public:
    using Machine = replica::ReplicaStateMachine<ErasedStore>;
    using Output = replica::Output;

    RunningReplica(Machine state_machine, std::unique_ptr<TransportBase> transport,
                   std::unique_ptr<JournalBase> journal, Observer observer)
        : driver{std::move(state_machine), std::move(transport), std::move(observer)}, journal_{std::move(journal)} {}

    Driver<Machine> driver;

    static void start_journal(const std::shared_ptr<RunningReplica>& self) {
        self->journal_.start(std::shared_ptr<Driver<Machine>>{self, &self->driver});
    }

    // ---- for the host ----

    asio::any_io_executor executor() override { return driver.transport->get_executor(); }
    Address local() const override { return driver.transport->local(); }
    asio::awaitable<void> begin_run() override { return begin_run_of(*this); }
    void stop(std::error_code by = {}) override {
        journal_.shut();
        driver.stop(by);
    }

    Role role() const override { return driver.machine.role(); }
    bool serving() const override { return driver.machine.serving(); }
    bool left() const override { return driver.machine.left(); }
    const ViewInfo& view() const override { return driver.machine.view(); }
    ReplicaStatusResult status() const override { return driver.machine.status(driver.transport->now()); }
    const ErasedStore& store() const override { return driver.machine.store(); }
    const Machine& state_machine() const override { return driver.machine; }

    void start(std::uint64_t key, LocalExecute call) override {
        if (!admit(key, call.command)) return;
        const auto& info = view();
        send(key, Method::pb_execute, Execute{info.cluster, info.group, {}, 0, 0, std::move(*call.command)});
    }
    void start(std::uint64_t key, LocalQuery call) override {
        if (!admit(key, call.query)) return;
        const auto& info = view();
        send(key, Method::pb_query, Query{info.cluster, info.group, std::move(*call.query)});
    }
    void start(std::uint64_t key, Wait wait) override {
        if (!driver.running) return calls.finish(key, error::closed);
        if (wait.leaving) ask([](Machine& machine, Time now, Output& out) { machine.leave(now, out); });
        const auto deadline = after(driver.transport->now(), wait.timeout);
        waits_.emplace(key, Waiting{std::move(wait.until), deadline, wait.leaving});
        driver.transport->wake();
    }
    void cancel(std::uint64_t key) override {
        if (auto wait = waits_.extract(key); wait && wait.mapped().leaving) stay();
        calls.finish(key, asio::error::operation_aborted);  // the answer to a command finds no call and is dropped
    }

    // ---- for the loop (see `Driven`) ----

    Time deadline() const {
        auto time = driver.machine.deadline();
        for (const auto& [key, wait] : waits_) time = std::min(time, wait.deadline);
        return time;
    }
    void before_wake(Time now, Output& out) { journal_.report(driver.machine, now, out); }
    void submit(JournalBatch& batch) { journal_.submit(batch, driver.machine.state().log); }
    void answer(Envelope envelope) {
        const auto key = call_number(envelope.id);
        if (auto* failure = std::get_if<Failure>(&envelope.message))
            calls.finish(key, failure->code, {{}, "group " + view().group + ", this server: " + failure->text});
        else if (auto* done = std::get_if<ExecuteResult>(&envelope.message))
            calls.finish(key, {}, {done->at, std::move(done->value)});
        else if (auto* read = std::get_if<QueryResult>(&envelope.message))
            calls.finish(key, {}, {read->at, std::move(read->value)});
    }
    void after_turn() {
        finish_waits();
        if (driver.machine.failed())
            stop(driver.machine.journal_failure().empty() ? error::store_failed : error::journal_failed);
    }
    void end_calls() {
        waits_.clear();
        calls.finish_all(asio::error::operation_aborted);
    }
    void drop_calls() {
        waits_.clear();
        calls.drop_all();
    }

private:
    struct Waiting {
        std::function<bool(const ReplicaNode&)> until;
        Time deadline;
        bool leaving;
    };

    bool admit(std::uint64_t key, const CallText& text) {
        if (text && driver.running) return true;
        calls.finish(key, text ? error::closed : error::bad_request);
        return false;
    }
    template <typename Step>
    void ask(Step step) {
        threads.called(*this);
        driver.ask(std::move(step));
    }
    void send(std::uint64_t key, Method method, Message message) {
        ask([&](Machine& machine, Time now, Output& out) {
            machine.receive({replica::local_peer, make_call_id(method, key), std::move(message)}, now, out);
        });
    }
    void stay() {
        ask([](Machine& machine, Time now, Output& out) { machine.stay(now, out); });
    }

    void finish_waits() {
        const auto now = driver.transport->now();
        for (auto wait = waits_.begin(); wait != waits_.end();) {
            const bool met = wait->second.until(*this);
            if (!met && wait->second.deadline > now) {
                ++wait;
                continue;
            }
            // A leave that takes too long is revoked. Otherwise the server could still be removed from the group later,
            // although the call has reported that it stays.
            if (!met && wait->second.leaving) stay();
            calls.finish(wait->first, met ? std::error_code{} : error::deadline_passed);
            wait = waits_.erase(wait);
        }
    }

    RunningJournal journal_;
    std::map<std::uint64_t, Waiting> waits_;
};

template <typename Lazy>
std::shared_ptr<ReplicaNode> make_replica_node(ErasedStore store, std::unique_ptr<TransportBase> transport,
                                               std::unique_ptr<JournalBase> journal, ReplicaOptions options,
                                               Observer observer) {
    using Running = RunningReplica<Lazy>;
    require_valid(options.validate());
    const Address name = transport->local();
    require_listening(name);
    require_dialable(*transport, options.view_service);
    require_room(*transport, options);
    // A new incarnation for every start, also with a journal: others must notice that the old process is gone (S9).
    const auto incarnation = Incarnation{draw_token(*transport)};
    const auto now = transport->now();
    if (!journal) {
        typename Running::Machine state_machine{std::move(store), std::move(options), name, incarnation, now};
        return std::make_shared<Running>(std::move(state_machine), std::move(transport), nullptr, std::move(observer));
    }
    // The journal is read here, in the constructor of the service: a damaged or foreign journal is an error before the
    // server has sent anything.
    replica::Recovery reader{std::move(store), options.log_bytes};
    journal->read(reader);
    auto from = std::move(reader).finish();
    require_own(from.hard_state, name, options.group);
    typename Running::Machine state_machine{std::move(from),    std::move(options), name, incarnation, now,
                                            journal->promises()};
    auto node = std::make_shared<Running>(std::move(state_machine), std::move(transport), std::move(journal),
                                          std::move(observer));
    Running::start_journal(node);
    return node;
}

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
template std::shared_ptr<ReplicaNode> make_replica_node<>(ErasedStore, std::unique_ptr<TransportBase>,
                                                         std::unique_ptr<JournalBase>, ReplicaOptions, Observer);
#endif

}  // namespace understudy::detail
