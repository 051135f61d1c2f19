// Shrinks a history that is not linearizable until a person can see what is wrong with it. Original histories have
// thousands of operations.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <understudy/sim/check/linear_search.hpp>
#include <understudy/sim/check/linearizability.hpp>
#include <understudy/sim/check/timeline.hpp>

namespace understudy::sim {

/// Shrinks a violated history of one key. Dropping operations while the history stays violated would be wrong: without
/// a write, a correct read of its value is a violation too. So each step here is one that never turns a linearizable
/// history into a violated one:
///
///  1. **Cut the end**: operations that begin after some event are removed; those that had not returned by then become
///     open. The shortest violated prefix ends with a return that was impossible.
///  2. **Forget an answer**: the operation becomes open. If it changes nothing, it is removed.
///  3. **Cut the beginning**, if the history is still large, at an answered operation that resets (model.hpp):
///     operations that returned before its call are removed; others that were called before its return become open.
///     This is correct because the removed operations precede the reset in any order, and neither the answer of the
///     reset nor the state after it depends on them. The answer of the reset is never forgotten.
///
/// After these steps the history is violated by its answers alone, whatever the open operations did. So open operations
/// may be left out of the result. One is kept if without it a further answer could be forgotten, because then it helps
/// to explain an answer.
///
/// The result is violated, and forgetting any one of its answers makes it linearizable, unless a bound was reached.
template <Model M>
class Shrinker {
public:
    using Operations = std::vector<OperationOf<M>>;

    /// `bounds.max_steps` limits all searches together.
    explicit Shrinker(M model, SearchBounds bounds = {}) : model_{std::move(model)}, bounds_{bounds} {}

    /// Shrinks `operations`, which must be violated.
    Operations shrink(Operations operations) {
        std::sort(operations.begin(), operations.end(), [](auto& a, auto& b) { return a.called < b.called; });
        // More open operations make a search slower. An attempt that takes much longer than the whole history did
        // counts as failed: each search may take 20 times the steps of the first one.
        steps_ = 0;
        budget_ = bounds_.max_steps / 2;
        beginning_.reset();
        steps_of_one_ = budget_;
        decide(operations);
        steps_of_one_ = std::max<std::uint64_t>(20 * steps_, 50'000);
        cut_end(operations);
        auto cut = operations;
        forget_answers(operations);
        budget_ = bounds_.max_steps;
        // Cutting the beginning starts again from the history before its answers were forgotten, because it needs an
        // answered operation that resets.
        if (operations.size() > large && cut_beginning(cut)) {
            forget_answers(cut);
            operations = std::move(cut);
        }
        hide_open(operations);
        return operations;
    }

    // ---- the steps -------------------------------------------------------------------------------------------
    // None turns a linearizable history into a violated one. The caller checks whether the result is still violated.

    /// The history as it was just after the return with the number `last`.
    Operations until(const Operations& operations, std::uint64_t last) const {
        Operations kept;
        for (const auto& operation : operations) {
            if (operation.called > last) continue;
            kept.push_back(operation);
            if (operation.returned > last) kept.back().reopen();
        }
        return without_idle(std::move(kept));
    }

    /// The history from `reset` on, an answered operation that resets.
    Operations from(const Operations& operations, const OperationOf<M>& reset) const {
        Operations kept;
        for (const auto& operation : operations) {
            if (operation.returned < reset.called) continue;
            kept.push_back(operation);
            if (operation.called < reset.returned && operation.called != reset.called) kept.back().reopen();
        }
        return without_idle(std::move(kept));
    }

    /// The history with `count` answers forgotten. `first` counts among the operations whose answer may be forgotten.
    Operations forgetting(Operations operations, std::size_t first, std::size_t count) const {
        std::size_t place = 0;
        std::erase_if(operations, [&](auto& operation) {
            if (!forgettable(operation) || place++ < first || place > first + count) return false;
            if (model_.changes_nothing(operation.input, operation.answer())) return true;
            operation.reopen();
            return false;
        });
        return operations;
    }

private:
    static constexpr std::size_t large = 16;

    bool forgettable(const OperationOf<M>& operation) const {
        return !operation.open() && operation.called != beginning_;
    }
    std::size_t answered(const Operations& operations) const {
        return static_cast<std::size_t>(std::count_if(operations.begin(), operations.end(),
                                                      [&](auto& operation) { return forgettable(operation); }));
    }
    static std::size_t open(const Operations& operations) {
        return static_cast<std::size_t>(
            std::count_if(operations.begin(), operations.end(), [](auto& operation) { return operation.open(); }));
    }

    /// Drops open operations that change nothing: they cannot matter.
    Operations without_idle(Operations operations) const {
        std::erase_if(operations, [&](const auto& operation) {
            return operation.open() && model_.changes_nothing(operation.input, nullptr);
        });
        return operations;
    }

    /// One search, within the rest of the step budget.
    Verdict decide(const Operations& operations) {
        auto bounds = bounds_;
        bounds.max_steps = std::min(budget_ - std::min(budget_, steps_), steps_of_one_);
        LinearSearch<M> search{model_, operations, bounds};
        const auto verdict = search.run();
        steps_ += std::min(search.counts().steps, bounds.max_steps);
        return verdict;
    }
    bool bad(const Operations& operations) { return decide(operations) == Verdict::violated; }
    bool accept(Operations& operations, Operations smaller) {
        if (!bad(smaller)) return false;
        operations = std::move(smaller);
        return true;
    }

    void cut_end(Operations& operations) {
        std::vector<std::uint64_t> returns;
        for (const auto& operation : operations)
            if (!operation.open()) returns.push_back(operation.returned);
        std::sort(returns.begin(), returns.end());
        std::size_t good = 0, violated = returns.size();  // binary search over the number of returns
        while (violated - good > 1) {
            const auto middle = good + (violated - good) / 2;
            (bad(until(operations, returns[middle - 1])) ? violated : good) = middle;
        }
        if (violated < returns.size()) operations = until(operations, returns[violated - 1]);
    }

    /// Tries to cut at an operation that resets, from the last one backwards, in growing strides: the error is usually
    /// near the end.
    bool cut_beginning(Operations& operations) {
        if constexpr (RevealingModel<M>) {
            std::vector<std::size_t> resets;
            for (std::size_t i = operations.size(); i-- > 0;)
                if (!operations[i].open() && model_.resets(operations[i].input, operations[i].answer()))
                    resets.push_back(i);
            for (std::size_t back = 0; back < resets.size(); back += 1 + back / 4) {
                const auto reset = operations[resets[back]];
                if (!accept(operations, from(operations, reset))) continue;
                beginning_ = reset.called;
                return true;
            }
        }
        return false;
    }

    /// Forgets as many answers as possible: blocks first, half of them at most, then smaller ones, then single answers
    /// until nothing changes.
    void forget_answers(Operations& operations) {
        for (auto count = answered(operations) / 2; count > 1; count /= 2) forget_pass(operations, count);
        while (forget_pass(operations, 1)) {
        }
    }
    bool forget_pass(Operations& operations, std::size_t count) {
        bool changed = false;
        for (std::size_t first = 0; first < answered(operations);) {
            if (accept(operations, forgetting(operations, first, count)))
                changed = true;
            else
                first += count;
        }
        return changed;
    }

    /// Leaves out open operations, in blocks of decreasing size, as long as every remaining answer is still needed.
    void hide_open(Operations& operations) {
        for (auto count = open(operations); count > 0; count /= 2) {
            for (std::size_t first = 0; first < open(operations);) {
                auto fewer = hiding(operations, first, count);
                if (every_answer_counts(fewer))
                    operations = std::move(fewer);
                else
                    first += count;
            }
        }
    }
    static Operations hiding(Operations operations, std::size_t first, std::size_t count) {
        std::size_t place = 0;
        std::erase_if(operations, [&](const auto& operation) {
            return operation.open() && place++ >= first && place <= first + count;
        });
        return operations;
    }
    bool every_answer_counts(const Operations& operations) {
        for (std::size_t i = 0; i < answered(operations); ++i)
            if (decide(forgetting(operations, i, 1)) != Verdict::linearizable) return false;
        return true;
    }

    M model_;
    SearchBounds bounds_;
    std::optional<std::uint64_t> beginning_;  // the call of the reset at which the beginning was cut
    std::uint64_t budget_ = 0;                // steps allowed for all searches so far
    std::uint64_t steps_ = 0;                 // steps of all searches so far
    std::uint64_t steps_of_one_ = 0;          // steps allowed for one search
};

/// The smallest violated history found by shrinking a judgement with the verdict `violated`. Two operations with
/// contradicting claims are returned as they are.
template <Model M>
std::vector<OperationOf<M>> smallest_bad(const M& model, Judgement<M> judgement, SearchBounds bounds) {
    if (judgement.contradicted) return std::move(judgement.culprit);
    return Shrinker<M>{model, bounds}.shrink(std::move(judgement.culprit));
}

/// Checks a history. Returns an empty string if it is linearizable, otherwise a description with the smallest violated
/// history as a timeline; if a bound was reached, it says so. In a test: `CHECK(violation(model, history) == "")`.
template <Model M>
std::string violation(const M& model, const std::vector<OperationOf<M>>& operations, SearchBounds bounds = {}) {
    auto judgement = judge(model, operations, bounds);
    if (judgement.verdict == Verdict::linearizable) return {};
    const auto of = [&](std::size_t part) {
        return std::to_string(part) + " of " + std::to_string(operations.size()) + " operations";
    };
    if (judgement.verdict == Verdict::undecided)
        return "undecided after " + std::to_string(judgement.counts.steps) + " steps and " +
               std::to_string(judgement.counts.states) + " states: " + of(judgement.culprit.size()) +
               " are of one key\n";
    bounds.max_steps /= 4;  // a large counterexample is better than a long wait
    const auto smallest = smallest_bad(model, std::move(judgement), bounds);
    const std::string how = judgement.as_claimed ? " in the order that the object claims" : "";
    return "not linearizable" + how + ", by " + of(smallest.size()) + ":\n" + timeline(model, smallest);
}

template <Model M>
std::string violation(const M& model, const HistoryOf<M>& history, SearchBounds bounds = {}) {
    return violation(model, history.operations(), bounds);
}

}  // namespace understudy::sim
