// What a replica persists on stable storage (rule S9). The state machine outputs these values, and a recovery reads
// them back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <understudy/protocol/message.hpp>

namespace understudy::protocol {

/// The hard state of a server: what it knows about itself after a restart.
struct HardState {
    Address name;
    ViewInfo info;  ///< The newest view that it adopted, with its group and cluster.
    /// The incarnations whose state this journal continues, oldest first; the present one is last. An incarnation that
    /// did not wait for the disk may have lost acknowledged entries. So it is not in the list, nor are those before it.
    std::vector<Incarnation> incarnations;
    /// The newest view in which this state took part: the last view adopted by an incarnation that a view names. A
    /// later incarnation may have heard of newer views without having their state. 0 means the view of `info`.
    ViewNumber state_view = 0;
    friend bool operator==(const HardState&, const HardState&) = default;
};

/// The approximate number of bytes that the hard state takes in a journal.
inline std::uint64_t size_of(const HardState& state) {
    std::uint64_t bytes = 128 + state.name.size() + state.info.group.size() + 10 * state.incarnations.size();
    bytes += state.info.view.primary.name.size();
    for (const auto& backup : state.info.view.backups) bytes += 16 + backup.name.size();
    return bytes;
}

/// One piece of a snapshot. Piece 0 begins a new snapshot and drops an incomplete older one. The snapshot is valid only
/// once its last piece is there.
struct SnapshotPiece {
    Position at;  ///< The position of the last entry that the snapshot contains.
    std::uint64_t n = 0;
    std::string data;
    bool last = false;
    /// True: the snapshot replaces everything that the journal held before. False: it replaces only the entries up to
    /// `at`. A piece at {0, 0} without data stands for an empty server.
    bool replaces = false;
    friend bool operator==(const SnapshotPiece&, const SnapshotPiece&) = default;
};

/// What one turn adds to the journal. Its entries are those of the log after `prev` up to `through`. Whatever the
/// journal held after `prev` becomes invalid.
struct JournalBatch {
    std::uint64_t number = 0;  ///< Counts from 1 in each incarnation.
    std::vector<SnapshotPiece> pieces;
    std::optional<HardState> hard_state;  ///< The hard state, if it changed.
    Position prev;
    Index through = 0;
    Index commit = 0;  ///< The commit index as far as known, at most the last entry submitted so far.
    friend bool operator==(const JournalBatch&, const JournalBatch&) = default;
};

}  // namespace understudy::protocol
