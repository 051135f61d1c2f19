// How long a replica's store may work in one turn, so that the replica is never silent for long (S7). The driver gives
// the time before each unit of work: an entry to apply, or a read to answer. The rest is left to the next turns.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include <understudy/replica/slow_entries.hpp>
#include <understudy/view.hpp>

namespace understudy::replica {

/// A unit of work: apply one committed entry, or answer one read.
enum class Work : std::uint8_t { none, apply, read };

/// How long a unit of work took; `Work::none` if there is nothing to emit.
struct SlowWork {
    Work work = Work::none;
    Duration took{};
    friend bool operator==(const SlowWork&, const SlowWork&) = default;
};

/// Measures units of work and bounds them in a turn. A unit is never interrupted, so a turn may exceed its budget by
/// one unit of each kind. All operations take amortized O(1), but `longest`, which is linear in a few dozen stored
/// times.
class WorkPace {
public:
    /// A turn begins in which the store may work for `budget`. At least one unit of each kind may be done in each turn,
    /// however long it takes: otherwise a slow store would make no progress.
    void begin_turn(Duration budget) {
        budget_ = budget;
        applied_ = reads_ = 0;
        last_ = Work::none;
        spent_ = {};
    }
    /// The next unit begins at `now`, and so the one before it ends. `index` is the entry to apply; unused for a read.
    void begin(Work work, Index index, Time now) {
        note(now);
        if (last_ == Work::none) began_ = now;
        last_ = work;
        index_ = index;
        unit_began_ = now;
        ++(work == Work::apply ? applied_ : reads_);
    }

    /// The order of work in a turn: entries for the first half of the budget (`may_apply`), then reads that can be
    /// answered (`may_read`), then more entries (`may_apply_more`). So neither kind keeps the other waiting for long.
    bool may_apply() const { return applied_ == 0 || spent_ < budget_ / 2; }
    bool may_read() const { return reads_ == 0 || spent_ < budget_; }
    bool may_apply_more() const { return spent_ < budget_; }

    /// The work of a turn ends at `now`. `left`: more committed entries are waiting to be applied. `dead_after` is D.
    void end_turn(Time now, bool left, Duration dead_after) {
        if (last_ == Work::none) return;
        note(now);
        last_ = Work::none;
        slow_ = spent_ > budget_ / 4;
        if (!left) {
            behind_since_ = never;
            behind_emitted_ = false;
        } else if (behind_since_ == never) {
            behind_since_ = began_;
        }
        if (applied_ == 0) return;
        // In D, about this many turns like this one fit, each with as many entries as this one applied.
        const auto turns = dead_after / std::max(spent_, Duration{1});
        ahead_ = std::max(least_ahead, applied_ * static_cast<Index>(turns));
    }

    /// Whether the last turn's work took more than a quarter of its budget, or nothing was measured yet. Then messages
    /// that are due should be sent before the store works, not after it.
    bool slow() const { return slow_; }
    /// S2: how many entries a backup may acknowledge beyond those that it has applied: about as many as it applies in
    /// D, and at least 8. Without this bound, entries would pile up on a backup whose store is slower than the
    /// primary's. Practically unbounded until the first turn with applied entries was measured.
    Index ahead() const { return ahead_; }
    /// The longest time of one unit: lately (a maximum that decays by a sixty-fourth with each unit), or of any entry
    /// after `base`, where the log starts. Drops the times of earlier entries.
    Duration longest(Index base) {
        slow_entries_.trim(base);
        return std::max(longest_, slow_entries_.longest());
    }

    /// True if committed entries have been waiting to be applied for D (`dead_after`) or longer; the caller then
    /// emits an event. It is true once until no entry waits any more, and at most once a minute.
    bool take_behind(Time now, Duration dead_after) {
        if (behind_since_ == never || behind_emitted_ || now < after(behind_since_, dead_after)) return false;
        if (now < next_behind_) return false;
        next_behind_ = after(now, quiet);
        return behind_emitted_ = true;
    }
    /// The slowest unit since one was last returned, if it took at least `least`; at most once a minute. Else
    /// `Work::none`.
    SlowWork take_slowest(Time now, Duration least) {
        if (slowest_.took < least || now < next_slowest_) return {};
        next_slowest_ = after(now, quiet);
        return std::exchange(slowest_, SlowWork{});
    }

    friend bool operator==(const WorkPace&, const WorkPace&) = default;

private:
    static constexpr Duration quiet = std::chrono::minutes{1};
    static constexpr Index least_ahead = 8;

    /// Ends the unit under way, if there is one, at `now`.
    void note(Time now) {
        if (last_ == Work::none) return;
        const auto took = now - unit_began_;
        spent_ = now - began_;
        longest_ = std::max(took, longest_ - longest_ / 64);
        if (last_ == Work::apply) slow_entries_.applied(index_, took);
        if (took > slowest_.took) slowest_ = {last_, took};
    }

    // Of this turn.
    Duration budget_{};
    Duration spent_{};  // from the begin of the first unit to the end of the last one that is known
    Index applied_ = 0;        // entries, with the one under way
    std::uint64_t reads_ = 0;  // the same of reads
    Work last_ = Work::none;  // the unit under way; none before the first one and after the last one
    Index index_ = 0;
    Time began_{}, unit_began_{};  // the first unit, and the one under way

    // Of all turns.
    bool slow_ = true;
    Index ahead_ = ~Index{0} / 4;  // a quarter, so that an index can be added to it
    Time behind_since_ = never;    // entries have been waiting since then
    bool behind_emitted_ = false;
    Duration longest_{};
    SlowEntries slow_entries_;
    SlowWork slowest_;
    Time next_behind_ = Time::min(), next_slowest_ = Time::min();
};

}  // namespace understudy::replica
