// The journal of a running replica. Its progress wakes the loop and is passed to the state machine, and the batches of
// the turns are submitted to it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <understudy/async/executor_guard.hpp>
#include <understudy/event.hpp>
#include <understudy/protocol/journal_batch.hpp>
#include <understudy/replica/log.hpp>
#include <understudy/replica/output.hpp>
#include <understudy/runtime/erased_journal.hpp>
#include <understudy/view.hpp>

namespace understudy::detail {

/// Without a journal (null) all functions do nothing.
class RunningJournal {
public:
    explicit RunningJournal(std::unique_ptr<JournalBase> journal) : journal_{std::move(journal)} {}

    /// Wakes the loop of `driver` whenever the journal has made progress, until `shut`. The guard is needed because the
    /// journal's thread may still work when the executor no longer exists.
    template <typename D>
    void start(const std::shared_ptr<D>& driver) {
        if (!journal_) return;
        guard_ = ExecutorGuard::open(driver->transport->get_executor());
        journal_->start([guard = guard_, weak = std::weak_ptr{driver}] {
            guard->post([weak] {
                if (const auto alive = weak.lock(); alive && !alive->stopped()) alive->transport->wake();
            });
        });
    }
    /// From now on the journal's thread does not use the executor.
    void shut() {
        if (guard_) guard_->shut();
    }

    /// Passes on what the journal has done since the last turn.
    template <typename M>
    void report(M& machine, Time now, replica::Output& out) {
        if (!journal_) return;
        if (const auto batch = journal_->persisted(); batch != persisted_) {
            persisted_ = batch;
            machine.persisted(batch);
        }
        emit_waiting(journal_->waiting(), out);
        if (const auto why = journal_->failure(); !why.empty()) machine.journal_failed(why, now, out);
    }
    void submit(JournalBatch& batch, const replica::Log& log) {
        if (journal_) journal_->write(batch, log);
    }

private:
    void emit_waiting(std::string what, replica::Output& out) {
        if (what == waiting_) return;
        if (what.empty()) out.emit(JournalGoesOn{});
        else out.emit(JournalWaits{what});
        waiting_ = std::move(what);
    }

    std::shared_ptr<ExecutorGuard> guard_;  // for the journal's thread; null without a journal
    std::unique_ptr<JournalBase> journal_;
    std::uint64_t persisted_ = 0;
    std::string waiting_;  // what the journal waits for, as last emitted
};

}  // namespace understudy::detail
