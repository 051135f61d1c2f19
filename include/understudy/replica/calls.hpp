// The requests that a primary has in progress: who waits for which entry, and the bounds on all of it (rule C6).
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <understudy/protocol/effects.hpp>

namespace understudy::replica {

/// Whom to answer, and under which id.
struct Call {
    Address peer;
    CallId id;
    friend bool operator==(const Call&, const Call&) = default;
};

/// Counts the requests in progress of each connection and says when to stop reading from one.
class PeerLoad {
public:
    void begin(const Address& peer, std::size_t max, Effects& out) {
        ++total_;
        auto& load = peers_[peer];
        if (++load.calls < max || load.held) return;
        load.held = true;
        out.holds.push_back({peer, true});
    }
    void end(const Address& peer, std::size_t max, Effects& out) {
        --total_;
        auto found = peers_.find(peer);
        if (found == peers_.end()) return;  // the connection ended before the call
        auto& load = found->second;
        --load.calls;
        if (load.held && load.calls <= max / 2) {
            load.held = false;
            out.holds.push_back({peer, false});
        }
        if (load.calls == 0) peers_.erase(found);
    }
    void gone(const Address& peer) { peers_.erase(peer); }
    std::size_t total() const { return total_; }

    friend bool operator==(const PeerLoad&, const PeerLoad&) = default;

private:
    struct Load {
        std::size_t calls = 0;
        bool held = false;
        friend bool operator==(const Load&, const Load&) = default;
    };
    std::map<Address, Load> peers_;
    std::size_t total_ = 0;
};

/// Who waits for which entry. A primary appends without holes, so a queue beside the log is enough.
class WaitingForEntries {
public:
    struct Waiting {
        std::optional<Call> call;      ///< None for an entry of the primary's own.
        std::size_t result_bytes = 0;  ///< What its result counts for, until it is known (`ResultRoom`).
        friend bool operator==(const Waiting&, const Waiting&) = default;
    };

    /// Nobody waits; the next entry appended is `next`.
    void reset(Index next) {
        first_ = next;
        calls_.clear();
    }
    /// What belongs to the entry just appended.
    void push(Waiting&& waiting) { calls_.push_back(std::move(waiting)); }

    /// What belongs to the entry at `index`; entries are taken in order.
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

/// One read that waits for its round (Reads, confirm).
struct WaitingRead {
    Call call;
    Index needed = 0;  ///< The commit index when it came.
    Round round = 0;   ///< 0: no round has been sent for it in this view.
    bool dump = false;
    JsonText query;
    friend bool operator==(const WaitingRead&, const WaitingRead&) = default;
};

}  // namespace understudy::replica
