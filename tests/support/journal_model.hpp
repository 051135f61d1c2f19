// A journal as the state machine sees it: the batches written, which of them are stable, and what a restart recovers
// from them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <understudy/replica/recovery.hpp>

namespace understudy::test {

using namespace protocol;
using namespace replica;

class JournalModel {
public:
    void write(const JournalBatch& batch, const Log& log) {
        Kept kept{batch, {}};
        for (const auto& entry : log.share(batch.prev.index, batch.through)) kept.entries.push_back(Entry(entry));
        kept_.push_back(std::move(kept));
    }
    /// Makes everything written so far stable; returns the number of the last batch.
    std::uint64_t sync() {
        synced_ = kept_.size();
        return kept_.empty() ? 0 : kept_.back().batch.number;
    }
    /// Loses power: whatever is not on stable storage is lost.
    void lose_power() { kept_.resize(synced_); }
    /// Ends the process; what it wrote is not lost.
    void end_process() { synced_ = kept_.size(); }
    std::size_t batches() const { return kept_.size(); }
    /// The bytes of commands in the batch with the most of them.
    std::size_t largest_batch() const {
        std::size_t largest = 0;
        for (const auto& kept : kept_) {
            std::size_t bytes = 0;
            for (const auto& entry : kept.entries) bytes += entry.command.size();
            largest = std::max(largest, bytes);
        }
        return largest;
    }
    /// The numbers of all batches with pieces of snapshots, in order.
    std::vector<std::uint64_t> pieces() const {
        std::vector<std::uint64_t> batches;
        for (const auto& kept : kept_) batches.insert(batches.end(), kept.batch.pieces.size(), kept.batch.number);
        return batches;
    }
    /// How many snapshots are complete.
    int snapshots() const {
        int count = 0;
        for (const auto& kept : kept_)
            for (const auto& piece : kept.batch.pieces) count += piece.last;
        return count;
    }

    /// Passes what is stored to the reader; returns the error, or an empty string.
    std::string read(JournalReader& reader) const {
        std::vector<SnapshotPiece> newest, partial;
        std::size_t written_in = 0;
        for (std::size_t n = 0; n < kept_.size(); ++n) {
            for (const auto& piece : kept_[n].batch.pieces) {
                if (piece.n == 0) partial.clear();
                partial.push_back(piece);
                if (!piece.last) continue;
                newest = std::exchange(partial, {});
                written_in = n;
            }
        }
        for (const auto& piece : newest)
            if (auto wrong = reader.snapshot(piece); !wrong.empty()) return wrong;
        const bool replaces = !newest.empty() && newest.back().replaces;
        for (std::size_t n = 0; n < kept_.size(); ++n) {
            const auto& [batch, entries] = kept_[n];
            if (replaces && n < written_in) {
                if (batch.hard_state) reader.hard_state(*batch.hard_state);
            } else {
                const std::vector<EntryView> views{entries.begin(), entries.end()};
                if (auto wrong = reader.batch(batch, views); !wrong.empty()) return wrong;
            }
        }
        return {};
    }

private:
    struct Kept {
        JournalBatch batch;
        std::vector<Entry> entries;
    };
    std::vector<Kept> kept_;
    std::size_t synced_ = 0;
};

}  // namespace understudy::test
