// Judges what clients saw: could one object, doing one thing after the other, have answered all of it, each operation
// somewhere between its call and its return? If not, somebody read what was gone, or lost what was answered.
#pragma once

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include <understudy/sim/check/claimed_order.hpp>
#include <understudy/sim/check/linear_search.hpp>
#include <understudy/sim/check/model.hpp>

namespace understudy::sim {

/// The verdict on a whole history, and what it took.
template <Model M>
struct Judgement {
    Verdict verdict = Verdict::linearizable;
    SearchCounts counts;
    std::size_t keys = 0;
    bool as_claimed = false;              ///< It is about the order that the object claims, not about every order.
    bool contradicted = false;            ///< By the culprits alone, two operations: what they claim cannot be.
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

/// One key that is violated makes the verdict, then one that is undecided. If every answer comes with a claim, nothing
/// but the claimed order is good, and every order is searched only for a key where that takes too long.
template <Model M>
Judgement<M> judge(const M& model, const std::vector<OperationOf<M>>& operations, SearchBounds bounds = {}) {
    Judgement<M> judgement;
    const auto claims = study_claims(operations, judgement.culprit);
    if (claims == Claims::contradicted) {
        judgement.verdict = Verdict::violated;
        judgement.as_claimed = judgement.contradicted = true;
        return judgement;
    }
    const auto decide = [&](const std::vector<OperationOf<M>>& part) {
        LinearSearch<M> search{model, part, bounds};
        const auto verdict = search.run();
        judgement.counts.steps += search.counts().steps;
        judgement.counts.states += search.counts().states;
        return verdict;
    };
    auto parts = detail::by_key(model, operations);
    // The order is one of all keys together.
    auto ordered = claims == Claims::plausible ? detail::by_key(model, in_claimed_order(operations))
                                               : std::vector<std::vector<OperationOf<M>>>{};
    for (std::size_t i = 0; i < parts.size(); ++i) {
        auto& part = parts[i];
        ++judgement.keys;
        auto verdict = Verdict::undecided;
        bool as_claimed = false;
        if (claims == Claims::plausible) {
            verdict = decide(ordered[i]);
            as_claimed = verdict == Verdict::violated;
            if (as_claimed) part = std::move(ordered[i]);
        }
        if (verdict == Verdict::undecided) verdict = decide(part);
        if (verdict == Verdict::linearizable || verdict == judgement.verdict) continue;
        judgement.verdict = verdict;
        judgement.as_claimed = as_claimed;
        judgement.culprit = std::move(part);
        if (verdict == Verdict::violated) break;
    }
    return judgement;
}

}  // namespace understudy::sim
