// Bounded exhaustive search. The rules are values without clock, chance or threads, so a world made of machines and of
// messages in flight is a value too: each one that can come about is looked at once, the nearest first, so that what
// goes wrong is shown in the fewest steps. Chance finds what is likely; this finds what is possible.
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

/// Where one step leads, and what it is called in a counterexample.
template <typename State>
struct Successor {
    std::string label;
    State state;
};

/// A **Model** says what is explored. It names a `State` with `==` and has
///  - `successors(state)`: every step that can be taken there. The same state gives the same steps in the same order.
///  - `violated(state)`: what is wrong with it; nothing if it is as it should be.
///  - `digest(state)`: a hash, only to find equal states quickly; equality is decided by `==`. A partial digest is
///    right too, but should tell most states apart. `sim::mix` (random.hpp) folds numbers and texts.
///
/// On **time**. A machine is told the time, and an absolute time makes states differ, so a clock that runs by itself
/// has no end of states. Let it move by explicit steps only, and bound how many there are: "it wakes at its deadline",
/// "D passes unheard"; everything else happens in the same instant. Where parties compare no clocks (the rules do so
/// only in leases), give each party its own clock: that covers all rates and stalls at once, also those that real
/// clocks never have. Not covered: what happens between two such steps, and lengths of time that no step takes.
template <typename M>
concept Model = std::equality_comparable<typename M::State> && std::copyable<typename M::State> &&
    requires(M& model, const typename M::State& state) {
    { model.successors(state) } -> std::same_as<std::vector<Successor<typename M::State>>>;
    { model.violated(state) } -> std::same_as<std::optional<std::string>>;
    { model.digest(state) } -> std::same_as<std::uint64_t>;
};

/// Keeps each distinct value once and gives it a number. Beside the set of visited states it is the way to make states
/// small and their digests exact: a model keeps its machines and messages in pools, its states hold only their
/// numbers, and a step that copies one machine of a world copies one number. References stay valid.
template <typename T>
class Pool {
public:
    using Id = std::uint32_t;
    struct Placed {
        Id id = 0;
        bool fresh = false;
    };

    /// The number of the value that equals this one, which is kept if there is none yet.
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
    /// Without what the values themselves hold on the heap.
    std::size_t bytes() const {
        return values_.size() * (sizeof(T) + sizeof(std::uint64_t)) + slots_.size() * sizeof(Id);
    }

private:
    static constexpr Id free = std::numeric_limits<Id>::max();

    // The size is a power of two, of which the upper bits of a product choose evenly.
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

/// How far a search goes. What is reached first ends it.
struct ExploreBounds {
    std::size_t depth = std::numeric_limits<std::size_t>::max();  ///< Steps from the start.
    std::size_t states = 1'000'000;                               ///< Distinct states; at most 2^32 - 2.
    std::size_t bytes = std::numeric_limits<std::size_t>::max();  ///< Of visited states, without what they own.
};

/// Why a search ended. `exhausted`: every state that can come about was looked at.
enum class ExploreEnd { exhausted, violated, depth, states, bytes };

/// What a search found.
struct Exploration {
    ExploreEnd end = ExploreEnd::exhausted;
    std::size_t states = 0;            ///< Distinct ones looked at, the start included.
    std::size_t transitions = 0;       ///< Steps tried; most of them lead to a state that is known already.
    std::size_t depth = 0;             ///< Of the farthest state.
    std::size_t complete = 0;          ///< Every state so many steps from the start was looked at.
    std::size_t ends = 0;              ///< States from which no step leads out.
    std::string violation;             ///< What is wrong; empty if nothing is.
    std::vector<std::string> trace{};  ///< The steps that lead there. No shorter run of the model is wrong.

    bool ok() const { return end != ExploreEnd::violated; }
};

/// One line; after a violation the numbered steps that lead to it, too.
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

/// Breadth first. A state is kept once; how it was reached is two numbers, and the labels of a counterexample are
/// found by taking its steps again.
template <Model M>
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

    /// True if the search is over.
    bool expand(std::uint32_t at) {
        auto next = model_.successors(visited_[at]);
        found_.ends += next.empty();
        for (std::uint32_t step = 0; step < next.size(); ++step) {
            ++found_.transitions;
            if (visit(std::move(next[step].state), {at, step})) return true;
        }
        return false;
    }
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
    std::vector<std::string> trace(std::uint32_t id) {
        std::vector<std::string> steps;
        for (; id != 0; id = origins_[id].state) {
            auto taken = model_.successors(visited_[origins_[id].state]);
            auto& step = taken.at(origins_[id].step);
            UNDERSTUDY_CHECK(step.state == visited_[id]);  // else the same state has given other steps
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

/// Looks at every state that can be reached from `start`, nearest first, until one is violated or a bound is hit.
/// Runs to its end on the caller's thread; takes about the time of one `successors` per state and one `digest` per
/// transition, and memory of one state and 24 bytes per state.
template <Model M>
Exploration explore(M& model, typename M::State start, const ExploreBounds& bounds = {}) {
    return detail::Search<M>{model, bounds}.run(std::move(start));
}

}  // namespace understudy::sim
