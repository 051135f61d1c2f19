// How much of a replica's log is on stable storage, and what each turn adds to the journal (rule S9).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include <understudy/protocol/journal_batch.hpp>
#include <understudy/replica/log.hpp>

namespace understudy::replica {

/// Tracks which entries are stable. Without a journal every entry counts as stable at once. With a journal, the new
/// entries of a turn are submitted as one batch when the turn ends; they count as stable when `persisted` names that
/// batch. All operations are O(1) or cost what they submit, except `truncate` and `reset`, which visit the batches on
/// their way to the disk.
class Durable {
public:
    /// Starts to use a journal. All entries of the log, up to `last`, are on stable storage already.
    void use_journal(Index last) {
        in_use_ = true;
        submitted_ = durable_ = last;
    }
    bool in_use() const { return in_use_; }

    /// Entries up to this index count as stable.
    Index stable(const Log& log) const { return in_use_ ? durable_ : log.last().index; }

    /// The log was truncated at `from`; later entries must be submitted to the journal again.
    void truncate(Index from) {
        submitted_ = std::min(submitted_, from - 1);
        durable_ = std::min(durable_, from - 1);
        // A batch on its way to the disk may contain entries that were removed. When it is persisted, the new entries
        // that take their indexes must not count as stable.
        for (auto& mark : marks_) mark.through = std::min(mark.through, from - 1);
    }
    /// The log starts again after a snapshot. Nothing counts as stable until the batch with the snapshot is on stable
    /// storage.
    void reset(Index base) {
        submitted_ = base;
        durable_ = 0;
        for (auto& mark : marks_) mark.through = 0;
    }

    /// Submits a new hard state with the next batch.
    void set_hard_state(HardState hard_state) { next_.hard_state = std::move(hard_state); }
    /// Submits a piece of a snapshot with the next batch.
    void add(SnapshotPiece piece) { next_.pieces.push_back(std::move(piece)); }

    /// The number of the last batch that was submitted.
    std::uint64_t batches() const { return next_.number; }
    /// The number of the last batch that is on stable storage.
    std::uint64_t persisted() const { return persisted_; }
    /// The bytes of all entries and hard states that were submitted, approximately.
    std::uint64_t bytes() const { return bytes_; }

    /// A batch has entries of about this size at most, but at least one entry. The other entries follow in the next
    /// turn, which is due at once. Without the limit a long log would become one very large batch.
    static constexpr std::size_t batch_bytes = 16u << 20;

    /// Whether something waits to be submitted.
    bool waits(const Log& log) const {
        return in_use_ && (submitted_ != log.last().index || !next_.pieces.empty() || next_.hard_state);
    }
    /// Removes and returns the batch of this turn: new entries, snapshot pieces, a changed hard state. None if there is
    /// nothing.
    std::optional<JournalBatch> take(const Log& log, Index commit) {
        if (!waits(log)) return std::nullopt;
        const auto last = batch_end(log);
        if (next_.hard_state) bytes_ += size_of(*next_.hard_state);
        auto batch = std::exchange(next_, JournalBatch{next_.number + 1, {}, {}, {}, 0, 0});
        batch.number = next_.number;
        batch.prev = *log.position(submitted_);
        batch.through = last;
        batch.commit = std::min(commit, last);
        bytes_ += log.bytes(submitted_, last);
        submitted_ = last;
        marks_.push_back({batch.number, last});
        return batch;
    }
    /// All batches up to `number` are on stable storage.
    void persisted(std::uint64_t number) {
        persisted_ = number;
        for (; !marks_.empty() && marks_.front().number <= number; marks_.pop_front())
            durable_ = std::max(durable_, marks_.front().through);
    }

    friend bool operator==(const Durable&, const Durable&) = default;

private:
    /// A batch on its way to the disk: its number, and the last entry that is stable with it.
    struct Mark {
        std::uint64_t number = 0;
        Index through = 0;
        friend bool operator==(const Mark&, const Mark&) = default;
    };

    Index batch_end(const Log& log) const {
        const auto last = log.last().index;
        if (log.bytes(submitted_, last) <= batch_bytes) return last;
        auto end = submitted_ + 1;
        while (log.bytes(submitted_, end + 1) <= batch_bytes) ++end;
        return end;
    }

    bool in_use_ = false;
    Index submitted_ = 0;    // entries up to here were submitted
    Index durable_ = 0;  // entries up to here are stable
    std::deque<Mark> marks_;
    std::uint64_t bytes_ = 0;
    std::uint64_t persisted_ = 0;  // the last batch that is on stable storage
    JournalBatch next_;  // what the next batch will contain; its number is still that of the last one
};

}  // namespace understudy::replica
