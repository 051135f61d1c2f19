// What the clients of a group saw, from outside: when each call began, and when and how it ended. This is what a
// checker judges (linearizability.hpp); it knows nothing of servers.
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

/// Where in its own order an object says that an operation took effect: it was the change with this number, or it read
/// what that change had left. No two changes have the same number.
struct Claim {
    std::uint64_t change = 0;
    bool reads = false;
    friend auto operator<=>(const Claim&, const Claim&) = default;
};

/// One call of a client. One that has not returned is open: it may have taken effect at any time after it began, or
/// never; with a claim, it did.
template <typename I, typename O>
struct Operation {
    using Input = I;
    using Output = O;
    static constexpr std::uint64_t not_returned = std::numeric_limits<std::uint64_t>::max();

    std::string client;
    Input input;
    std::optional<Output> output{};
    std::optional<Claim> claim{};  // an answer may come with one

    // For people.
    Time begun{};
    Time ended = never;

    // What the order of operations goes by: the numbers of the two events in the history. One operation came before
    // another if it had returned before the other was called.
    std::uint64_t called = 0;
    std::uint64_t returned = not_returned;

    bool open() const { return returned == not_returned; }
    /// Null if any would do.
    const Output* answer() const { return output ? &*output : nullptr; }

    /// Forgets how it ended.
    void reopen() {
        output.reset();
        claim.reset();
        ended = never;
        returned = not_returned;
    }
};

/// Records operations as they happen. The order in which it is told is the order of events, also of those that happen
/// at one instant. Each operation is ended once at most, by `answer`, `leave_open` or `no_effect`; one that is not is
/// open. Not thread-safe.
template <typename Input, typename Output>
class History {
public:
    using Operation = sim::Operation<Input, Output>;
    using Id = std::size_t;

    /// A client is about to make a call.
    Id begin(std::string client, Input input, Time now) {
        calls_.push_back({Operation{std::move(client), std::move(input)}});
        auto& operation = calls_.back().operation;
        operation.begun = now;
        operation.called = events_++;
        return calls_.size() - 1;
    }

    void answer(Id id, Output output, Time now, std::optional<Claim> claim = {}) {
        auto& operation = end(id).operation;
        operation.output = std::move(output);
        operation.claim = claim;
        operation.ended = now;
        operation.returned = events_++;
    }

    /// Nobody will ever know: the deadline passed with `error::outcome_unknown`, or the client died.
    void leave_open(Id id) { end(id); }

    /// The library promised that it had no effect: `error::deadline_passed`, or a refusal. It is left out of what is
    /// judged, so an effect that it had after all is one that came from nowhere.
    void no_effect(Id id) { end(id).counts = false; }

    /// How many events there were so far: the number of the next one.
    std::uint64_t events() const { return events_; }

    /// Those that were not ended yet, and not left open either.
    std::size_t pending() const { return calls_.size() - ended_; }

    /// Without those that had no effect, in the order of their beginnings.
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
