// The claimed order: an object may say for each answer at which place of its own order the operation took effect, as a
// replicated log does. Then no search for an order is needed. The claimed order must explain every answer, and must
// agree with the times of the calls.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <understudy/sim/check/history.hpp>

namespace understudy::sim {

/// Whether the claims of a history can be used.
enum class Claims {
    incomplete,    ///< An answer has no claim: the claims cannot be used.
    contradicted,  ///< Two claims are impossible; see `study_claims`.
    plausible,     ///< No claim contradicts the times of the calls.
};

/// The operations that have a claim, sorted by it. Reads with equal claims are sorted by their calls. O(n log n).
template <typename Operation>
std::vector<Operation> sorted_by_claim(const std::vector<Operation>& operations) {
    std::vector<Operation> sorted;
    for (const auto& operation : operations)
        if (operation.claim) sorted.push_back(operation);
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
        return a.claim != b.claim ? *a.claim < *b.claim : a.called < b.called;
    });
    return sorted;
}

/// Checks the claims against the times of the calls. They are contradicted if two changes claim the same number, or if
/// an operation returned before another was called and its claim is the later one. Then `witnesses` is set to these two
/// operations. Pass the operations of all keys together, because a claim is a place among all of them. O(n log n).
template <typename Operation>
Claims study_claims(const std::vector<Operation>& operations, std::vector<Operation>& witnesses) {
    for (const auto& operation : operations)
        if (!operation.open() && !operation.claim) return Claims::incomplete;
    const auto sorted = sorted_by_claim(operations);
    std::size_t latest = 0;  // the operation with the latest call so far
    for (std::size_t i = 1; i < sorted.size(); ++i) {
        const bool same = sorted[i].claim == sorted[i - 1].claim && !sorted[i].claim->reads;
        const auto& before = sorted[same ? i - 1 : latest];
        if (same || sorted[i].returned < before.called) {
            witnesses = {before, sorted[i]};
            return Claims::contradicted;
        }
        if (sorted[i].called > sorted[latest].called) latest = i;
    }
    return Claims::plausible;
}

/// Rewrites a history so that operations with a claim do not overlap and come in the claimed order. An open operation
/// without a claim may come anywhere after the operations that returned before its call. If the result is linearizable,
/// so is the history. If it is not, the plausible claims are wrong. O(n log n).
template <typename Operation>
std::vector<Operation> in_claimed_order(const std::vector<Operation>& operations) {
    auto ordered = sorted_by_claim(operations);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> returned;  // and the first call number after it
    for (std::uint64_t number = 0; auto& operation : ordered) {
        returned.emplace_back(operation.returned, number + 2);
        operation.called = number++;
        operation.returned = number++;
    }
    std::sort(returned.begin(), returned.end());
    for (std::uint64_t furthest = 0; auto& [event, next] : returned) next = furthest = std::max(furthest, next);
    for (const auto& operation : operations) {
        if (operation.claim) continue;
        const auto later =
            std::lower_bound(returned.begin(), returned.end(), std::pair{operation.called, std::uint64_t{0}});
        ordered.push_back(operation);
        ordered.back().called = later == returned.begin() ? 0 : std::prev(later)->second;
    }
    return ordered;
}

}  // namespace understudy::sim
