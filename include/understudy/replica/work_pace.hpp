// How long a replica works for its store in one turn, so that it is never silent for long (S7): a driver tells the time
// before each unit of work, an entry to apply or a read to answer, and the rest is left to the next turns.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include <understudy/replica/slow_entries.hpp>
#include <understudy/view.hpp>

namespace understudy::replica {

enum class Work : std::uint8_t { none, apply, read };

/// What a unit of work took, where that is worth to be told.
struct SlowWork {
    Work work = Work::none;
    Duration took{};
    friend bool operator==(const SlowWork&, const SlowWork&) = default;
};

class WorkPace {
public:
    /// A turn has so much time for the store. At least one unit of each kind is done in each turn.
    void begin_turn(Duration budget) {
        budget_ = budget;
        applied_ = reads_ = 0;
        last_ = Work::none;
        spent_ = {};
    }
    /// The next unit begins; `index` is that of an entry to apply.
    void begin(Work work, Index index, Time now) {
        note(now);
        if (last_ == Work::none) began_ = now;
        last_ = work;
        index_ = index;
        unit_began_ = now;
        ++(work == Work::apply ? applied_ : reads_);
    }

    /// Entries go first. Once they had half of the time, reads that can be answered go before them.
    bool may_apply() const { return applied_ == 0 || spent_ < budget_ / 2; }
    bool may_read() const { return reads_ == 0 || spent_ < budget_; }
    bool may_apply_more() const { return spent_ < budget_; }

    /// The work of a turn ends; `left`: more entries could be applied. D is `dead_after`.
    void end_turn(Time now, bool left, Duration dead_after) {
        if (last_ == Work::none) return;
        note(now);
        last_ = Work::none;
        slow_ = spent_ > budget_ / 4;
        if (!left) {
            behind_since_ = never;
            told_behind_ = false;
        } else if (behind_since_ == never) {
            behind_since_ = began_;
        }
        if (applied_ == 0) return;
        const auto turns = dead_after / std::max(spent_, Duration{1});
        ahead_ = std::max(least_ahead, applied_ * static_cast<Index>(turns));
    }

    /// The last turn's work took long enough, or it is not known yet, that what has to leave should leave before it.
    bool slow() const { return slow_; }
    /// How far a backup acknowledges beyond what it has applied (S2): about as many entries as it applies in D.
    Index ahead() const { return ahead_; }
    /// How long one unit has lately taken at most, or an entry after `base`, where the log begins.
    Duration longest(Index base) {
        slow_entries_.trim(base);
        return std::max(longest_, slow_entries_.longest());
    }

    /// Whether entries have waited to be applied for D or longer: said once until they do not, and once a minute.
    bool take_behind(Time now, Duration dead_after) {
        if (behind_since_ == never || told_behind_ || now < after(behind_since_, dead_after)) return false;
        if (now < next_behind_) return false;
        next_behind_ = after(now, quiet);
        return told_behind_ = true;
    }
    /// The slowest unit since this was last said, if it took at least `least`: said once a minute.
    SlowWork take_slowest(Time now, Duration least) {
        if (slowest_.took < least || now < next_slowest_) return {};
        next_slowest_ = after(now, quiet);
        return std::exchange(slowest_, SlowWork{});
    }

    friend bool operator==(const WorkPace&, const WorkPace&) = default;

private:
    static constexpr Duration quiet = std::chrono::minutes{1};
    static constexpr Index least_ahead = 8;

    void note(Time now) {
        if (last_ == Work::none) return;
        const auto took = now - unit_began_;
        spent_ = now - began_;
        longest_ = std::max(took, longest_ - longest_ / 64);
        if (last_ == Work::apply) slow_entries_.applied(index_, took);
        if (took > slowest_.took) slowest_ = {last_, took};
    }

    // of this turn
    Duration budget_{};
    Duration spent_{};
    Index applied_ = 0;
    std::uint64_t reads_ = 0;
    Work last_ = Work::none;  // the unit under way
    Index index_ = 0;
    Time began_{}, unit_began_{};

    bool slow_ = true;
    Index ahead_ = ~Index{0} / 4;
    Time behind_since_ = never;
    bool told_behind_ = false;
    Duration longest_{};
    SlowEntries slow_entries_;
    SlowWork slowest_;
    Time next_behind_ = Time::min(), next_slowest_ = Time::min();
};

}  // namespace understudy::replica
