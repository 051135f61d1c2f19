// The state that all replicas of a group agree on: the log, and the store and the session table that result from
// applying its committed entries in order.
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
#include <understudy/text_store.hpp>

namespace understudy::replica {

/// The outcome of applying one entry. `failed` is set when the entry had no effect: its session is closed, or its
/// number is below the session's low (S10).
struct Applied {
    Position at;  ///< The entry that took effect. For a repeated command: the first one.
    JsonText value;  ///< The command's result, as JSON text.
    std::optional<error> failed;
};

/// The log with what was made of it, and how much of it is known to be committed, applied and on stable storage.
template <TextStore S>
struct ReplicatedState {
    explicit ReplicatedState(S initial) : empty{initial}, store{std::move(initial)} {}

    S empty;  ///< The store as the host gave it. A snapshot is restored into a copy of this.
    S store;
    SessionTable sessions;
    Log log;
    Durable durable;
    Index commit = 0;           ///< Entries up to here are committed, as far as this server knows.
    Position applied;           ///< The store and the sessions contain the effect of all entries up to here.
    std::string store_failure;  ///< Not empty: the store broke its contract, and this replica serves no more.

    /// The last position and the commit index. A backup reports both when it refuses an append with `mismatch` (S3).
    Held held() const { return {log.last(), commit}; }
    /// The log counts up to here, for confirmations and for the primary itself. With a journal: what is on stable
    /// storage (S9). Without one: everything.
    Index durable_index() const { return durable.stable(log); }

    /// Truncates the log: removes the entries from `from` on, also from what counts as stable. Returns their number.
    Index truncate(Index from) {
        durable.truncate(from);
        return log.truncate(from);
    }
    /// Empties the log; the next entry follows `base`, the last entry contained in a snapshot.
    void reset(Position base) {
        durable.reset(base.index);
        log.reset(base);
    }

    /// Applies the next committed entry. The caller has checked that there is one and that the store has not failed.
    /// `now` is noted in a session that the entry opens, or in which its command takes effect (`Session::executed`).
    /// If the store fails, `store_failure` is set; the outcome is then meaningless.
    Applied apply_next(Time now) {
        UNDERSTUDY_CHECK(applied.index < commit);
        const auto& entry = log[applied.index + 1];
        applied = entry.at;
        auto outcome = take_effect(entry, now);
        observe_applied(this, entry, !outcome.failed && outcome.at == entry.at);
        return outcome;
    }

    /// Trims the log. At most `max_bytes` bytes of applied entries stay, so that backups can catch up from them, but
    /// entries after `through` always stay. An entry that is not applied, or not on stable storage yet, is never
    /// trimmed.
    void trim(std::size_t max_bytes, Index through) {
        through = std::min({through, applied.index, durable_index()});
        auto base = log.base().index;
        for (const auto end = log.end_of(applied.index); base < through && end - log.end_of(base) > max_bytes;) ++base;
        log.trim(base);
    }

    /// Drops the whole state, as if this server had just been started. The journal stays in use: the next
    /// batch says that an empty server replaces everything in it. Without that a restart would bring the old state
    /// back.
    void clear() {
        auto journal = std::move(durable);
        *this = ReplicatedState{std::move(empty)};
        durable = std::move(journal);
        if (!durable.in_use()) return;
        durable.reset(0);
        durable.add({{}, 0, {}, true, true});
    }

    /// Ignores `empty`, which never changes.
    friend bool operator==(const ReplicatedState& a, const ReplicatedState& b) requires std::equality_comparable<S> {
        return a.store == b.store && a.sessions == b.sessions && a.log == b.log && a.durable == b.durable &&
               a.commit == b.commit &&
               a.applied == b.applied && a.store_failure == b.store_failure;
    }

private:
    Applied take_effect(const StoredEntry& entry, Time now) {
        switch (entry.kind) {
            case EntryKind::open: sessions.open(entry.at, now); return {entry.at, {}, {}};
            case EntryKind::close: sessions.close(entry.session); return {entry.at, {}, {}};
            case EntryKind::command: break;
        }
        return entry.session == SessionId{} ? apply_command(entry) : apply_in_session(entry, now);
    }

    Applied apply_command(const StoredEntry& entry) {
        auto outcome = store.apply(entry.command, entry.prepared);
        if (!outcome.ok) store_failure = std::move(outcome.text);
        return {entry.at, std::move(outcome.text), {}};
    }

    /// S10: whether the command is new is decided here, when it is applied, and not when it is logged. A client may
    /// repeat a command to a new primary while the first copy is in the log and not applied. All replicas apply the
    /// same entries to the same session table, so all decide alike.
    Applied apply_in_session(const StoredEntry& entry, Time now) {
        auto* session = sessions.find(entry.session);
        if (!session) {
            reached("S10: a command of a closed session has no effect");
            return {entry.at, {}, error::session_expired};
        }
        switch (session->classify(entry.seq)) {  // S10
            case SessionTable::SequenceState::dropped:
                reached("S10: a command below the session's low has no effect");
                return {entry.at, {}, error::bad_request};
            case SessionTable::SequenceState::repeated: {
                reached("S10: a command has no second effect");
                const auto* first = session->results.find(entry.seq);
                return {first->at, JsonText{first->value.text()}, {}};
            }
            case SessionTable::SequenceState::fresh: break;
        }
        reached("C3: results below low are forgotten");
        // A `low` above `seq` counts as `seq` (C3): the command's own result must not be dropped.
        sessions.raise_low(*session, std::min(entry.low, entry.seq));
        auto applied_now = apply_command(entry);
        sessions.record(*session, {entry.seq, applied_now.at, applied_now.value});
        session->executed = now;
        return applied_now;
    }
};

}  // namespace understudy::replica
