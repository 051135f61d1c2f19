// How much of a replica's log is on stable storage, and what each turn adds to that (rule S9).
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

/// Without a journal everything counts as held at once. With one, a turn's batch is given out when the turn ends, and
/// its entries count from when `persisted` names it.
class Durable {
public:
    /// Everything that the log holds now, up to `last`, is on stable storage.
    void use_journal(Index last) {
        in_use_ = true;
        given_ = durable_ = last;
    }
    bool in_use() const { return in_use_; }

    /// Up to here entries count as held.
    Index held(const Log& log) const { return in_use_ ? durable_ : log.last().index; }

    /// The log was cut: what follows is given anew.
    void cut(Index from) {
        given_ = std::min(given_, from - 1);
        durable_ = std::min(durable_, from - 1);
        for (auto& mark : marks_) mark.through = std::min(mark.through, from - 1);
    }
    /// The log begins anew after a snapshot, which counts once it is on stable storage itself.
    void reset(Index base) {
        given_ = base;
        durable_ = 0;
        for (auto& mark : marks_) mark.through = 0;
    }

    void note(HardState standing) { next_.standing = std::move(standing); }
    void add(SnapshotPiece piece) { next_.pieces.push_back(std::move(piece)); }

    /// The number of the last batch that was given out.
    std::uint64_t batches() const { return next_.number; }
    /// And of the last one that is on stable storage.
    std::uint64_t persisted() const { return persisted_; }
    /// About the bytes of all entries and hard states given out.
    std::uint64_t bytes() const { return bytes_; }

    /// Entries of about so many bytes at most go into one batch, but one entry at least: the others follow at once.
    static constexpr std::size_t batch_bytes = 16u << 20;

    /// Whether there is something to give out.
    bool waits(const Log& log) const {
        return in_use_ && (given_ != log.last().index || !next_.pieces.empty() || next_.standing);
    }
    /// What this turn adds, if anything.
    std::optional<JournalBatch> take(const Log& log, Index commit) {
        if (!waits(log)) return std::nullopt;
        const auto last = batch_end(log);
        if (next_.standing) bytes_ += size_of(*next_.standing);
        auto batch = std::exchange(next_, JournalBatch{next_.number + 1, {}, {}, {}, 0, 0});
        batch.number = next_.number;
        batch.prev = *log.position(given_);
        batch.through = last;
        batch.commit = std::min(commit, last);
        bytes_ += log.bytes(given_, last);
        given_ = last;
        marks_.push_back({batch.number, last});
        return batch;
    }
    void persisted(std::uint64_t number) {
        persisted_ = number;
        for (; !marks_.empty() && marks_.front().number <= number; marks_.pop_front())
            durable_ = std::max(durable_, marks_.front().through);
    }

    friend bool operator==(const Durable&, const Durable&) = default;

private:
    struct Mark {
        std::uint64_t number = 0;
        Index through = 0;
        friend bool operator==(const Mark&, const Mark&) = default;
    };

    Index batch_end(const Log& log) const {
        const auto last = log.last().index;
        if (log.bytes(given_, last) <= batch_bytes) return last;
        auto end = given_ + 1;
        while (log.bytes(given_, end + 1) <= batch_bytes) ++end;
        return end;
    }

    bool in_use_ = false;
    Index given_ = 0;    // entries up to here were given out
    Index durable_ = 0;  // and these are on stable storage
    std::deque<Mark> marks_;
    std::uint64_t bytes_ = 0;
    std::uint64_t persisted_ = 0;  // batches
    JournalBatch next_;
};

}  // namespace understudy::replica
