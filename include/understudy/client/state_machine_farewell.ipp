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
inline void ClientStateMachine::say_farewell(Time now, Output& out) {
    if (farewell_.until() <= now) return farewell_.end();
    if (farewell_.due(now)) {
        reached("C4: a client that ends asks for its session to be closed");
        auto n = farewell_.send(after(now, options_.resend_after));
        out.send(primary().name, make_call_id(Method::pb_close, n),
                 Close{view_.cluster, options_.group, farewell_.session()});
    }
    follower_.wake(now, chance_, out);
}

inline void ClientStateMachine::handle(const Envelope& envelope, CloseResult&, Time, Output& out) {
    auto name = read_call_id(envelope.id);
    if (name.method != Method::pb_close || !farewell_.made(name.n))
        return refuse(envelope.peer, error::invalid_request, "the closing of a session that nobody asked for", out);
    farewell_.end();
}

inline void ClientStateMachine::farewell_refused(const Address& peer, Failure& failure, Time now, Output& out) {
    switch (retry_action_of(failure.code)) {
        case RetryAction::none:  // for example a server of an older version that answers `unknown_method`
        case RetryAction::session: return farewell_.end();
        case RetryAction::wait:
        case RetryAction::elsewhere: break;
    }
    farewell_.send_at(after(now, queue(CallKind::command).backoff.next(chance_)));
    look_elsewhere(peer, failure, now, out);
    if (retry_action_of(failure.code) == RetryAction::elsewhere) follower_.ask_again(now);
}

}  // namespace understudy::client
