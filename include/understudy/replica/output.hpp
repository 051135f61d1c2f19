// The output of a replica's state machine.
#pragma once

#include <optional>
#include <vector>

#include <understudy/protocol/journal_batch.hpp>
#include <understudy/protocol/output.hpp>

namespace understudy::replica {

/// The peer name for calls of the host in the same process. What a replica sends to this peer is for the host.
inline const Address local_peer = "local";

/// A request to stop reading from a connection (`on`), or to continue (C6).
struct Hold {
    Peer peer;
    bool on = false;
};

struct Output : CommonOutput {
    std::vector<Hold> holds;
    /// To be persisted, together with the entries of the state machine's log that it names.
    std::optional<JournalBatch> journal;

    void clear() {
        CommonOutput::clear();
        empty(holds);
        journal.reset();
    }
};

}  // namespace understudy::replica
