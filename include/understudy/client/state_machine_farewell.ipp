// ClerkRules, continued: how a client ends.
#pragma once

#include <algorithm>

#include <understudy/client/state_machine.hpp>

namespace understudy::client {

inline void ClerkRules::leave(Time now) {
    if (ended_) return;
    const auto session = session_.id();
    end_all(error::closed, "the client was stopped");
    if (session == SessionId{} || !has_view()) return;
    farewell_.begin(session, now, after(now, 2 * std::min<Duration>(options_.resend_after, 1s)));
}

inline void ClerkRules::say_farewell(Time now, Effects& out) {
    if (farewell_.until() <= now) return farewell_.end();
    if (farewell_.due(now)) {
        reached("C4: a client that ends asks for its session to be closed");
        auto n = farewell_.send(after(now, options_.resend_after));
        out.send(primary().name, make_call_id(Method::pb_close, n),
                 Close{view_.cluster, options_.group, farewell_.session()});
    }
    follower_.wake(now, chance_, out);
}

inline void ClerkRules::handle(const Envelope& envelope, CloseResult&, Time, Effects& out) {
    auto name = read_call_id(envelope.id);
    if (name.method != Method::pb_close || !farewell_.made(name.n))
        return refuse(envelope.peer, error::invalid_request, "the closing of a session that nobody asked for", out);
    farewell_.end();
}

inline void ClerkRules::farewell_refused(const Address& peer, Failure& failure, Time now, Effects& out) {
    switch (cure_of(failure.code)) {
        case Cure::none:  // as by a server that does not know it
        case Cure::session: return farewell_.end();
        case Cure::wait:
        case Cure::elsewhere: break;
    }
    farewell_.send_at(after(now, lane(CallKind::command).backoff.next(chance_)));
    look_elsewhere(peer, failure, now, out);
    if (cure_of(failure.code) == Cure::elsewhere) follower_.suspect(now);
}

}  // namespace understudy::client
