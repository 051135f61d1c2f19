// Sends the answers of a primary to its clients: at once while their connections can send, otherwise later (C6). It
// also counts the requests in progress, because a request is in progress until it is answered.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/replica/calls.hpp>
#include <understudy/replica/due_answers.hpp>
#include <understudy/replica/dumps.hpp>
#include <understudy/replica/waiting_reads.hpp>

namespace understudy::replica {

/// The result of an applied command. `session` and `seq` name its entry in the session table, where the result can be
/// found again if it has to wait.
struct CommandResult {
    Caller caller;
    Message message;
    SessionId session;
    Sequence seq = 0;
    friend bool operator==(const CommandResult&, const CommandResult&) = default;
};

/// Answers clients in turns. An answer that its connection cannot send now becomes a due answer (`DueAnswers`) and is
/// produced later. A result of a command also waits here while too few backups are in sync (S11). If this class
/// produced all answers at once, a slow reader would fill the primary's memory.
template <TextStore S>
class Answers {
public:
    void begin(const Peer& peer, Turn<S>& turn) { load_.begin(peer, turn.options.max_calls_per_peer, turn.out); }
    /// Whether another request may begin (`max_calls`). A request whose answer waits for its connection counts for only
    /// a quarter. Otherwise a few clients that read slowly would use up the limit, and all other clients would be
    /// refused.
    bool may_begin(const Turn<S>& turn) const {
        const auto due = std::min(due_.count(), load_.total());
        return load_.total() - due + due / 4 < turn.options.max_calls;
    }
    /// Bytes of the answers that wait: results of commands, and the queries whose answers are not produced yet.
    std::size_t bytes() const { return due_.bytes() + deferred_bytes_; }

    /// Answers a read whose round or lease has confirmed it. If the connection cannot send now, the query waits and is
    /// answered later, from the newer state.
    void read(WaitingRead&& read, Turn<S>& turn) {
        const auto kind = read.dump ? Due::dump : Due::query;
        if (!due_.may_answer(read.caller.peer)) {
            const auto bytes = read.query.size();
            return wait(
                {.caller = std::move(read.caller), .kind = kind, .query = std::move(read.query), .bytes = bytes});
        }
        end(read.caller.peer, turn);
        read.dump ? begin_dump(read.caller, turn) : query(read.caller, read.query, turn);
    }
    /// Sends one chunk of a snapshot export that is already open.
    void piece(const Caller& caller, Position at, std::uint64_t chunk, Turn<S>& turn) {
        if (due_.may_answer(caller.peer)) return give_piece(caller, at, chunk, turn);
        begin(caller.peer, turn);
        wait({.caller = caller, .kind = Due::piece, .at = at, .number = chunk});
    }
    /// Answers a command that was applied. If the connection cannot send now, the result waits. A result that the
    /// session table holds shares its text with the table; any other message is stored whole.
    void result(CommandResult&& result, Turn<S>& turn) {
        auto& [caller, message, session, seq] = result;
        const auto* done = std::get_if<ExecuteResult>(&message);
        const auto bytes = done ? done->value.size() : 0;
        if (due_.may_answer(caller.peer)) {
            due_.spend(bytes);
            end(caller.peer, turn);
            return turn.out.send(caller.peer, caller.id, std::move(message));
        }
        if (const auto* first = done ? find(session, seq, turn) : nullptr)
            wait(due_result(caller, *first));
        else
            wait({.caller = caller, .kind = Due::ready, .message = std::move(message), .bytes = bytes});
    }
    /// Answers a repeated command that already took effect. The answer leaves at the end of the turn (S11), because a
    /// new view may arrive before that. Returns false, and does nothing, if `max_calls` requests are in progress.
    bool repeated(const Caller& caller, const SessionResults::Result& first, Turn<S>& turn) {
        if (!due_.may_answer(caller.peer) && !may_begin(turn)) return false;
        begin(caller.peer, turn);
        defer(due_result(Caller{caller}, first));
        return true;
    }
    /// Whether results wait until enough backups are in sync (S11).
    bool defers_results() const { return !deferred_.empty(); }
    /// S11: enough backups are in sync again. Sends the deferred results, or queues those whose connection cannot send
    /// now.
    void release_results(Turn<S>& turn) {
        if (deferred_.empty()) return;
        deferred_bytes_ = 0;
        for (auto& due : std::exchange(deferred_, {})) {
            if (!due_.may_answer(due.caller.peer)) {
                wait(std::move(due));
                continue;
            }
            end(due.caller.peer, turn);
            send(due, turn);
        }
    }
    /// Ends a request with `not_primary` because the primary stops (S6).
    void fail(const Caller& caller, Method method, const std::string& why, Turn<S>& turn) {
        end(caller.peer, turn);
        turn.refuse(caller, method, {error::not_primary, why});
    }

    /// Gives this turn its budget of `answer_bytes`.
    void begin_turn(const Turn<S>& turn) { due_.begin_turn(turn.options.answer_bytes); }
    /// Whether an answer waits whose connection can send now, and the budget of this turn is not used up.
    bool can_produce() const { return due_.can_take(); }
    /// Produces one waiting answer. The result of a command is deferred again if too few backups are in sync (S11).
    void produce(bool enough_in_sync, Turn<S>& turn) {
        auto due = due_.take();
        if (is_result(due->kind) && !enough_in_sync) return defer(std::move(*due));
        end(due->caller.peer, turn);
        switch (due->kind) {
            case Due::query: return query(due->caller, due->query, turn);
            case Due::dump: return begin_dump(due->caller, turn);
            case Due::piece: return give_piece(due->caller, due->at, due->number, turn);
            case Due::result:
            case Due::ready: return send(*due, turn);
        }
    }
    /// Whether an answer waits whose connection can send. The next turn, with a new budget, will produce it.
    bool any_ready() const { return due_.any_ready(); }

    /// The send queue of that connection became full, or has room again.
    void backlog(const Address& peer, bool full) { due_.backlog(peer, full); }
    /// A connection ended. Nobody can receive its waiting answers, so they are dropped, and their requests no
    /// longer count.
    void disconnected(const Peer& peer, Turn<S>& turn) {
        load_.disconnected(peer);
        for (auto dropped = due_.disconnected(peer) + drop_deferred(peer); dropped > 0; --dropped) end(peer, turn);
        dumps_.disconnected(peer);
    }
    /// The primary stops (S6): every waiting answer is replaced by an error. Open snapshot exports are closed.
    void step_down(const std::string& why, Turn<S>& turn) {
        for (const auto& due : due_.take_all()) fail(due.caller, method_of(due.kind), why, turn);
        for (const auto& due : std::exchange(deferred_, {})) fail(due.caller, method_of(due.kind), why, turn);
        deferred_bytes_ = 0;
        dumps_.clear();
    }
    /// Closes snapshot exports that were unused for `dump_ttl`.
    void expire(Time now) { dumps_.expire(now); }
    Time deadline() const { return dumps_.deadline(); }

    friend bool operator==(const Answers&, const Answers&) = default;

private:
    using Due = DueAnswer::Kind;

    void end(const Peer& peer, Turn<S>& turn) { load_.end(peer, turn.options.max_calls_per_peer, turn.out); }
    void wait(DueAnswer&& due) {
        reached("C6: an answer waits until its connection takes it");
        due_.add(std::move(due));
    }

    static const SessionResults::Result* find(SessionId id, Sequence seq, const Turn<S>& turn) {
        const auto* session = turn.state.sessions.find(id);
        return session ? session->results->find(seq) : nullptr;
    }
    /// A due answer stores the result itself, not its place in the session table. The session may be closed before the
    /// connection can send. The client would then get `session_expired` for a command that took effect, send it again
    /// in a new session, and the command would take effect twice.
    static DueAnswer due_result(const Caller& caller, const SessionResults::Result& first) {
        return {.caller = caller,
                .kind = Due::result,
                .at = first.at,
                .result = first.value,
                .bytes = first.value.size()};
    }
    void send(DueAnswer& due, Turn<S>& turn) {
        due_.spend(due.bytes);
        auto& [peer, id] = due.caller;
        if (due.message)
            turn.out.send(std::move(peer), std::move(id), std::move(*due.message));
        else
            turn.out.send(std::move(peer), std::move(id), ExecuteResult{due.at, JsonText{due.result.text()}});
    }

    static bool is_result(Due kind) { return kind == Due::result || kind == Due::ready; }
    void defer(DueAnswer&& due) {
        deferred_bytes_ += due.bytes;
        deferred_.push_back(std::move(due));
    }
    std::size_t drop_deferred(const Peer& peer) {
        return std::erase_if(deferred_, [&](const auto& due) {
            if (due.caller.peer != peer) return false;
            deferred_bytes_ -= due.bytes;
            return true;
        });
    }

    void query(const Caller& caller, const JsonText& text, Turn<S>& turn) {
        auto outcome = turn.state.store.query(text);
        due_.spend(outcome.text.size());
        if (!outcome.ok) return turn.refuse(caller, Method::pb_query, {error::bad_request, std::move(outcome.text)});
        turn.out.send(caller.peer, caller.id,
                      QueryResult{{turn.view().number, turn.state.applied.index}, std::move(outcome.text)});
    }
    void begin_dump(const Caller& caller, Turn<S>& turn) {
        due_.spend(turn.options.chunk_bytes);
        dumps_.begin(caller, turn);
    }
    void give_piece(const Caller& caller, Position at, std::uint64_t chunk, Turn<S>& turn) {
        due_.spend(turn.options.chunk_bytes);
        dumps_.go_on(caller, at, chunk, turn);
    }
    static Method method_of(Due kind) {
        if (kind == Due::query) return Method::pb_query;
        return is_result(kind) ? Method::pb_execute : Method::pb_dump;
    }

    PeerLoad load_;
    Dumps<S> dumps_;
    DueAnswers due_;
    std::vector<DueAnswer> deferred_;  // results that wait until enough backups are in sync
    std::size_t deferred_bytes_ = 0;
};

}  // namespace understudy::replica
