// The history of the calls of a group's clients: when each call began, when it ended, and with which answer. It is the
// input of the linearizability check (linearizability.hpp) and contains nothing about servers, so it checks what
// clients rely on.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/view.hpp>

namespace understudy::sim {

/// The place at which an operation took effect, according to the object: it was the change with this number, or it is a
/// read of the state after that change. For a replicated log the number is the index of the entry. Each change has its
/// own number.
struct Claim {
    std::uint64_t change = 0;
    bool reads = false;
    friend auto operator<=>(const Claim&, const Claim&) = default;
};

/// One call of a client. An operation that has not returned is open: it may have taken effect at any time after its
/// call, or never. An open operation with a claim did take effect.
template <typename I, typename O>
struct Operation {
    using Input = I;
    using Output = O;
    static constexpr std::uint64_t not_returned = std::numeric_limits<std::uint64_t>::max();

    std::string client;
    Input input;
    std::optional<Output> output{};
    std::optional<Claim> claim{};  // optional, also for answered operations

    // Times, for the output only. The checks use the event numbers below.
    Time begun{};
    Time ended = never;

    // The numbers of the two events in the history. They define the order: an operation precedes another if it returned
    // before the other was called.
    std::uint64_t called = 0;
    std::uint64_t returned = not_returned;

    bool open() const { return returned == not_returned; }
    /// The answer; null if the operation is open, and then any answer is possible.
    const Output* answer() const { return output ? &*output : nullptr; }

    /// Makes the operation open again, without answer and claim.
    void reopen() {
        output.reset();
        claim.reset();
        ended = never;
        returned = not_returned;
    }
};

/// Records operations while they happen. The order of the calls of this class is the order of events, also for events
/// at the same time. Each operation ends at most once, by `answer`, `leave_open` or `no_effect`; without one of these
/// it stays open. Not thread-safe.
template <typename Input, typename Output>
class History {
public:
    using Operation = sim::Operation<Input, Output>;
    using Id = std::size_t;

    /// Records that a client is about to make a call.
    Id begin(std::string client, Input input, Time now) {
        calls_.push_back({Operation{std::move(client), std::move(input)}});
        auto& operation = calls_.back().operation;
        operation.begun = now;
        operation.called = events_++;
        return calls_.size() - 1;
    }

    /// Records an answer, with the place that it claims if there is one.
    void answer(Id id, Output output, Time now, std::optional<Claim> claim = {}) {
        auto& operation = end(id).operation;
        operation.output = std::move(output);
        operation.claim = claim;
        operation.ended = now;
        operation.returned = events_++;
    }

    /// Records that the outcome stays unknown: the call ended with `error::outcome_unknown`, or the client died.
    void leave_open(Id id) { end(id); }

    /// Records that the library promised that the call had no effect: `error::deadline_passed`, or a refusal. The
    /// operation is left out of the check. If it had an effect after all, the check finds a value that no operation
    /// wrote.
    void no_effect(Id id) { end(id).counts = false; }

    /// The number of events so far, which is the number of the next event.
    std::uint64_t events() const { return events_; }

    /// The number of operations for which none of these three was called yet.
    std::size_t pending() const { return calls_.size() - ended_; }

    /// All operations in the order of their calls, without those that had no effect.
    std::vector<Operation> operations() const {
        std::vector<Operation> counted;
        for (const auto& call : calls_)
            if (call.counts) counted.push_back(call.operation);
        return counted;
    }

private:
    struct Call {
        Operation operation;
        bool ended = false;
        bool counts = true;
    };

    Call& end(Id id) {
        UNDERSTUDY_CHECK(id < calls_.size());
        UNDERSTUDY_CHECK(!calls_[id].ended);
        calls_[id].ended = true;
        ++ended_;
        return calls_[id];
    }

    std::vector<Call> calls_;
    std::size_t ended_ = 0;
    std::uint64_t events_ = 0;
};

}  // namespace understudy::sim
