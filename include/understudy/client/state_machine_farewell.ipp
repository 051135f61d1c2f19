// ClientStateMachine, continued: how a client ends and closes its session (rule C4). After `leave` only this part and
// the view follower are active.
#pragma once

#include <algorithm>

#include <understudy/client/state_machine.hpp>

namespace understudy::client {

inline void ClientStateMachine::leave(Time now) {
    if (ended_) return;
    const auto session = session_.id();
    end_all(error::closed, "the client was stopped");
    if (session == SessionId{} || !has_view()) return;
    farewell_.begin(session, now, after(now, 2 * std::min<Duration>(options_.resend_after, 1s)));
}

// Sends the request when it is due, and goes on following the view meanwhile: the primary may change.
inline void ClientStateMachine::say_farewell(Turn& turn) {
    if (farewell_.until() <= turn.now) return farewell_.end();
    if (farewell_.due(turn.now)) {
        reached("C4: a client that ends asks for its session to be closed");
        auto n = farewell_.send(after(turn.now, options_.resend_after));
        turn.out.send(primary_peer_, make_call_id(Method::pb_close, n),
                      Close{view_.cluster, options_.group, farewell_.session()});
    }
    follower_.wake(turn.now, chance_, turn.out);
}

inline void ClientStateMachine::on(const Caller& caller, CloseResult&&, Turn& turn) {
    auto name = read_call_id(caller.id);
    if (name.method != Method::pb_close || !farewell_.made(name.n))
        return turn.refuse(caller.peer, {error::invalid_request, "the closing of a session that nobody asked for"});
    farewell_.end();
}

inline void ClientStateMachine::farewell_refused(const Address& peer, Failure& failure, Turn& turn) {
    switch (retry_action_of(failure.code)) {
        case RetryAction::none:  // for example a server of an older version that answers `unknown_method`
        case RetryAction::session: return farewell_.end();
        case RetryAction::wait:
        case RetryAction::elsewhere: break;
    }
    farewell_.send_at(after(turn.now, queue(CallKind::command).backoff.next(chance_)));
    look_elsewhere(peer, failure, turn);
    if (retry_action_of(failure.code) == RetryAction::elsewhere) follower_.ask_again(turn.now);
}

}  // namespace understudy::client
