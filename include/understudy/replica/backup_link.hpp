// What a primary sends to one backup: entries, read rounds, heartbeats, or a snapshot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <understudy/protocol/call_id.hpp>
#include <understudy/replica/backup_pacing.hpp>
#include <understudy/replica/backup_progress.hpp>
#include <understudy/replica/snapshot_sender.hpp>
#include <understudy/replica/turn.hpp>

namespace understudy::replica {

/// The primary's side of replication to one backup (S4, S7, S8). It decides between the log and a snapshot, and makes
/// the messages. What the backup holds, when to send, and the snapshot itself are its parts: `BackupProgress`,
/// `BackupPacing`, `SnapshotSender`. It lives as long as the backup stays in the primary's views.
template <TextStore S>
class BackupLink {
public:
    /// `asking`: it is not known yet what the backup has. `log`: the backup is sent entries. `snapshot`: the log does
    /// not reach back far enough, so the backup is sent a snapshot first.
    enum class Mode { asking, log, snapshot };

    explicit BackupLink(const Member& member) : member_{member}, peer_{member.name}, progress_{member.synced} {}

    const Member& member() const { return member_; }
    Mode mode() const { return mode_; }
    const BackupProgress& progress() const { return progress_; }
    Index match() const { return progress_.match(); }
    bool in_sync() const { return progress_.in_sync(); }
    void enter_in_sync_set() { progress_.enter_in_sync_set(); }
    bool unreachable() const { return pacing_.unreachable(); }
    /// Whether `other`, a backup of the primary's next view, is the same process, so that its match carries over (S4).
    bool is(const Member& other) const {
        return member_.name == other.name && member_.incarnation == other.incarnation;
    }
    /// Whether it is in the last step of catching up: everything in the log was sent to it, it follows the log, and it
    /// answers. Then the commit index waits for it (`BackupProgress::commit_limit`).
    bool catching_up() const { return progress_.sent_whole_log() && mode_ == Mode::log && !pacing_.unreachable(); }
    /// Bytes of the current snapshot that it has acknowledged.
    std::uint64_t bytes_sent() const { return snapshot_.acknowledged_bytes(); }
    /// Entries after this index may still be needed to bring this backup up to date. The maximum if none are.
    Index pinned() const {
        if (snapshot_.has_transfer()) return snapshot_.id().at.index;
        return mode_ == Mode::log ? progress_.resume() : ~Index{0};
    }

    /// Its state as `pb.status` reports it.
    std::string_view state() const {
        if (unreachable()) return "unreachable";
        if (in_sync()) return "in_sync";
        return mode_ == Mode::snapshot ? "snapshot" : "log";
    }

    /// The primary leads its next view with this backup in it (S6). What is known of the backup's log stays. Messages
    /// of the old view do not count any more, so everything that is unacknowledged is sent again.
    void enter_view(const Member& member) {
        member_ = member;
        if (snapshot_.has_transfer()) reached("S8: a transfer goes on in a later view");
        progress_.enter_view(member.synced);
        pacing_.enter_view();
    }

    /// Take and give a transfer that goes on when the backup comes back in a later view (S8).
    std::optional<OutgoingSnapshot<S>> take_transfer() { return snapshot_.take(); }
    void give_transfer(OutgoingSnapshot<S> transfer) { snapshot_.give(std::move(transfer)); }

    // ---- received ----

    /// The backup acknowledged an append, in this view.
    void acknowledged(const CallId& id, const AppendResult& result, const Turn<S>& turn) {
        pacing_.acknowledged(call_number(id), result.match, match(), turn.node, turn.now);
        if (mode_ != Mode::snapshot) follow_log();
        pacing_.widen(progress_.acknowledged(result, turn.state.log));
    }

    /// The backup lacks the entry before the appended ones, and says what it has (S3, S8). Goes on from there, or
    /// begins a snapshot if the log does not reach back so far.
    void refused_append(const CallId& id, const Held& held, Turn<S>& turn) {
        const auto n = call_number(id);
        if (pacing_.is_outdated(n)) return;
        pacing_.answered(n, turn.node, turn.now);
        const auto& log = turn.state.log;
        if (mode_ == Mode::snapshot) return;
        auto from = log.has(held.last) ? held.last.index : held.commit;  // S8
        if (from == held.commit && from != held.last.index) reached("S8: what conflicts is sent again from the commit");
        if (!log.position(from)) return begin_snapshot(turn);
        if (mode_ == Mode::asking) {
            reached("S8: a backup is brought up from the log");
            turn.out.emit(BackupJoining{member_.name, turn.view().number, false});
        }
        follow_log();
        progress_.resume_after(from);
        pacing_.restart();
    }

    /// The backup does not have this view yet. The next message carries the whole view.
    void lacks_view(const CallId& id, const Turn<S>& turn) {
        pacing_.answered(call_number(id), turn.node, turn.now);
        progress_.forget_view();
        pacing_.restart();
    }

    /// The backup acknowledged chunks of a snapshot. After the last one it follows the log.
    void acknowledged_chunk(const CallId& id, const InstallResult& result, Turn<S>& turn) {
        pacing_.answered(call_number(id), turn.node, turn.now);
        progress_.answered();
        if (mode_ != Mode::snapshot || result.snapshot != snapshot_.id() || snapshot_.is_old(result.next)) return;
        if (!snapshot_.acknowledge(result.next, turn.options.chunk_bytes)) return begin_snapshot(turn);
        if (!snapshot_.complete()) return;
        progress_.restored(snapshot_.id().at.index);
        follow_log();
    }

    /// The chunk did not continue what the backup is installing; `wanted` says what does. If the backup installs
    /// another snapshot, or none, the transfer starts again at chunk 0. If the wanted chunk is no longer stored here, a
    /// new snapshot is begun.
    void refused_chunk(const CallId& id, const InstallResult& wanted, Turn<S>& turn) {
        const auto n = call_number(id);
        pacing_.answered(n, turn.node, turn.now);
        if (mode_ != Mode::snapshot || pacing_.is_outdated(n)) return;
        const auto next = wanted.snapshot == snapshot_.id() ? wanted.next : 0;
        if (!snapshot_.go_back(next, turn.options.chunk_bytes)) return begin_snapshot(turn);
        pacing_.restart();
    }

    void disconnected(const Turn<S>& turn) {
        progress_.disconnected();
        pacing_.disconnected(turn.node, turn.now);
    }

    // ---- sent ----

    /// Sends what is due at the end of a turn. `calls` is the counter that numbers messages to all backups; `round` is
    /// the primary's newest read round.
    void flush(std::uint64_t& calls, Round round, Turn<S>& turn) {
        if (pacing_.take_resend(turn.node, turn.now)) progress_.rewind();
        if (mode_ == Mode::log && !turn.state.log.position(progress_.sent())) {
            reached("S8: the log no longer goes back to the end of the backup's log");
            begin_snapshot(turn);
        }
        if (pacing_.take_restart(calls)) snapshot_.rewind();
        switch (mode_) {
            case Mode::asking: ask(calls, round, turn); break;
            case Mode::log: send_entries(calls, round, turn); break;
            case Mode::snapshot: send_chunk(calls, turn); break;
        }
        pacing_.end_flush();
        progress_.end_flush(mode_ == Mode::log, turn.state.log.last().index);
    }

    /// S7: whether it is found now that the backup is unreachable (`BackupPacing::overdue`).
    bool overdue(const Turn<S>& turn) { return pacing_.overdue(turn.node, turn.now); }

    /// When `flush` or `overdue` has something to do. A snapshot with room in its window is sent in the next turn,
    /// which follows at once.
    Time deadline(const NodeState& node, const ReplicaOptions& options) const {
        return chunk_due(options) ? pacing_.last_sent() : pacing_.deadline(node);
    }

    friend bool operator==(const BackupLink&, const BackupLink&) = default;

private:
    /// What the backup has is known, and the log reaches back so far. No snapshot is needed any more.
    void follow_log() {
        mode_ = Mode::log;
        snapshot_.drop();
    }

    void begin_snapshot(Turn<S>& turn) {
        // A transfer of an earlier view can go on if the entries after its snapshot are still in the log.
        const bool goes_on = snapshot_.begin(turn.state, turn.node.incarnation, mode_ != Mode::snapshot);
        reached(goes_on ? "S8: a transfer of an earlier view is taken up again" : "S8: a backup needs a snapshot");
        mode_ = Mode::snapshot;
        pacing_.restart();
        turn.out.emit(BackupJoining{member_.name, turn.view().number, true});
    }

    /// Sends an append without entries. Its answer, or `mismatch`, says what the backup has.
    void ask(std::uint64_t& calls, Round round, Turn<S>& turn) {
        const auto last = turn.state.log.last().index;
        if (pacing_.must_send() || !pacing_.waits()) send_append(calls, round, last, last, turn);
    }

    void send_entries(std::uint64_t& calls, Round round, Turn<S>& turn) {
        const auto& log = turn.state.log;
        bool sent_something = false;
        const auto window = pacing_.window(turn.options);
        progress_.measure(log);
        // An answer to entries waits for the backup's disk (S9). A read must not wait for that, so its round is sent in
        // a separate append without entries, after the match, which the backup can answer at once.
        const bool new_round = in_sync() && round > progress_.round_sent();
        const bool by_itself = turn.state.durable.in_use() && new_round && log.position(match());
        if (by_itself) send_append(calls, round, match(), match(), turn);
        while (progress_.sent() < log.last().index && progress_.bytes_under_way(log) < window) {
            send_append(calls, round, progress_.sent(), batch_end(turn), turn);
            sent_something = true;
        }
        if (sent_something || by_itself) return;
        const bool heartbeat = pacing_.idle(turn.node, turn.now);
        if (heartbeat) reached("S7: an idle backup is sent an empty append every ping interval");
        if (pacing_.must_send() || heartbeat || new_round)
            send_append(calls, round, progress_.sent(), progress_.sent(), turn);
    }

    /// The last entry of the next append: as many entries as fit in `append_bytes`, at least one.
    Index batch_end(const Turn<S>& turn) const {
        const auto& log = turn.state.log;
        const auto sent = progress_.sent();
        auto end = sent + 1;
        while (end < log.last().index && log.bytes(sent, end + 1) <= turn.options.append_bytes) ++end;
        return end;
    }

    void send_append(std::uint64_t& calls, Round round, Index after_index, Index through, Turn<S>& turn) {
        const auto& log = turn.state.log;
        Append append{turn.node.info.cluster,
                      turn.node.info.group,
                      view_ref(turn),
                      *log.position(after_index),
                      log.share(after_index, through),
                      turn.state.commit,
                      round};
        progress_.sent_append(through, round);
        pacing_.sent(++calls, turn.node, turn.now, through);
        turn.out.send(peer_, make_call_id(Method::replica_append, calls), std::move(append));
    }

    /// Sends one chunk. Other messages that have arrived meanwhile must not wait until the whole window is filled.
    void send_chunk(std::uint64_t& calls, Turn<S>& turn) {
        // All chunks are answered, but the backup still lacks one. A correct backup never does this. The chunk is sent
        // again, but only once per ping interval.
        if (pacing_.idle(turn.node, turn.now)) snapshot_.rewind();
        if (!chunk_due(turn.options)) return;
        Install install;
        install.cluster = turn.node.info.cluster;
        install.group = turn.node.info.group;
        install.view = view_ref(turn);
        snapshot_.take_chunk(install, turn.options.chunk_bytes);
        pacing_.sent(++calls, turn.node, turn.now);
        turn.out.send(peer_, make_call_id(Method::replica_install, calls), std::move(install));
    }
    bool chunk_due(const ReplicaOptions& options) const {
        return mode_ == Mode::snapshot && snapshot_.has_room(options.chunk_window);
    }

    /// The view of a message: whole until the backup has shown that it has it, then its number.
    ViewRef view_ref(const Turn<S>& turn) const {
        ViewRef ref{turn.view().number, {}};
        if (!progress_.knows_view()) ref.whole = turn.node.info;
        return ref;
    }

    Member member_;
    Peer peer_;  // its name
    Mode mode_ = Mode::asking;
    BackupProgress progress_;
    BackupPacing pacing_;
    SnapshotSender<S> snapshot_;
};

}  // namespace understudy::replica
