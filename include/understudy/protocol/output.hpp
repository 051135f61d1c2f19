// What every state machine has as output (messages, events), and the concept of a state machine.
#pragma once

#include <concepts>
#include <cstddef>
#include <utility>
#include <vector>

#include <understudy/event.hpp>
#include <understudy/probe_result.hpp>
#include <understudy/protocol/message.hpp>

namespace understudy::protocol {

/// The output of one turn that every state machine has. Each step of the turn appends to it, and the driver carries it
/// out at the end of the turn. What else a kind of state machine can ask for is in its own `Output`, which is derived
/// from this: `view_service/output.hpp`, `replica/output.hpp`, `client/output.hpp`.
struct CommonOutput {
    std::vector<Envelope> outbox;
    std::vector<Event> events;

    template <typename To, typename Id = CallId, typename M = Message>
    void send(To&& to, Id&& id, M&& message) {
        outbox.emplace_back(std::forward<To>(to), std::forward<Id>(id), std::forward<M>(message));
    }
    void emit(Event event) { events.push_back(std::move(event)); }
    /// Clears the lists but keeps their memory for the next turn. Unusually large lists are freed.
    void clear() {
        empty(outbox);
        empty(events);
    }

protected:
    template <typename T>
    static void empty(std::vector<T>& list) {
        if (list.capacity() > most_kept) std::vector<T>{}.swap(list);
        list.clear();
    }

private:
    static constexpr std::size_t most_kept = 4096;
};

/// A state machine decides by the rules of the protocol and does nothing else. It never reads a clock, draws a random
/// number, logs, throws or waits. Time and messages are passed in, and all effects are in its `Output`. So the
/// simulator can run it deterministically.
///
/// A turn is any number of `receive`, `disconnected` and `probed`, then one `wake`. Work that the messages of a turn
/// share (an append, a read round) is sent by `wake`. An early `wake` is harmless. A state machine whose answers can be
/// deferred may have `backlog(peer, full)`, which says whether the connection takes more at present.
template <typename M>
concept StateMachine =
    std::derived_from<typename M::Output, CommonOutput> &&
    requires(M machine, const M& fixed, Envelope envelope, const Address& peer, Time now, typename M::Output& output) {
        machine.receive(std::move(envelope), now, output);
        machine.disconnected(peer, now, output);
        machine.probed(peer, ProbeResult::alive, now, output);
        machine.wake(now, output);
        { fixed.deadline() } -> std::same_as<Time>;
        fixed.invariants();
    };

/// A state machine that also calls the host's store, which may take long. A driver that has a clock calls `respond` in
/// place of `wake` and carries out that output at once. Then, if `has_work()`, it calls `work` with the present time
/// until `has_work()` is false, and at last `end_work`. So messages that are due do not wait for the store, and a turn
/// ends in time.
template <typename M>
concept WorkingStateMachine =
    StateMachine<M> && requires(M machine, const M& fixed, Time now, typename M::Output& output) {
        machine.respond(now, output);
        { fixed.has_work() } -> std::same_as<bool>;
        { fixed.works_slowly() } -> std::same_as<bool>;
        machine.work(now, output);
        machine.end_work(now, output);
    };

}  // namespace understudy::protocol
