// Checks a client history for linearizability (Herlihy and Wing, 1990): is there one sequential order of all
// operations, each between its call and its return, that gives every answer? If not, a client has read a stale value,
// or an answered write was lost.
#pragma once

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include <understudy/sim/check/claimed_order.hpp>
#include <understudy/sim/check/linear_search.hpp>
#include <understudy/sim/check/model.hpp>

namespace understudy::sim {

/// The verdict on a whole history, and the cost of the check.
template <Model M>
struct Judgement {
    Verdict verdict = Verdict::linearizable;
    SearchCounts counts;
    std::size_t keys = 0;
    bool as_claimed = false;              ///< Only the claimed order was refuted, not every order.
    bool contradicted = false;            ///< `culprit` is two operations with impossible claims.
    std::vector<OperationOf<M>> culprit;  ///< If not linearizable: all operations of one key with this verdict.
};

namespace detail {

/// Splits a history by key. It is linearizable if the part of each key is (Herlihy and Wing, 1990), and small parts are
/// much faster to check. A model without `key` has one part.
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

/// Checks a whole history. The verdict is `violated` if one key is violated, else `undecided` if one key is undecided,
/// else `linearizable`.
///
/// If every answer has a claim (its place in the object's own order), only the claimed order is accepted: this is both
/// a stricter and a faster check. All orders are searched only for a key whose claimed order could not be decided
/// within the bounds.
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
    // The claimed order covers all keys together, so the history is ordered before it is split.
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
