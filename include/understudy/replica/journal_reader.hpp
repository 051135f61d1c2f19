// The interface through which a journal gives back its content after a restart (rule S9). It keeps the
// file format apart from the state of a replica that is rebuilt.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <understudy/protocol/journal_batch.hpp>

namespace understudy::replica {

/// Receives the content of a journal: first the pieces of the newest snapshot, if there is one, then the batches in
/// their order. Each call returns an empty string, or human-readable text that says what is wrong. After a fault
/// nothing can be recovered.
class JournalReader {
public:
    virtual ~JournalReader() = default;
    /// The next piece of the newest snapshot.
    virtual std::string snapshot(const SnapshotPiece& piece) = 0;
    /// Hard state that is valid although its batch is not replayed: from a batch superseded by a full snapshot, or from
    /// the snapshot itself when no batch follows.
    virtual void hard_state(HardState hard_state) = 0;
    /// The next batch, with its entries. `entries` are valid during the call only.
    virtual std::string batch(const JournalBatch& batch, std::span<const EntryView> entries) = 0;
    /// A hint: the batches after the next one contain at least about this many bytes of entries.
    virtual void to_come(std::uint64_t bytes) = 0;
    /// All content was read. The journal prepares for writing next.
    virtual std::string complete() = 0;
};

}  // namespace understudy::replica
