// ClientStateMachine, continued: what a client does after a refusal. The table of errors is in refusals.hpp.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <understudy/client/state_machine.hpp>

namespace understudy::client {

inline void ClientStateMachine::on(const Caller& caller, Failure&& failure, Turn& turn) {
    auto name = read_call_id(caller.id);
    switch (name.method) {
        case Method::view_get:
        case Method::view_watch:
            if (follower_.made(name.n)) return view_refused(caller.peer, name.n, failure, turn);
            break;
        case Method::pb_open:
            if (opening_.made(name.n)) return open_refused(caller.peer, name.n, failure, turn);
            break;
        case Method::pb_close:
            if (farewell_.made(name.n)) return farewell_refused(caller.peer, failure, turn);
            break;
        default:
            if (calls_.made(name.n)) return call_refused(caller, failure, turn);
    }
    turn.refuse(caller.peer, {failure.code, std::move(failure.text)});
}

// A refusal by the view service ends calls only if no view is known and every address refused in a way that a retry
// cannot cure (C7). With a view the client goes on: its servers may serve although the view service does not.
inline void ClientStateMachine::view_refused(const Address& peer, std::uint64_t n, Failure& failure, Turn& turn) {
    turn.refuse(peer, {failure.code, failure.text});
    trouble_ = std::string{to_string(failure.code)} + " from " + peer + ": " + failure.text;
    auto by_all = follower_.refused(n, failure.code);
    if (failure.view) learn(*failure.view, peer, turn);
    if (ended_ || has_view() || !by_all) return;
    for (const auto key : calls_.keys()) fail(*calls_.find(key), failure.code, trouble_);
}

// `pb.open` was refused. Only commands need a session: with `RetryAction::none` the waiting commands fail, reads go on.
// A refusal of an earlier request changes nothing, since the answer to the newest one is still awaited.
inline void ClientStateMachine::open_refused(const Address& peer, std::uint64_t n, Failure& failure, Turn& turn) {
    if (opening_.is_last(n)) {
        opening_.lost();
        switch (retry_action_of(failure.code)) {
            case RetryAction::none:
                while (calls_.has_waiting(CallKind::command))
                    fail(calls_.first_waiting(CallKind::command), failure.code, said_by(peer, failure.text));
                break;
            case RetryAction::wait: pause(queue(CallKind::command), turn.now); break;
            case RetryAction::session:
            case RetryAction::elsewhere: pause_all(turn.now); break;
        }
        trouble_ = said_by(peer, failure.text);
    }
    look_elsewhere(peer, failure, turn);
}

inline void ClientStateMachine::call_refused(const Caller& caller, Failure& failure, Turn& turn) {
    auto [method, n] = read_call_id(caller.id);
    if (auto* call = calls_.by_attempt(n); call && call->method == method) {
        auto awaited = calls_.awaits(*call, n);
        // A read has no session.
        auto expired = retry_action_of(failure.code) == RetryAction::session && call->is_command();
        // The servers retain a session for longer than the client awaits an answer in it. So if the awaited answer says
        // in time that the session expired, and no other attempt may have been executed, the command had no effect and
        // may be sent in the next session. If there was another attempt, or the refusal is late, the command may have
        // been executed before the session expired.
        auto unsent = expired && awaited && turn.now < call->timer && call->possible == 1;
        if (expired) reached("C4: a client whose session has expired opens another");
        if (expired && call->session == session_.id()) session_.forget();
        calls_.refused(*call, n, expired ? unsent : is_definite(failure.code));
        failure.text = said_by(caller.peer, failure.text);
        if (awaited) refused(*call, failure, turn.now);
    }
    look_elsewhere(caller.peer, failure, turn);
}
// The attempt whose answer was awaited was refused: end the call, or requeue it.
inline void ClientStateMachine::refused(ClientCall& call, Failure& failure, Time now) {
    auto action = retry_action_of(failure.code);
    if (action == RetryAction::none) return fail(call, failure.code, std::move(failure.text));
    if (action == RetryAction::session && call.is_command()) return change_session(call, now);
    call.detail = failure.text;
    if (is_definite(failure.code)) call.refusal = failure.code;
    calls_.requeue(call);
    if (action == RetryAction::wait) {
        reached("C6: what was refused for want of room is tried again later");
        pause(queue(call), now);
    }
    if (action == RetryAction::elsewhere || action == RetryAction::session) pause_all(now);
}
// C4: requeues the command for the next session if it had no effect. Otherwise its outcome is unknown: repeated in
// another session it could take effect twice.
inline void ClientStateMachine::change_session(ClientCall& call, Time now) {
    if (call.maybe()) return fail(call, error::outcome_unknown, "the session expired");
    call.seq = 0;
    call.sent = 0;
    calls_.requeue(call);
    pause(queue(call), now);
}
// C1: a refusal may carry the newer view that explains it. If not, and another server may help, ask the view service.
inline void ClientStateMachine::look_elsewhere(const Address& peer, const Failure& failure, Turn& turn) {
    auto learned = failure.view && learn(*failure.view, peer, turn);
    if (learned) reached("C1: a refusal that carries a newer view saves the question");
    if (!learned && !ended_ && retry_action_of(failure.code) == RetryAction::elsewhere) follower_.ask_again(turn.now);
}

}  // namespace understudy::client
