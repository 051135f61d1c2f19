// Divides the work of a replica's store, entries to apply and reads to answer, over turns. A turn that did all of it at
// once could be so long that the other servers take this one for dead (S7).
#pragma once

#include <algorithm>

#include <understudy/replica/lease.hpp>
#include <understudy/replica/own_delay.hpp>
#include <understudy/replica/primary.hpp>
#include <understudy/replica/work_pace.hpp>

namespace understudy::replica {

/// Decides which unit of work comes next, does it, and emits events when the store is slow. `WorkPace` measures.
template <TextStore S>
class StoreWork {
public:
    /// A turn begins. Sets `node.ack_timeout`, how long a backup may confirm nothing (S7). It is derived from this
    /// server's own delays, since a backup may need as long: `own_disk` for one journal batch, and the longest time
    /// that its store took for one unit lately, or for one of the entries in the log, which starts after `base`. The
    /// store's budget of this turn is a quarter of the ping interval.
    void begin_turn(NodeState& node, Duration own_disk, Index base, Time now) {
        now_ = now;
        const auto own = std::max(own_disk, pace_.longest(base));
        node.ack_timeout = OwnDelay::ack_timeout(own, node.dead_after);
        if (node.ack_timeout > node.dead_after / 2)
            reached("S7: a server that is slow itself gives its backups more time");
        pace_.begin_turn(node.info.ping_interval / 4);
    }

    /// The next unit of work; `Work::none` if there is none, or this turn has no time left for it.
    Work next(const ReplicatedState<S>& state, const Primary<S>& primary, const Lease& lease) const {
        const bool behind = state.applied.index < state.commit;
        if (behind && pace_.may_apply()) return Work::apply;
        if (pace_.may_read() && primary.has_ready_read(state, lease.holds(now_))) return Work::read;
        return behind && pace_.may_apply_more() ? Work::apply : Work::none;
    }
    /// Does one unit of work. `turn.now` is the time now, not that when the turn began.
    void go_on(Primary<S>& primary, const Lease& lease, Turn<S>& turn) {
        now_ = turn.now;
        const auto work = next(turn.state, primary, lease);
        if (work == Work::none) return;  // the lease has ended since the caller asked
        pace_.begin(work, turn.state.applied.index + 1, turn.now);
        if (work == Work::read) return primary.answer_read(turn);
        primary.serving() ? primary.apply_next(turn) : void(turn.state.apply_next(turn.now));
    }
    /// Notes whether work is left over. If so, the next turn follows at once (`left_over`).
    void find_left_over(const Primary<S>& primary, Turn<S>& turn) {
        left_over_ = turn.state.applied.index < turn.state.commit || primary.has_ready_read(turn.state, turn.leased);
    }
    /// The turn's work ends. Emits `StoreBehind` and `SlowStore` where that is due.
    void end_turn(Turn<S>& turn) {
        const auto& state = turn.state;
        const auto dead_after = turn.node.dead_after;
        now_ = turn.now;
        const bool behind = state.applied.index < state.commit;
        if (behind) reached("S7: a store that takes long is given its work in slices");
        pace_.end_turn(turn.now, behind, dead_after);
        if (pace_.take_behind(turn.now, dead_after)) turn.out.emit(StoreBehind{state.commit - state.applied.index});
        const auto slowest = pace_.take_slowest(turn.now, dead_after);
        if (slowest.work != Work::none)
            turn.out.emit(SlowStore{slowest.work == Work::apply ? "apply" : "query", slowest.took});
    }

    /// Whether work was left over when `find_left_over` was last called.
    bool left_over() const { return left_over_; }
    /// As `WorkPace::slow`.
    bool slow() const { return pace_.slow(); }
    /// As `WorkPace::ahead`.
    Index ahead() const { return pace_.ahead(); }

    /// Ignores what was measured: it depends on the speed of the machine, and two equal replicas may differ in it.
    friend bool operator==(const StoreWork& a, const StoreWork& b) { return a.left_over_ == b.left_over_; }

private:
    WorkPace pace_;
    Time now_{};  // the time of the last call
    bool left_over_ = false;
};

}  // namespace understudy::replica
