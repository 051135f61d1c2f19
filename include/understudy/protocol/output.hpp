// The output of a state machine (messages, events, probes, journal batches), and the concept of a state machine.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <understudy/event.hpp>
#include <understudy/probe_result.hpp>
#include <understudy/protocol/journal_batch.hpp>
#include <understudy/protocol/message.hpp>

namespace understudy::protocol {

/// The peer name for calls of the host in the same process. What a state machine sends to this peer is for the host.
inline const Address local_peer = "local";

/// A request to stop reading from a connection (`on`), or to continue (C6).
struct Hold {
    Address peer;
    bool on = false;
};

/// The output of one turn. Each step of the turn appends to it, and the driver carries it out at the end of the turn.
struct Output {
    std::vector<Envelope> outbox;
    std::vector<Event> events;
    std::vector<Address> probes;
    std::vector<Hold> holds;
    /// To be persisted, together with the entries of the state machine's log that it names.
    std::optional<JournalBatch> journal;

    template <typename To, typename Id = CallId, typename M = Message>
    void send(To&& to, Id&& id, M&& message) {
        outbox.emplace_back(std::forward<To>(to), std::forward<Id>(id), std::forward<M>(message));
    }
    void emit(Event event) { events.push_back(std::move(event)); }
    /// Clears the lists but keeps their memory for the next turn. Unusually large lists are freed.
    void clear() {
        const auto empty = [](auto& list) {
            if (list.capacity() > most_kept) std::remove_reference_t<decltype(list)>{}.swap(list);
            list.clear();
        };
        empty(outbox);
        empty(events);
        empty(probes);
        empty(holds);
        journal.reset();
    }

private:
    static constexpr std::size_t most_kept = 4096;
};

/// A state machine decides by the rules of the protocol and does nothing else. It never reads a clock, draws a random
/// number, logs, throws or waits. Time and messages are passed in, and all effects are in `Output`. So the simulator
/// can run it deterministically.
///
/// A turn is any number of `receive`, `gone` and `probed`, then one `wake`. Work that the messages of a turn share (an
/// append, a read round) is sent by `wake`. An early `wake` is harmless. A state machine whose answers can be deferred
/// may have `backlog(peer, full)`, which says whether the connection takes more at present.
template <typename M>
concept StateMachine = requires(M machine, const M& fixed, Envelope envelope, const Address& peer, Time now,
                           Output& output) {
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
concept WorkingStateMachine = StateMachine<M> && requires(M machine, const M& fixed, Time now, Output& output) {
    machine.respond(now, output);
    { fixed.has_work() } -> std::same_as<bool>;
    { fixed.works_slowly() } -> std::same_as<bool>;
    machine.work(now, output);
    machine.end_work(now, output);
};

}  // namespace understudy::protocol
