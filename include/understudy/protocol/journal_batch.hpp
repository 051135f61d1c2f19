// What a replica keeps on stable storage (rule S9), in the form in which its rules give it out and get it back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <understudy/protocol/message.hpp>

namespace understudy::protocol {

/// What a server knows of itself after a restart.
struct HardState {
    Address name;
    ViewInfo info;  ///< The newest view that it adopted, with its group and cluster.
    /// The lives whose state this journal continues, oldest first, the present one last. A life that did not wait for
    /// the disk is not among them, nor is one before it.
    std::vector<Incarnation> lives;
    /// The newest view that the state takes part in: the last one that was adopted by a life which a view named. A
    /// later life may have heard of newer views, and has no state of them. 0: the view of `info`.
    ViewNumber state_view = 0;
    friend bool operator==(const HardState&, const HardState&) = default;
};

/// About what it takes in a journal.
inline std::uint64_t size_of(const HardState& state) {
    std::uint64_t bytes = 128 + state.name.size() + state.info.group.size() + 10 * state.lives.size();
    bytes += state.info.view.primary.name.size();
    for (const auto& backup : state.info.view.backups) bytes += 16 + backup.name.size();
    return bytes;
}

/// A piece of a snapshot. Piece 0 begins a new one and drops what was there of another; the last one makes it count.
struct SnapshotPiece {
    Position at;  ///< The last entry that it contains.
    std::uint64_t n = 0;
    std::string data;
    bool last = false;
    /// Whether it takes the place of all that was in the journal before, and not only of the entries up to `at`. One
    /// at {0, 0} that has no data stands for an empty server.
    bool replaces = false;
    friend bool operator==(const SnapshotPiece&, const SnapshotPiece&) = default;
};

/// What one turn adds to the journal. The entries are those of the log after `prev`, through `through`; whatever the
/// journal had after `prev` is void.
struct JournalBatch {
    std::uint64_t number = 0;  ///< From 1 in each life.
    std::vector<SnapshotPiece> pieces;
    std::optional<HardState> standing;  ///< When it changed.
    Position prev;
    Index through = 0;
    Index commit = 0;  ///< As far as it is known, and no further than the entries given so far.
    friend bool operator==(const JournalBatch&, const JournalBatch&) = default;
};

/// An entry whose command stands elsewhere, and has to stay there.
struct EntryView {
    Position at;
    EntryKind kind = EntryKind::command;
    SessionId session;
    Sequence seq = 0;
    Sequence low = 0;
    std::string_view command;

    EntryView() = default;
    EntryView(Entry&&) = delete;
    EntryView(const Entry& entry)
        : at{entry.at},
          kind{entry.kind},
          session{entry.session},
          seq{entry.seq},
          low{entry.low},
          command{entry.command} {}
    explicit operator Entry() const { return {at, kind, session, seq, low, JsonText{command}}; }
};

}  // namespace understudy::protocol
