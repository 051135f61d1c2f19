// What all replicas of a group agree on: the log, and the store and sessions that its committed part makes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include <understudy/base/check.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/replica/apply_observer.hpp>
#include <understudy/replica/durable.hpp>
#include <understudy/replica/log.hpp>
#include <understudy/replica/session_table.hpp>
#include <understudy/store.hpp>

namespace understudy::replica {

/// What applying one entry gave. `failed` is set when the session or the command could have no effect.
struct Applied {
    Position at;  ///< Of the entry that took effect: the first one, when the command was repeated.
    JsonText value;
    std::optional<error> failed;
};

template <TextStore S>
struct ReplicatedState {
    explicit ReplicatedState(S initial) : empty{initial}, store{std::move(initial)} {}

    S empty;  ///< The store as the host gave it; a snapshot is restored into a copy of it.
    S store;
    SessionTable sessions;
    Log log;
    Durable durable;
    Index commit = 0;           ///< Everything up to here is committed, as far as this server knows.
    Position applied;           ///< The store and the sessions are the outcome of everything up to here.
    std::string store_failure;  ///< Not empty: the store broke its laws, and this replica is done.

    Held held() const { return {log.last(), commit}; }
    /// Up to here the log counts as held: it is on stable storage, where there is a journal (S9).
    Index durable_index() const { return durable.held(log); }

    /// Cuts off the entries from `from` on, and says how many these were.
    Index cut(Index from) {
        durable.cut(from);
        return log.cut(from);
    }
    /// Starts the log anew after a snapshot that ends with `base`.
    void reset(Position base) {
        durable.reset(base.index);
        log.reset(base);
    }

    /// Applies the next committed entry; the caller has checked that there is one and that the store has not failed.
    Applied apply_next(Time now) {
        UNDERSTUDY_CHECK(applied.index < commit);
        return apply(log[applied.index + 1], now);
    }
    /// The same of an entry that follows what is applied, wherever it stands.
    template <typename E>
    Applied apply(const E& entry, Time now) {
        UNDERSTUDY_CHECK(entry.at.index == applied.index + 1);
        applied = entry.at;
        auto outcome = take_effect(entry, now);
        tell_applied(this, entry, !outcome.failed && outcome.at == entry.at);
        return outcome;
    }

    /// Keeps at most `keep` bytes of applied entries for catch-up, but never drops one after `through`.
    void trim(std::size_t keep, Index through) {
        through = std::min({through, applied.index, durable_index()});
        while (log.first() <= through && log.bytes(log.base().index, applied.index) > keep) log.trim(log.first());
    }

    /// Drops everything, as if this server had just been started.
    void clear() {
        auto journal = std::move(durable);
        *this = ReplicatedState{std::move(empty)};
        durable = std::move(journal);
        if (!durable.in_use()) return;
        durable.reset(0);
        durable.add({{}, 0, {}, true, true});
    }

    friend bool operator==(const ReplicatedState& a, const ReplicatedState& b) requires std::equality_comparable<S> {
        return a.store == b.store && a.sessions == b.sessions && a.log == b.log && a.durable == b.durable &&
               a.commit == b.commit &&
               a.applied == b.applied && a.store_failure == b.store_failure;
    }

private:
    template <typename E>
    Applied take_effect(const E& entry, Time now) {
        switch (entry.kind) {
            case EntryKind::open: sessions.open(entry.at, now); return {entry.at, {}, {}};
            case EntryKind::close: sessions.close(entry.session); return {entry.at, {}, {}};
            case EntryKind::command: break;
        }
        return entry.session == SessionId{} ? apply_command(entry) : apply_in_session(entry, now);
    }

    template <typename E>
    Applied apply_command(const E& entry) {
        auto outcome = store.apply(entry.command);
        if (!outcome.ok) store_failure = std::move(outcome.text);
        return {entry.at, std::move(outcome.text), {}};
    }

    template <typename E>
    Applied apply_in_session(const E& entry, Time now) {
        auto* session = sessions.find(entry.session);
        if (!session) {
            reached("S10: a command of a closed session has no effect");
            return {entry.at, {}, error::session_expired};
        }
        switch (session->judge(entry.seq)) {  // S10
            case SessionTable::Verdict::forgotten:
                reached("S10: a command below the session's low has no effect");
                return {entry.at, {}, error::bad_request};
            case SessionTable::Verdict::repeated: {
                reached("S10: a command has no second effect");
                const auto* first = session->results.find(entry.seq);
                return {first->at, first->value.text(), {}};
            }
            case SessionTable::Verdict::fresh: break;
        }
        reached("C3: results below low are forgotten");
        sessions.raise_low(*session, std::min(entry.low, entry.seq));
        auto applied_now = apply_command(entry);
        sessions.record(*session, {entry.seq, applied_now.at, applied_now.value});
        session->executed = now;
        return applied_now;
    }
};

}  // namespace understudy::replica
