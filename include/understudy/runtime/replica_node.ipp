// A replica at work: its rules, and what the host inside the same process asks of it.
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

#include <understudy/async/gate.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/replica/recovery.hpp>
#include <understudy/replica/state_machine.hpp>
#include <understudy/runtime/checked_options.hpp>
#include <understudy/runtime/loop.hpp>
#include <understudy/runtime/replica_node.hpp>

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
namespace understudy {

extern template class replica::ReplicaRules<detail::ErasedStore>;  // runtime/replica_machine.ipp

}  // namespace understudy
#endif

namespace understudy::detail {

template <typename Lazy>
class ReplicaParty final : public Party<replica::ReplicaRules<ErasedStore>, ReplicaNode> {
public:
    using Rules = replica::ReplicaRules<ErasedStore>;

    ReplicaParty(Rules rules, std::unique_ptr<TransportBase> carrier, std::unique_ptr<JournalBase> kept,
                 Observer observer)
        : Party<Rules, ReplicaNode>{std::move(rules), std::move(carrier), std::move(observer)},
          journal_{std::move(kept)} {}

    asio::awaitable<void> begin_run() override { return begin_run_of(*this); }
    Role role() const override { return machine.role(); }
    bool serving() const override { return machine.serving(); }
    bool left() const override { return machine.left(); }
    const ViewInfo& view() const override { return machine.view(); }
    ReplicaStatusResult status() const override { return machine.status(transport->now()); }
    const ErasedStore& store() const override { return machine.store(); }
    const Rules& rules() const override { return machine; }

    /// Lets the loop know when the journal has got on, until it is stopped: the journal's thread may work for longer
    /// than the executor lives.
    static void start_journal(const std::shared_ptr<ReplicaParty>& self) {
        self->gate_ = Gate::open(self->executor());
        self->journal_->start([gate = self->gate_, party = std::weak_ptr{self}] {
            gate->post([party] {
                if (const auto alive = party.lock(); alive && !alive->stopped()) alive->transport->wake();
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
        if (wait.leaving) ask([](Rules& rules, Time now, Effects& out) { rules.leave(now, out); });
        const auto deadline = after(transport->now(), wait.timeout);
        waits_.emplace(key, Waiting{std::move(wait.until), deadline, wait.leaving});
        transport->wake();
    }
    void cancel(std::uint64_t key) override {
        if (auto wait = waits_.extract(key); wait && wait.mapped().leaving) stay();
        calls.finish(key, asio::error::operation_aborted);  // a command's answer will find nobody
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
        ask([&](Rules& rules, Time now, Effects& out) {
            rules.receive({local_peer, make_call_id(method, key), std::move(message)}, now, out);
        });
    }
    void stay() {
        ask([](Rules& rules, Time now, Effects& out) { rules.stay(now, out); });
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

    void about_to_wake(Time now, Effects& out) override {
        if (!journal_) return;
        if (const auto batch = journal_->persisted(); batch != persisted_) {
            persisted_ = batch;
            machine.persisted(batch);
        }
        tell_waiting(journal_->waiting(), out);
        if (const auto why = journal_->failure(); !why.empty()) machine.journal_failed(why, now, out);
    }
    void tell_waiting(std::string what, Effects& out) {
        if (what == waiting_) return;
        if (what.empty()) out.tell(JournalGoesOn{});
        else out.tell(JournalWaits{what});
        waiting_ = std::move(what);
    }
    void keep(JournalBatch& batch) override {
        if (journal_) journal_->write(batch, machine.state().log);
    }
    void was_stopped() override {
        if (gate_) gate_->shut();
    }

    void turn_ended() override {
        const auto now = transport->now();
        for (auto wait = waits_.begin(); wait != waits_.end();) {
            const bool met = wait->second.until(*this);
            if (!met && wait->second.deadline > now) {
                ++wait;
                continue;
            }
            if (!met && wait->second.leaving) stay();
            calls.finish(wait->first, met ? std::error_code{} : error::deadline_passed);
            wait = waits_.erase(wait);
        }
        if (machine.failed())
            stop(machine.journal_failure().empty() ? error::store_failed : error::journal_failed);
    }

    std::shared_ptr<Gate> gate_;  // of the journal's thread, if there is a journal
    std::unique_ptr<JournalBase> journal_;  // null: none
    std::uint64_t persisted_ = 0;
    std::string waiting_;  // what for, as far as it was told
    std::map<std::uint64_t, Waiting> waits_;
};

template <typename Lazy>
std::shared_ptr<ReplicaNode> make_replica_node(ErasedStore store, std::unique_ptr<TransportBase> transport,
                                               std::unique_ptr<JournalBase> journal, ReplicaOptions options,
                                               Observer observer) {
    using Party = ReplicaParty<Lazy>;
    require_valid(options.validate());
    const Address name = transport->local();
    require_listening(name);
    require_dialable(*transport, options.view_service);
    require_room(*transport, options);
    const auto incarnation = Incarnation{draw_token(*transport)};
    const auto now = transport->now();
    if (!journal) {
        typename Party::Rules rules{std::move(store), std::move(options), name, incarnation, now};
        return std::make_shared<Party>(std::move(rules), std::move(transport), nullptr, std::move(observer));
    }
    replica::Recovery reader{std::move(store), options.log_bytes};
    journal->read(reader);
    auto from = std::move(reader).finish();
    require_own(from.standing, name, options.group);
    typename Party::Rules rules{std::move(from), std::move(options), name, incarnation, now, journal->promises()};
    auto party =
        std::make_shared<Party>(std::move(rules), std::move(transport), std::move(journal), std::move(observer));
    Party::start_journal(party);
    return party;
}

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
template std::shared_ptr<ReplicaNode> make_replica_node<>(ErasedStore, std::unique_ptr<TransportBase>,
                                                         std::unique_ptr<JournalBase>, ReplicaOptions, Observer);
#endif

}  // namespace understudy::detail
