// The work of a replica as backup: it stores what the primary sends, acknowledges it, and applies what is committed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/replica/features.hpp>
#include <understudy/replica/snapshot_transfer.hpp>
#include <understudy/replica/turn.hpp>

namespace understudy::replica {

/// The backup's side of replication (S2, S3) and of state transfer (S8). An acknowledgement may be deferred for two
/// reasons: the entries are not on stable storage yet (S9), or too many committed entries wait to be applied (S2).
template <TextStore S>
class Backup {
public:
    /// A new view begins. Acknowledgements of the old view do not count in it (S2), so those that were still deferred
    /// are dropped. The new primary sends again what it needs to be acknowledged.
    void enter_view() {
        matched_ = acknowledged_ = 0;
        known_commit_ = 0;
        limit_ = ~Index{0};
        if (!deferred_.empty()) reached("S9: what is not on stable storage when its view ends is not acknowledged");
        deferred_.clear();
        announce_at_ = {};
    }
    /// Discards what was received of a snapshot.
    void drop_snapshot() { incoming_.reset(); }
    /// Whether a snapshot is partly received.
    bool receives() const { return incoming_.has_value(); }

    /// Handles an append from the primary of this view (S2, S3). Answers `invalid_params` if the append is malformed,
    /// `mismatch` if the log lacks the entry before it, and `bad_request` if it conflicts with an entry that this
    /// backup must not replace.
    void on(const Caller& caller, const AppendView& append, Turn<S>& turn) {
        if (auto fault = check(append, turn.view().number))
            return turn.refuse(caller, Method::replica_append, *std::move(fault));
        auto& state = turn.state;
        if (!agrees(state, append.prev)) {
            reached("S3: an append whose predecessor is missing is refused");
            return refuse_mismatch(caller, turn);
        }
        for (const auto& entry : append.entries) {
            if (entry.at.index <= state.commit && state.log.first() > entry.at.index)
                continue;  // trimmed, so committed
            if (state.log.has(entry.at)) {
                reached("S3: entries that agree stay");
                continue;
            }
            if (entry.at.index <= std::max(state.commit, matched_)) return refuse_conflict(caller, entry.at, turn);
            // The position `prev` may have been trimmed here. Then it was not compared with the log, and `check` could
            // not see this fault.
            if (entry.at.view < state.log.position(entry.at.index - 1)->view)  // views never decrease
                return turn.refuse(caller, Method::replica_append, views_out_of_order());
            if (entry.at.index <= state.log.last().index) {
                reached("S3: entries that conflict are truncated");
                auto removed = state.truncate(entry.at.index);
                turn.out.emit(LogTruncated{entry.at.index, removed, entry.at.index <= state.commit});
            }
            state.log.append(entry);
        }
        // Entries of the log after `end` may come from an older primary and may conflict with this one's. They must not
        // be acknowledged.
        auto end = append.prev.index + append.entries.size();  // S3: the end of what was compared
        if (end < state.log.last().index) reached("S3: what was not compared is not acknowledged");
        matched_ = std::max(matched_, end);
        if (append.commit > matched_) reached("S2: nothing is applied that was not acknowledged in this view");
        known_commit_ = std::max(known_commit_, append.commit);
        AppendResult result{turn.view().number, end, append.round};
        announce(result, turn);
        answer(caller, end, std::move(result), 0, turn);
    }

    /// Handles one chunk of a snapshot (S8). Answers `bad_chunk`, with the chunk that is wanted, if this one does not
    /// continue the transfer or cannot be restored; `invalid_params` if the snapshot's position is impossible.
    void on(const Caller& caller, Install&& install, Turn<S>& turn) {
        auto& state = turn.state;
        const auto& at = install.snapshot.at;
        // The state already contains the snapshot. The chunk is acknowledged so that the sender gets to the end.
        if (at.index <= state.commit) {
            reached("S8: a snapshot at or below the commit index changes nothing");
            incoming_.reset();
            matched_ = std::max(matched_, at.index);
            return answer_chunk(caller, at.index, chunk_result(install, install.chunk + 1, turn), turn);
        }
        if (incoming_ && incoming_->id() == install.snapshot && install.chunk < incoming_->next())
            return answer_chunk(caller, 0, chunk_result(install, incoming_->next(), turn),
                                turn);  // a repeat
        if (auto fault = check(state, at, turn.view().number))
            return turn.refuse(caller, Method::replica_install, *std::move(fault));
        // Chunk 0 begins a transfer. One that was in progress is dropped: its sender has given it up.
        if (install.chunk == 0) incoming_.emplace(install.snapshot, state.empty);
        if (!incoming_ || incoming_->id() != install.snapshot || install.chunk != incoming_->next())
            return refuse_chunk(caller, "the chunk does not continue what is being installed", turn);
        expires_ = after(turn.now, turn.options.transfer_ttl);
        if (auto wrong = incoming_->feed(install.data, install.last); !wrong.empty()) {
            incoming_.reset();
            auto text = "the snapshot cannot be restored: " + wrong;
            turn.emit_refused(caller, {error::bad_chunk, text});
            return refuse_chunk(caller, std::move(text), turn);
        }
        auto next = incoming_->next();
        if (state.durable.in_use()) {
            state.durable.add({at, install.chunk, install.data, install.last, !state.log.has(at)});
            // The piece is part of the next batch.
            pieces_.push_back(state.durable.batches() + 1);
            if (pieces_.size() > turn.options.chunk_window + 1) pieces_.pop_front();
        }
        if (install.last) {
            turn.out.emit(SnapshotInstalled{at, incoming_->bytes()});
            reached("S8: a snapshot replaces the state when its last chunk was read");
            incoming_->finish(state);
            incoming_.reset();
            matched_ = std::max(matched_, at.index);
        }
        answer_chunk(caller, install.last ? at.index : 0, chunk_result(install, next, turn), turn);
    }

    /// Learns the commit index and sends the acknowledgements that are ready. S2: never commits beyond what this backup
    /// acknowledged in this view. `ahead` is the number of committed entries that may wait to be applied before this
    /// backup acknowledges more slowly.
    void respond(Index ahead, Turn<S>& turn) {
        auto& state = turn.state;
        state.commit = std::max(state.commit, std::min({known_commit_, matched_, state.durable_index()}));  // S9
        acknowledge(ahead, turn);
    }
    /// Sends the deferred answers whose entries are stable and are within the limit of `limit_acknowledgements`.
    void acknowledge(Index ahead, Turn<S>& turn) {
        const auto& state = turn.state;
        limit_acknowledgements(state, ahead);
        const auto ready = std::min(state.durable_index(), limit_);
        std::erase_if(deferred_, [&](Deferred& one) {
            if (one.through > ready || one.batch > state.durable.persisted()) return false;
            // The sender had to wait for this server's disk. That time must not count towards `transfer_ttl`.
            if (one.batch != 0) expires_ = after(turn.now, turn.options.transfer_ttl);
            acknowledged_ = std::max(acknowledged_, one.through);
            turn.out.send(std::move(one.caller.peer), std::move(one.caller.id), std::move(one.result));
            return true;
        });
        // Only the apply backlog, not the disk, limits what is acknowledged.
        if (ready == limit_) acknowledge_in_part(ready, turn);
    }

    /// Drops a partly received snapshot that was unused for `transfer_ttl`, in every role. The time does not run while
    /// the sender waits for this server's disk.
    void expire(Time now) {
        if (deadline() > now) return;
        reached("S8: a half-received snapshot is dropped after a while");
        incoming_.reset();
    }

    /// When `expire` has something to do; `never` if no snapshot is partly received.
    Time deadline() const { return incoming_ && !waits_for_pieces() ? expires_ : never; }

    friend bool operator==(const Backup&, const Backup&) = default;

private:
    /// Adds this server's features to an answer, once per ping interval. The primary learns them soon, and the other
    /// answers stay short.
    void announce(AppendResult& result, const Turn<S>& turn) {
        if (turn.now < announce_at_) return;
        announce_at_ = after(turn.now, turn.node.info.ping_interval);
        result.features = own_features();
    }

    /// Finds faults that a correct primary never sends.
    static std::optional<Fault> check(const AppendView& append, ViewNumber view) {
        auto before = append.prev;
        for (const auto& entry : append.entries) {
            if (entry.at.index != before.index + 1)
                return Fault{error::invalid_params, "entries: an index does not follow the one before it"};
            if (entry.at.view < before.view || entry.at.view > view) return views_out_of_order();
            before = entry.at;
        }
        return std::nullopt;
    }
    static Fault views_out_of_order() { return {error::invalid_params, "entries: a view is out of order"}; }

    /// The same for a snapshot. Its view must not be later than this one, its index must leave room to grow, and it
    /// must not conflict with what this backup acknowledged.
    std::optional<Fault> check(const ReplicatedState<S>& state, Position at, ViewNumber view) const {
        if (at.view > view) return Fault{error::invalid_params, "snapshot: its view is not yet"};
        if (at.index > ~Index{0} / 2) return Fault{error::invalid_params, "snapshot: its index is out of range"};
        if (at.index <= matched_ && !state.log.has(at))
            return Fault{error::invalid_params, "snapshot: it conflicts with what was acknowledged"};
        return std::nullopt;
    }

    /// S3: whether the log has the entry before the appended ones. An entry that was trimmed is committed, so it cannot
    /// differ.
    static bool agrees(const ReplicatedState<S>& state, Position prev) {
        return prev.index < state.log.base().index || state.log.has(prev);
    }

    /// The answer says what this backup has, so that the primary knows where to go on (S8).
    void refuse_mismatch(const Caller& caller, Turn<S>& turn) const {
        auto failure =
            turn.failure(Method::replica_append, {error::mismatch, "the entry before the appended ones is not here"});
        failure.held = turn.state.held();
        turn.out.send(caller.peer, caller.id, std::move(failure));
    }

    /// Refuses an entry that differs from a committed or an acknowledged one. This cannot happen among correct servers:
    /// committed entries never differ, and one primary never sends two different entries with the same index. Replacing
    /// the entry would lose an acknowledged command.
    void refuse_conflict(const Caller& caller, Position at, Turn<S>& turn) const {
        turn.refuse(caller, Method::replica_append,
                    {error::bad_request, "entry " + std::to_string(at.index) + " of view " + std::to_string(at.view) +
                                             " conflicts with one that was acknowledged"});
    }

    static InstallResult chunk_result(const Install& install, std::uint64_t next, const Turn<S>& turn) {
        return {turn.view().number, install.snapshot, next};
    }
    /// Sends an answer that confirms all entries up to `through`, or defers it. S9: it must wait until these entries
    /// are on stable storage, and until the journal batch with the number `batch` is. Otherwise a crash could lose
    /// entries that the primary counts as replicated. It also waits while `through` is beyond the acknowledgement
    /// limit.
    void answer(const Caller& caller, Index through, Message result, std::uint64_t batch, Turn<S>& turn) {
        const bool stable = through <= turn.state.durable_index(), taken = batch <= turn.state.durable.persisted();
        if (stable && taken && through <= limit_) {
            acknowledged_ = std::max(acknowledged_, through);
            return turn.out.send(caller.peer, caller.id, std::move(result));
        }
        if (!stable) reached("S9: what is not on stable storage is not acknowledged");
        if (!taken) reached("S8: a snapshot comes no faster than the disk takes it");
        deferred_.push_back({through, batch, caller, std::move(result)});
    }
    /// Sets the acknowledgement limit. If more than `ahead` entries wait to be applied, new entries are acknowledged
    /// half as fast as others are applied. So writes slow down to the speed of this store, but the primary still hears
    /// from this backup and does not take it for unreachable (S7). Entries that are already committed are always
    /// acknowledged, because this does not increase what has to be applied.
    void limit_acknowledgements(const ReplicatedState<S>& state, Index ahead) {
        const auto applied = state.applied.index;
        const auto more = (applied - std::min(applied_before_, applied) + 1) / 2;
        limit_ = std::max({acknowledged_ + more, state.commit, applied + ahead});
        applied_before_ = applied;
    }
    /// Acknowledges a part of the oldest deferred append: as much of it as the limit allows. Without this, a slow
    /// backup that receives a large append would be silent until all of it may be acknowledged, and count as
    /// unreachable (S7).
    void acknowledge_in_part(Index match, Turn<S>& turn) {
        const auto waits = std::ranges::find_if(
            deferred_, [](const Deferred& one) { return std::holds_alternative<AppendResult>(one.result); });
        if (waits == deferred_.end() || match <= acknowledged_ || match >= waits->through) return;
        reached("S2: a backup that applies slowly acknowledges no faster than it applies");
        acknowledged_ = match;
        auto part = std::get<AppendResult>(waits->result);
        part.match = match;
        turn.out.send(waits->caller.peer, waits->caller.id, std::move(part));
    }
    /// S8: an answer to a chunk waits until all pieces but the newest `chunk_window` are on stable storage. This bounds
    /// the pieces that wait in the journal: at most these, and those that the primary sends ahead. The primary still
    /// hears from a backup whose disk is slow but works.
    void answer_chunk(const Caller& caller, Index through, Message result, Turn<S>& turn) {
        const bool full = pieces_.size() > turn.options.chunk_window;
        answer(caller, through, std::move(result), full ? pieces_.front() : 0, turn);
    }
    /// Whether the sender of a snapshot has to wait for this server's disk.
    bool waits_for_pieces() const {
        return std::ranges::any_of(deferred_, [](const Deferred& one) { return one.batch != 0; });
    }
    void refuse_chunk(const Caller& caller, std::string text, Turn<S>& turn) {
        reached("S8: a chunk that does not continue the snapshot is refused");
        auto failure = turn.failure(Method::replica_install, {error::bad_chunk, std::move(text)});
        failure.install = InstallResult{turn.view().number, {}, 0};
        if (incoming_) failure.install = InstallResult{turn.view().number, incoming_->id(), incoming_->next()};
        // Deferred like any other answer to a chunk, because `Failure::install` also confirms what was received.
        answer_chunk(caller, 0, std::move(failure), turn);
    }

    /// A deferred answer.
    struct Deferred {
        Index through = 0;
        std::uint64_t batch = 0;
        Caller caller;
        Message result;
        friend bool operator==(const Deferred&, const Deferred&) = default;
    };

    Index matched_ = 0;  // in this view: compared with the primary's log, acknowledged as soon as it is stable
    Index known_commit_ = 0;  // the primary's commit index, in this view
    Index acknowledged_ = 0;      // what was acknowledged in this view
    Index limit_ = ~Index{0};  // nothing beyond it is acknowledged for now, so that the apply backlog stays bounded
    Index applied_before_ = 0;  // the applied index when the limit was last set
    std::vector<Deferred> deferred_;
    std::optional<IncomingSnapshot<S>> incoming_;
    std::deque<std::uint64_t> pieces_;  // batches of the newest pieces, of any snapshot: at most `chunk_window` + 1
    Time expires_ = never;
    Time announce_at_{};  // when to announce the features again
};

}  // namespace understudy::replica
