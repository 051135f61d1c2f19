// Reads that wait until it is confirmed that this server is still primary: by a read round, or by a lease (Reads).
#pragma once

#include <cstddef>
#include <deque>
#include <utility>

#include <understudy/options.hpp>
#include <understudy/protocol/caller.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/message.hpp>

namespace understudy::replica {

/// A read that waits for its round, or for entries to be applied.
struct WaitingRead {
    Caller caller;
    Index needed = 0;  ///< The commit index when the read arrived. The state must include it.
    Round round = 0;   ///< 0: no round was sent for it in this view.
    bool dump = false;
    JsonText query;
    friend bool operator==(const WaitingRead&, const WaitingRead&) = default;
};

/// The reads in the order of their arrival, and the newest read round. A round is a number that goes out with an
/// append; a backup's answer confirms that it was still in this view when it received the number. All operations take
/// O(1), except those that begin rounds: O(reads).
class WaitingReads {
public:
    bool empty() const { return reads_.empty(); }
    /// Bytes of the queries.
    std::size_t bytes() const { return bytes_; }
    /// The newest round.
    Round round() const { return round_; }

    void add(WaitingRead&& read) {
        bytes_ += read.query.size();
        reads_.push_back(std::move(read));
    }
    /// Whether a read waits without a round. It relied on a lease, so a round is needed when the lease ends.
    bool without_round() const { return !reads_.empty() && reads_.back().round == 0; }
    /// Begins a round if reads wait without one. One round serves all of them.
    void begin_round(Reads mode) {
        if (!without_round()) return;
        reached("S5: a round confirms the reads that wait");
        if (mode == Reads::lease) reached("S5: without a lease reads are confirmed by a round");
        ++round_;
        for (auto& read : reads_)
            if (read.round == 0) read.round = round_;
    }
    /// A later view began. A confirmation counts only in its own view, so each read needs another round.
    void enter_view() {
        for (auto& read : reads_) read.round = 0;
    }

    /// Whether the oldest read can be answered from what is applied. `confirmed` gives the newest round that the whole
    /// in-sync set has confirmed; it is called only if that decides.
    template <typename Confirmed>
    bool has_ready(Index applied, bool leased, Confirmed confirmed) const {
        if (reads_.empty() || reads_.front().needed > applied) return false;
        const auto round = reads_.front().round;
        return leased || (round != 0 && round <= confirmed());
    }
    /// Removes and returns the oldest read; there must be one.
    WaitingRead take() {
        auto read = std::move(reads_.front());
        reads_.pop_front();
        bytes_ -= read.query.size();
        return read;
    }
    std::deque<WaitingRead> take_all() {
        bytes_ = 0;
        return std::exchange(reads_, {});
    }

    friend bool operator==(const WaitingReads&, const WaitingReads&) = default;

private:
    std::deque<WaitingRead> reads_;
    std::size_t bytes_ = 0;
    Round round_ = 0;
};

}  // namespace understudy::replica
