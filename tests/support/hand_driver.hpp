// State machines as values, driven by hand: what the harnesses share, be it for one machine or for a whole group. A
// machine takes its turns as under `runtime/loop.hpp`, but whoever holds it decides what arrives, when, and what
// becomes of the output. Without a transport and a real clock, a copy is another way that the same past goes on.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <understudy/protocol/output.hpp>

namespace understudy::test {

using namespace protocol;

template <typename... Fs>
struct Overloaded : Fs... {
    using Fs::operator()...;
};

// ---- what arrives, and a turn -----------------------------------------------------------------------------

struct ConnectionEnded {
    Address peer;
};
struct ProbeEnded {
    Address address;
    ProbeResult result;
};
/// What can arrive at a machine.
using Input = std::variant<Envelope, ConnectionEnded, ProbeEnded>;

template <StateMachine M>
void arrive(M& machine, Input input, Time now, typename M::Output& out) {
    std::visit(Overloaded{[&](Envelope& one) { machine.receive(std::move(one), now, out); },
                          [&](ConnectionEnded& one) { machine.disconnected(one.peer, now, out); },
                          [&](ProbeEnded& one) { machine.probed(one.address, one.result, now, out); }},
               input);
}
/// A turn: the machine is passed all that has arrived, and then it is woken. What it asks for is added to `out`.
template <StateMachine M, std::convertible_to<Input>... Arrived>
void take_turn(M& machine, Time now, typename M::Output& out, Arrived... arrived) {
    (arrive(machine, std::move(arrived), now, out), ...);
    machine.wake(now, out);
    machine.deep_invariants();
}
/// Advances the clock to each of the machine's deadlines up to `end`, with a turn at each.
template <StateMachine M, typename Turn>
void turn_at_deadlines(const M& machine, Time& now, Time end, Turn turn) {
    while (machine.deadline() <= end) {
        now = std::max(now, machine.deadline());
        turn();
    }
}

// ---- what leaves ------------------------------------------------------------------------------------------

/// Empties the output into `doing`, in the driver's order: the journal batch, then each Envelope, each Address to
/// probe, each Hold and each Event. What `doing` does not take is dropped.
template <std::derived_from<CommonOutput> Output, typename Doing>
void carry_out(Output& out, Doing doing) {
    const auto each = [&](auto& all) {
        for (auto& one : all)
            if constexpr (std::invocable<Doing&, decltype(one)>) doing(one);
    };
    if constexpr (requires { doing(*out.journal); })
        if (out.journal) doing(*out.journal);
    each(out.outbox);
    if constexpr (requires { out.probes; }) each(out.probes);
    if constexpr (requires { out.holds; }) each(out.holds);
    each(out.events);
    out.clear();
}

/// Whether no correct group emits such an event, whatever fails: a store does not fail here, and peers that follow the
/// protocol send nothing that contradicts it.
inline bool is_never_right(const Event& event) {
    if (std::holds_alternative<StoreFailed>(event)) return true;
    const auto* refused = std::get_if<Refused>(&event);
    return refused && std::ranges::any_of(
                          std::array{"conflicts with a committed", "never sent", "out of order", "cannot be restored"},
                          [&](const char* never) { return refused->what.find(never) != std::string::npos; });
}

// ---- names ------------------------------------------------------------------------------------------------

/// The address from which the nth process of a name sends its requests. Other than the name, it ends with the process.
inline Address process_name(const Address& name, std::uint64_t n) { return name + "#" + std::to_string(n); }
inline Address without_process(const Address& peer) { return peer.substr(0, peer.find('#')); }

struct Receiver {
    Address name;
    std::optional<std::uint64_t> process;  ///< If none: whichever process has the name.
};
/// The receiver of a message from the nth process of `from`: an answer is for the process that asked, a request for any
/// with the name. The envelope's peer becomes the sender, as the receiver knows it.
inline Receiver pass_on(Envelope& envelope, const Address& from, std::uint64_t n) {
    Receiver to{without_process(envelope.peer), {}};
    const bool answer = envelope.peer != to.name;
    if (answer) to.process = std::stoull(envelope.peer.address().substr(to.name.size() + 1));
    envelope.peer = answer ? from : process_name(from, n);
    return to;
}

/// The view of a group that may not exist.
inline const View& view_of(const ViewInfo* info) {
    static const View none;
    return info ? info->view : none;
}

}  // namespace understudy::test
