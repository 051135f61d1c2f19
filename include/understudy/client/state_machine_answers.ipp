// ClientStateMachine, continued: what a client does with the answers of the primary.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include <understudy/client/state_machine.hpp>

namespace understudy::client {

inline void ClientStateMachine::on(const Caller& caller, OpenResult&& result, Turn& turn) {
    auto name = read_call_id(caller.id);
    if (name.method != Method::pb_open || !opening_.made(name.n))
        return turn.refuse(caller.peer, {error::invalid_request, "a session that nobody asked for"});
    if (!opening_.answered(name.n)) return;  // another request was answered first; this session expires unused
    session_.open(result.session);
    trouble_.clear();
    answered(queue(CallKind::command));
}

inline void ClientStateMachine::on(const Caller& caller, const ExecuteResultView& result, Turn& turn) {
    note_large(result.value.size(), turn.now);
    answer(caller, Method::pb_execute, result.at, result.value, turn);
}

inline void ClientStateMachine::on(const Caller& caller, const QueryResultView& result, Turn& turn) {
    note_large(result.value.size(), turn.now);
    answer(caller, Method::pb_query, result.at, result.value, turn);
}

inline void ClientStateMachine::on(const Caller& caller, DumpResult&& result, Turn& turn) {
    note_large(result.data.size(), turn.now);
    if (auto* how = answer(caller, Method::pb_dump, result.at, {}, turn)) how->dump = std::move(result);
}

// The answers queued behind a large one in the connection are late, not lost. If their requests were repeated after
// `resend_after`, the answers would come twice and make those behind them later still.
inline void ClientStateMachine::note_large(std::size_t bytes, Time now) {
    if (bytes >= large_answer) large_until_ = after(now, options_.resend_after);
}

// An answer shows that the primary serves calls of this kind again, over a connection that works.
inline void ClientStateMachine::answered(RetryQueue& queue) {
    queue.backoff.reset();
    lost_ = false;
}

// Returns the result of the call that the answer ends; null if it ends none.
inline Finished* ClientStateMachine::answer(const Caller& caller, Method method, Position at, std::string_view value,
                                            Turn& turn) {
    auto name = read_call_id(caller.id);
    auto* call = calls_.by_attempt(name.n);
    if (name.method != method || !calls_.made(name.n) || (call && call->method != method)) {
        turn.refuse(caller.peer, {error::invalid_request, "an answer that nobody asked for"});
        return nullptr;
    }
    if (!call) return nullptr;  // late: the call has ended, or the attempt is no longer retained
    answered(queue(*call));
    auto& how = finish(*call);
    how.at = at;
    how.value = value;
    return &how;
}

}  // namespace understudy::client
