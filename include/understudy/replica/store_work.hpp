// What a replica's store has to do, entries to apply and reads to answer, in slices: a turn that took as long as all of
// it would be taken for silence (S7).
#pragma once

#include <algorithm>

#include <understudy/replica/lease.hpp>
#include <understudy/replica/own_delay.hpp>
#include <understudy/replica/primary.hpp>
#include <understudy/replica/work_pace.hpp>

namespace understudy::replica {

template <TextStore S>
class StoreWork {
public:
    /// A turn begins; what this server needs itself, for what a backup may have to apply too, says what its backups may
    /// need (S7). The log begins after `base`.
    void begin_turn(Standing& standing, Duration own_disk, Index base, Time now) {
        told_ = now;
        const auto own = std::max(own_disk, pace_.longest(base));
        standing.ack_timeout = OwnDelay::ack_timeout(own, standing.dead_after);
        if (standing.ack_timeout > standing.dead_after / 2)
            reached("S7: a server that is slow itself gives its backups more time");
        pace_.begin_turn(standing.info.ping_interval / 4);
    }

    /// The next unit, if there is one and this turn has time for it.
    Work next(const ReplicatedState<S>& state, const Primary<S>& primary, const Lease& lease) const {
        const bool behind = state.applied.index < state.commit;
        if (behind && pace_.may_apply()) return Work::apply;
        if (pace_.may_read() && primary.has_ready_read(state, lease.holds(told_))) return Work::read;
        return behind && pace_.may_apply_more() ? Work::apply : Work::none;
    }
    /// Does one; `step.now` is the time now.
    void go_on(Step<S>& step, Primary<S>& primary, const Lease& lease) {
        told_ = step.now;
        const auto work = next(step.state, primary, lease);
        if (work == Work::none) return;  // the lease has ended
        pace_.begin(work, step.state.applied.index + 1, step.now);
        if (work == Work::read) return primary.answer_read(step);
        primary.serving() ? primary.apply_next(step) : void(step.state.apply_next(step.now));
    }
    /// What is left over waits for the next turn, which follows at once.
    void look(Step<S>& step, const Primary<S>& primary) {
        left_over_ = step.state.applied.index < step.state.commit || primary.has_ready_read(step.state, step.leased);
    }
    /// The turn's work ends.
    void end_turn(Step<S>& step) {
        const auto& state = step.state;
        const auto dead_after = step.standing.dead_after;
        told_ = step.now;
        const bool behind = state.applied.index < state.commit;
        if (behind) reached("S7: a store that takes long is given its work in slices");
        pace_.end_turn(step.now, behind, dead_after);
        if (pace_.take_behind(step.now, dead_after)) step.out.tell(StoreBehind{state.commit - state.applied.index});
        const auto slowest = pace_.take_slowest(step.now, dead_after);
        if (slowest.work != Work::none)
            step.out.tell(SlowStore{slowest.work == Work::apply ? "apply" : "query", slowest.took});
    }

    bool left_over() const { return left_over_; }
    bool slow() const { return pace_.slow(); }
    Index ahead() const { return pace_.ahead(); }

    /// What was measured is no state of the group.
    friend bool operator==(const StoreWork& a, const StoreWork& b) { return a.left_over_ == b.left_over_; }

private:
    WorkPace pace_;
    Time told_{};
    bool left_over_ = false;
};

}  // namespace understudy::replica
