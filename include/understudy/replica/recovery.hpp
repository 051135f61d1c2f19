// Rebuilds a replica's state from its journal after a restart (rule S9): from the newest snapshot, and then from every
// batch that was written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <understudy/protocol/journal_batch.hpp>
#include <understudy/replica/journal_reader.hpp>
#include <understudy/replica/snapshot_transfer.hpp>

namespace understudy::replica {

/// What was recovered from a journal. `hard_state` is the hard state; its `incarnations`, the incarnations whose state
/// the journal continues, is empty if the journal is new.
template <TextStore S>
struct Recovered {
    ReplicatedState<S> state;
    HardState hard_state;
    std::uint64_t entry_bytes = 0;     ///< About: entries after the snapshot, and hard states.
    std::uint64_t snapshot_bytes = 0;  ///< Size of the snapshot; 0 if there was none.
};

/// Receives the contents of a journal in order, and then gives the state with `finish`. Entries that are known to be
/// committed are applied to the store as they arrive, so memory is bounded by the store and the retained log, not by
/// the length of the journal.
///
/// `snapshot` and `batch` return an empty string, or human-readable text that says what is wrong. After an error
/// nothing can be recovered.
template <TextStore S>
class Recovery final : public JournalReader {
public:
    /// `store` is the store as the host gave it. About `log_bytes` of applied entries are retained, so that backups can
    /// catch up from the log (`ReplicaOptions::log_bytes`).
    Recovery(S store, std::size_t log_bytes)
        : result_{ReplicatedState<S>{std::move(store)}, {}}, log_bytes_{log_bytes} {}

    /// The next piece of a snapshot. Its last piece replaces the whole state.
    std::string snapshot(const SnapshotPiece& piece) override {
        if (piece.n == 0) incoming_.emplace(SnapshotId{{}, piece.at}, state().empty);
        // A single piece at {0, 0} without data stands for a server without any state: it has no session table that
        // could be read.
        const bool empty_server = piece.n == 0 && piece.last && piece.at == Position{} && piece.data.empty();
        result_.snapshot_bytes += piece.data.size();
        auto wrong = empty_server ? std::string{} : incoming_->feed(piece.data, piece.last);
        if (!piece.last || !wrong.empty()) return wrong;
        if (!empty_server) incoming_->finish(state());
        incoming_.reset();
        base_ = piece.at;
        state().log.reset(base_);
        return {};
    }

    /// A hard state that is valid although its batch is not replayed.
    void hard_state(HardState hard_state) override {
        result_.entry_bytes += size_of(hard_state);
        result_.hard_state = std::move(hard_state);
    }

    /// The next batch: its hard state, its entries, and the commit index that was known when it was written. Everything
    /// up to that commit index is applied.
    std::string batch(const JournalBatch& batch, std::span<const EntryView> entries) override {
        if (batch.hard_state) hard_state(*batch.hard_state);
        if (auto wrong = take(batch.prev, entries); !wrong.empty()) return wrong;
        auto& to = state();
        to.commit = std::max(to.commit, std::min(batch.commit, to.log.last().index));
        while (to.applied.index < to.commit && to.store_failure.empty()) to.apply_next({});
        if (!to.store_failure.empty())
            return "the store cannot apply entry " + std::to_string(to.applied.index) + ": " + to.store_failure;
        // The entries of later batches will push these out of the retained log anyway. To retain them now would only
        // cost memory.
        const auto pushed_out = static_cast<std::size_t>(std::min<std::uint64_t>(log_bytes_, to_come_));
        to.trim(log_bytes_ - pushed_out, ~Index{0});
        return {};
    }

    /// A hint: about how many bytes of batches follow the next one, at least.
    void to_come(std::uint64_t bytes) override { to_come_ = bytes; }
    std::string complete() override { return {}; }

    /// The recovered state. All of its log counts as stable, since it was read from stable storage.
    Recovered<S> finish() && {
        state().trim(log_bytes_, ~Index{0});
        state().durable.use_journal(state().log.last().index);
        return std::move(result_);
    }

private:
    ReplicatedState<S>& state() { return result_.state; }

    /// Replaces what the log has after `prev` by `entries`.
    ///
    /// The journal may still contain batches that are older than the snapshot. Their entries up to the snapshot's last
    /// one (`base_`) are contained in it and are skipped. Their entries after `base_` count only if the run of entries
    /// passes through exactly that position. Otherwise they belong to a history from which the snapshot does not
    /// descend, and which was truncated later. Without this check, such entries would be appended behind a snapshot
    /// that they do not follow.
    std::string take(Position prev, std::span<const EntryView> entries) {
        auto& log = state().log;
        // A committed entry is never truncated. A batch that says so shows that the journal is damaged.
        if (state().commit > base_.index && prev.index < state().commit)
            return "entries from " + std::to_string(prev.index + 1) + " on are replaced, which were committed";
        if (prev.index <= base_.index) {  // nothing after the snapshot's last entry survives this batch
            if (log.last().index > base_.index) log.truncate(base_.index + 1);
            continues_ = prev == base_;
        } else if (continues_) {
            if (!log.has(prev)) return missing(log.last().index + 1, prev.index);
            if (log.last().index > prev.index) log.truncate(prev.index + 1);
        }
        for (const auto& entry : entries) {
            if (entry.at.index != prev.index + 1 || entry.at.view < prev.view) return "entries are out of order";
            prev = entry.at;
            if (entry.at.index <= base_.index) {
                continues_ = entry.at == base_;
            } else if (continues_) {
                result_.entry_bytes += Log::size_of(entry.command.size());
                log.append(entry);
            }
        }
        return {};
    }
    static std::string missing(Index from, Index through) {
        return "entries " + std::to_string(from) + " to " + std::to_string(through) + " are missing";
    }

    Recovered<S> result_;
    std::optional<IncomingSnapshot<S>> incoming_;
    Position base_;          // the last entry contained in the snapshot
    bool continues_ = true;  // the log, as it was when the last batch was written, contains `base_`
    std::size_t log_bytes_;
    std::uint64_t to_come_ = 0;  // bytes after the next batch, at least
};

}  // namespace understudy::replica
