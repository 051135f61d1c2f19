// What a primary knows of one backup's log: how far it equals the primary's, what was sent, and when the backup may
// enter the in-sync set (S4, S8).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <understudy/protocol/message.hpp>
#include <understudy/replica/features.hpp>
#include <understudy/replica/log.hpp>

namespace understudy::replica {

/// The indexes and rounds of one backup, in the primary's present view. It decides nothing that depends on time
/// (`BackupPacing`), and knows nothing of snapshots but where one ended (`SnapshotSender`). All operations take O(1).
class BackupProgress {
public:
    explicit BackupProgress(bool in_sync) : in_sync_{in_sync} {}

    /// The index up to which the backup's log equals this primary's, as far as the backup has acknowledged it.
    Index match() const { return match_; }
    /// Entries after this index have to be sent: its match, or what it said that it has.
    Index resume() const { return resume_; }
    /// Everything up to this index was sent, or need not be.
    Index sent() const { return sent_; }
    /// Whether it is in the in-sync set (S4).
    bool in_sync() const { return in_sync_; }
    void enter_in_sync_set() { in_sync_ = true; }
    /// Whether it has answered in this view, so that the view's number is enough in a message.
    bool knows_view() const { return knows_view_; }
    /// The features that it announced; empty if it has not answered yet.
    const Features& features() const { return features_; }
    /// The newest read round that was sent to it, and the newest one that it confirmed, in this view.
    Round round_sent() const { return round_sent_; }
    Round round_acknowledged() const { return round_acknowledged_; }

    /// Whether everything in the log was sent to it once since it follows the log.
    bool sent_whole_log() const { return sent_whole_log_; }
    /// How far the commit index may go while this backup is catching up: its match, and the allowance by which it may
    /// still be behind. The allowance shrinks with each acknowledgement. So the backup gets in sync although writes go
    /// on: this commit throttle slows writes down. Without it, a backup that is a little slower than the writes would
    /// never get in sync; without the allowance, writes would stop until the backup has acknowledged everything.
    Index commit_limit() const { return match_ + allowance_; }

    /// The primary leads its next view with this backup in it (S6). What is known of the backup's log stays; what was
    /// sent in the old view may not count any more.
    void enter_view(bool in_sync) {
        in_sync_ = in_sync;
        round_sent_ = round_acknowledged_ = 0;
        forget_view();
    }

    // ---- received ----

    /// It acknowledged an append, in this view. Returns the bytes of the entries that it acknowledged first with this.
    std::size_t acknowledged(const AppendResult& result, const Log& log) {
        knows_view_ = true;
        if (!result.features.empty()) features_ = result.features;
        // Half as much as was acknowledged: so the backup catches up, and writes go on at a lower rate.
        if (result.match > match_) allowance_ -= std::min(allowance_, (result.match - match_ + 1) / 2);
        match_ = std::max(match_, result.match);
        const auto bytes = log.bytes(resume_, match_);
        resume_ = std::max(resume_, match_);
        sent_ = std::max(sent_, resume_);
        allowance_ = std::min(allowance_, sent_ - match_);  // the match may have been unknown at first
        round_acknowledged_ = std::max(round_acknowledged_, std::min(result.round, round_sent_));
        return bytes;
    }
    /// It said that it has all entries up to `from`. That is no acknowledgement, so the match stays.
    void resume_after(Index from) {
        knows_view_ = true;
        sent_ = resume_ = std::max(from, match_);
    }
    /// It restored a snapshot whose last entry is `last`.
    void restored(Index last) {
        match_ = std::max(match_, last);
        sent_ = resume_ = match_;
    }
    /// It answered in this view, but acknowledged no entries.
    void answered() { knows_view_ = true; }
    /// It may have restarted: the next message carries the whole view.
    void disconnected() { knows_view_ = false; }
    /// It does not have this view yet. Everything that it has not acknowledged is sent again, with the view.
    void forget_view() {
        knows_view_ = false;
        rewind();
    }

    // ---- sent ----

    /// What it has not acknowledged is sent again.
    void rewind() { sent_ = resume_; }
    /// An append with the entries up to `through` and with this round was sent.
    void sent_append(Index through, Round round) {
        sent_ = std::max(sent_, through);
        round_sent_ = round;
    }
    /// Everything that may be sent now was sent. `follows`: it follows the log, whose last index is `last`.
    void end_flush(bool follows, Index last) {
        if (!follows || sent_ != last) {
            sent_whole_log_ = sent_whole_log_ && follows;
        } else if (!std::exchange(sent_whole_log_, true)) {
            allowance_ = sent_ - std::min(sent_, match_);
        }
    }

    /// The bytes of entries that were sent and not acknowledged. They count from where the log was last known to have
    /// `resume`: the log may be trimmed beyond that, and what was trimmed is under way nevertheless.
    std::uint64_t bytes_under_way(const Log& log) const { return log.end_of(sent_) - resume_end_; }
    /// Notes where the entries after `resume` begin, before the log is trimmed beyond it.
    void measure(const Log& log) {
        if (log.position(resume_)) resume_end_ = log.end_of(resume_);
    }

    friend bool operator==(const BackupProgress&, const BackupProgress&) = default;

private:
    bool in_sync_ = false;
    bool knows_view_ = false;
    bool sent_whole_log_ = false;
    Features features_;
    Index match_ = 0;
    Index resume_ = 0;
    std::uint64_t resume_end_ = 0;  // `Log::end_of(resume_)`, from when the log last reached back so far
    Index sent_ = 0;
    Index allowance_ = 0;  // how many entries it may still be behind while it is catching up
    Round round_sent_ = 0;
    Round round_acknowledged_ = 0;
};

}  // namespace understudy::replica
