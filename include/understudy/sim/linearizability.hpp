// Judges what clients saw: could one object, doing one thing after the other, have answered all of it, each operation
// somewhere between its call and its return? If not, somebody read what was gone, or lost what was answered.
#pragma once

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include <understudy/sim/linear_search.hpp>
#include <understudy/sim/model.hpp>

namespace understudy::sim {

/// The verdict on a whole history, and what it took.
template <Model M>
struct Judgement {
    Verdict verdict = Verdict::linearizable;
    SearchCounts counts;
    std::size_t keys = 0;
    std::vector<OperationOf<M>> culprit;  ///< All operations of a key for which the verdict is as above, if not good.
};

namespace detail {

/// The operations of each key by themselves; a history is linearizable if each of them is (Herlihy and Wing, 1990).
template <Model M>
std::vector<std::vector<OperationOf<M>>> by_key(const M& model, const std::vector<OperationOf<M>>& operations) {
    if constexpr (requires { model.key(operations.front().input); }) {
        std::map<decltype(model.key(operations.front().input)), std::vector<OperationOf<M>>> parts;
        for (const auto& operation : operations) parts[model.key(operation.input)].push_back(operation);
        std::vector<std::vector<OperationOf<M>>> found;
        for (auto& [key, part] : parts) found.push_back(std::move(part));
        return found;
    } else {
        return {operations};
    }
}

}  // namespace detail

/// One key that is violated makes the verdict, then one that is undecided.
template <Model M>
Judgement<M> judge(const M& model, const std::vector<OperationOf<M>>& operations, SearchBounds bounds = {}) {
    Judgement<M> judgement;
    for (auto& part : detail::by_key(model, operations)) {
        LinearSearch<M> search{model, part, bounds};
        const auto verdict = search.run();
        ++judgement.keys;
        judgement.counts.steps += search.counts().steps;
        judgement.counts.states += search.counts().states;
        if (verdict == Verdict::linearizable || verdict == judgement.verdict) continue;
        judgement.verdict = verdict;
        judgement.culprit = std::move(part);
        if (verdict == Verdict::violated) break;
    }
    return judgement;
}

}  // namespace understudy::sim
