// What a machine wants done after a step, and what makes a type a machine.
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

/// The peer name under which a host's own calls reach a machine; what a machine sends there is for the host.
inline const Address local_peer = "local";

/// Stop reading from a connection, or go on (rule C6).
struct Hold {
    Address peer;
    bool on = false;
};

/// What the steps of one turn want done. Steps append, so that a turn's effects are carried out together.
struct Effects {
    std::vector<Envelope> outbox;
    std::vector<Event> events;
    std::vector<Address> probes;
    std::vector<Hold> holds;
    std::optional<JournalBatch> journal;  ///< What goes to stable storage, together with entries of the machine's log.

    template <typename To, typename Id = CallId, typename M = Message>
    void send(To&& to, Id&& id, M&& message) {
        outbox.emplace_back(std::forward<To>(to), std::forward<Id>(id), std::forward<M>(message));
    }
    void tell(Event event) { events.push_back(std::move(event)); }
    /// Keeps the room for the next turn, but not that of an unusually large one.
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

/// A machine holds rules and nothing else. It never reads a clock, draws a random number, logs, throws or waits.
/// A turn is any number of `receive`, `gone` and `probed`, then one `wake`: what a turn's messages
/// have in common (an append, a read round) is sent by the `wake`. Waking early changes nothing. One that has answers
/// which can wait may have `backlog(peer, full)`: whether the connection takes more at present.
template <typename M>
concept Machine = requires(M machine, const M& fixed, Envelope envelope, const Address& peer, Time now,
                           Effects& effects) {
    machine.receive(std::move(envelope), now, effects);
    machine.gone(peer, now, effects);
    machine.probed(peer, ProbeResult::alive, now, effects);
    machine.wake(now, effects);
    { fixed.deadline() } -> std::same_as<Time>;
    fixed.invariants();
};

/// A machine that works for a host's code, which takes time. A driver that can tell the time calls `respond` in place
/// of `wake`, and carries out what that wants done; then, if `has_work()`, `work` as long as that is so, each time with
/// the time now, and `end_work`. So nothing that is due waits for the host's code, and a turn ends in time.
template <typename M>
concept WorkingMachine = Machine<M> && requires(M machine, const M& fixed, Time now, Effects& effects) {
    machine.respond(now, effects);
    { fixed.has_work() } -> std::same_as<bool>;
    { fixed.works_slowly() } -> std::same_as<bool>;
    machine.work(now, effects);
    machine.end_work(now, effects);
};

}  // namespace understudy::protocol
