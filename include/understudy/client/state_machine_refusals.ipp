// ClerkRules, continued: what a client makes of a refusal.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <understudy/client/state_machine.hpp>

namespace understudy::client {

inline void ClerkRules::handle(const Envelope& envelope, Failure& failure, Time now, Effects& out) {
    auto name = read_call_id(envelope.id);
    switch (name.method) {
        case Method::view_get:
        case Method::view_watch:
            if (follower_.made(name.n)) return view_refused(envelope.peer, name.n, failure, now, out);
            break;
        case Method::pb_open:
            if (opening_.made(name.n)) return open_refused(envelope.peer, name.n, failure, now, out);
            break;
        case Method::pb_close:
            if (farewell_.made(name.n)) return farewell_refused(envelope.peer, failure, now, out);
            break;
        default:
            if (calls_.made(name.n)) return call_refused(envelope, failure, now, out);
    }
    refuse(envelope.peer, failure.code, failure.text, out);
}

inline void ClerkRules::view_refused(const Address& peer, std::uint64_t n, Failure& failure, Time now, Effects& out) {
    refuse(peer, failure.code, failure.text, out);
    trouble_ = std::string{to_string(failure.code)} + " from " + peer + ": " + failure.text;
    auto by_all = follower_.refused(n, failure.code);
    if (failure.view) learn(*failure.view, peer, now, out);
    if (ended_ || has_view() || !by_all) return;
    for (const auto key : calls_.keys()) fail(calls_.at(key), failure.code, trouble_);
}

inline void ClerkRules::open_refused(const Address& peer, std::uint64_t n, Failure& failure, Time now, Effects& out) {
    if (opening_.is_last(n)) {
        opening_.lost();
        switch (cure_of(failure.code)) {
            case Cure::none:
                while (!calls_.waiting(CallKind::command).empty())
                    fail(calls_.at(*calls_.waiting(CallKind::command).begin()), failure.code,
                         said_by(peer, failure.text));
                break;
            case Cure::wait: pause(lane(CallKind::command), now); break;
            case Cure::session:
            case Cure::elsewhere: pause_all(now); break;
        }
        trouble_ = said_by(peer, failure.text);
    }
    look_elsewhere(peer, failure, now, out);
}

inline void ClerkRules::call_refused(const Envelope& envelope, Failure& failure, Time now, Effects& out) {
    auto n = read_call_id(envelope.id).n;
    if (auto* call = calls_.by_sending(n); call && call->method == call_method(envelope.id)) {
        auto awaited = calls_.awaits(*call, n);
        auto expired = cure_of(failure.code) == Cure::session && call->is_command();  // a read has no session
        // No session expires while an answer in it is awaited, so a call sent just once has had no effect. Of one
        // sent before, or of a copy that comes late, that is not known.
        auto unsent = expired && awaited && now < call->timer && call->possible == 1;
        if (expired) reached("C4: a client whose session has expired opens another");
        if (expired && call->session == session_.id()) session_.forget();
        calls_.refused(*call, n, expired ? unsent : is_definite(failure.code));
        failure.text = said_by(envelope.peer, failure.text);
        if (awaited) refused(*call, failure, now);
    }
    look_elsewhere(envelope.peer, failure, now, out);
}
// The sending whose answer was awaited was refused.
inline void ClerkRules::refused(ClerkCall& call, Failure& failure, Time now) {
    auto cure = cure_of(failure.code);
    if (cure == Cure::none) return fail(call, failure.code, std::move(failure.text));
    if (cure == Cure::session && call.is_command()) return change_session(call, now);
    call.detail = failure.text;
    if (is_definite(failure.code)) call.refusal = failure.code;
    calls_.land(call);
    if (cure == Cure::wait) {
        reached("C6: what was refused for want of room is tried again later");
        pause(lane(call), now);
    }
    if (cure == Cure::elsewhere || cure == Cure::session) pause_all(now);
}
// C4: into the next session, if it counts as not sent.
inline void ClerkRules::change_session(ClerkCall& call, Time now) {
    if (call.maybe()) return fail(call, error::outcome_unknown, "the session expired");
    call.seq = 0;
    call.sent = 0;
    calls_.land(call);
    pause(lane(call), now);
}
// C1: a refusal may bring the view that explains it; if not, the view service is asked.
inline void ClerkRules::look_elsewhere(const Address& peer, const Failure& failure, Time now, Effects& out) {
    auto learned = failure.view && learn(*failure.view, peer, now, out);
    if (learned) reached("C1: a refusal that carries a newer view saves the question");
    if (!learned && !ended_ && cure_of(failure.code) == Cure::elsewhere) follower_.suspect(now);
}

}  // namespace understudy::client
