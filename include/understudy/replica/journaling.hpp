// A replica and its journal (rule S9): which lives it continues, what is noted of this one, and what each turn adds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <understudy/replica/compaction.hpp>
#include <understudy/replica/own_delay.hpp>
#include <understudy/replica/recovery.hpp>
#include <understudy/replica/step.hpp>

namespace understudy::replica {

/// Without a journal it does nothing.
template <TextStore S>
class Journaling {
public:
    /// A server that is started again and again without hearing of a view lists so many lives: the first and the last.
    static constexpr std::size_t max_lives = 200;

    /// A life begins that goes on from `from`, whose state `state` is.
    void begin(const Recovered<S>& from, ReplicatedState<S>& state, const Standing& standing, bool promised) {
        introduced_ = false;
        former_ = from.standing.info;
        state_view_ = from.standing.state_view != 0 ? from.standing.state_view : former_.view.number;
        stable_ = noted_ = {0, state_view_};
        if (promised) {
            recovered_ = from.standing.lives;
            while (recovered_.size() >= max_lives) recovered_.erase(recovered_.begin() + 1);
            lives_ = recovered_;
            lives_.push_back(standing.incarnation);
        }
        compaction_.restore(from.entry_bytes, from.snapshot_bytes);
        note(state, standing, from.standing.info.view);
    }

    /// This life is noted in the journal: the world may hear of it.
    bool introduced() const { return introduced_; }
    /// The newest view that a former life adopted.
    ViewNumber former_view() const { return former_.view.number; }
    const ViewInfo& former() const { return former_; }
    /// The former lives whose state this one continues.
    const std::vector<Incarnation>& recovered() const { return recovered_; }
    /// What a ping says of the journal. Its view is known by then.
    void describe(Ping& ping) const {
        ping.journal = !lives_.empty();  // what is written waits for the disk
        ping.recovered = recovered_;
        if (ping.journal || ping.viewnum == 0) ping.knew = std::max(former_view(), stable_.known);
        if (ping.journal) ping.state_view = stable_.of_state;
    }
    /// Whether the view counts on what this server holds: as that of the primary or of a backup in sync.
    bool is_relied_on(const Standing& standing) const {
        const auto& view = standing.info.view;
        const auto* me = view.member(standing.name);
        if (!me || (me != &view.primary && !me->synced)) return false;
        const auto is_me = [&](Incarnation life) { return life == me->incarnation; };
        return is_me(standing.incarnation) || std::ranges::any_of(recovered_, is_me);
    }
    const std::string& failure() const { return failure_; }
    void fail(std::string why) { failure_ = std::move(why); }

    /// A view that names this life names no former one, and no later view will.
    void adopted(ReplicatedState<S>& state, const Standing& standing) {
        if (!state.durable.in_use()) return;
        if (standing.role() != Role::idle && !lives_.empty()) {
            recovered_.clear();
            lives_ = {standing.incarnation};
        }
        note(state, standing, standing.info.view);
    }
    /// A snapshot, or nothing at all, takes the place of the whole state.
    void replaced(const ReplicatedState<S>& state) { compaction_.abandon(state); }

    void persisted(std::uint64_t batch, ReplicatedState<S>& state) {
        introduced_ = true;
        if (batch >= noted_in_) stable_ = noted_;
        state.durable.persisted(batch);
        compaction_.persisted(batch);
    }

    /// How long this server's own disk has lately taken.
    Duration own_delay(const ReplicatedState<S>& state, Time now) {
        disk_.persisted(state.durable.persisted(), now);
        return disk_.so_far(now);
    }

    /// `receives`: a snapshot is being received, so none is written.
    void end_turn(ReplicatedState<S>& state, const ReplicaOptions& options, Incarnation life, bool receives, Time now,
                  Effects& out) {
        if (!receives) compaction_.wake(state, options, life);
        out.journal = state.durable.take(state.log, state.commit);
        if (!out.journal) return;
        disk_.gave(out.journal->number, now);
        if (!out.journal->standing) return;
        noted_in_ = out.journal->number;
        const auto& standing = *out.journal->standing;
        const auto known = standing.info.view.number;
        noted_ = {known, standing.state_view != 0 ? standing.state_view : known};
    }
    /// Whether the next turn is due at once.
    bool due(const ReplicaOptions& options) const { return compaction_.due(options); }

    friend bool operator==(const Journaling&, const Journaling&) = default;

private:
    void note(ReplicatedState<S>& state, const Standing& standing, const View& view) {
        auto info = standing.info;
        info.view = view;
        // A life that no view names only hears of views, and its state takes no part in them. Without this an older
        // copy of a directory would pass for the newest one as soon as its server has heard of the present view.
        state.durable.note({standing.name, std::move(info), lives_, recovered_.empty() ? 0 : state_view_});
    }

    /// The newest view that is known, and the newest one that the state takes part in.
    struct Views {
        ViewNumber known = 0, of_state = 0;
        friend bool operator==(const Views&, const Views&) = default;
    };

    bool introduced_ = true;
    ViewInfo former_;
    std::vector<Incarnation> recovered_;
    ViewNumber state_view_ = 0;       // that the state of those takes part in
    std::vector<Incarnation> lives_;  // those and this one, if the next life may continue it
    Views noted_;                     // that were given out last to be noted,
    std::uint64_t noted_in_ = 0;      // in this batch,
    Views stable_;                    // and that are on stable storage
    Compaction<S> compaction_;
    OwnDelay disk_;
    std::string failure_;
};

}  // namespace understudy::replica
