// When a primary sends again to one backup, how much it sends ahead, and when the backup counts as unreachable (S7).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

#include <understudy/options.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/replica/node_state.hpp>

namespace understudy::replica {

/// Tracks the messages to one backup that have no answer. From them follow the resend interval, the window, and the
/// silence of the backup. Messages are numbered, and the numbers grow. It does not know what the messages contain,
/// except up to which entry.
class BackupPacing {
public:
    /// Whether it acknowledged nothing for too long (S7), and has not answered since.
    bool unreachable() const { return unreachable_; }
    /// Whether a message is without an answer.
    bool waits() const { return !unanswered_.empty(); }
    /// Whether nothing is under way, and nothing was sent for a ping interval.
    bool idle(const NodeState& node, Time now) const {
        return unanswered_.empty() && now >= last_sent_ + node.info.ping_interval;
    }

    // ---- what the next flush has to do ----

    /// The next flush starts again from what is not acknowledged. Refusals of what was sent before are out of date
    /// then: without that, each of them would start the same resend once more.
    void restart() { next_ = Next::restart; }
    /// The primary's next view begins. Messages of the old one are not answered any more.
    void enter_view() {
        unanswered_.clear();
        resend_at_ = never;
        end_silence();
        restart();
    }
    /// Whether this flush starts again. `last` is the number of the last message to any backup.
    bool take_restart(std::uint64_t last) {
        if (next_ != Next::restart) return false;
        next_ = Next::message;
        ignore_before_ = last + 1;
        resend_at_ = never;
        return true;
    }
    /// Whether this flush sends a message even if there is nothing new.
    bool must_send() const { return next_ != Next::news; }
    void end_flush() {
        if (next_ == Next::message) next_ = Next::news;
    }
    /// Whether a refusal of message `n` is out of date.
    bool is_outdated(std::uint64_t n) const { return n < ignore_before_; }

    // ---- the resend interval ----

    /// Message `n` was sent. With it, or before, the entries up to `through` were sent.
    void sent(std::uint64_t n, const NodeState& node, Time now, Index through = 0) {
        if (unanswered_.empty() || resend_at_ == never) resend_at_ = now + resend_interval(node);
        if (unanswered_.size() < max_tracked)
            unanswered_.push_back({n, now, through});
        else
            unanswered_.back() = {n, unanswered_.back().at, std::max(unanswered_.back().through, through)};
        last_sent_ = now;
    }
    /// An answer to message `n`, which acknowledges no entries.
    void answered(std::uint64_t n, const NodeState& node, Time now) {
        take_answered(n, ~Index{0}, now);
        heard_from(node, now);
    }
    /// An answer to message `n`. It answers that message and all earlier ones, except those with entries beyond
    /// `match`, which it does not acknowledge. `known` is the match before this answer: a backup that answers, but does
    /// not get its entries stored, counts as silent.
    void acknowledged(std::uint64_t n, Index match, Index known, const NodeState& node, Time now) {
        take_answered(n, match, now);
        if (!unanswered_.empty() && unanswered_.front().n <= n && match <= known) {  // and acknowledges nothing new
            reached("S7: a backup that answers and does not get its entries stored is not heard");
            return;
        }
        heard_from(node, now);
    }
    /// The connection broke, and messages on their way may be lost. They are sent again after the resend interval: an
    /// immediate resend to a peer that cannot be reached would be a tight loop.
    void disconnected(const NodeState& node, Time now) {
        resend_at_ = now + resend_interval(node);
        // Without an unanswered message nothing would be sent again. The peer may have restarted, so it must be asked.
        if (unanswered_.empty()) sent(0, node, now);
    }
    /// Whether what is not acknowledged has to be sent again now. If so the next resend waits for longer, and the
    /// window is the smallest one again: the backup may be overloaded.
    bool take_resend(const NodeState& node, Time now) {
        if (unanswered_.empty() || now < resend_at_) return false;
        reached("S7: what is not acknowledged is sent again");
        backoff_ = std::clamp(backoff_ * 2, node.dead_after / 20, node.dead_after / 4);
        window_ = 0;
        restart();
        return true;
    }

    // ---- the window ----

    /// The backup acknowledged so many bytes more.
    void widen(std::size_t bytes) { window_ += bytes; }
    /// Bytes that may be sent and not acknowledged. The window grows with what is acknowledged. A backup that is slow
    /// or far behind must not get a large number of appends: it could not read them before they are sent again.
    std::size_t window(const ReplicaOptions& options) {
        return window_ = std::clamp(window_, options.append_bytes, options.window_bytes);
    }

    // ---- silence ----

    /// S7: finds that the backup acknowledged nothing for `ack_timeout` although something was sent to it. Returns true
    /// once, when it finds this. It needs two calls some time apart. If this process was suspended, the answers have
    /// arrived but are not read yet; a single look would declare every backup unreachable.
    bool overdue(const NodeState& node, Time now) {
        if (unanswered_.empty() || unreachable_) return false;
        if (now < unanswered_since() + node.ack_timeout) {
            second_look_ = never;
            return false;
        }
        if (second_look_ == never) second_look_ = now + node.dead_after / 50;
        if (now < second_look_) return false;
        reached("S7: a backup that acknowledges nothing for D/2 is unreachable");
        unreachable_ = true;
        return true;
    }

    /// When `take_resend`, `idle` or `overdue` has something to say.
    Time deadline(const NodeState& node) const {
        if (unanswered_.empty()) return last_sent_ + node.info.ping_interval;
        if (unreachable_) return resend_at_;
        return std::min(resend_at_, second_look_ != never ? second_look_ : unanswered_since() + node.ack_timeout);
    }
    /// When the last message was sent.
    Time last_sent() const { return last_sent_; }

    friend bool operator==(const BackupPacing&, const BackupPacing&) = default;

private:
    /// What the next flush sends: only what is new; a message in any case; or everything that is not acknowledged.
    enum class Next { news, message, restart };
    /// A message without an answer.
    struct Sent {
        std::uint64_t n = 0;
        Time at{};
        Index through = 0;  // the entries up to here had been sent with it or before
        friend bool operator==(const Sent&, const Sent&) = default;
    };
    // With more messages without an answer, the newest ones are tracked as one.
    static constexpr std::size_t max_tracked = 256;

    /// Since when the backup is silent although something was sent. A backup that works through a backlog answers from
    /// time to time, so it does not count as silent.
    Time unanswered_since() const { return std::max(unanswered_.front().at, last_answer_); }

    /// How long to wait for an answer before sending again: at least D/20 (S7), more if the backup recently took longer
    /// to answer, and twice as long with each resend while it is silent.
    Duration resend_interval(const NodeState& node) const {
        return std::max({node.dead_after / 20, std::min(round_trip_ * 3, node.ack_timeout / 2), backoff_});
    }

    void take_answered(std::uint64_t n, Index match, Time now) {
        while (!unanswered_.empty() && unanswered_.front().n <= n && unanswered_.front().through <= match) {
            if (unanswered_.front().n == n) {
                auto took = now - unanswered_.front().at;
                // Follows a longer time at once and a shorter one slowly, so that nothing is sent again too early.
                round_trip_ = std::max(took, (round_trip_ * 7 + took) / 8);
            }
            unanswered_.pop_front();
        }
    }
    /// The backup gave an answer that counts.
    void heard_from(const NodeState& node, Time now) {
        last_answer_ = now;
        end_silence();
        resend_at_ = unanswered_.empty() ? never : now + resend_interval(node);
    }
    void end_silence() {
        unreachable_ = false;
        second_look_ = never;
        backoff_ = {};
    }

    std::deque<Sent> unanswered_;  // oldest first
    Next next_ = Next::message;
    std::uint64_t ignore_before_ = 0;  // refusals of messages before this one are out of date
    Time last_sent_{};
    Time last_answer_{};  // the last answer that counted
    Time resend_at_ = never;
    Duration round_trip_{};   // how long answers took recently
    Duration backoff_{};      // doubles with each resend while the backup is silent
    std::size_t window_ = 0;  // bytes that may be sent and not acknowledged
    bool unreachable_ = false;
    Time second_look_ = never;  // when the second look of `overdue` is due
};

}  // namespace understudy::replica
