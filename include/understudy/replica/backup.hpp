// A replica's work as backup: it holds what the primary sends, acknowledges it, and applies what is committed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/replica/features.hpp>
#include <understudy/replica/snapshot_transfer.hpp>
#include <understudy/replica/step.hpp>

namespace understudy::replica {

template <TextStore S>
class Backup {
public:
    /// Another view: what was acknowledged before does not count in it (S2), nor does what waits to be.
    void enter_view() {
        acknowledged_ = answered_ = 0;
        told_commit_ = 0;
        limit_ = ~Index{0};
        if (!withheld_.empty()) reached("S9: what is not on stable storage when its view ends is not acknowledged");
        withheld_.clear();
        announce_at_ = {};
    }
    /// What was received of a snapshot is void.
    void forget() { incoming_.reset(); }
    bool receives() const { return incoming_.has_value(); }

    /// An append of this view's primary (S2, S3).
    void append(Step<S>& step, const Call& call, Append&& append) {
        if (auto wrong = check(append, step.view().number); !wrong.empty())
            return step.refuse(call, "replica.append", error::invalid_params, std::move(wrong));
        auto& state = step.state;
        if (!agrees(state, append.prev)) {
            reached("S3: an append whose predecessor is missing is refused");
            return refuse_mismatch(step, call);
        }
        for (auto& entry : append.entries) {
            if (entry.at.index <= state.commit && state.log.first() > entry.at.index)
                continue;  // trimmed, so committed
            if (state.log.has(entry.at)) {
                reached("S3: entries that agree stay");
                continue;
            }
            if (entry.at.index <= std::max(state.commit, acknowledged_)) return refuse_conflict(step, call, entry.at);
            if (entry.at.view < state.log.position(entry.at.index - 1)->view)  // of a sender that named no entry it has
                return step.refuse(call, "replica.append", error::invalid_params, "entries: a view is out of order");
            if (entry.at.index <= state.log.last().index) {
                reached("S3: entries that conflict are cut off");
                auto removed = state.cut(entry.at.index);
                step.out.tell(LogCut{entry.at.index, removed, entry.at.index <= state.commit});
            }
            state.log.append(std::move(entry));
        }
        auto end = append.prev.index + append.entries.size();  // S3: the end of what was compared
        if (end < state.log.last().index) reached("S3: what was not compared is not acknowledged");
        acknowledged_ = std::max(acknowledged_, end);
        if (append.commit > acknowledged_) reached("S2: nothing is applied that was not acknowledged in this view");
        told_commit_ = std::max(told_commit_, append.commit);
        AppendResult result{step.view().number, end, append.round};
        announce(step, result);
        answer(step, call, end, std::move(result));
    }

    /// A chunk of a snapshot (S8).
    void install(Step<S>& step, const Call& call, const Install& install) {
        auto& state = step.state;
        const auto& at = install.snapshot.at;
        if (at.index <= state.commit) {
            reached("S8: a snapshot at or below the commit index changes nothing");
            incoming_.reset();
            acknowledged_ = std::max(acknowledged_, at.index);
            return answer_chunk(step, call, at.index, chunk_result(step, install, install.chunk + 1));
        }
        if (incoming_ && incoming_->id() == install.snapshot && install.chunk < incoming_->next())
            return answer_chunk(step, call, 0, chunk_result(step, install, incoming_->next()));  // a repeat
        if (auto wrong = check(state, at, step.view().number); !wrong.empty())
            return step.refuse(call, "replica.install", error::invalid_params, std::move(wrong));
        if (install.chunk == 0) incoming_.emplace(install.snapshot, state.empty);
        if (!incoming_ || incoming_->id() != install.snapshot || install.chunk != incoming_->next())
            return refuse_chunk(step, call, "the chunk does not continue what is being installed");
        expires_ = after(step.now, step.options.transfer_ttl);
        if (auto wrong = incoming_->feed(install.data, install.last); !wrong.empty()) {
            incoming_.reset();
            step.out.tell(Refused{call.peer, error::bad_chunk, "the snapshot cannot be restored: " + wrong});
            return refuse_chunk(step, call, "the snapshot cannot be restored: " + wrong);
        }
        auto next = incoming_->next();
        if (state.durable.in_use()) {
            state.durable.add({at, install.chunk, install.data, install.last, !state.log.has(at)});
            pieces_.push_back(state.durable.batches() + 1);
            if (pieces_.size() > step.options.chunk_window + 1) pieces_.pop_front();
        }
        if (install.last) {
            step.out.tell(SnapshotInstalled{at, incoming_->bytes()});
            reached("S8: a snapshot replaces the state when its last chunk was read");
            incoming_->finish(state);
            incoming_.reset();
            acknowledged_ = std::max(acknowledged_, at.index);
        }
        answer_chunk(step, call, install.last ? at.index : 0, chunk_result(step, install, next));
    }

    /// Acknowledges what is on stable storage now, and learns what is committed; S2: never beyond what was acknowledged
    /// in this view. `ahead`: so many committed entries may wait to be applied before it acknowledges more slowly.
    void respond(Step<S>& step, Index ahead) {
        auto& state = step.state;
        state.commit = std::max(state.commit, std::min({told_commit_, acknowledged_, state.durable_index()}));  // S9
        acknowledge(step, ahead);
    }
    /// Acknowledges what may be.
    void acknowledge(Step<S>& step, Index ahead) {
        const auto& state = step.state;
        limit_acknowledgements(state, ahead);
        const auto held = std::min(state.durable_index(), limit_);
        std::erase_if(withheld_, [&](Withheld& one) {
            if (one.through > held || one.batch > state.durable.persisted()) return false;
            if (one.batch != 0) expires_ = after(step.now, step.options.transfer_ttl);
            answered_ = std::max(answered_, one.through);
            step.out.send(std::move(one.call.peer), std::move(one.call.id), std::move(one.result));
            return true;
        });
        if (held == limit_) acknowledge_in_part(step, held);
    }

    /// A half-received snapshot is kept for a while only, in every role; but not while it waits for this server's disk.
    void expire(Time now) {
        if (deadline() > now) return;
        reached("S8: a half-received snapshot is dropped after a while");
        incoming_.reset();
    }

    Time deadline() const { return incoming_ && !waits_for_pieces() ? expires_ : never; }

    friend bool operator==(const Backup&, const Backup&) = default;

private:
    /// Once in a ping interval: the primary learns it soon, and what is written costs no more.
    void announce(const Step<S>& step, AppendResult& result) {
        if (step.now < announce_at_) return;
        announce_at_ = after(step.now, step.standing.info.ping_interval);
        result.features = own_features();
    }

    /// What a well-behaved primary never sends; an empty text if the append is in order.
    static std::string check(const Append& append, ViewNumber view) {
        auto before = append.prev;
        for (const auto& entry : append.entries) {
            if (entry.at.index != before.index + 1) return "entries: an index does not follow the one before it";
            if (entry.at.view < before.view || entry.at.view > view) return "entries: a view is out of order";
            before = entry.at;
        }
        return {};
    }

    /// The same of a snapshot: it is of no later view, its index can still grow, and it agrees with what was appended.
    std::string check(const ReplicatedState<S>& state, Position at, ViewNumber view) const {
        if (at.view > view) return "snapshot: its view is not yet";
        if (at.index > ~Index{0} / 2) return "snapshot: its index is out of range";
        if (at.index <= acknowledged_ && !state.log.has(at)) return "snapshot: it conflicts with what was acknowledged";
        return {};
    }

    /// S3: the entry before the appended ones is here. One that was trimmed is committed, and cannot differ.
    static bool agrees(const ReplicatedState<S>& state, Position prev) {
        return prev.index < state.log.base().index || state.log.has(prev);
    }

    void refuse_mismatch(Step<S>& step, const Call& call) const {
        reached(error::mismatch);
        Failure failure{"replica.append",   error::mismatch,   "the entry before the appended ones is not here",
                        step.standing.info, step.state.held(), {}};
        step.out.send(call.peer, call.id, std::move(failure));
    }

    /// Cannot happen among servers that keep the rules: committed entries never differ, nor do those of one primary.
    void refuse_conflict(Step<S>& step, const Call& call, Position at) const {
        step.refuse(call, "replica.append", error::bad_request,
                    "entry " + std::to_string(at.index) + " of view " + std::to_string(at.view) +
                        " conflicts with one that was acknowledged");
    }

    static InstallResult chunk_result(const Step<S>& step, const Install& install, std::uint64_t next) {
        return {step.view().number, install.snapshot, next};
    }
    /// S9: an answer that says that everything through `through` is held waits until that is on stable storage, and
    /// until this batch is.
    void answer(Step<S>& step, const Call& call, Index through, Message result, std::uint64_t batch = 0) {
        const bool held = through <= step.state.durable_index(), taken = batch <= step.state.durable.persisted();
        if (held && taken && through <= limit_) {
            answered_ = std::max(answered_, through);
            return step.out.send(call.peer, call.id, std::move(result));
        }
        if (!held) reached("S9: what is not on stable storage is not acknowledged");
        if (!taken) reached("S8: a snapshot comes no faster than the disk takes it");
        withheld_.push_back({through, batch, call, std::move(result)});
    }
    /// Where more waits to be applied, new entries are acknowledged half as fast as others are applied: so writes slow
    /// down to what this store can take, and the primary hears from it all the time (S7). What is committed already
    /// makes no more to apply.
    void limit_acknowledgements(const ReplicatedState<S>& state, Index ahead) {
        const auto applied = state.applied.index;
        const auto more = (applied - std::min(applied_before_, applied) + 1) / 2;
        limit_ = std::max({answered_ + more, state.commit, applied + ahead});
        applied_before_ = applied;
    }
    /// Of the oldest append that waits for being applied, what may be acknowledged already: so the primary hears from a
    /// backup that is slow, but works (S7).
    void acknowledge_in_part(Step<S>& step, Index held) {
        const auto waits = std::ranges::find_if(withheld_, [](const Withheld& one) {
            return std::holds_alternative<AppendResult>(one.result);
        });
        if (waits == withheld_.end() || held <= answered_ || held >= waits->through) return;
        reached("S2: a backup that applies slowly acknowledges no faster than it applies");
        answered_ = held;
        auto part = std::get<AppendResult>(waits->result);
        part.match = held;
        step.out.send(waits->call.peer, waits->call.id, std::move(part));
    }
    /// S8: an answer waits for all pieces but the newest `chunk_window`. So no more pieces than these, and than the
    /// primary sends ahead, wait in the journal, and it hears from a backup whose disk is slow, but works.
    void answer_chunk(Step<S>& step, const Call& call, Index through, Message result) {
        const bool full = pieces_.size() > step.options.chunk_window;
        answer(step, call, through, std::move(result), full ? pieces_.front() : 0);
    }
    /// The sender of a snapshot has to wait for this server's disk.
    bool waits_for_pieces() const {
        return std::ranges::any_of(withheld_, [](const Withheld& one) { return one.batch != 0; });
    }
    void refuse_chunk(Step<S>& step, const Call& call, std::string text) {
        reached("S8: a chunk that does not continue the snapshot is refused");
        reached(error::bad_chunk);
        InstallResult wanted{step.view().number, {}, 0};
        if (incoming_) wanted = {step.view().number, incoming_->id(), incoming_->next()};
        Failure failure{"replica.install", error::bad_chunk, std::move(text), step.standing.info, {}, wanted};
        answer_chunk(step, call, 0, std::move(failure));  // it too says what was received
    }

    struct Withheld {
        Index through = 0;
        std::uint64_t batch = 0;
        Call call;
        Message result;
        friend bool operator==(const Withheld&, const Withheld&) = default;
    };

    Index acknowledged_ = 0;  // in this view: this was compared, and is acknowledged as soon as it is held
    Index told_commit_ = 0;   // in this view
    Index answered_ = 0;      // and this was acknowledged
    Index limit_ = ~Index{0};  // beyond it nothing is, for now, so that not too much waits to be applied
    Index applied_before_ = 0;
    std::vector<Withheld> withheld_;
    std::optional<IncomingSnapshot<S>> incoming_;
    std::deque<std::uint64_t> pieces_;  // the batches of the newest ones, of whatever snapshot: `chunk_window` and one
    Time expires_ = never;
    Time announce_at_{};  // what this server can do
};

}  // namespace understudy::replica
