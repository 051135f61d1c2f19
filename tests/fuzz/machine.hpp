// Drives a state machine as the driver does, with messages that were encoded and decoded, and checks it after each
// turn.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include <understudy/base/check.hpp>
#include <understudy/protocol/output.hpp>
#include <understudy/wire/json.hpp>

#include "tests/fuzz/messages.hpp"

namespace understudy::fuzz {

using namespace protocol;

template <StateMachine M>
class MachineDriver {
public:
    MachineDriver(M initial, Bytes& in, Time now) : machine{std::move(initial)}, now_{now}, in_{in} {}

    M machine;
    Hints hints;
    typename M::Output effects;  ///< Of the turn that ended last, or of the present one.

    Time now() const { return now_; }

    /// Any message that a peer could send: a message that the decoder refuses never reaches the state machine.
    void receive_any() { receive(MessageMaker{in_, hints}.any()); }
    void receive_answer() { receive(MessageMaker{in_, hints}.answer()); }
    void receive(Envelope envelope) {
        const auto decoded = wire::decode(wire::encode(envelope.id, envelope.message));
        if (const auto* good = std::get_if<wire::Decoded>(&decoded))
            machine.receive({std::move(envelope.peer), good->id, good->message}, now_, effects);
    }
    void lose_connection() { machine.disconnected(MessageMaker{in_, hints}.peer(), now_, effects); }
    void probe() {
        const auto result = in_.pick({ProbeResult::refused, ProbeResult::alive, ProbeResult::unknown});
        machine.probed(MessageMaker{in_, hints}.server(), result, now_, effects);
    }

    /// Lets some time pass, often exactly until the state machine's deadline.
    void pass_time() {
        using namespace std::chrono_literals;
        const auto deadline = machine.deadline();
        const auto soon = deadline < now_ + 24h * 3650 ? std::max(deadline, now_) : now_;
        const auto kind = in_.below(16);
        constexpr Duration lengths[] = {0ns, 1ns, 1ms, 9ms, 50ms, 100ms, 260ms, 700ms, 30s, 700s, 24h * 400};
        if (kind < std::size(lengths))
            now_ += lengths[kind];
        else
            now_ = kind == 15 && soon > now_ ? soon - 1ns : soon;
        now_ = std::min(now_, Time{} + 24h * 365 * 30);
    }

    /// Ends a turn and checks that the invariants hold, that every sent message can be decoded, and that the state
    /// machine can wait.
    void turn() {
        machine.wake(now_, effects);
        check_invariants();
        for (int again = 0; machine.deadline() <= now_ && again < 3; ++again) machine.wake(now_, effects);
        UNDERSTUDY_CHECK(machine.deadline() > now_);  // otherwise the driver would never wait
        check_invariants();
        for (auto& sent : effects.outbox) check_sent(std::move(sent));
        UNDERSTUDY_CHECK(effects.outbox.size() < 1000 && effects.events.size() < 1000);
        for (const auto& event : effects.events) UNDERSTUDY_CHECK(!describe(event).empty());
        effects.clear();
    }

private:
    void check_invariants() const {
        machine.invariants();
        machine.deep_invariants();
    }

    void check_sent(Envelope sent) {
        if (sent.id.empty() && !std::holds_alternative<ViewChanged>(sent.message)) return;
        const auto payload = wire::encode(sent.id, sent.message);
        const auto decoded = wire::decode(payload);
        const auto* good = std::get_if<wire::Decoded>(&decoded);
        UNDERSTUDY_CHECK(good != nullptr);
        UNDERSTUDY_CHECK(wire::encode(good->id, good->message) == payload);
        if (!wire::is_request(sent.message)) return;
        if (hints.asked.size() == 16) hints.asked.erase(hints.asked.begin());
        hints.asked.push_back(std::move(sent));
    }

    Time now_;
    Bytes& in_;
};

}  // namespace understudy::fuzz
