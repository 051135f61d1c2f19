// What a primary knows of one backup, and what it sends to it: entries, read rounds, heartbeats, or a snapshot.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/protocol/call_id.hpp>
#include <understudy/replica/snapshot_transfer.hpp>
#include <understudy/replica/step.hpp>

namespace understudy::replica {

/// The primary's side of replication to one backup (S4, S7, S8). It tracks what the backup has acknowledged, limits
/// what is sent ahead, sends again what stays unanswered, and decides between the log and a snapshot. It lives as long
/// as the backup stays in the primary's views.
template <TextStore S>
class BackupLink {
public:
    /// `asking`: it is not known yet what the backup has. `log`: the backup is sent entries. `snapshot`: the log does
    /// not reach back far enough, so the backup is sent a snapshot first.
    enum class Mode { asking, log, snapshot };

    explicit BackupLink(const Member& member) : member_{member}, required_{member.synced} {}

    const Member& member() const { return member_; }
    /// The index up to which the backup's log equals this primary's, as far as the backup has acknowledged it.
    Index match() const { return match_; }
    Mode mode() const { return mode_; }
    /// Whether `other`, a backup of the primary's next view, is the same process, so that its match carries over (S4).
    bool is(const Member& other) const {
        return member_.name == other.name && member_.incarnation == other.incarnation;
    }
    /// Whether it is in the in-sync set (S4).
    bool required() const { return required_; }
    void require() { required_ = true; }
    /// Whether it acknowledged nothing for too long (S7), and was not heard since.
    bool unreachable() const { return unreachable_; }
    /// The features that it announced; empty if it has not answered yet.
    const Features& features() const { return features_; }
    /// The newest read round that it confirmed in this view.
    Round round_acknowledged() const { return round_acknowledged_; }
    /// Bytes of the current snapshot that it has acknowledged.
    std::uint64_t bytes_sent() const { return transfer_ ? transfer_->acknowledged_bytes() : 0; }
    /// Whether it is catching up and close to its end: everything in the log was sent to it, it follows the log, and it
    /// answers.
    bool arriving() const { return caught_up_ && mode_ == Mode::log && !unreachable_; }
    /// How far the commit index may go while this backup is catching up: its match and the lag that it is still
    /// allowed. The allowed lag shrinks with each acknowledgement. So the backup gets in sync although writes go on:
    /// this commit throttle slows writes down. Without it, a backup that is a little slower than the writes would never
    /// get in sync; without the lag, writes would stop until the backup has acknowledged everything.
    Index holds_back_to() const { return match_ + lag_; }
    /// Entries after this index may still be needed to bring this backup up to date. The maximum if none are.
    Index pinned() const { return transfer_ ? transfer_->id().at.index : mode_ == Mode::log ? resume_ : ~Index{0}; }

    /// Its state as `pb.status` reports it.
    std::string_view state() const {
        if (unreachable_) return "unreachable";
        if (required_) return "in_sync";
        return mode_ == Mode::snapshot ? "snapshot" : "log";
    }

    /// The primary leads its next view with this backup in it (S6). What is known of the backup's log stays. Messages
    /// of the old view do not count any more, so everything that is unacknowledged is sent again.
    void enter_view(const Member& member) {
        member_ = member;
        required_ = member.synced;
        if (transfer_) reached("S8: a transfer goes on in a later view");
        knows_view_ = false;
        round_sent_ = round_acknowledged_ = 0;
        sent_ = resume_;
        forget_sent();
        resend_from_here_ = true;
        unreachable_ = false;
    }

    /// Take and give a transfer that goes on when the backup comes back in a later view (S8).
    std::optional<OutgoingSnapshot<S>> take_transfer() { return std::exchange(transfer_, std::nullopt); }
    void give_transfer(OutgoingSnapshot<S> transfer) { transfer_ = std::move(transfer); }

    // ---- received ----

    /// The backup acknowledged an append, in this view.
    void answered(const CallId& id, const AppendResult& result, const Step<S>& step) {
        heard(id, step, result.match);
        knows_view_ = true;
        if (!result.features.empty()) features_ = result.features;
        if (mode_ != Mode::snapshot) follow_log();
        // Half as much as was acknowledged: so the backup catches up, and writes go on at a lower rate.
        if (result.match > match_) lag_ -= std::min(lag_, (result.match - match_ + 1) / 2);
        match_ = std::max(match_, result.match);
        window_ += step.state.log.bytes(resume_, match_);
        resume_ = std::max(resume_, match_);
        sent_ = std::max(sent_, resume_);
        lag_ = std::min(lag_, sent_ - match_);  // the match may have been unknown at first
        round_acknowledged_ = std::max(round_acknowledged_, std::min(result.round, round_sent_));
    }

    /// The backup lacks the entry before the appended ones, and says what it has (S3, S8). Goes on from there, or
    /// begins a snapshot if the log does not reach back so far.
    void refused_append(const CallId& id, const Held& held, Step<S>& step) {
        auto n = call_number(id);
        if (n < ignore_before_) return;  // refers to a message that was superseded by a resend
        heard(id, step);
        const auto& log = step.state.log;
        if (mode_ == Mode::snapshot) return;
        auto from = log.has(held.last) ? held.last.index : held.commit;  // S8
        if (from == held.commit && from != held.last.index) reached("S8: what conflicts is sent again from the commit");
        if (!log.position(from)) return begin_snapshot(step);
        if (mode_ == Mode::asking) {
            reached("S8: a backup is brought up from the log");
            step.out.emit(BackupJoining{member_.name, step.view().number, false});
        }
        follow_log();
        knows_view_ = true;
        sent_ = resume_ = std::max(from, match_);
        resend_from_here_ = true;
    }

    /// The backup does not have this view yet. The next message carries the whole view.
    void lacks_view(const CallId& id, const Step<S>& step) {
        heard(id, step);
        knows_view_ = false;
        sent_ = resume_;
        resend_from_here_ = true;
    }

    /// The backup acknowledged chunks of a snapshot. After the last one it follows the log.
    void answered_chunk(const CallId& id, const InstallResult& result, Step<S>& step) {
        heard(id, step);
        knows_view_ = true;
        if (mode_ != Mode::snapshot || result.snapshot != transfer_->id()) return;
        if (result.next < transfer_->acknowledged()) return;  // an old answer
        if (!transfer_->acknowledge(result.next, step.options.chunk_bytes)) return begin_snapshot(step);
        next_chunk_ = std::max(next_chunk_, transfer_->acknowledged());
        if (!transfer_->complete()) return;
        match_ = std::max(match_, transfer_->id().at.index);
        sent_ = resume_ = match_;
        follow_log();
    }

    /// The chunk did not continue what the backup is installing; `wanted` says what does. If the backup installs
    /// another snapshot, or none, the transfer starts again at chunk 0. If the wanted chunk is no longer stored here, a
    /// new snapshot is begun.
    void refused_chunk(const CallId& id, const InstallResult& wanted, Step<S>& step) {
        heard(id, step);
        if (mode_ != Mode::snapshot || call_number(id) < ignore_before_) return;
        auto next = wanted.snapshot == transfer_->id() ? wanted.next : 0;
        if (!transfer_->acknowledge(next, step.options.chunk_bytes)) return begin_snapshot(step);
        next_chunk_ = next;
        resend_from_here_ = true;
    }

    /// The connection broke, and messages on their way may be lost. They are sent again after the resend interval: an
    /// immediate resend to a peer that cannot be reached would be a tight loop.
    void disconnected(const Step<S>& step) {
        knows_view_ = false;
        resend_at_ = step.now + resend_interval(step);
        // Without an unanswered message nothing would be sent again. The peer may have restarted, so it must be asked.
        if (sending_.empty()) note_sent(0, step);
    }

    // ---- sent ----

    /// Sends what is due at the end of a turn. `calls` is the counter that numbers messages to all backups; `round` is
    /// the primary's newest read round.
    void flush(Step<S>& step, std::uint64_t& calls, Round round) {
        if (!sending_.empty() && step.now >= resend_at_) {
            reached("S7: what is not acknowledged is sent again");
            auto dead_after = step.node.dead_after;
            // The backup may be overloaded: wait longer each time, and start again with the smallest window.
            backoff_ = std::clamp(backoff_ * 2, dead_after / 20, dead_after / 4);
            sent_ = resume_;
            window_ = 0;
            resend_from_here_ = true;
        }
        if (mode_ == Mode::log && !step.state.log.position(sent_)) {
            reached("S8: the log no longer goes back to the end of the backup's log");
            begin_snapshot(step);
        }
        if (std::exchange(resend_from_here_, false)) {
            ignore_before_ = calls + 1;
            next_chunk_ = transfer_ ? transfer_->acknowledged() : 0;
            resend_at_ = never;
            must_send_ = true;
        }
        chunk_due_ = false;
        if (mode_ == Mode::snapshot)
            send_chunks(step, calls);
        else
            send_entries(step, calls, round);
        must_send_ = false;
        // The first time that everything in the log was sent, the backup may be this far behind (`holds_back_to`).
        if (mode_ != Mode::log || sent_ != step.state.log.last().index) {
            caught_up_ = caught_up_ && mode_ == Mode::log;
        } else if (!std::exchange(caught_up_, true)) {
            lag_ = sent_ - std::min(sent_, match_);
        }
    }

    /// S7: finds that the backup acknowledged nothing for `ack_timeout` although something was sent to it. Returns true
    /// once, when it finds this. It needs two calls some time apart. If this process was suspended, the answers have
    /// arrived but are not read yet; a single look would declare every backup unreachable.
    bool overdue(const Step<S>& step) {
        if (sending_.empty() || unreachable_) return false;
        if (step.now < unanswered_since() + step.node.ack_timeout) {
            suspected_ = never;
            return false;
        }
        if (suspected_ == never) suspected_ = step.now + step.node.dead_after / 50;
        if (step.now < suspected_) return false;
        reached("S7: a backup that acknowledges nothing for D/2 is unreachable");
        unreachable_ = true;
        return true;
    }

    /// When `flush` or `overdue` has something to do.
    Time deadline(const NodeState& node) const {
        if (chunk_due_) return last_sent_;
        if (sending_.empty()) return last_sent_ + node.info.ping_interval;
        auto judged =
            unreachable_ ? never : suspected_ != never ? suspected_ : unanswered_since() + node.ack_timeout;
        return std::min(resend_at_, judged);
    }

    friend bool operator==(const BackupLink&, const BackupLink&) = default;

private:
    /// A message without an answer.
    struct Sending {
        std::uint64_t n = 0;
        Time at{};
        Index through = 0;  // the entries up to here had been sent with it or before
        friend bool operator==(const Sending&, const Sending&) = default;
    };
    // With more messages without an answer, the newest ones are tracked as one.
    static constexpr std::size_t max_tracked = 256;

    /// Since when the backup is silent although something was sent. A backup that works through a backlog answers from
    /// time to time, so it does not count as silent.
    Time unanswered_since() const { return std::max(sending_.front().at, heard_at_); }

    /// How long to wait for an answer before sending again: at least D/20 (S7), more if the backup recently took longer
    /// to answer, and twice as long with each resend while it is silent.
    Duration resend_interval(const Step<S>& step) const {
        const auto& node = step.node;
        return std::max({node.dead_after / 20, std::min(round_trip_ * 3, node.ack_timeout / 2), backoff_});
    }

    void note_sent(std::uint64_t n, const Step<S>& step, Index through = 0) {
        if (sending_.empty() || resend_at_ == never) resend_at_ = step.now + resend_interval(step);
        if (sending_.size() < max_tracked)
            sending_.push_back({n, step.now, through});
        else
            sending_.back() = {n, sending_.back().at, std::max(sending_.back().through, through)};
        last_sent_ = step.now;
    }

    /// Handles an answer to message `id`. It answers that message and all earlier ones, except those with entries
    /// beyond `match`, which it does not acknowledge.
    void heard(const CallId& id, const Step<S>& step, Index match = ~Index{0}) {
        auto n = call_number(id);
        while (!sending_.empty() && sending_.front().n <= n && sending_.front().through <= match) {
            if (sending_.front().n == n) {
                auto took = step.now - sending_.front().at;
                // Follows a longer time at once and a shorter one slowly, so that nothing is sent again too early.
                round_trip_ = std::max(took, (round_trip_ * 7 + took) / 8);
            }
            sending_.pop_front();
        }
        if (!sending_.empty() && sending_.front().n <= n && match <= match_) {  // and acknowledges nothing new
            reached("S7: a backup that answers and does not get its entries stored is not heard");
            return;
        }
        heard_at_ = step.now;
        unreachable_ = false;
        suspected_ = never;
        backoff_ = {};
        resend_at_ = sending_.empty() ? never : step.now + resend_interval(step);
    }

    void forget_sent() {
        sending_.clear();
        resend_at_ = never;
        suspected_ = never;
        backoff_ = {};
    }

    /// The view of a message: whole until the backup has shown that it has it, then its number.
    ViewRef view_ref(const Step<S>& step) const {
        ViewRef ref{step.view().number, {}};
        if (!knows_view_) ref.whole = step.node.info;
        return ref;
    }

    void send_entries(Step<S>& step, std::uint64_t& calls, Round round) {
        const auto& log = step.state.log;
        if (mode_ == Mode::asking) {
            // An append without entries. Its answer, or `mismatch`, says what the backup has.
            if (must_send_ || sending_.empty()) send_append(step, calls, round, log.last().index, log.last().index);
            return;
        }
        bool sent_something = false;
        // The window grows with what is acknowledged. A backup that is slow or far behind must not get a large number
        // of appends: it could not read them before they are sent again.
        window_ = std::clamp(window_, step.options.append_bytes, step.options.window_bytes);
        if (log.position(resume_)) resume_end_ = log.end_of(resume_);  // before the log is trimmed beyond it
        // An answer to entries waits for the backup's disk (S9). A read must not wait for that, so its round is sent in
        // a separate append without entries, after the match, which the backup can answer at once.
        const bool by_itself = step.state.durable.in_use() && required_ && round > round_sent_ && log.position(match_);
        if (by_itself) send_append(step, calls, round, match_, match_);
        while (sent_ < log.last().index && log.end_of(sent_) - resume_end_ < window_) {
            send_append(step, calls, round, sent_, batch_end(step));
            sent_something = true;
        }
        if (sent_something || by_itself) return;
        bool heartbeat = sending_.empty() && step.now >= last_sent_ + step.node.info.ping_interval;
        if (heartbeat) reached("S7: an idle backup is sent an empty append every ping interval");
        if (must_send_ || heartbeat || (required_ && round > round_sent_))
            send_append(step, calls, round, sent_, sent_);
    }

    /// The last entry of the next append: as many entries as fit in `append_bytes`, at least one.
    Index batch_end(const Step<S>& step) const {
        const auto& log = step.state.log;
        auto end = sent_ + 1;
        while (end < log.last().index && log.bytes(sent_, end + 1) <= step.options.append_bytes) ++end;
        return end;
    }

    void send_append(Step<S>& step, std::uint64_t& calls, Round round, Index after_index, Index through) {
        const auto& log = step.state.log;
        Append append{step.node.info.cluster,
                      step.node.info.group,
                      view_ref(step),
                      *log.position(after_index),
                      {},
                      step.state.commit,
                      round};
        append.entries.reserve(static_cast<std::size_t>(through - after_index));
        for (auto index = after_index; index < through; ++index) append.entries.push_back(log[index + 1]);
        sent_ = std::max(sent_, through);
        round_sent_ = round;
        note_sent(++calls, step, through);
        step.out.send(member_.name, make_call_id(Method::replica_append, calls), std::move(append));
    }

    /// What the backup has is known, and the log reaches back so far. No snapshot is needed any more.
    void follow_log() {
        mode_ = Mode::log;
        transfer_.reset();
    }

    void begin_snapshot(Step<S>& step) {
        // A transfer of an earlier view can go on if the entries after its snapshot are still in the log.
        bool resumed = transfer_ && step.state.log.has(transfer_->id().at) && mode_ != Mode::snapshot;
        reached(resumed ? "S8: a transfer of an earlier view is taken up again" : "S8: a backup needs a snapshot");
        if (!resumed) transfer_.emplace(step.state, step.node.incarnation);
        mode_ = Mode::snapshot;
        next_chunk_ = transfer_->acknowledged();
        resend_from_here_ = true;
        step.out.emit(BackupJoining{member_.name, step.view().number, true});
    }

    void send_chunks(Step<S>& step, std::uint64_t& calls) {
        // All chunks are answered, but the backup still lacks one. A correct backup never does this. The chunk is sent
        // again, but only once per ping interval.
        if (sending_.empty() && step.now >= last_sent_ + step.node.info.ping_interval)
            next_chunk_ = transfer_->acknowledged();
        // One chunk per turn: other messages that have arrived meanwhile must not wait until the whole window is
        // filled.
        if (has_room_for_chunk(step.options.chunk_window)) {
            Install install{step.node.info.cluster,
                            step.node.info.group,
                            view_ref(step),
                            transfer_->id(),
                            next_chunk_,
                            transfer_->chunk(next_chunk_, step.options.chunk_bytes),
                            transfer_->is_last(next_chunk_)};
            ++next_chunk_;
            note_sent(++calls, step);
            step.out.send(member_.name, make_call_id(Method::replica_install, calls), std::move(install));
        }
        chunk_due_ = has_room_for_chunk(step.options.chunk_window);
    }

    bool has_room_for_chunk(std::size_t chunk_window) const {
        return mode_ == Mode::snapshot && transfer_->can_send(next_chunk_) &&
               next_chunk_ < transfer_->acknowledged() + chunk_window;
    }

    Member member_;
    bool required_ = false;
    Mode mode_ = Mode::asking;
    Features features_;
    bool knows_view_ = false;  // it has answered in this view, so its number is enough
    Index match_ = 0;
    Index resume_ = 0;              // entries after it are sent: its match, or what it said that it has
    std::uint64_t resume_end_ = 0;  // `Log::end_of(resume_)`, from when the log last reached back so far
    Index sent_ = 0;                // everything up to here was sent, or need not be
    Round round_sent_ = 0;
    Round round_acknowledged_ = 0;
    std::optional<OutgoingSnapshot<S>> transfer_;
    std::uint64_t next_chunk_ = 0;
    bool chunk_due_ = false;  // the next turn, which follows at once, sends another chunk

    std::deque<Sending> sending_;      // messages without an answer, oldest first
    std::uint64_t ignore_before_ = 0;  // refusals of messages before this one are out of date
    bool resend_from_here_ = false;    // the next `flush` starts again from `sent_` and ignores earlier refusals
    bool must_send_ = true;            // that `flush` sends a message even if there is nothing new
    bool caught_up_ = false;  // everything in the log was sent once
    Index lag_ = 0;           // how many entries it may still be behind while it is catching up
    bool unreachable_ = false;
    Time last_sent_{};
    Time resend_at_ = never;
    Time suspected_ = never;  // when the second look of `overdue` is due
    std::size_t window_ = 0;  // bytes that may be sent and not acknowledged
    Time heard_at_{};        // the last answer that counted
    Duration round_trip_{};  // how long answers took recently
    Duration backoff_{};     // doubles with each resend while the backup is silent
};

}  // namespace understudy::replica
