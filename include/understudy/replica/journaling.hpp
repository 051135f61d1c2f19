// Connects a replica with its journal (rule S9): which incarnations it continues, which hard state it persists, and
// what each turn adds to the journal.
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
#include <understudy/replica/turn.hpp>

namespace understudy::replica {

/// Which incarnations a replica continues, the hard state it persists, and the journal's snapshots. Does nothing
/// without a journal.
template <TextStore S>
class Journaling {
public:
    /// The limit for the list of incarnations. A server that restarts many times without hearing of a view would make
    /// the list too long for a ping (256). Beyond the limit, the first one and the latest ones stay.
    static constexpr std::size_t max_incarnations = 200;

    /// A new incarnation starts from the recovered `from`, whose state was moved to `state`. `promised`: the journal
    /// calls a batch persisted only when it is on stable storage. Otherwise the list of incarnations stays empty,
    /// because no later incarnation may claim this state.
    void begin(const Recovered<S>& from, ReplicatedState<S>& state, const NodeState& node, bool promised) {
        introduced_ = false;
        former_ = from.hard_state.info;
        state_view_ = from.hard_state.state_view != 0 ? from.hard_state.state_view : former_.view.number;
        stable_ = submitted_ = {0, state_view_};
        if (promised) {
            recovered_ = from.hard_state.incarnations;
            while (recovered_.size() >= max_incarnations) recovered_.erase(recovered_.begin() + 1);
            incarnations_ = recovered_;
            incarnations_.push_back(node.incarnation);
        }
        compaction_.restore(from.entry_bytes, from.snapshot_bytes);
        // The view of this incarnation is still 0. The journal must keep the newest view that was known.
        submit_hard_state(state, node, from.hard_state.info.view);
    }

    /// Whether the journal has recorded this incarnation. No ping may leave before that: a later incarnation could
    /// otherwise not name this one among those that it continues.
    bool introduced() const { return introduced_; }
    /// The number of the newest view that an earlier incarnation adopted.
    ViewNumber former_view() const { return former_.view.number; }
    /// The newest view that an earlier incarnation adopted.
    const ViewInfo& former() const { return former_; }
    /// The earlier incarnations whose state this one continues.
    const std::vector<Incarnation>& recovered() const { return recovered_; }
    /// Fills in what a ping says about the journal. `ping.viewnum` must be set already.
    void describe(Ping& ping) const {
        ping.journal = !incarnations_.empty();  // batches count only when they are on stable storage
        ping.recovered = recovered_;
        if (ping.journal || ping.viewnum == 0) ping.knew = std::max(former_view(), stable_.known);
        if (ping.journal) ping.state_view = stable_.of_state;
    }
    /// Whether the view relies on the state of this server: it is the primary or a backup in sync, under this
    /// incarnation or under one that it continues.
    bool is_relied_on(const NodeState& node) const {
        const auto& view = node.info.view;
        const auto* me = view.member(node.name);
        if (!me || (me != &view.primary && !me->synced)) return false;
        const auto is_me = [&](Incarnation incarnation) { return incarnation == me->incarnation; };
        return is_me(node.incarnation) || std::ranges::any_of(recovered_, is_me);
    }
    /// Why stable storage failed, as human-readable text; empty if it did not.
    const std::string& failure() const { return failure_; }
    void fail(std::string why) { failure_ = std::move(why); }

    /// A newer view was adopted. If it names this incarnation, no later view names an earlier one, so the earlier ones
    /// are no longer listed.
    void adopted(ReplicatedState<S>& state, const NodeState& node) {
        if (!state.durable.in_use()) return;
        if (node.role() != Role::idle && !incarnations_.empty()) {
            recovered_.clear();
            incarnations_ = {node.incarnation};
        }
        submit_hard_state(state, node, node.info.view);
    }
    /// A received snapshot, or an empty state, replaces the whole state.
    void replaced(const ReplicatedState<S>& state) { compaction_.abandon(state); }

    /// All batches up to `batch` are on stable storage.
    void persisted(std::uint64_t batch, ReplicatedState<S>& state) {
        introduced_ = true;
        if (batch >= submitted_in_) stable_ = submitted_;
        state.durable.persisted(batch);
        compaction_.persisted(batch);
    }

    /// How long this server's own disk recently took for one batch, with the one in progress (S7).
    Duration own_delay(const ReplicatedState<S>& state, Time now) {
        disk_.persisted(state.durable.persisted(), now);
        return disk_.so_far(now);
    }

    /// Submits the batch of this turn, and writes the journal's own snapshot when one is needed. `receives`: a snapshot
    /// is being received; it will replace the state, so none is written.
    void end_turn(ReplicatedState<S>& state, const ReplicaOptions& options, Incarnation incarnation, bool receives,
                  Time now, Output& out) {
        if (!receives) compaction_.wake(state, options, incarnation);
        out.journal = state.durable.take(state.log, state.commit);
        if (!out.journal) return;
        disk_.submitted(out.journal->number, now);
        if (!out.journal->hard_state) return;
        submitted_in_ = out.journal->number;
        const auto& node = *out.journal->hard_state;
        const auto known = node.info.view.number;
        submitted_ = {known, node.state_view != 0 ? node.state_view : known};
    }
    /// Whether the next turn is due at once, to submit another piece of a snapshot.
    bool due(const ReplicaOptions& options) const { return compaction_.due(options); }

    friend bool operator==(const Journaling&, const Journaling&) = default;

private:
    /// Submits the hard state with `view`.
    void submit_hard_state(ReplicatedState<S>& state, const NodeState& node, const View& view) {
        auto info = node.info;
        info.view = view;
        // An incarnation that no view names only hears of new views; its state takes no part in them. Without this
        // distinction, an older copy of a directory would pass for the newest one as soon as its server has heard of
        // the current view.
        state.durable.set_hard_state({node.name, std::move(info), incarnations_, recovered_.empty() ? 0 : state_view_});
    }

    /// The newest view that is known, and the newest one that the state takes part in.
    struct Views {
        ViewNumber known = 0, of_state = 0;
        friend bool operator==(const Views&, const Views&) = default;
    };

    bool introduced_ = true;
    ViewInfo former_;
    std::vector<Incarnation> recovered_;
    ViewNumber state_view_ = 0;       // the newest view that the recovered state takes part in
    std::vector<Incarnation> incarnations_;  // `recovered_` and this one; empty if no later incarnation may continue it
    Views submitted_;                     // the views in the hard state that was submitted last,
    std::uint64_t submitted_in_ = 0;      // the batch that contains it,
    Views stable_;                    // and the views in the newest one that is on stable storage
    Compaction<S> compaction_;
    OwnDelay disk_;
    std::string failure_;
};

}  // namespace understudy::replica
