// The work of a replica as primary: it takes commands and reads, decides what is committed, and answers clients.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/replica/answers.hpp>
#include <understudy/replica/backup_links.hpp>
#include <understudy/replica/calls.hpp>
#include <understudy/replica/features.hpp>
#include <understudy/replica/session_room.hpp>
#include <understudy/replica/waiting_reads.hpp>

namespace understudy::replica {

/// The primary's side of the protocol (S2, S4 to S7, S10, S11). It appends commands to the log, sends them to the
/// backups, advances the commit index, applies what is committed and answers. Requests beyond a limit are refused
/// before anything is logged (C6).
template <TextStore S>
class Primary {
public:
    /// Whether this server leads its view and was not told to stop. False for a primary that has stepped down (S6).
    bool serving() const { return serving_; }
    /// Whether the view service should be told at once that the in-sync set grew or a backup is unreachable (S4, S7).
    /// Reading it resets it.
    bool take_ping_now() { return std::exchange(ping_now_, false); }

    /// The backups, and what they have in common: the in-sync set and those that are unreachable.
    const BackupLinks<S>& backups() const { return backups_; }
    /// The link to the backup of that name; null if this server does not serve, or has no such backup.
    BackupLink<S>* backup(const Address& name) { return backups_.find(name); }

    /// Whether all members of the view have announced a feature, those that are catching up too. Only then may it be
    /// used: a member without it could not read the log.
    bool all_announce(std::string_view feature) const {
        return serving_ && announces(own_features(), feature) && backups_.all_announce(feature);
    }

    // ---- views ----

    /// Starts to lead a view (S5). The primary keeps its whole log and brings every backup to it: an entry that it
    /// does not know to be committed may have been committed and answered by the previous primary.
    void take_over(Turn<S>& turn) {
        serving_ = true;
        room_.take_over(turn.now);
        reached("S5: a new primary keeps its whole log");
        takeover_last_ = turn.state.log.last().index;
        waiting_.reset(takeover_last_ + 1);
        turn.state.sessions.touch_all(turn.now);  // C4: counted from the takeover at the earliest
        backups_.enter_view(turn);
    }

    /// Leads a later view too (S6). Requests in progress go on. Read rounds start again, because a confirmation counts
    /// only in its own view.
    void go_on(Turn<S>& turn) {
        reached("S6: a primary that leads the next view too goes on");
        backups_.enter_view(turn);
        reads_.enter_view();
    }

    /// Stops serving for the rest of its view (S6). Requests in progress end with `not_primary`; whether they took
    /// effect is unknown to their clients, because the next primary may have their entries.
    void step_down(const std::string& why, Turn<S>& turn) {
        if (serving_) {
            reached("S6: a primary steps down");
            turn.out.emit(SteppedDown{turn.node.info.group, turn.view().number, why});
        }
        serving_ = false;
        for (auto index = turn.state.applied.index + 1; index <= turn.state.log.last().index; ++index)
            if (auto waiting = waiting_.take(index); waiting.caller)
                answers_.fail(*waiting.caller, Method::pb_execute, why, turn);
        for (auto& result : std::exchange(deferred_, {})) answers_.fail(result.caller, Method::pb_execute, why, turn);
        for (auto& read : reads_.take_all())
            answers_.fail(read.caller, read.dump ? Method::pb_dump : Method::pb_query, why, turn);
        answers_.step_down(why, turn);
        backups_.clear(turn);
    }

    // ---- requests ----

    /// Logs an entry that opens a session (C3), if there is room for one.
    void on(const Caller& caller, const Open&, Turn<S>& turn) {
        if (auto fault = check_open(caller.peer, turn)) return turn.refuse(caller, Method::pb_open, *std::move(fault));
        room_.opening(caller.peer);
        append(caller, {{}, EntryKind::open, {}, 0, 0, {}}, 0, turn);
    }

    /// Logs an entry that closes a session (C4). It stands behind everything that is logged, so it overtakes no
    /// command. It is logged although the session may be unknown: the entry that opens it may be uncommitted at
    /// takeover and not applied yet.
    void on(const Caller& caller, const Close& request, Turn<S>& turn) {
        const auto id = request.session;
        if (auto fault = check_close(id, turn)) return turn.refuse(caller, Method::pb_close, *std::move(fault));
        // Set now, so that the primary does not also close it as unused.
        if (auto* session = turn.state.sessions.find(id)) session->closing = true;
        reached("C4: a client that ends closes its session");
        append(caller, {{}, EntryKind::close, id, 0, 0, {}}, 0, turn);
    }

    /// Logs a command if it passes all checks, which are in the order of section 7 of the protocol. A repeated command
    /// whose result is known is answered without being logged (S10).
    void on(const Caller& caller, const ExecuteView& request, Turn<S>& turn) {
        if (auto fault = check_numbers(request)) return turn.refuse(caller, Method::pb_execute, *std::move(fault));
        auto* session = request.session == SessionId{} ? nullptr : turn.state.sessions.find(request.session);
        if (session && answer_repeated(caller, request, *session, turn)) return;
        if (auto fault = check_command(request, session, turn))
            return turn.refuse(caller, Method::pb_execute, *std::move(fault));
        auto prepared = turn.state.store.prepare(request.command);
        if (!prepared.wrong.empty())
            return turn.refuse(caller, Method::pb_execute, {error::bad_request, std::move(prepared.wrong)});
        append(caller,
               {{}, EntryKind::command, request.session, request.seq, request.low, request.command},
               session ? room_.results.reserve(*session, turn.options) : 0, turn, prepared.command);
    }

    /// Queues a query until it is confirmed (Reads). It must see everything that is committed now.
    void on(const Caller& caller, const QueryView& request, Turn<S>& turn) {
        read(caller, Method::pb_query, request.query, turn);
    }

    /// Queues the first call of a snapshot export (`pb.dump`) like a query, or sends the export's next chunk.
    void on(const Caller& caller, const Dump& request, Turn<S>& turn) {
        if (!request.at) return read(caller, Method::pb_dump, {}, turn);
        answers_.piece(caller, *request.at, request.chunk, turn);
    }

    /// C6: the send queue of that connection became full, or has room again.
    void backlog(const Address& peer, bool full) { answers_.backlog(peer, full); }

    /// The connection to a client or to a backup ended.
    void disconnected(const Address& peer, Turn<S>& turn) {
        answers_.disconnected(peer, turn);
        room_.disconnected(peer);
        if (auto* link = backup(peer)) link->disconnected(turn);
    }

    // ---- the end of a turn ----

    /// Does what is due before the store works: checks the backups, closes sessions, advances the commit index, begins
    /// a round, and sends to every backup.
    void respond(Turn<S>& turn) {
        answers_.begin_turn(turn);
        if (backups_.find_unreachable(turn)) ping_now_ = true;  // S7
        close_unused_sessions(turn);
        make_room(turn);
        advance(turn);
        if (!turn.leased) reads_.begin_round(turn.options.reads);
        backups_.flush(reads_.round(), turn);
    }
    /// Applies the next committed entry. Its answer is deferred to the end of the turn (S11).
    void apply_next(Turn<S>& turn) {
        auto& state = turn.state;
        const auto index = state.applied.index + 1;
        const auto kind = state.log[index].kind;
        auto applied = state.apply_next(turn.now);
        // This server stops now. What the store returned is not a result.
        if (!state.store_failure.empty()) return;
        auto [caller, result_bytes] = waiting_.take(index);
        const auto& entry = state.log[index];
        count_applied(entry, caller, result_bytes, applied, turn);
        if (caller)
            deferred_.push_back({std::move(*caller), answer(kind, std::move(applied)), entry.session, entry.seq});
    }
    /// Whether an answer that waited can be produced, or the oldest read can be answered now.
    bool has_ready_read(const ReplicatedState<S>& state, bool leased) const {
        if (answers_.can_produce()) return true;
        if (state.applied.index < takeover_last_) return false;  // S5
        return reads_.has_ready(state.applied.index, leased,
                                [this] { return backups_.round_confirmed(reads_.round()); });
    }
    /// Produces one answer: one that waited, or else that of the oldest read. `has_ready_read` must be true.
    void answer_read(Turn<S>& turn) {
        if (answers_.can_produce()) return answers_.produce(enough_in_sync(turn), turn);
        if (turn.leased) reached("S5: a lease answers reads without a round");
        answers_.read(reads_.take(), turn);
    }
    /// Answers the commands that were applied, and trims the log.
    void end_turn(Turn<S>& turn) {
        if (!reads_.empty() && turn.state.applied.index < takeover_last_)
            reached("S5: reads wait for what the primary inherited");
        release_answers(turn);
        turn.state.trim(turn.options.log_bytes, trimmable(turn));
    }

    /// Whether a read waits without a round. It relied on a lease, so a round is needed when the lease ends.
    bool relies_on_lease() const { return reads_.without_round(); }

    /// Ends what is retained for a limited time only: snapshot exports, and transfers of former backups. In every role.
    void expire(Time now) {
        answers_.expire(now);
        backups_.expire(now);
    }

    /// When this primary has something to do, if nothing arrives.
    Time deadline(const NodeState& node, const ReplicaOptions& options) const {
        if (serving_ && answers_.any_ready()) return Time{};
        const auto next = std::min(answers_.deadline(), backups_.deadline(node, options));
        return serving_ ? std::min(next, next_expiry_) : next;
    }

    friend bool operator==(const Primary&, const Primary&) = default;

private:
    // ---- checks (C6) ----
    // A request that is refused by one of them was not logged, so the client may safely repeat it.

    std::optional<Fault> check_load(const Turn<S>& turn) const {
        if (answers_.may_begin(turn)) return std::nullopt;
        reached("C6: a call beyond max_calls is refused");
        return Fault{error::overloaded, "max_calls is " + std::to_string(turn.options.max_calls)};
    }
    /// Whether there is room for `bytes` of requests, beside the answers that wait.
    std::optional<Fault> check_bytes(std::size_t bytes, const Turn<S>& turn) const {
        if (answers_.bytes() + bytes <= turn.options.max_call_bytes) return std::nullopt;
        reached("C6: a command beyond max_call_bytes is refused");
        return Fault{error::overloaded, "max_call_bytes is " + std::to_string(turn.options.max_call_bytes)};
    }
    /// Whether an entry whose command has `bytes` may be logged.
    std::optional<Fault> check_write(std::size_t bytes, const Turn<S>& turn) const {
        if (auto fault = check_load(turn)) return fault;
        if (!enough_in_sync(turn)) {
            reached("S11: a write is refused while too few backups are in sync");
            return Fault{error::not_enough_replicas, std::to_string(backups_.in_sync_count()) +
                                                         " backups are in sync, min_in_sync is " +
                                                         std::to_string(turn.options.min_in_sync)};
        }
        return check_bytes(under_way(turn) + bytes, turn);
    }
    std::optional<Fault> check_open(const Address& peer, const Turn<S>& turn) const {
        if (auto fault = check_write(0, turn)) return fault;
        return room_.check_open(turn.state.sessions, peer, turn.options);
    }
    std::optional<Fault> check_close(SessionId id, const Turn<S>& turn) const {
        if (id == SessionId{}) return Fault{error::invalid_params, "session: [0, 0] names none"};
        return check_write(0, turn);
    }
    /// C3, C5: a sequence number means nothing without a session. A command in a session needs one, because it could
    /// not be told from another command otherwise.
    static std::optional<Fault> check_numbers(const ExecuteView& request) {
        const bool numbered = request.seq != 0 || request.low != 0;
        if (request.session == SessionId{} && numbered)
            return Fault{error::invalid_params, "session: missing; seq and low go with one"};
        if (request.session != SessionId{} && request.seq == 0)
            return Fault{error::invalid_params, "seq: missing; it starts at 1 in a session"};
        return std::nullopt;
    }
    /// All that follows once it is known that the command was not answered before, but for what the store finds wrong
    /// with it. `session` is null if it is unknown.
    std::optional<Fault> check_command(const ExecuteView& request, const SessionTable::Session* session,
                                       const Turn<S>& turn) const {
        const auto& options = turn.options;
        if (auto fault = check_write(request.command.size(), turn)) return fault;
        if (request.command.size() > options.max_command)
            return Fault{error::too_large, "a command has at most " + std::to_string(options.max_command) +
                                               " bytes, this one " + std::to_string(request.command.size())};
        // C3: the results from `low` to `seq` are kept, so their number is bounded here.
        const auto low = std::min(request.low, request.seq);
        if (request.session != SessionId{} && request.seq - low >= options.max_results)
            return Fault{error::overloaded,
                         "seq is more than max_results beyond low: " + std::to_string(options.max_results)};
        if (session && !room_.results.has_room(turn.state.sessions, *session, request.seq, low, options))
            return Fault{error::overloaded, "results take too much of max_result_bytes, which is " +
                                                std::to_string(options.max_result_bytes)};
        return std::nullopt;
    }

    // ---- the log ----

    /// Bytes that are logged and not applied. Bounding them makes a slow store slow down its clients instead of filling
    /// memory.
    static std::size_t under_way(const Turn<S>& turn) {
        return turn.state.log.bytes(turn.state.applied.index, turn.state.log.last().index);
    }

    /// Answers a command that has taken effect from the session table; it need not be logged again (S10). Not while too
    /// few backups are in sync (S11): those that are in sync may lack the entry, so the result could still be lost.
    /// Returns false if the command has to pass the other checks, true if it was answered or refused.
    bool answer_repeated(const Caller& caller, const ExecuteView& request, SessionTable::Session& session,
                         Turn<S>& turn) {
        session.used = turn.now;
        const auto* first = session.results.find(request.seq);
        if (!first) return false;
        if (!enough_in_sync(turn)) {
            reached("S11: a command that has taken effect is not answered from the table either");
            return false;
        }
        reached("S10: a command that has taken effect is answered from the table");
        if (!answers_.repeated(caller, *first, turn))
            if (auto fault = check_load(turn)) turn.refuse(caller, Method::pb_execute, *std::move(fault));
        return true;
    }

    /// Appends an entry to the log. `caller` waits for its answer; none if the primary made the entry itself.
    /// `result_bytes` are reserved for its result. `prepared` is what the store found out about its command.
    void append(std::optional<Caller>&& caller, EntryView entry, std::size_t result_bytes, Turn<S>& turn,
                const PreparedCommand& prepared = {}) {
        if (caller) answers_.begin(caller->peer, turn);
        entry.at = {turn.view().number, turn.state.log.last().index + 1};
        reached("S2: a command is logged before it is applied");
        turn.state.log.append(entry, prepared);
        waiting_.push({caller, result_bytes});
    }

    /// Queues a read. A dump has no query.
    void read(const Caller& caller, Method method, std::string_view query, Turn<S>& turn) {
        if (auto fault = check_load(turn)) return turn.refuse(caller, method, *std::move(fault));
        if (auto fault = check_bytes(reads_.bytes() + query.size(), turn))
            return turn.refuse(caller, method, *std::move(fault));
        answers_.begin(caller.peer, turn);
        reads_.add({caller, turn.state.commit, 0, method == Method::pb_dump, JsonText{query}});
    }

    bool enough_in_sync(const Turn<S>& turn) const { return backups_.in_sync_count() >= turn.options.min_in_sync; }

    /// S4: advances the commit index to what this server and the whole in-sync set have, and adds to the set the
    /// backups that caught up.
    void advance(Turn<S>& turn) {
        auto& state = turn.state;
        const auto held_by_all = backups_.commit_index(state.durable_index());  // S9
        if (held_by_all > state.commit) reached("S4: what the whole in-sync set holds is committed");
        state.commit = std::max(state.commit, held_by_all);
        if (backups_.grow_in_sync_set(takeover_last_, turn))
            ping_now_ = true;  // S4: the view service learns it at once
    }

    /// S11: sends the results of this turn, or defers them while too few backups are in sync.
    void release_answers(Turn<S>& turn) {
        if (!enough_in_sync(turn)) {
            if (!deferred_.empty() || answers_.defers_results())
                reached("S11: an answer waits until enough backups are in sync again");
            return;
        }
        answers_.release_results(turn);
        for (auto& result : deferred_) answers_.result(std::move(result), turn);
        deferred_.clear();
    }

    /// Releases what was reserved for the entry's result, and updates the count of sessions. Emits an event if the
    /// primary itself closed a session.
    void count_applied(const EntryView& entry, const std::optional<Caller>& caller, std::size_t result_bytes,
                       const Applied& applied, Turn<S>& turn) {
        if (result_bytes > 0)
            room_.results.release(turn.state.sessions.find(entry.session), result_bytes, applied.value.size());
        if (entry.kind == EntryKind::command) return;
        room_.applied(entry, caller ? &caller->peer.address() : nullptr);
        if (entry.kind == EntryKind::close && !caller) turn.out.emit(SessionClosed{entry.session});
    }

    /// The answer to a client for an entry that was applied.
    static Message answer(EntryKind kind, Applied applied) {
        if (kind == EntryKind::open) return OpenResult{applied.at};
        if (kind == EntryKind::close) return CloseResult{applied.at};
        if (!applied.failed) return ExecuteResult{applied.at, std::move(applied.value)};
        reached(*applied.failed);
        auto text =
            *applied.failed == error::session_expired ? "the session is not open" : "seq is below the session's low";
        return Failure{std::string{to_string(Method::pb_execute)}, *applied.failed, text, {}, {}, {}};
    }

    /// C4: closes sessions that were unused for `session_ttl`. Each is closed by a log entry, so that all replicas
    /// close it at the same point, and only while the log has room (C6).
    void close_unused_sessions(Turn<S>& turn) {
        if (turn.now < next_expiry_ && next_expiry_ != never) return;
        next_expiry_ = after(turn.now, turn.options.session_ttl / 8);
        if (!enough_in_sync(turn)) return;
        std::size_t closed = 0;
        for (const auto& [id, session] : turn.state.sessions.all()) {
            if (session.closing || after(session.used, turn.options.session_ttl) > turn.now) continue;
            // A turn with very many entries would delay everything else.
            if (++closed > closed_in_one_turn) {
                next_expiry_ = turn.now;  // the others in the next turn
                return;
            }
            if (!close_session(id, turn)) return;
            reached("C4: an unused session is closed by a replicated command");
        }
    }

    /// C4: when there is no room for sessions or their results, closes some before their time.
    void make_room(Turn<S>& turn) {
        if (!enough_in_sync(turn) || !has_log_room(turn)) return;
        for (auto id : room_.to_close(turn.state.sessions, turn.options, turn.now))
            if (!close_session(id, turn)) return;
    }

    /// Logs an entry that closes a session. Returns false if the log has no room: entries that the primary makes itself
    /// are bounded like those of its clients (C6).
    bool close_session(SessionId id, Turn<S>& turn) {
        if (!has_log_room(turn)) {
            reached("C6: sessions are closed only while the log has room");
            return false;
        }
        turn.state.sessions.find(id)->closing = true;
        append(std::nullopt, {{}, EntryKind::close, id, 0, 0, {}}, 0, turn);
        return true;
    }
    bool has_log_room(const Turn<S>& turn) const { return under_way(turn) <= turn.options.max_call_bytes; }

    /// The last entry that may be trimmed. Entries that a backup needs to catch up, also after its transfer, are kept,
    /// unless the log then exceeds `transfer_log_bytes`: one slow backup must not fill the memory.
    Index trimmable(const Turn<S>& turn) const {
        const auto& log = turn.state.log;
        return log.bytes() > turn.options.transfer_log_bytes ? ~Index{0} : backups_.pinned();
    }

    static constexpr std::size_t closed_in_one_turn = 1000;

    bool serving_ = false;
    Index takeover_last_ = 0;  // the last entry of the log when this server became primary
    BackupLinks<S> backups_;
    WaitingForEntries waiting_;
    std::vector<CommandResult> deferred_;  // of entries that were applied; they leave at the end of the turn (S11)
    WaitingReads reads_;
    Answers<S> answers_;
    SessionRoom room_;
    Time next_expiry_ = never;
    bool ping_now_ = false;
};

}  // namespace understudy::replica
