// The requests that a primary has in progress: which request waits for which log entry, and the limits per connection
// (rule C6). Reads are in waiting_reads.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <understudy/protocol/caller.hpp>
#include <understudy/replica/output.hpp>

namespace understudy::replica {

/// Counts the requests in progress of each connection. Requests to stop reading from a connection at `max` requests,
/// and to go on when half of them are answered, so that no request has to be refused (C6).
class PeerLoad {
public:
    void begin(const Peer& peer, std::size_t max, Output& out) {
        ++total_;
        auto& load = peers_[peer];
        if (++load.calls < max || load.paused) return;
        load.paused = true;
        out.holds.push_back({peer, true});
    }
    void end(const Peer& peer, std::size_t max, Output& out) {
        --total_;
        auto found = peers_.find(peer);
        if (found == peers_.end() || found->second.calls == 0) return;  // the connection ended before the call
        auto& load = found->second;
        --load.calls;
        if (!load.paused || load.calls > max / 2) return;
        load.paused = false;
        out.holds.push_back({peer, false});
    }
    /// The connection ended. Its requests still count in the total until `end` is called for each.
    void disconnected(const Peer& peer) { peers_.erase(peer); }
    std::size_t total() const { return total_; }

    /// A connection without requests makes no difference.
    friend bool operator==(const PeerLoad& a, const PeerLoad& b) {
        const auto within = [](const PeerLoad& one, const PeerLoad& other) {
            return std::ranges::all_of(one.peers_, [&](const auto& entry) {
                const auto& [peer, load] = entry;
                const auto found = other.peers_.find(peer);
                return load == (found == other.peers_.end() ? Load{} : found->second);
            });
        };
        return a.total_ == b.total_ && within(a, b) && within(b, a);
    }

private:
    struct Load {
        std::size_t calls = 0;
        bool paused = false;
        friend bool operator==(const Load&, const Load&) = default;
    };
    // A connection stays in it until it ends, also without requests: mostly another one follows soon.
    std::unordered_map<Peer, Load, Peer::Hash> peers_;
    std::size_t total_ = 0;
};

/// Maps log entries to the requests that wait for them. A primary appends entries without holes, so a queue parallel to
/// the log is enough.
class WaitingForEntries {
public:
    struct Waiting {
        std::optional<Caller> caller;  ///< None if the primary made the entry itself.
        std::size_t result_bytes = 0;  ///< Bytes reserved for the result until it is known (`ResultRoom`).
        friend bool operator==(const Waiting&, const Waiting&) = default;
    };

    /// Empties the queue. The next entry that is appended is `next`.
    void reset(Index next) {
        first_ = next;
        calls_.clear();
    }
    /// Adds the request of the entry that was just appended.
    void push(Waiting&& waiting) { calls_.push_back(std::move(waiting)); }

    /// Removes and returns the request of the entry at `index`. Entries must be taken in order. The result has no
    /// caller if the entry was in the log before `reset` (uncommitted at takeover).
    Waiting take(Index index) {
        if (index < first_ || calls_.empty()) return {};
        auto waiting = std::move(calls_.front());
        calls_.pop_front();
        ++first_;
        return waiting;
    }

    friend bool operator==(const WaitingForEntries&, const WaitingForEntries&) = default;

private:
    Index first_ = 1;
    std::deque<Waiting> calls_;
};

}  // namespace understudy::replica
