// The context of one turn of a replica: its state, its options, the time and the output. The parts of a replica get it
// as an argument, so that they hold no references to each other and can be copied and compared.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <understudy/options.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/caller.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/fault.hpp>
#include <understudy/replica/output.hpp>
#include <understudy/replica/node_state.hpp>
#include <understudy/replica/replicated_state.hpp>

namespace understudy::replica {

/// The context of one turn. It is made for each call of the state machine and not stored.
template <TextStore S>
struct Turn {
    ReplicatedState<S>& state;
    const NodeState& node;
    const ReplicaOptions& options;
    Time now;
    Output& out;
    bool leased = false;  ///< Whether a read lease is valid at `now`.

    const View& view() const { return node.info.view; }

    /// The one way to refuse a request: answers with the fault, and emits `Refused` unless the fault is a part of
    /// normal operation. The event says what a host should look into: a peer that is set up wrongly, or sends what it
    /// must not send.
    void refuse(const Caller& caller, Method method, Fault fault) const {
        if (!in_normal_operation(fault.code)) emit_refused(caller, fault);
        answer(caller, method, std::move(fault));
    }
    /// Answers with a fault, without an event.
    void answer(const Caller& caller, Method method, Fault fault) const {
        out.send(caller.peer, caller.id, failure(method, std::move(fault)));
    }
    /// An answer that belongs to no request emits an event. It is not answered.
    void refuse_unasked(const Caller& caller) const {
        emit_refused(caller, {error::invalid_request, "an answer that nobody asked for"});
    }
    void emit_refused(const Caller& caller, const Fault& fault) const {
        out.emit(Refused{caller.peer, fault.code, fault.text});
    }

    /// The error that answers a request of `method`. It carries this server's view, so that the peer learns of a newer
    /// one.
    Failure failure(Method method, Fault fault) const {
        reached(fault.code);
        Failure failure{std::string{to_string(method)}, fault.code, std::move(fault.text), {}, {}, {}};
        if (view().number != 0) failure.view = node.info;
        return failure;
    }

private:
    /// Whether correct peers cause such a fault: they cannot know which server is primary, how much it has to do, or
    /// what it lacks.
    static bool in_normal_operation(error code) {
        switch (code) {
            case error::not_primary:
            case error::stale_view:
            case error::overloaded:
            case error::not_enough_replicas:
            case error::mismatch:
            case error::bad_chunk: return true;
            default: return false;
        }
    }
};

}  // namespace understudy::replica
