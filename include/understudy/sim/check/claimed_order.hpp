// An object may say of each answer where it stands in its own order, as a replicated log does. Then nobody has to look
// for an order: the claimed one must explain everything, and fit what the clients saw.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <understudy/sim/check/history.hpp>

namespace understudy::sim {

/// What the claims of a history are worth.
enum class Claims {
    incomplete,    ///< There are none, or an answer has none: they cannot be used.
    contradicted,  ///< One came after another by its claim, and had returned before the other was called.
    plausible,     ///< Nothing that clients saw of the order speaks against them.
};

/// The operations that have a claim, in the order that is claimed; reads of one state in the order of their calls.
/// O(n log n).
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

/// Operations of all keys together: a claim is one about all of them. `witnesses`, if they are contradicted, become two
/// operations that show it. O(n log n).
template <typename Operation>
Claims study_claims(const std::vector<Operation>& operations, std::vector<Operation>& witnesses) {
    for (const auto& operation : operations)
        if (!operation.open() && !operation.claim) return Claims::incomplete;
    const auto sorted = sorted_by_claim(operations);
    std::size_t latest = 0;  // of those so far, the one that was called last
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

/// The history that clients would have seen, had the operations come one by one in the order that is claimed; one that
/// is open and has no claim may be anywhere after those that had returned before its call. If this is linearizable so
/// is the history; if it is not, plausible claims are false. O(n log n).
template <typename Operation>
std::vector<Operation> in_claimed_order(const std::vector<Operation>& operations) {
    auto ordered = sorted_by_claim(operations);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> returned;  // and what the next one's call is numbered then
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
