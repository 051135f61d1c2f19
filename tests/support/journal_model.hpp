// A journal as the rules see it: what was written, what of it is on stable storage, and what that makes of a restart.
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
        for (auto index = batch.prev.index + 1; index <= batch.through; ++index) kept.entries.push_back(log[index]);
        kept_.push_back(std::move(kept));
    }
    /// Everything written so far is on stable storage; gives the number of the last batch.
    std::uint64_t sync() {
        synced_ = kept_.size();
        return kept_.empty() ? 0 : kept_.back().batch.number;
    }
    /// The machine loses its power: what is not on stable storage is gone.
    void lose_power() { kept_.resize(synced_); }
    /// The process ends; what it wrote stays.
    void end_process() { synced_ = kept_.size(); }
    std::size_t batches() const { return kept_.size(); }
    /// Bytes of commands in the batch that has most of them.
    std::size_t largest_batch() const {
        std::size_t largest = 0;
        for (const auto& kept : kept_) {
            std::size_t bytes = 0;
            for (const auto& entry : kept.entries) bytes += entry.command.size();
            largest = std::max(largest, bytes);
        }
        return largest;
    }
    /// The batches of all pieces of snapshots, in their order.
    std::vector<std::uint64_t> pieces() const {
        std::vector<std::uint64_t> batches;
        for (const auto& kept : kept_) batches.insert(batches.end(), kept.batch.pieces.size(), kept.batch.number);
        return batches;
    }
    /// How many snapshots are whole.
    int snapshots() const {
        int count = 0;
        for (const auto& kept : kept_)
            for (const auto& piece : kept.batch.pieces) count += piece.last;
        return count;
    }

    /// Tells what is kept; what was wrong, or an empty string.
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
