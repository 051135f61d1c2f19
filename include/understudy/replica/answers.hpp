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

#include <understudy/replica/due_answers.hpp>
#include <understudy/replica/dumps.hpp>

namespace understudy::replica {

/// The result of an applied command. `session` and `seq` name its entry in the session table, where the result can be
/// found again if it has to wait.
struct CommandResult {
    Call call;
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
    void begin(Step<S>& step, const Address& peer) { load_.begin(peer, step.options.max_calls_per_peer, step.out); }
    /// Whether another request may begin (`max_calls`). A request whose answer waits for its connection counts for only
    /// a quarter. Otherwise a few clients that read slowly would use up the limit, and all other clients would be
    /// refused.
    bool may_begin(const Step<S>& step) const {
        const auto due = std::min(due_.count(), load_.total());
        return load_.total() - due + due / 4 < step.options.max_calls;
    }
    /// Bytes of the answers that wait: results of commands, and the queries whose answers are not produced yet.
    std::size_t bytes() const { return due_.bytes() + held_bytes_; }

    /// Answers a read whose round or lease has confirmed it. If the connection cannot send now, the query waits and is
    /// answered later, from the newer state.
    void read(Step<S>& step, WaitingRead&& read) {
        const auto kind = read.dump ? Due::dump : Due::query;
        if (!due_.may_answer(read.call.peer)) {
            const auto bytes = read.query.size();
            return wait({.call = std::move(read.call), .kind = kind, .query = std::move(read.query), .bytes = bytes});
        }
        end(step, read.call.peer);
        read.dump ? begin_dump(step, read.call) : query(step, read.call, read.query);
    }
    /// Sends one chunk of a snapshot export that is already open.
    void piece(Step<S>& step, Call&& call, Position at, std::uint64_t chunk) {
        if (due_.may_answer(call.peer)) return give_piece(step, call, at, chunk);
        begin(step, call.peer);
        wait({.call = std::move(call), .kind = Due::piece, .at = at, .number = chunk});
    }
    /// Answers a command that was applied. If the connection cannot send now, the result waits. A result that the
    /// session table holds shares its text with the table; any other message is stored whole.
    void result(Step<S>& step, CommandResult&& result) {
        auto& [call, message, session, seq] = result;
        const auto* done = std::get_if<ExecuteResult>(&message);
        const auto bytes = done ? done->value.size() : 0;
        if (due_.may_answer(call.peer)) {
            due_.spend(bytes);
            end(step, call.peer);
            return step.out.send(std::move(call.peer), std::move(call.id), std::move(message));
        }
        if (const auto* kept = done ? find(step, session, seq) : nullptr)
            wait(due_result(std::move(call), *kept));
        else
            wait({.call = std::move(call), .kind = Due::ready, .message = std::move(message), .bytes = bytes});
    }
    /// Answers a repeated command that already took effect. The answer leaves at the end of the turn (S11), because a
    /// new view may arrive before that. Returns false, and does nothing, if `max_calls` requests are in progress.
    bool repeated(Step<S>& step, const Call& call, const SessionResults::Result& first) {
        if (!due_.may_answer(call.peer) && !may_begin(step)) return false;
        begin(step, call.peer);
        hold(due_result(Call{call}, first));
        return true;
    }
    /// Whether results wait until enough backups are in sync (S11).
    bool holds_results() const { return !held_.empty(); }
    /// S11: enough backups are in sync again. Sends the deferred results, or queues those whose connection cannot send
    /// now.
    void release_results(Step<S>& step) {
        held_bytes_ = 0;
        for (auto& due : std::exchange(held_, {})) {
            if (!due_.may_answer(due.call.peer)) {
                wait(std::move(due));
                continue;
            }
            end(step, due.call.peer);
            send(step, due);
        }
    }
    /// Ends a request with `not_primary` because the primary stops (S6).
    void fail(Step<S>& step, const Call& call, const char* method, const std::string& why) {
        end(step, call.peer);
        step.answer_error(call, method, error::not_primary, why);
    }

    /// Gives this turn its budget of `answer_bytes`.
    void begin_turn(const Step<S>& step) { due_.begin_turn(step.options.answer_bytes); }
    /// Whether an answer waits whose connection can send now, and the budget of this turn is not used up.
    bool can_produce() const { return due_.can_take(); }
    /// Produces one waiting answer. The result of a command is deferred again if too few backups are in sync (S11).
    void produce(Step<S>& step, bool enough_in_sync) {
        auto due = due_.take();
        if (is_result(due->kind) && !enough_in_sync) return hold(std::move(*due));
        end(step, due->call.peer);
        switch (due->kind) {
            case Due::query: return query(step, due->call, due->query);
            case Due::dump: return begin_dump(step, due->call);
            case Due::piece: return give_piece(step, due->call, due->at, due->number);
            case Due::result:
            case Due::ready: return send(step, *due);
        }
    }
    /// Whether an answer waits whose connection can send. The next turn, with a new budget, will produce it.
    bool any_ready() const { return due_.any_ready(); }

    /// The send queue of that connection became full, or has room again.
    void backlog(const Address& peer, bool full) { due_.backlog(peer, full); }
    /// A connection ended. Nobody can receive its waiting answers, so they are dropped, and their requests no
    /// longer count.
    void disconnected(Step<S>& step, const Address& peer) {
        load_.disconnected(peer);
        for (auto dropped = due_.disconnected(peer) + drop_held(peer); dropped > 0; --dropped) end(step, peer);
        dumps_.disconnected(peer);
    }
    /// The primary stops (S6): every waiting answer is replaced by an error. Open snapshot exports are closed.
    void step_down(Step<S>& step, const std::string& why) {
        for (const auto& due : due_.take_all()) fail(step, due.call, method_of(due.kind), why);
        for (const auto& due : std::exchange(held_, {})) fail(step, due.call, method_of(due.kind), why);
        held_bytes_ = 0;
        dumps_.clear();
    }
    /// Closes snapshot exports that were unused for `dump_ttl`.
    void expire(Time now) { dumps_.expire(now); }
    Time deadline() const { return dumps_.deadline(); }

    friend bool operator==(const Answers&, const Answers&) = default;

private:
    using Due = DueAnswer::Kind;

    void end(Step<S>& step, const Address& peer) { load_.end(peer, step.options.max_calls_per_peer, step.out); }
    void wait(DueAnswer&& due) {
        reached("C6: an answer waits until its connection takes it");
        due_.add(std::move(due));
    }

    static const SessionResults::Result* find(const Step<S>& step, SessionId id, Sequence seq) {
        const auto* session = step.state.sessions.find(id);
        return session ? session->results->find(seq) : nullptr;
    }
    /// A due answer stores the result itself, not its place in the session table. The session may be closed before the
    /// connection can send. The client would then get `session_expired` for a command that took effect, send it again
    /// in a new session, and the command would take effect twice.
    static DueAnswer due_result(Call&& call, const SessionResults::Result& kept) {
        return {.call = std::move(call),
                .kind = Due::result,
                .at = kept.at,
                .result = kept.value,
                .bytes = kept.value.size()};
    }
    void send(Step<S>& step, DueAnswer& due) {
        due_.spend(due.bytes);
        auto& [peer, id] = due.call;
        if (due.message) step.out.send(std::move(peer), std::move(id), std::move(*due.message));
        else step.out.send(std::move(peer), std::move(id), ExecuteResult{due.at, due.result.text()});
    }

    static bool is_result(Due kind) { return kind == Due::result || kind == Due::ready; }
    void hold(DueAnswer&& due) {
        held_bytes_ += due.bytes;
        held_.push_back(std::move(due));
    }
    std::size_t drop_held(const Address& peer) {
        return std::erase_if(held_, [&](const auto& due) {
            if (due.call.peer != peer) return false;
            held_bytes_ -= due.bytes;
            return true;
        });
    }

    void query(Step<S>& step, const Call& call, const JsonText& text) {
        auto outcome = step.state.store.query(text);
        due_.spend(outcome.text.size());
        if (!outcome.ok) return step.refuse(call, "pb.query", error::bad_request, std::move(outcome.text));
        step.out.send(call.peer, call.id,
                      QueryResult{{step.view().number, step.state.applied.index}, std::move(outcome.text)});
    }
    void begin_dump(Step<S>& step, const Call& call) {
        due_.spend(step.options.chunk_bytes);
        dumps_.begin(step, call);
    }
    void give_piece(Step<S>& step, const Call& call, Position at, std::uint64_t chunk) {
        due_.spend(step.options.chunk_bytes);
        dumps_.go_on(step, call, at, chunk);
    }
    static const char* method_of(Due kind) {
        if (kind == Due::query) return "pb.query";
        return is_result(kind) ? "pb.execute" : "pb.dump";
    }

    PeerLoad load_;
    Dumps<S> dumps_;
    DueAnswers due_;
    std::vector<DueAnswer> held_;  // results that wait until enough backups are in sync
    std::size_t held_bytes_ = 0;
};

}  // namespace understudy::replica
