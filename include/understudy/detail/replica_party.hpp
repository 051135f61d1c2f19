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

#include <asio/error.hpp>

#include <understudy/core/call_id.hpp>
#include <understudy/core/replica_rules.hpp>
#include <understudy/detail/call_table.hpp>
#include <understudy/detail/gate.hpp>
#include <understudy/detail/service.hpp>
#include <understudy/detail/typed_call.hpp>
#include <understudy/journal.hpp>
#include <understudy/wire/typed_store.hpp>

namespace understudy::detail {

struct LocalExecute {
    CallText command;
};
struct LocalQuery {
    CallText query;
};
/// Until something is so, or the time has passed.
template <typename Rules>
struct Wait {
    std::function<bool(const Rules&)> until;
    Duration timeout = Duration::max();
    bool leaving = false;  ///< The server leaves meanwhile, and stays after all if that takes too long.
};

template <Store S, Transport T, Journal J>
class ReplicaParty final : public Party<ReplicaRules<wire::TypedStore<S>>, T> {
public:
    using Rules = ReplicaRules<wire::TypedStore<S>>;
    using Base = Party<Rules, T>;

    ReplicaParty(Rules rules, T&& carrier, J&& kept, Observer observer)
        : Base{std::move(rules), std::move(carrier), std::move(observer)}, journal_{std::move(kept)} {}

    CallTable<Answer> calls;

    /// Lets the loop know when the journal has got on, until it is stopped: the journal's thread may work for longer
    /// than the executor lives.
    static void start_journal(const std::shared_ptr<ReplicaParty>& self) {
        self->gate_ = Gate::open(self->executor());
        self->journal_.start([gate = self->gate_, party = std::weak_ptr{self}] {
            gate->post([party] {
                if (const auto alive = party.lock(); alive && !alive->stopped()) alive->transport.wake();
            });
        });
    }

    void start(std::uint64_t key, LocalExecute call) {
        if (!admit(key, call.command)) return;
        const auto& info = this->machine.view();
        send(key, Method::pb_execute, Execute{info.cluster, info.group, {}, 0, 0, std::move(*call.command)});
    }
    void start(std::uint64_t key, LocalQuery call) {
        if (!admit(key, call.query)) return;
        const auto& info = this->machine.view();
        send(key, Method::pb_query, Query{info.cluster, info.group, std::move(*call.query)});
    }
    void start(std::uint64_t key, Wait<Rules> wait) {
        if (!this->running) return calls.finish(key, error::closed);
        if (wait.leaving) this->ask([](Rules& rules, Time now, Effects& out) { rules.leave(now, out); });
        const auto deadline = after(this->transport.now(), wait.timeout);
        waits_.emplace(key, Waiting{std::move(wait.until), deadline, wait.leaving});
        this->transport.wake();
    }
    void cancel(std::uint64_t key) {
        if (auto wait = waits_.extract(key); wait && wait.mapped().leaving) stay();
        calls.finish(key, asio::error::operation_aborted);  // a command's answer will find nobody
    }

    Time deadline() const override {
        auto time = this->machine.deadline();
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
        std::function<bool(const Rules&)> until;
        Time deadline;
        bool leaving;
    };

    bool admit(std::uint64_t key, const CallText& text) {
        if (text && this->running) return true;
        calls.finish(key, text ? error::closed : error::bad_request);
        return false;
    }
    void send(std::uint64_t key, Method method, Message message) {
        this->ask([&](Rules& rules, Time now, Effects& out) {
            rules.receive({local_peer, make_call_id(method, key), std::move(message)}, now, out);
        });
    }
    void stay() {
        this->ask([](Rules& rules, Time now, Effects& out) { rules.stay(now, out); });
    }

    void answered(Envelope envelope) override {
        const auto key = call_number(envelope.id);
        if (auto* failure = std::get_if<Failure>(&envelope.message))
            calls.finish(key, failure->code,
                         {{}, "group " + this->machine.view().group + ", this server: " + failure->text});
        else if (auto* done = std::get_if<ExecuteResult>(&envelope.message))
            calls.finish(key, {}, {done->at, std::move(done->value)});
        else if (auto* read = std::get_if<QueryResult>(&envelope.message))
            calls.finish(key, {}, {read->at, std::move(read->value)});
    }

    void about_to_wake(Time now, Effects& out) override {
        if (const auto batch = journal_.persisted(); batch != persisted_) {
            persisted_ = batch;
            this->machine.persisted(batch);
        }
        if constexpr (requires { journal_.waiting(); }) tell_waiting(journal_.waiting(), out);
        if (const auto why = journal_.failure(); !why.empty()) this->machine.journal_failed(why, now, out);
    }
    void tell_waiting(std::string what, Effects& out) {
        if (what == waiting_) return;
        if (what.empty()) out.tell(JournalGoesOn{});
        else out.tell(JournalWaits{what});
        waiting_ = std::move(what);
    }
    void keep(JournalBatch& batch) override { journal_.write(batch, this->machine.state().log); }
    void was_stopped() override {
        if (gate_) gate_->shut();
    }

    void turn_ended() override {
        const auto now = this->transport.now();
        for (auto wait = waits_.begin(); wait != waits_.end();) {
            const bool met = wait->second.until(this->machine);
            if (!met && wait->second.deadline > now) {
                ++wait;
                continue;
            }
            if (!met && wait->second.leaving) stay();
            calls.finish(wait->first, met ? std::error_code{} : error::deadline_passed);
            wait = waits_.erase(wait);
        }
        if (this->machine.failed())
            this->stop(this->machine.journal_failure().empty() ? error::store_failed : error::journal_failed);
    }

    std::shared_ptr<Gate> gate_;  // of the journal's thread, if there is a journal
    J journal_;
    std::uint64_t persisted_ = 0;
    std::string waiting_;  // what for, as far as it was told
    std::map<std::uint64_t, Waiting> waits_;
};

}  // namespace understudy::detail
