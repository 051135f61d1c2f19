// The seam between a journal and what is made of it: whoever reads one is told what it holds (rule S9).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <understudy/protocol/journal_batch.hpp>

namespace understudy::replica {

/// Is told what a journal holds: the pieces of the newest snapshot, if there is one, and then the batches in their
/// order. Each step returns what was wrong, or an empty string; after something was wrong nothing can be recovered.
class JournalReader {
public:
    virtual ~JournalReader() = default;
    virtual std::string snapshot(const SnapshotPiece& piece) = 0;
    /// All that counts of a batch which was written before a snapshot that takes the place of everything; or what a
    /// snapshot says that no batch follows.
    virtual void standing(HardState standing) = 0;
    virtual std::string batch(const JournalBatch& batch, std::span<const EntryView> entries) = 0;
    /// At least about so many bytes of entries are in the batches after the next one. A hint.
    virtual void to_come(std::uint64_t bytes) = 0;
    /// That was all. What comes next is that the journal gets ready for more.
    virtual std::string whole() = 0;
};

}  // namespace understudy::replica
