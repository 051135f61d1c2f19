// The driver of a replica: its state machine, its journal, and the calls of the host in the same process.
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

#include <asio/awaitable.hpp>
#include <asio/error.hpp>

#include <understudy/async/executor_guard.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/replica/recovery.hpp>
#include <understudy/replica/state_machine.hpp>
#include <understudy/runtime/checked_options.hpp>
#include <understudy/runtime/driver.hpp>
#include <understudy/runtime/replica_node.hpp>

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
namespace understudy {

extern template class replica::ReplicaStateMachine<detail::ErasedStore>;  // runtime/replica_machine.ipp

}  // namespace understudy
#endif

namespace understudy::detail {

template <typename Lazy>
class ReplicaDriver final : public Driver<replica::ReplicaStateMachine<ErasedStore>, ReplicaNode> {
public:
    using Machine = replica::ReplicaStateMachine<ErasedStore>;
    using Output = replica::Output;

    ReplicaDriver(Machine state_machine, std::unique_ptr<TransportBase> carrier, std::unique_ptr<JournalBase> kept,
                 Observer observer)
        : Driver<Machine, ReplicaNode>{std::move(state_machine), std::move(carrier), std::move(observer)},
          journal_{std::move(kept)} {}

    asio::awaitable<void> begin_run() override { return begin_run_of(*this); }
    Role role() const override { return machine.role(); }
    bool serving() const override { return machine.serving(); }
    bool left() const override { return machine.left(); }
    const ViewInfo& view() const override { return machine.view(); }
    ReplicaStatusResult status() const override { return machine.status(transport->now()); }
    const ErasedStore& store() const override { return machine.store(); }
    const Machine& state_machine() const override { return machine; }

    /// Wakes the loop whenever the journal has made progress, until the driver is stopped. The guard is needed because
    /// the journal's thread may still work when the executor no longer exists.
    static void start_journal(const std::shared_ptr<ReplicaDriver>& self) {
        self->guard_ = ExecutorGuard::open(self->executor());
        self->journal_->start([guard = self->guard_, driver = std::weak_ptr{self}] {
            guard->post([driver] {
                if (const auto alive = driver.lock(); alive && !alive->stopped()) alive->transport->wake();
            });
        });
    }

    void start(std::uint64_t key, LocalExecute call) override {
        if (!admit(key, call.command)) return;
        const auto& info = machine.view();
        send(key, Method::pb_execute, Execute{info.cluster, info.group, {}, 0, 0, std::move(*call.command)});
    }
    void start(std::uint64_t key, LocalQuery call) override {
        if (!admit(key, call.query)) return;
        const auto& info = machine.view();
        send(key, Method::pb_query, Query{info.cluster, info.group, std::move(*call.query)});
    }
    void start(std::uint64_t key, Wait wait) override {
        if (!running) return calls.finish(key, error::closed);
        if (wait.leaving) ask([](Machine& state_machine, Time now, Output& out) { state_machine.leave(now, out); });
        const auto deadline = after(transport->now(), wait.timeout);
        waits_.emplace(key, Waiting{std::move(wait.until), deadline, wait.leaving});
        transport->wake();
    }
    void cancel(std::uint64_t key) override {
        if (auto wait = waits_.extract(key); wait && wait.mapped().leaving) stay();
        calls.finish(key, asio::error::operation_aborted);  // the answer to a command finds no call and is dropped
    }

    Time deadline() const override {
        auto time = machine.deadline();
        for (const auto& [key, wait] : waits_) time = std::min(time, wait.deadline);
        return time;
    }
    void run_ended() override {
        waits_.clear();
        calls.finish_all(asio::error::operation_aborted);
    }
    void run_dropped() override {
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
        if (text && running) return true;
        calls.finish(key, text ? error::closed : error::bad_request);
        return false;
    }
    void send(std::uint64_t key, Method method, Message message) {
        ask([&](Machine& state_machine, Time now, Output& out) {
            state_machine.receive({replica::local_peer, make_call_id(method, key), std::move(message)}, now, out);
        });
    }
    void stay() {
        ask([](Machine& state_machine, Time now, Output& out) { state_machine.stay(now, out); });
    }

    void answered(Envelope envelope) override {
        const auto key = call_number(envelope.id);
        if (auto* failure = std::get_if<Failure>(&envelope.message))
            calls.finish(key, failure->code,
                         {{}, "group " + machine.view().group + ", this server: " + failure->text});
        else if (auto* done = std::get_if<ExecuteResult>(&envelope.message))
            calls.finish(key, {}, {done->at, std::move(done->value)});
        else if (auto* read = std::get_if<QueryResult>(&envelope.message))
            calls.finish(key, {}, {read->at, std::move(read->value)});
    }

    void about_to_wake(Time now, Output& out) override {
        if (!journal_) return;
        if (const auto batch = journal_->persisted(); batch != persisted_) {
            persisted_ = batch;
            machine.persisted(batch);
        }
        emit_waiting(journal_->waiting(), out);
        if (const auto why = journal_->failure(); !why.empty()) machine.journal_failed(why, now, out);
    }
    void emit_waiting(std::string what, Output& out) {
        if (what == waiting_) return;
        if (what.empty()) out.emit(JournalGoesOn{});
        else out.emit(JournalWaits{what});
        waiting_ = std::move(what);
    }
    void persist(JournalBatch& batch) override {
        if (journal_) journal_->write(batch, machine.state().log);
    }
    void was_stopped() override {
        if (guard_) guard_->shut();
    }

    void turn_ended() override {
        const auto now = transport->now();
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
        if (machine.failed())
            stop(machine.journal_failure().empty() ? error::store_failed : error::journal_failed);
    }

    std::shared_ptr<ExecutorGuard> guard_;  // for the journal's thread; null without a journal
    std::unique_ptr<JournalBase> journal_;  // null without a journal
    std::uint64_t persisted_ = 0;
    std::string waiting_;  // what the journal waits for, as last emitted
    std::map<std::uint64_t, Waiting> waits_;
};

template <typename Lazy>
std::shared_ptr<ReplicaNode> make_replica_node(ErasedStore store, std::unique_ptr<TransportBase> transport,
                                               std::unique_ptr<JournalBase> journal, ReplicaOptions options,
                                               Observer observer) {
    using Driver = ReplicaDriver<Lazy>;
    require_valid(options.validate());
    const Address name = transport->local();
    require_listening(name);
    require_dialable(*transport, options.view_service);
    require_room(*transport, options);
    // A new incarnation for every start, also with a journal: others must notice that the old process is gone (S9).
    const auto incarnation = Incarnation{draw_token(*transport)};
    const auto now = transport->now();
    if (!journal) {
        typename Driver::Machine state_machine{std::move(store), std::move(options), name, incarnation, now};
        return std::make_shared<Driver>(std::move(state_machine), std::move(transport), nullptr, std::move(observer));
    }
    // The journal is read here, in the constructor of the service: a damaged or foreign journal is an error before the
    // server has sent anything.
    replica::Recovery reader{std::move(store), options.log_bytes};
    journal->read(reader);
    auto from = std::move(reader).finish();
    require_own(from.hard_state, name, options.group);
    typename Driver::Machine state_machine{std::move(from),    std::move(options), name, incarnation, now,
                                           journal->promises()};
    auto driver = std::make_shared<Driver>(std::move(state_machine), std::move(transport), std::move(journal),
                                           std::move(observer));
    Driver::start_journal(driver);
    return driver;
}

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
template std::shared_ptr<ReplicaNode> make_replica_node<>(ErasedStore, std::unique_ptr<TransportBase>,
                                                         std::unique_ptr<JournalBase>, ReplicaOptions, Observer);
#endif

}  // namespace understudy::detail
