// Bounded exhaustive search (explicit-state model checking). The state machines are values without clock, random
// numbers or threads, so a world of state machines and messages in flight is a value too. The search visits each
// reachable state once, breadth first, so a counterexample has as few steps as possible. Random tests find errors that
// are likely; this finds errors that are possible.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/sim/world/random.hpp>

namespace understudy::sim {

/// The state after one step, and the name of the step in a counterexample.
template <typename State>
struct Successor {
    std::string label;
    State state;
};

/// A **StateSpace** defines what is explored. It names a `State` with `==` and has
///  - `successors(state)`: all steps that are possible in this state. Equal states must give the same steps in the same
///    order.
///  - `violated(state)`: what is wrong with the state; no value if nothing is.
///  - `digest(state)`: a hash, used only to find equal states quickly; `==` decides. A hash of a part of the state is
///    correct too, but should differ for most states. `sim::mix` (random.hpp) hashes numbers and texts.
///
/// **Time.** A state machine gets the time as a value, and different times make different states. A clock that runs by
/// itself therefore has infinitely many states. Let time move by explicit steps only, such as "it wakes at its
/// deadline" or "D passes without a ping", and bound their number; everything else happens at the same time. If nodes
/// do not compare clocks (the protocol does so only for leases), give each node its own clock: this covers all clock
/// rates and stalls, even impossible ones. Not covered: what happens between two such steps, and durations for which
/// there is no step.
template <typename M>
concept StateSpace = std::equality_comparable<typename M::State> && std::copyable<typename M::State> &&
    requires(M& model, const typename M::State& state) {
    { model.successors(state) } -> std::same_as<std::vector<Successor<typename M::State>>>;
    { model.violated(state) } -> std::same_as<std::optional<std::string>>;
    { model.digest(state) } -> std::same_as<std::uint64_t>;
};

/// Stores each distinct value once and gives it a number. The search uses it for the visited states. A model can use it
/// to make states small and digests exact: its state machines and messages are in pools, and its states hold only their
/// numbers, so copying a state copies numbers. References to values stay valid.
template <typename T>
class Pool {
public:
    using Id = std::uint32_t;
    struct Placed {
        Id id = 0;
        bool fresh = false;
    };

    /// Returns the number of this value. Stores it, and sets `fresh`, if no equal value is there. O(1) on average.
    Placed insert(T value, std::uint64_t digest) {
        if ((values_.size() + 1) * 2 > slots_.size()) grow();
        auto at = slot(digest);
        for (; slots_[at] != free; at = (at + 1) % slots_.size())
            if (auto id = slots_[at]; digests_[id] == digest && values_[id] == value) return {id, false};
        UNDERSTUDY_CHECK(values_.size() < free);
        slots_[at] = static_cast<Id>(values_.size());
        values_.push_back(std::move(value));
        digests_.push_back(digest);
        return {slots_[at], true};
    }
    const T& operator[](Id id) const { return values_[id]; }
    std::size_t size() const { return values_.size(); }
    /// Memory in bytes, without heap memory that the values own.
    std::size_t bytes() const {
        return values_.size() * (sizeof(T) + sizeof(std::uint64_t)) + slots_.size() * sizeof(Id);
    }

private:
    static constexpr Id free = std::numeric_limits<Id>::max();

    // The table size is a power of two, so the digest is mixed first: its low bits alone may be badly distributed.
    std::size_t slot(std::uint64_t digest) const { return mix(0, digest) & (slots_.size() - 1); }
    void grow() {
        slots_.assign(slots_.empty() ? 64 : slots_.size() * 2, free);
        for (Id id = 0; id < values_.size(); ++id) {
            auto at = slot(digests_[id]);
            while (slots_[at] != free) at = (at + 1) % slots_.size();
            slots_[at] = id;
        }
    }

    std::deque<T> values_;
    std::vector<std::uint64_t> digests_;
    std::vector<Id> slots_;
};

/// Bounds of a search. It ends at the first bound that is reached.
struct ExploreBounds {
    std::size_t depth = std::numeric_limits<std::size_t>::max();  ///< Steps from the start.
    std::size_t states = 1'000'000;                               ///< Distinct states; at most 2^32 - 2.
    std::size_t bytes = std::numeric_limits<std::size_t>::max();  ///< Memory of visited states, without what they own.
};

/// Why a search ended. `exhausted`: every reachable state was visited.
enum class ExploreEnd { exhausted, violated, depth, states, bytes };

/// The result of a search.
struct Exploration {
    ExploreEnd end = ExploreEnd::exhausted;
    std::size_t states = 0;            ///< Distinct states visited, with the start.
    std::size_t transitions = 0;       ///< Steps tried, also to known states.
    std::size_t depth = 0;             ///< Distance of the farthest state, in steps.
    std::size_t complete = 0;          ///< All states up to this distance were visited.
    std::size_t ends = 0;              ///< States without successors.
    std::string violation;             ///< What is wrong; empty if nothing is.
    std::vector<std::string> trace{};  ///< The steps to it. No shorter trace exists.

    bool ok() const { return end != ExploreEnd::violated; }
};

/// One line of human-readable text; after a violation also the numbered steps that lead to it.
inline std::string describe(const Exploration& found) {
    auto text = std::to_string(found.states) + " states, " + std::to_string(found.transitions) +
                " transitions, depth " + std::to_string(found.depth) + " (all up to " + std::to_string(found.complete) +
                "), ";
    switch (found.end) {
        case ExploreEnd::exhausted: return text + "exhausted";
        case ExploreEnd::depth: return text + "the bound of depth was hit";
        case ExploreEnd::states: return text + "the bound of states was hit";
        case ExploreEnd::bytes: return text + "the bound of bytes was hit";
        case ExploreEnd::violated: break;
    }
    text += "VIOLATED: " + found.violation;
    for (std::size_t i = 0; i < found.trace.size(); ++i) text += "\n  " + std::to_string(i + 1) + ". " + found.trace[i];
    return text;
}

namespace detail {

/// The breadth-first search. Each state is stored once, with two numbers that say how it was reached: its predecessor
/// and the step. The labels of a counterexample are recomputed from them, which saves memory.
template <StateSpace M>
class Search {
public:
    using State = typename M::State;

    Search(M& model, const ExploreBounds& bounds) : model_(model), bounds_(bounds) {}

    Exploration run(State start) {
        if (visit(std::move(start), {})) return found_;
        std::size_t level_end = visited_.size();
        for (std::uint32_t at = 0; at < visited_.size(); ++at) {
            if (at == level_end) {
                ++found_.complete;
                level_end = visited_.size();
            }
            if (found_.complete == bounds_.depth) return ended(ExploreEnd::depth);
            if (expand(at)) return found_;
        }
        return ended(ExploreEnd::exhausted);
    }

private:
    struct Origin {
        std::uint32_t state = 0;
        std::uint32_t step = 0;
    };

    /// Visits all successors of a state. Returns true if the search is over.
    bool expand(std::uint32_t at) {
        auto next = model_.successors(visited_[at]);
        found_.ends += next.empty();
        for (std::uint32_t step = 0; step < next.size(); ++step) {
            ++found_.transitions;
            if (visit(std::move(next[step].state), {at, step})) return true;
        }
        return false;
    }
    /// Stores and checks a state, unless it is known. Returns true if the search is over.
    bool visit(State state, Origin origin) {
        auto digest = model_.digest(state);
        auto [id, fresh] = visited_.insert(std::move(state), digest);
        if (!fresh) return false;
        origins_.push_back(origin);
        found_.states = visited_.size();
        if (id > 0) found_.depth = found_.complete + 1;
        if (auto wrong = model_.violated(visited_[id])) {
            found_.violation = std::move(*wrong);
            found_.trace = trace(id);
            ended(ExploreEnd::violated);
            return true;
        }
        if (found_.states >= bounds_.states) return ended(ExploreEnd::states), true;
        if (visited_.bytes() + origins_.size() * sizeof(Origin) >= bounds_.bytes) return ended(ExploreEnd::bytes), true;
        return false;
    }
    /// The labels of the steps from the start to this state.
    std::vector<std::string> trace(std::uint32_t id) {
        std::vector<std::string> steps;
        for (; id != 0; id = origins_[id].state) {
            auto taken = model_.successors(visited_[origins_[id].state]);
            auto& step = taken.at(origins_[id].step);
            UNDERSTUDY_CHECK(step.state == visited_[id]);  // fails if `successors` is not deterministic
            steps.insert(steps.begin(), std::move(step.label));
        }
        return steps;
    }
    const Exploration& ended(ExploreEnd why) {
        found_.end = why;
        return found_;
    }

    M& model_;
    ExploreBounds bounds_;
    Pool<State> visited_;
    std::vector<Origin> origins_;
    Exploration found_;
};

}  // namespace detail

/// Visits every state that can be reached from `start`, breadth first, until a state is violated or a bound is reached.
/// Runs on the caller's thread and returns at the end. Cost: about one call of `successors` per state and one of
/// `digest` per transition; memory: the state and about 24 bytes per state.
template <StateSpace M>
Exploration explore(M& model, typename M::State start, const ExploreBounds& bounds = {}) {
    return detail::Search<M>{model, bounds}.run(std::move(start));
}

}  // namespace understudy::sim
