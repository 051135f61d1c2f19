// A replica's state from its journal (rule S9): the newest snapshot, then every batch that was written.
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
#include <understudy/replica/log_tail.hpp>
#include <understudy/replica/snapshot_transfer.hpp>

namespace understudy::replica {

/// What a journal gave back. `standing.lives` is empty for a new one.
template <TextStore S>
struct Recovered {
    ReplicatedState<S> state;
    HardState standing;
    std::uint64_t entry_bytes = 0;     ///< Of the entries after the snapshot and of hard states, about.
    std::uint64_t snapshot_bytes = 0;  ///< Of the snapshot.
};

/// Puts the state together again. Memory is bounded by the store and the log: what is known to be committed is applied
/// as it comes.
template <TextStore S>
class Recovery final : public JournalReader {
public:
    /// `store` as the host gave it; `log_bytes` of applied entries are kept for others to catch up (`ReplicaOptions`).
    Recovery(S store, std::size_t log_bytes)
        : result_{ReplicatedState<S>{std::move(store)}, {}}, log_bytes_{log_bytes} {}

    std::string snapshot(const SnapshotPiece& piece) override {
        if (piece.n == 0) incoming_.emplace(SnapshotId{{}, piece.at}, state().empty);
        const bool empty_server = piece.n == 0 && piece.last && piece.at == Position{} && piece.data.empty();
        result_.snapshot_bytes += piece.data.size();
        auto wrong = empty_server ? std::string{} : incoming_->feed(piece.data, piece.last);
        if (!piece.last || !wrong.empty()) return wrong;
        if (!empty_server) incoming_->finish(state());
        incoming_.reset();
        base_ = piece.at;
        log_.reset(base_);
        return {};
    }

    void standing(HardState standing) override {
        result_.entry_bytes += size_of(standing);
        result_.standing = std::move(standing);
    }

    std::string batch(const JournalBatch& batch, std::span<const EntryView> entries) override {
        if (batch.standing) standing(*batch.standing);
        if (auto wrong = take(batch.prev, entries); !wrong.empty()) return wrong;
        auto& to = state();
        to.commit = std::max(to.commit, std::min(batch.commit, log_.last().index));
        log_.for_each(to.applied.index, to.commit, [&](const EntryView& entry) {
            to.apply(entry, {});
            return to.store_failure.empty();
        });
        if (!to.store_failure.empty())
            return "the store cannot apply entry " + std::to_string(to.applied.index) + ": " + to.store_failure;
        const auto pushed_out = static_cast<std::size_t>(std::min<std::uint64_t>(log_bytes_, to_come_));
        log_.trim(log_bytes_ - pushed_out, to.applied.index);
        return {};
    }

    void to_come(std::uint64_t bytes) override { to_come_ = bytes; }
    std::string whole() override { return {}; }

    Recovered<S> finish() && {
        state().log = std::move(log_).release();
        state().trim(log_bytes_, ~Index{0});
        state().durable.use_journal(state().log.last().index);
        return std::move(result_);
    }

private:
    ReplicatedState<S>& state() { return result_.state; }

    /// Entries take the place of what the log had after `prev`. What was written before the snapshot may have left the
    /// history that the snapshot continues, before it was cut off: only a run that passes through its position counts.
    std::string take(Position prev, std::span<const EntryView> entries) {
        if (state().commit > base_.index && prev.index < state().commit)
            return "entries from " + std::to_string(prev.index + 1) + " on are replaced, which were committed";
        if (prev.index <= base_.index) {
            if (log_.last().index > base_.index) log_.cut(base_.index + 1);
            continues_ = prev == base_;
        } else if (continues_) {
            if (!log_.has(prev)) return missing(log_.last().index + 1, prev.index);
            if (log_.last().index > prev.index) log_.cut(prev.index + 1);
        }
        for (const auto& entry : entries) {
            if (entry.at.index != prev.index + 1 || entry.at.view < prev.view) return "entries are out of order";
            prev = entry.at;
            if (entry.at.index <= base_.index) {
                continues_ = entry.at == base_;
            } else if (continues_) {
                result_.entry_bytes += Log::size_of(entry.command.size());
                log_.append(entry);
            }
        }
        return {};
    }
    static std::string missing(Index from, Index through) {
        return "entries " + std::to_string(from) + " to " + std::to_string(through) + " are missing";
    }

    Recovered<S> result_;
    std::optional<IncomingSnapshot<S>> incoming_;
    Position base_;          // of the snapshot
    LogTail log_;
    bool continues_ = true;  // the log, as it was then, has the snapshot's last entry
    std::size_t log_bytes_;
    std::uint64_t to_come_ = 0;
};

}  // namespace understudy::replica
