// What a primary knows of one backup, and what it sends it: entries, read rounds, heartbeats, or a snapshot.
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

template <TextStore S>
class BackupLink {
public:
    /// `asking`: what the backup holds is not known yet. `log`: entries flow. `snapshot`: it needs a snapshot first.
    enum class Mode { asking, log, snapshot };

    explicit BackupLink(const Member& member) : member_{member}, required_{member.synced} {}

    const Member& member() const { return member_; }
    Index match() const { return match_; }
    Mode mode() const { return mode_; }
    /// Whether the primary's next view has the same process as a backup, so that its match carries over (S4).
    bool is(const Member& other) const {
        return member_.name == other.name && member_.incarnation == other.incarnation;
    }
    /// In Q (S4).
    bool required() const { return required_; }
    void require() { required_ = true; }
    bool unreachable() const { return unreachable_; }
    /// What it said that it can do; nothing is known of one that has not answered yet.
    const Features& features() const { return features_; }
    Round round_acknowledged() const { return round_acknowledged_; }
    std::uint64_t bytes_sent() const { return transfer_ ? transfer_->acknowledged_bytes() : 0; }
    /// About to be in sync: everything was sent to it, it follows the log, and it answers.
    bool arriving() const { return caught_up_ && mode_ == Mode::log && !unreachable_; }
    /// How far the commit index may go while this backup is arriving: its match and what it may still lag behind, which
    /// shrinks with what it acknowledges. So it gets in sync while writes go on, and writes slow down instead of
    /// waiting for all that is under way.
    Index holds_back_to() const { return match_ + lag_; }
    /// The entries after this one may still be needed to bring this backup up.
    Index pinned() const { return transfer_ ? transfer_->id().at.index : mode_ == Mode::log ? resume_ : ~Index{0}; }

    std::string_view state() const {
        if (unreachable_) return "unreachable";
        if (required_) return "in_sync";
        return mode_ == Mode::snapshot ? "snapshot" : "log";
    }

    /// The primary leads another view with this backup in it: what is known stays, what is under way starts anew.
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

    std::optional<OutgoingSnapshot<S>> take_transfer() { return std::exchange(transfer_, std::nullopt); }
    void give_transfer(OutgoingSnapshot<S> transfer) { transfer_ = std::move(transfer); }

    // ---- what comes in ----

    void answered(const CallId& id, const AppendResult& result, const Step<S>& step) {
        heard(id, step, result.match);
        knows_view_ = true;
        if (!result.features.empty()) features_ = result.features;
        if (mode_ != Mode::snapshot) follow_log();
        if (result.match > match_) lag_ -= std::min(lag_, (result.match - match_ + 1) / 2);
        match_ = std::max(match_, result.match);
        window_ += step.state.log.bytes(resume_, match_);
        resume_ = std::max(resume_, match_);
        sent_ = std::max(sent_, resume_);
        lag_ = std::min(lag_, sent_ - match_);  // at first its match may not have been known
        round_acknowledged_ = std::max(round_acknowledged_, std::min(result.round, round_sent_));
    }

    /// The backup lacks the entry before those that were sent, and says what it holds (S3, S8).
    void refused_append(const CallId& id, const Held& held, Step<S>& step) {
        auto n = call_number(id);
        if (n < ignore_before_) return;  // of a send that an earlier refusal has made void
        heard(id, step);
        const auto& log = step.state.log;
        if (mode_ == Mode::snapshot) return;
        auto from = log.has(held.last) ? held.last.index : held.commit;  // S8
        if (from == held.commit && from != held.last.index) reached("S8: what conflicts is sent again from the commit");
        if (!log.position(from)) return begin_snapshot(step);
        if (mode_ == Mode::asking) {
            reached("S8: a backup is brought up from the log");
            step.out.tell(BackupJoining{member_.name, step.view().number, false});
        }
        follow_log();
        knows_view_ = true;
        sent_ = resume_ = std::max(from, match_);
        resend_from_here_ = true;
    }

    /// The backup does not have this view yet: it is sent whole with the next message.
    void lacks_view(const CallId& id, const Step<S>& step) {
        heard(id, step);
        knows_view_ = false;
        sent_ = resume_;
        resend_from_here_ = true;
    }

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

    /// The chunk did not continue what the backup is installing; it says what it wants.
    void refused_chunk(const CallId& id, const InstallResult& wanted, Step<S>& step) {
        heard(id, step);
        if (mode_ != Mode::snapshot || call_number(id) < ignore_before_) return;
        auto next = wanted.snapshot == transfer_->id() ? wanted.next : 0;
        if (!transfer_->acknowledge(next, step.options.chunk_bytes)) return begin_snapshot(step);
        next_chunk_ = next;
        resend_from_here_ = true;
    }

    /// The connection broke: what was under way is lost. It is sent again a little later, not in a tight loop.
    void gone(const Step<S>& step) {
        knows_view_ = false;
        resend_at_ = step.now + resend_interval(step);
        if (sending_.empty()) note_sent(0, step);
    }

    // ---- what goes out ----

    /// Sends what is due. `calls` numbers the messages, `round` is the primary's newest read round.
    void flush(Step<S>& step, std::uint64_t& calls, Round round) {
        if (!sending_.empty() && step.now >= resend_at_) {
            reached("S7: what is not acknowledged is sent again");
            auto dead_after = step.standing.dead_after;
            backoff_ = std::clamp(backoff_ * 2, dead_after / 20, dead_after / 4);
            sent_ = resume_;
            window_ = 0;
            resend_from_here_ = true;
        }
        if (mode_ == Mode::log && !step.state.log.position(sent_)) {
            reached("S8: the log no longer goes back to what the backup holds");
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
        if (mode_ != Mode::log || sent_ != step.state.log.last().index) {
            caught_up_ = caught_up_ && mode_ == Mode::log;
        } else if (!std::exchange(caught_up_, true)) {
            lag_ = sent_ - std::min(sent_, match_);
        }
    }

    /// S7: nothing was acknowledged for D/2, or for what a server as slow as this one may need, although something was
    /// sent. True once, when that is found. It takes two looks, so that a process that did not run for a while reads
    /// what has arrived before it judges.
    bool overdue(const Step<S>& step) {
        if (sending_.empty() || unreachable_) return false;
        if (step.now < unanswered_since() + step.standing.ack_timeout) {
            suspected_ = never;
            return false;
        }
        if (suspected_ == never) suspected_ = step.now + step.standing.dead_after / 50;
        if (step.now < suspected_) return false;
        reached("S7: a backup that acknowledges nothing for D/2 is unreachable");
        unreachable_ = true;
        return true;
    }

    Time deadline(const Standing& standing) const {
        if (chunk_due_) return last_sent_;
        if (sending_.empty()) return last_sent_ + standing.info.ping_interval;
        auto judged =
            unreachable_ ? never : suspected_ != never ? suspected_ : unanswered_since() + standing.ack_timeout;
        return std::min(resend_at_, judged);
    }

    friend bool operator==(const BackupLink&, const BackupLink&) = default;

private:
    struct Sending {
        std::uint64_t n = 0;
        Time at{};
        Index through = 0;  // entries up to here were under way with it
        friend bool operator==(const Sending&, const Sending&) = default;
    };
    static constexpr std::size_t max_tracked = 256;

    /// Since when it has been silent although something was sent: one that works through a backlog is not silent.
    Time unanswered_since() const { return std::max(sending_.front().at, heard_at_); }

    /// At least D/20 (S7), more where the backup has lately needed longer than that, and doubling while it is silent.
    Duration resend_interval(const Step<S>& step) const {
        const auto& standing = step.standing;
        return std::max({standing.dead_after / 20, std::min(round_trip_ * 3, standing.ack_timeout / 2), backoff_});
    }

    void note_sent(std::uint64_t n, const Step<S>& step, Index through = 0) {
        if (sending_.empty() || resend_at_ == never) resend_at_ = step.now + resend_interval(step);
        if (sending_.size() < max_tracked)
            sending_.push_back({n, step.now, through});
        else
            sending_.back() = {n, sending_.back().at, std::max(sending_.back().through, through)};
        last_sent_ = step.now;
    }

    /// An answer: to that send and to those before it, but for entries that it does not acknowledge.
    void heard(const CallId& id, const Step<S>& step, Index match = ~Index{0}) {
        auto n = call_number(id);
        while (!sending_.empty() && sending_.front().n <= n && sending_.front().through <= match) {
            if (sending_.front().n == n) {
                auto took = step.now - sending_.front().at;
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

    ViewRef view_ref(const Step<S>& step) const {
        ViewRef ref{step.view().number, {}};
        if (!knows_view_) ref.whole = step.standing.info;
        return ref;
    }

    void send_entries(Step<S>& step, std::uint64_t& calls, Round round) {
        const auto& log = step.state.log;
        if (mode_ == Mode::asking) {
            if (must_send_ || sending_.empty()) send_append(step, calls, round, log.last().index, log.last().index);
            return;
        }
        bool sent_something = false;
        // What is under way grows with what is acknowledged: a backup that is slow, or far behind, is not buried in
        // appends that are then sent again before it has read the first ones.
        window_ = std::clamp(window_, step.options.append_bytes, step.options.window_bytes);
        if (log.position(resume_)) resume_end_ = log.end_of(resume_);  // it may be trimmed before more is acknowledged
        // Entries wait for the backup's disk (S9), and no read waits with them: a round goes by itself.
        const bool by_itself = step.state.durable.in_use() && required_ && round > round_sent_ && log.position(match_);
        if (by_itself) send_append(step, calls, round, match_, match_);
        while (sent_ < log.last().index && log.end_of(sent_) - resume_end_ < window_) {
            send_append(step, calls, round, sent_, batch_end(step));
            sent_something = true;
        }
        if (sent_something || by_itself) return;
        bool heartbeat = sending_.empty() && step.now >= last_sent_ + step.standing.info.ping_interval;
        if (heartbeat) reached("S7: an idle backup is sent an empty append every ping interval");
        if (must_send_ || heartbeat || (required_ && round > round_sent_))
            send_append(step, calls, round, sent_, sent_);
    }

    /// The last entry of the next append: as many as `append_bytes` allows, at least one.
    Index batch_end(const Step<S>& step) const {
        const auto& log = step.state.log;
        auto end = sent_ + 1;
        while (end < log.last().index && log.bytes(sent_, end + 1) <= step.options.append_bytes) ++end;
        return end;
    }

    void send_append(Step<S>& step, std::uint64_t& calls, Round round, Index after_index, Index through) {
        const auto& log = step.state.log;
        Append append{step.standing.info.cluster,
                      step.standing.info.group,
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

    /// What it holds is known and the log goes back to that: no transfer is needed any more.
    void follow_log() {
        mode_ = Mode::log;
        transfer_.reset();
    }

    void begin_snapshot(Step<S>& step) {
        bool resumed = transfer_ && step.state.log.has(transfer_->id().at) && mode_ != Mode::snapshot;
        reached(resumed ? "S8: a transfer of an earlier view is taken up again" : "S8: a backup needs a snapshot");
        if (!resumed) transfer_.emplace(step.state, step.standing.incarnation);
        mode_ = Mode::snapshot;
        next_chunk_ = transfer_->acknowledged();
        resend_from_here_ = true;
        step.out.tell(BackupJoining{member_.name, step.view().number, true});
    }

    void send_chunks(Step<S>& step, std::uint64_t& calls) {
        // Only a backup without rules answers the last chunk and lacks one before it. It is asked again, later.
        if (sending_.empty() && step.now >= last_sent_ + step.standing.info.ping_interval)
            next_chunk_ = transfer_->acknowledged();
        // One in each turn: what else has arrived meanwhile does not wait for all that the window has room for.
        if (has_room_for_chunk(step.options.chunk_window)) {
            Install install{step.standing.info.cluster,
                            step.standing.info.group,
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
    bool knows_view_ = false;  // it has answered in this view, so the number is enough
    Index match_ = 0;
    Index resume_ = 0;              // from here on entries are sent: its match, or what it said it holds
    std::uint64_t resume_end_ = 0;  // the bytes before that in the log, when it last reached back so far
    Index sent_ = 0;                // everything up to here was sent, or need not be
    Round round_sent_ = 0;
    Round round_acknowledged_ = 0;
    std::optional<OutgoingSnapshot<S>> transfer_;
    std::uint64_t next_chunk_ = 0;
    bool chunk_due_ = false;  // the next turn, which follows at once, sends another chunk

    std::deque<Sending> sending_;      // sends without an answer, oldest first
    std::uint64_t ignore_before_ = 0;  // refusals of sends before this one say nothing new
    bool resend_from_here_ = false;
    bool must_send_ = true;
    bool caught_up_ = false;  // everything in the log was sent once
    Index lag_ = 0;           // how many entries it may still be behind while it is arriving
    bool unreachable_ = false;
    Time last_sent_{};
    Time resend_at_ = never;
    Time suspected_ = never;
    std::size_t window_ = 0;  // bytes that may be under way
    Time heard_at_{};
    Duration round_trip_{};
    Duration backoff_{};
};

}  // namespace understudy::replica
