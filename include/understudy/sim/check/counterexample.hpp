// Makes a bad history small enough for a person to see what is wrong with it.
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

/// Shrinks a violated history of one key. To drop operations for as long as it stays bad would lie: without the write,
/// the read of its value is a violation too. So each step is one that never makes a good history bad:
///
///  1. **Cut the end**: whatever begins after some event is gone, what had not returned by then is open. The first
///     beginning of a history that is bad has a return at its end that was impossible.
///  2. **Forget an answer**: the operation becomes open. If it changes nothing, it is gone.
///  3. **Cut the beginning**, if it stays large without, at an answered operation that resets (model.hpp): whatever had
///     returned before its call is gone, all else that was called before its return is open. (What is gone came before
///     the reset in any order; what the reset answered and left does not depend on it.) The reset is not forgotten.
///
/// After that the history is bad by its answers alone, whatever the open operations did; to leave these out is no lie.
/// One is kept if without it yet another answer could be forgotten, for then it explains something that was seen.
///
/// The result is violated, and no longer so as soon as any one of its answers is forgotten, unless a bound was reached.
template <Model M>
class Shrinker {
public:
    using Operations = std::vector<OperationOf<M>>;

    /// `bounds.max_steps` is for all the searches together.
    explicit Shrinker(M model, SearchBounds bounds = {}) : model_{std::move(model)}, bounds_{bounds} {}

    /// `operations` are violated.
    Operations shrink(Operations operations) {
        std::sort(operations.begin(), operations.end(), [](auto& a, auto& b) { return a.called < b.called; });
        // The more is open, the more there is to try; what takes far longer than the whole history is left as it is.
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
        if (operations.size() > large && cut_beginning(cut)) {
            forget_answers(cut);
            operations = std::move(cut);
        }
        hide_open(operations);
        return operations;
    }

    // ---- the steps that never make a good history bad; whether it stays bad is for the caller to see ----

    /// What it was when the return with the number `last` had just happened.
    Operations until(const Operations& operations, std::uint64_t last) const {
        Operations kept;
        for (const auto& operation : operations) {
            if (operation.called > last) continue;
            kept.push_back(operation);
            if (operation.returned > last) kept.back().reopen();
        }
        return without_idle(std::move(kept));
    }

    /// From an answered operation that resets, whatever the state was.
    Operations from(const Operations& operations, const OperationOf<M>& reset) const {
        Operations kept;
        for (const auto& operation : operations) {
            if (operation.returned < reset.called) continue;
            kept.push_back(operation);
            if (operation.called < reset.returned && operation.called != reset.called) kept.back().reopen();
        }
        return without_idle(std::move(kept));
    }

    /// Without the answers of `count` of the answered operations, from the one with the place `first` among them.
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

    Operations without_idle(Operations operations) const {
        std::erase_if(operations, [&](const auto& operation) {
            return operation.open() && model_.changes_nothing(operation.input, nullptr);
        });
        return operations;
    }

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
        std::size_t good = 0, violated = returns.size();  // as many returns
        while (violated - good > 1) {
            const auto middle = good + (violated - good) / 2;
            (bad(until(operations, returns[middle - 1])) ? violated : good) = middle;
        }
        if (violated < returns.size()) operations = until(operations, returns[violated - 1]);
    }

    /// The last one that does, looked for in ever larger strides: what is wrong is mostly near the end.
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

    /// Many at a time, then fewer, and one by one until nothing changes.
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
    std::optional<std::uint64_t> beginning_;  // the call of the reset at which it was cut
    std::uint64_t budget_ = 0;                // for all of them
    std::uint64_t steps_ = 0;                 // of all searches so far
    std::uint64_t steps_of_one_ = 0;          // that one may take
};

/// The smallest bad history that can be found in what was judged bad.
template <Model M>
std::vector<OperationOf<M>> smallest_bad(const M& model, Judgement<M> judgement, SearchBounds bounds) {
    if (judgement.contradicted) return std::move(judgement.culprit);
    return Shrinker<M>{model, bounds}.shrink(std::move(judgement.culprit));
}

/// Judges a history and tells what is wrong with it, the smallest bad history as a timeline; nothing if it is good.
/// For a test: `CHECK(violation(model, history) == "")`.
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
    bounds.max_steps /= 4;  // if it cannot be shrunk in that, a large one is better than none
    const auto smallest = smallest_bad(model, std::move(judgement), bounds);
    const std::string how = judgement.as_claimed ? " in the order that the object claims" : "";
    return "not linearizable" + how + ", by " + of(smallest.size()) + ":\n" + timeline(model, smallest);
}

template <Model M>
std::string violation(const M& model, const HistoryOf<M>& history, SearchBounds bounds = {}) {
    return violation(model, history.operations(), bounds);
}

}  // namespace understudy::sim
