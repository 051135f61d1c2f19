// How a primary answers its clients: at once while their connections take it, and otherwise later (C6). The requests
// in progress are counted here, since each is one until it is answered.
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

/// What a command returned, and where it can be found again.
struct CommandResult {
    Call call;
    Message message;
    SessionId session;
    Sequence seq = 0;
    friend bool operator==(const CommandResult&, const CommandResult&) = default;
};

template <TextStore S>
class Answers {
public:
    void begin(Step<S>& step, const Address& peer) { load_.begin(peer, step.options.max_calls_per_peer, step.out); }
    /// Whether another request may begin. One whose answer waits for a slow reader counts for a quarter, or a few such
    /// readers would shut everybody out.
    bool may_begin(const Step<S>& step) const {
        const auto due = std::min(due_.count(), load_.total());
        return load_.total() - due + due / 4 < step.options.max_calls;
    }
    /// Bytes of what waits: of results, and of queries whose answers are not produced yet.
    std::size_t bytes() const { return due_.bytes() + held_bytes_; }

    /// Answers a read that is confirmed.
    void read(Step<S>& step, WaitingRead&& read) {
        const auto kind = read.dump ? Due::dump : Due::query;
        if (!due_.may_answer(read.call.peer)) {
            const auto bytes = read.query.size();
            return wait({.call = std::move(read.call), .kind = kind, .query = std::move(read.query), .bytes = bytes});
        }
        end(step, read.call.peer);
        read.dump ? begin_dump(step, read.call) : query(step, read.call, read.query);
    }
    /// Gives a piece of a snapshot that was begun.
    void piece(Step<S>& step, Call&& call, Position at, std::uint64_t chunk) {
        if (due_.may_answer(call.peer)) return give_piece(step, call, at, chunk);
        begin(step, call.peer);
        wait({.call = std::move(call), .kind = Due::piece, .at = at, .number = chunk});
    }
    /// Answers a command that was applied.
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
    /// Answers a command that had taken effect before, when the turn ends: the view may change before that. False if as
    /// many requests are in progress as may be.
    bool repeated(Step<S>& step, const Call& call, const SessionResults::Result& first) {
        if (!due_.may_answer(call.peer) && !may_begin(step)) return false;
        begin(step, call.peer);
        hold(due_result(Call{call}, first));
        return true;
    }
    bool holds_results() const { return !held_.empty(); }
    /// S11: enough backups are in sync to answer commands.
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
    void fail(Step<S>& step, const Call& call, const char* method, const std::string& why) {
        end(step, call.peer);
        step.answer_error(call, method, error::not_primary, why);
    }

    void begin_turn(const Step<S>& step) { due_.begin_turn(step.options.answer_bytes); }
    /// Whether something waited that its connection takes now, and the turn has room for it.
    bool can_produce() const { return due_.can_take(); }
    /// Produces one of these. Results of commands are held back unless enough backups are in sync (S11).
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
    /// Whether the next turn has something to produce.
    bool any_ready() const { return due_.any_ready(); }

    /// That connection takes no more at present, or takes more again.
    void backlog(const Address& peer, bool full) { due_.backlog(peer, full); }
    void gone(Step<S>& step, const Address& peer) {
        load_.gone(peer);
        for (auto dropped = due_.gone(peer) + drop_held(peer); dropped > 0; --dropped) end(step, peer);
        dumps_.gone(peer);
    }
    void step_down(Step<S>& step, const std::string& why) {
        for (const auto& due : due_.take_all()) fail(step, due.call, method_of(due.kind), why);
        for (const auto& due : std::exchange(held_, {})) fail(step, due.call, method_of(due.kind), why);
        held_bytes_ = 0;
        dumps_.clear();
    }
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
    /// The result itself waits, not where it stands: its session may be closed before the connection takes it, and a
    /// client that reads `session_expired` of a command that took effect may have it take effect again.
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
