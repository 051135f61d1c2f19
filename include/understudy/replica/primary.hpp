// The work of a replica as primary: it takes commands and reads, decides what is committed, and answers clients.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/replica/answers.hpp>
#include <understudy/replica/backup_link.hpp>
#include <understudy/replica/features.hpp>
#include <understudy/replica/session_room.hpp>

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

    /// The names of the in-sync set, as a ping reports them.
    std::vector<Address> required() const {
        std::vector<Address> names;
        for (const auto& link : links_)
            if (link.required()) names.push_back(link.member().name);
        return names;
    }
    /// The backups that acknowledge nothing (S7), as a ping reports them.
    std::vector<Address> unreachable() const {
        std::vector<Address> names;
        for (const auto& link : links_)
            if (link.unreachable()) names.push_back(link.member().name);
        return names;
    }
    std::vector<BackupStatus> backups() const {
        std::vector<BackupStatus> all;
        for (const auto& link : links_)
            all.push_back({link.member().name, std::string{link.state()}, link.match(), link.bytes_sent()});
        return all;
    }

    /// Whether all members of the view have announced a feature, those that are catching up too. Only then may it be
    /// used: a member without it could not read the log.
    bool all_announce(std::string_view feature) const {
        return serving_ && announces(own_features(), feature) &&
               std::ranges::all_of(links_, [&](const auto& link) { return announces(link.features(), feature); });
    }

    // ---- views ----

    /// Starts to lead a view (S5). The primary keeps its whole log and brings every backup to it: an entry that it
    /// does not know to be committed may have been committed and answered by the previous primary.
    void take_over(Step<S>& step) {
        serving_ = true;
        room_.take_over(step.now);
        reached("S5: a new primary keeps its whole log");
        takeover_last_ = step.state.log.last().index;
        waiting_.reset(takeover_last_ + 1);
        step.state.sessions.touch_all(step.now);  // C4: counted from the takeover at the earliest
        set_links(step);
    }

    /// Leads a later view too (S6). Requests in progress go on. Read rounds start again, because a confirmation counts
    /// only in its own view.
    void go_on(Step<S>& step) {
        reached("S6: a primary that leads the next view too goes on");
        set_links(step);
        for (auto& read : reads_) read.round = 0;
    }

    /// Stops serving for the rest of its view (S6). Requests in progress end with `not_primary`; whether they took
    /// effect is unknown to their clients, because the next primary may have their entries.
    void step_down(Step<S>& step, const std::string& why) {
        if (serving_) {
            reached("S6: a primary steps down");
            step.out.emit(SteppedDown{step.node.info.group, step.view().number, why});
        }
        serving_ = false;
        for (auto index = step.state.applied.index + 1; index <= step.state.log.last().index; ++index)
            if (auto waiting = waiting_.take(index); waiting.call)
                answers_.fail(step, *waiting.call, "pb.execute", why);
        for (auto& result : withheld_) answers_.fail(step, result.call, "pb.execute", why);
        for (auto& read : reads_) answers_.fail(step, read.call, read.dump ? "pb.dump" : "pb.query", why);
        withheld_.clear();
        reads_.clear();
        read_bytes_ = 0;
        answers_.step_down(step, why);
        park_links(step, {});
    }

    // ---- requests ----

    /// Logs an entry that opens a session (C3), if there is room for one.
    void open(Step<S>& step, Call&& call) {
        if (!admit_write(step, call, "pb.open", 0)) return;
        if (auto why = room_.objection(step.state.sessions, call.peer, step.options); !why.empty())
            return step.answer_error(call, "pb.open", error::overloaded, std::move(why));
        room_.opening(call.peer);
        append(step, std::move(call), {{}, EntryKind::open, {}, 0, 0, {}});
    }

    /// Logs an entry that closes a session (C4). It stands behind everything that is logged, so it overtakes no
    /// command. It is logged although the session may be unknown: the entry that opens it may be uncommitted at
    /// takeover and not applied yet.
    void close(Step<S>& step, Call&& call, SessionId id) {
        if (id == SessionId{})
            return step.refuse(call, "pb.close", error::invalid_params, "session: [0, 0] names none");
        if (!admit_write(step, call, "pb.close", 0)) return;
        // Set now, so that the primary does not also close it as unused.
        if (auto* session = step.state.sessions.find(id)) session->closing = true;
        reached("C4: a client that ends closes its session");
        append(step, std::move(call), {{}, EntryKind::close, id, 0, 0, {}});
    }

    /// Logs a command if it passes all checks, which are in the order of section 7 of the protocol. A repeated command
    /// whose result is known is answered without being logged (S10).
    void execute(Step<S>& step, Call&& call, Execute&& request) {
        if (const auto* wrong = numbering_fault(request))
            return step.refuse(call, "pb.execute", error::invalid_params, wrong);
        auto* session = request.session == SessionId{} ? nullptr : step.state.sessions.find(request.session);
        if (session && answer_repeated(step, call, request, *session)) return;
        if (!admit_write(step, call, "pb.execute", request.command.size())) return;
        if (request.command.size() > step.options.max_command)
            return step.refuse(call, "pb.execute", error::too_large,
                               "a command has at most " + std::to_string(step.options.max_command) +
                                   " bytes, this one " + std::to_string(request.command.size()));
        // C3: the results from `low` to `seq` are kept, so their number is bounded here.
        if (request.session != SessionId{} &&
            request.seq - std::min(request.low, request.seq) >= step.options.max_results)
            return step.answer_error(
                call, "pb.execute", error::overloaded,
                "seq is more than max_results beyond low: " + std::to_string(step.options.max_results));
        if (session && !room_.results.has_room(step.state.sessions, *session, request.seq,
                                               std::min(request.low, request.seq), step.options))
            return step.answer_error(call, "pb.execute", error::overloaded,
                                     "results take too much of max_result_bytes, which is " +
                                         std::to_string(step.options.max_result_bytes));
        if (auto wrong = step.state.store.check(request.command); !wrong.empty())
            return step.refuse(call, "pb.execute", error::bad_request, std::move(wrong));
        append(step, std::move(call),
               {{}, EntryKind::command, request.session, request.seq, request.low, std::move(request.command)},
               session ? room_.results.reserve(*session, step.options) : 0);
    }

    /// Queues a query, or the first call of a snapshot export, until it is confirmed (Reads). It must see everything
    /// that is committed now.
    void read(Step<S>& step, Call&& call, std::string method, JsonText query) {
        if (!admit(step, call, method)) return;
        if (!admit_bytes(step, call, method, read_bytes_ + query.size())) return;
        answers_.begin(step, call.peer);
        read_bytes_ += query.size();
        reads_.push_back({std::move(call), step.state.commit, 0, method == "pb.dump", std::move(query)});
    }

    /// Begins a snapshot export (`pb.dump`), or sends its next chunk.
    void dump(Step<S>& step, Call&& call, const Dump& request) {
        if (!request.at) return read(step, std::move(call), "pb.dump", {});
        answers_.piece(step, std::move(call), *request.at, request.chunk);
    }

    /// C6: the send queue of that connection became full, or has room again.
    void backlog(const Address& peer, bool full) { answers_.backlog(peer, full); }

    /// The connection to a client or to a backup ended.
    void disconnected(Step<S>& step, const Address& peer) {
        answers_.disconnected(step, peer);
        room_.disconnected(peer);
        if (auto* link = find(peer)) link->disconnected(step);
    }

    // ---- answers of backups ----

    /// The link to the backup of that name, or null.
    BackupLink<S>* find(const Address& name) {
        auto found = std::ranges::find_if(links_, [&](const auto& link) { return link.member().name == name; });
        return found == links_.end() ? nullptr : &*found;
    }

    // ---- the end of a turn ----

    /// Does what is due before the store works: checks the backups, closes sessions, advances the commit index, begins
    /// a round, and sends to every backup.
    void respond(Step<S>& step) {
        answers_.begin_turn(step);
        find_unreachable(step);
        close_unused_sessions(step);
        make_room(step);
        advance(step);
        if (!step.leased) begin_round(step);
        for (auto& link : links_) link.flush(step, calls_made_, round_);
    }
    /// Applies the next committed entry. Its answer is deferred to the end of the turn (S11).
    void apply_next(Step<S>& step) {
        auto& state = step.state;
        const auto index = state.applied.index + 1;
        const auto kind = state.log[index].kind;
        auto applied = state.apply_next(step.now);
        // This server stops now. What the store returned is not a result.
        if (!state.store_failure.empty()) return;
        auto [call, result_bytes] = waiting_.take(index);
        const auto& entry = state.log[index];
        note_applied(step, entry, call, result_bytes, applied);
        if (call) withheld_.push_back({std::move(*call), answer(kind, std::move(applied)), entry.session, entry.seq});
    }
    /// Whether an answer that waited can be produced, or the oldest read can be answered now.
    bool has_ready_read(const ReplicatedState<S>& state, bool leased) const {
        if (answers_.can_produce()) return true;
        if (reads_.empty() || state.applied.index < takeover_last_) return false;  // S5
        const auto& read = reads_.front();
        if (read.needed > state.applied.index) return false;
        return leased || (read.round != 0 && read.round <= round_confirmed());
    }
    /// Produces one answer: one that waited, or else that of the oldest read. `has_ready_read` must be true.
    void answer_read(Step<S>& step) {
        if (answers_.can_produce()) return answers_.produce(step, enough_in_sync(step));
        if (step.leased) reached("S5: a lease answers reads without a round");
        read_bytes_ -= reads_.front().query.size();
        answers_.read(step, std::move(reads_.front()));
        reads_.pop_front();
    }
    /// Answers the commands that were applied, and trims the log.
    void end_turn(Step<S>& step) {
        if (!reads_.empty() && step.state.applied.index < takeover_last_)
            reached("S5: reads wait for what the primary inherited");
        release_answers(step);
        step.state.trim(step.options.log_bytes, trimmable(step));
    }

    /// Whether a read waits without a round. It relied on a lease, so a round is needed when the lease ends.
    bool relies_on_lease() const { return !reads_.empty() && reads_.back().round == 0; }

    /// Ends what is retained for a limited time only: snapshot exports, and transfers of former backups. In every role.
    void expire(Time now) {
        answers_.expire(now);
        std::erase_if(parked_, [&](const auto& parked) { return parked.second.expires <= now; });
    }

    /// When this primary has something to do, if nothing arrives.
    Time deadline(const NodeState& node) const {
        if (serving_ && answers_.any_ready()) return Time{};
        auto next = answers_.deadline();
        for (const auto& link : links_)
            next = std::min(next, link.deadline(node));
        for (const auto& [name, parked] : parked_) next = std::min(next, parked.expires);
        return serving_ ? std::min(next, next_expiry_) : next;
    }

    friend bool operator==(const Primary&, const Primary&) = default;

private:
    /// A transfer to a backup that has no link at the moment.
    struct Parked {
        Incarnation incarnation = Incarnation::none;
        OutgoingSnapshot<S> transfer;
        Time expires{};
        friend bool operator==(const Parked&, const Parked&) = default;
    };

    /// Makes the links of a new view. A backup that stays keeps its link; one that comes back gets its transfer again,
    /// if it is the same incarnation: another one has lost the chunks.
    void set_links(Step<S>& step) {
        std::vector<BackupLink<S>> links;
        for (const auto& member : step.view().backups) {
            auto old = std::ranges::find_if(links_, [&](const auto& link) { return link.is(member); });
            if (old != links_.end()) {
                reached("S4: a match that is known carries over to the primary's next view");
                links.push_back(std::move(*old));
                links_.erase(old);
                links.back().enter_view(member);
                continue;
            }
            links.emplace_back(member);
            auto parked = parked_.find(member.name);
            if (parked == parked_.end()) continue;
            if (parked->second.incarnation == member.incarnation)
                links.back().give_transfer(std::move(parked->second.transfer));
            parked_.erase(parked);
        }
        park_links(step, std::move(links));
    }

    /// Takes the new links. The transfers of dropped links are retained for `transfer_ttl`, in case their backups come
    /// back (S8): a large snapshot then need not start again.
    void park_links(Step<S>& step, std::vector<BackupLink<S>> links) {
        for (auto& old : links_)
            if (auto transfer = old.take_transfer())
                parked_.insert_or_assign(old.member().name, Parked{old.member().incarnation, std::move(*transfer),
                                                                   step.now + step.options.transfer_ttl});
        links_ = std::move(links);
    }

    // C6: a request that is not admitted is refused before anything is logged, so the client may safely repeat it.
    bool admit(Step<S>& step, const Call& call, const std::string& method) {
        if (answers_.may_begin(step)) return true;
        reached("C6: a call beyond max_calls is refused");
        step.answer_error(call, method, error::overloaded, "max_calls is " + std::to_string(step.options.max_calls));
        return false;
    }
    bool admit_write(Step<S>& step, const Call& call, const std::string& method, std::size_t bytes) {
        if (!admit(step, call, method)) return false;
        if (!enough_in_sync(step)) {
            reached("S11: a write is refused while too few backups are in sync");
            step.answer_error(call, method, error::not_enough_replicas,
                              std::to_string(required_count()) + " backups are in sync, min_in_sync is " +
                                  std::to_string(step.options.min_in_sync));
            return false;
        }
        return admit_bytes(step, call, method, under_way(step) + bytes);
    }
    /// Whether there is room for `bytes` of requests, beside the answers that wait.
    bool admit_bytes(Step<S>& step, const Call& call, const std::string& method, std::size_t bytes) {
        if (answers_.bytes() + bytes <= step.options.max_call_bytes) return true;
        reached("C6: a command beyond max_call_bytes is refused");
        step.answer_error(call, method, error::overloaded,
                          "max_call_bytes is " + std::to_string(step.options.max_call_bytes));
        return false;
    }

    /// C3, C5: a sequence number means nothing without a session. A command in a session needs one, because it could
    /// not be told from another command otherwise. Returns what is wrong, or null.
    static const char* numbering_fault(const Execute& request) {
        if (request.session != SessionId{})
            return request.seq == 0 ? "seq: missing; it starts at 1 in a session" : nullptr;
        return request.seq != 0 || request.low != 0 ? "session: missing; seq and low go with one" : nullptr;
    }

    /// Bytes that are logged and not applied. Bounding them makes a slow store slow down its clients instead of filling
    /// memory.
    static std::size_t under_way(const Step<S>& step) {
        return step.state.log.bytes(step.state.applied.index, step.state.log.last().index);
    }

    /// Answers a command that has taken effect from the session table; it need not be logged again (S10). Not while too
    /// few backups are in sync (S11): those that are in sync may lack the entry, so the result could still be lost.
    /// Returns false if the command has to pass the other checks, true if it was answered or refused.
    bool answer_repeated(Step<S>& step, const Call& call, const Execute& request, SessionTable::Session& session) {
        session.used = step.now;
        const auto* first = session.results.find(request.seq);
        if (!first) return false;
        if (!enough_in_sync(step)) {
            reached("S11: a command that has taken effect is not answered from the table either");
            return false;
        }
        reached("S10: a command that has taken effect is answered from the table");
        return answers_.repeated(step, call, *first) || !admit(step, call, "pb.execute");
    }

    /// Appends an entry to the log. `call` is the request that it answers; none if the primary made the entry itself.
    void append(Step<S>& step, std::optional<Call>&& call, Entry&& entry, std::size_t result_bytes = 0) {
        if (call) answers_.begin(step, call->peer);
        entry.at = {step.view().number, step.state.log.last().index + 1};
        reached("S2: a command is logged before it is applied");
        step.state.log.append(std::move(entry));
        waiting_.push({std::move(call), result_bytes});
    }

    bool enough_in_sync(const Step<S>& step) const { return required_count() >= step.options.min_in_sync; }
    std::size_t required_count() const {
        return static_cast<std::size_t>(
            std::ranges::count_if(links_, [](const auto& link) { return link.required(); }));
    }

    /// S7: reports backups that newly acknowledge nothing.
    void find_unreachable(Step<S>& step) {
        for (auto& link : links_) {
            if (!link.overdue(step)) continue;
            step.out.emit(BackupUnreachable{link.member().name, step.view().number});
            ping_now_ = true;
        }
    }

    /// S4: advances the commit index to what the whole in-sync set has, and adds to the set the backups that caught up.
    void advance(Step<S>& step) {
        auto& state = step.state;
        auto durable_everywhere = state.durable_index();  // S9
        for (const auto& link : links_) {
            // An entry that one of the in-sync set lacks must not be committed: that backup may be the next primary.
            if (link.required()) durable_everywhere = std::min(durable_everywhere, link.match());
            // Commit throttle: without it, a backup that is nearly caught up would stay behind the writes for ever.
            if (link.arriving()) durable_everywhere = std::min(durable_everywhere, link.holds_back_to());
        }
        if (durable_everywhere > state.commit) reached("S4: what the whole in-sync set holds is committed");
        state.commit = std::max(state.commit, durable_everywhere);
        for (auto& link : links_) {
            if (link.required() || link.mode() != BackupLink<S>::Mode::log) continue;
            // The previous primary may have answered any entry of the log that this one took over. A backup that lacks
            // one must not become primary.
            if (link.match() >= state.commit && link.match() < takeover_last_)
                reached("S4: a backup without all that the primary inherited does not enter Q");
            if (link.match() < std::max(state.commit, takeover_last_)) continue;  // S4
            reached("S4: a backup enters Q");
            link.require();
            ping_now_ = true;  // S4: when Q grows the primary pings at once
            step.out.emit(BackupInSync{link.member().name, step.view().number, link.match()});
        }
    }

    /// S11: sends the results of this turn, or defers them while too few backups are in sync.
    void release_answers(Step<S>& step) {
        if (!enough_in_sync(step)) {
            if (!withheld_.empty() || answers_.holds_results())
                reached("S11: an answer waits until enough backups are in sync again");
            return;
        }
        answers_.release_results(step);
        for (auto& result : withheld_) answers_.result(step, std::move(result));
        withheld_.clear();
    }

    /// Releases what was reserved for the entry's result, and updates the count of sessions. Emits an event if the
    /// primary itself closed a session.
    void note_applied(Step<S>& step, const Entry& entry, const std::optional<Call>& call, std::size_t result_bytes,
                      const Applied& applied) {
        if (result_bytes > 0)
            room_.results.release(step.state.sessions.find(entry.session), result_bytes, applied.value.size());
        if (entry.kind == EntryKind::command) return;
        room_.applied(entry, call ? &call->peer : nullptr);
        if (entry.kind == EntryKind::close && !call) step.out.emit(SessionClosed{entry.session});
    }

    /// The answer to a client for an entry that was applied.
    static Message answer(EntryKind kind, Applied applied) {
        if (kind == EntryKind::open) return OpenResult{applied.at};
        if (kind == EntryKind::close) return CloseResult{applied.at};
        if (!applied.failed) return ExecuteResult{applied.at, std::move(applied.value)};
        reached(*applied.failed);
        auto text =
            *applied.failed == error::session_expired ? "the session is not open" : "seq is below the session's low";
        return Failure{"pb.execute", *applied.failed, text, {}, {}, {}};
    }

    /// Reads, confirm: begins a round if reads wait without one. One round serves all of them.
    void begin_round(const Step<S>& step) {
        if (reads_.empty() || reads_.back().round != 0) return;
        reached("S5: a round confirms the reads that wait");
        if (step.options.reads == Reads::lease) reached("S5: without a lease reads are confirmed by a round");
        ++round_;
        for (auto& read : reads_)
            if (read.round == 0) read.round = round_;
    }

    /// The newest round that the whole in-sync set has confirmed. Each backup was still in this view when it confirmed,
    /// so no later primary had answered anything when the round began.
    Round round_confirmed() const {
        auto confirmed = round_;
        for (const auto& link : links_)
            if (link.required()) confirmed = std::min(confirmed, link.round_acknowledged());
        return confirmed;
    }

    /// C4: closes sessions that were unused for `session_ttl`. Each is closed by a log entry, so that all replicas
    /// close it at the same point, and only while the log has room (C6).
    void close_unused_sessions(Step<S>& step) {
        if (step.now < next_expiry_ && next_expiry_ != never) return;
        next_expiry_ = after(step.now, step.options.session_ttl / 8);
        if (!enough_in_sync(step)) return;
        std::size_t closed = 0;
        for (const auto& [id, session] : step.state.sessions.all()) {
            if (session.closing || after(session.used, step.options.session_ttl) > step.now) continue;
            // A turn with very many entries would delay everything else.
            if (++closed > closed_in_one_turn) {
                next_expiry_ = step.now;  // the others in the next turn
                return;
            }
            if (!close_session(step, id)) return;
            reached("C4: an unused session is closed by a replicated command");
        }
    }

    /// C4: when there is no room for sessions or their results, closes some before their time.
    void make_room(Step<S>& step) {
        if (!enough_in_sync(step) || !has_log_room(step)) return;
        for (auto id : room_.to_close(step.state.sessions, step.options, step.now))
            if (!close_session(step, id)) return;
    }

    /// Logs an entry that closes a session. Returns false if the log has no room: entries that the primary makes itself
    /// are bounded like those of its clients (C6).
    bool close_session(Step<S>& step, SessionId id) {
        if (!has_log_room(step)) {
            reached("C6: sessions are closed only while the log has room");
            return false;
        }
        step.state.sessions.find(id)->closing = true;
        append(step, std::nullopt, {{}, EntryKind::close, id, 0, 0, {}});
        return true;
    }
    bool has_log_room(const Step<S>& step) const { return under_way(step) <= step.options.max_call_bytes; }

    /// The last entry that may be trimmed. Entries that a backup will need after its transfer are kept, unless the log
    /// then exceeds `transfer_log_bytes`: one slow backup must not fill the memory.
    Index trimmable(const Step<S>& step) const {
        auto through = ~Index{0};
        for (const auto& link : links_) through = std::min(through, link.pinned());
        for (const auto& [name, parked] : parked_) through = std::min(through, parked.transfer.id().at.index);
        const auto& log = step.state.log;
        return log.bytes() > step.options.transfer_log_bytes ? ~Index{0} : through;
    }

    static constexpr std::size_t closed_in_one_turn = 1000;

    bool serving_ = false;
    Index takeover_last_ = 0;  // the last entry of the log when this server became primary
    std::vector<BackupLink<S>> links_;
    std::map<Address, Parked> parked_;
    WaitingForEntries waiting_;
    std::vector<CommandResult> withheld_;
    std::deque<WaitingRead> reads_;
    std::size_t read_bytes_ = 0;  // bytes of the queries in `reads_`
    Answers<S> answers_;
    Round round_ = 0;
    std::uint64_t calls_made_ = 0;
    SessionRoom room_;
    Time next_expiry_ = never;
    bool ping_now_ = false;
};

}  // namespace understudy::replica
