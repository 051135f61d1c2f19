// The log oracle: it uses the commit history to find out which commands of unknown outcome took effect, and where, so
// that the linearizability check need not try all possibilities. It also checks that the log has no command that no
// client sent, and lacks none that was answered.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <understudy/sim/check/commit_history.hpp>
#include <understudy/sim/check/history.hpp>

namespace understudy::sim {

/// Gives each open command a claim with the index of its entry. Removes all other open operations: the group must be at
/// rest, so they had no effect. `text(input)` is the command as it is sent; empty for a query. Returns what is wrong if
/// the answers and the log disagree; empty otherwise. O(n log n).
///
/// Open commands with the same text get the entries with this text in the order of their calls. An open command is
/// constrained only by what precedes its call; so if this pairing does not fit, no other does.
template <typename Operation, typename Text>
std::string place_open(std::vector<Operation>& operations, const std::vector<CommitHistory::Change>& changes,
                       Text text) {
    std::map<std::uint64_t, std::string> answered;  // by the number of the claimed change
    std::unordered_map<std::string, std::deque<Operation*>> open;
    for (auto& operation : operations) {
        auto command = text(operation.input);
        if (command.empty()) continue;
        if (operation.open())
            open[std::move(command)].push_back(&operation);
        else if (operation.claim && !operation.claim->reads)
            answered.emplace(operation.claim->change, std::move(command));
    }
    for (const auto& change : changes) {
        const auto place = "entry " + std::to_string(change.index) + " of the log, " + change.command;
        if (auto found = answered.find(change.index); found != answered.end()) {
            if (found->second != change.command) return place + ", was answered as " + found->second;
            answered.erase(found);
            continue;
        }
        const auto found = open.find(change.command);
        if (found == open.end() || found->second.empty()) return place + ", is nobody's call, or one too many";
        found->second.front()->claim = Claim{change.index, false};
        found->second.pop_front();
    }
    if (!answered.empty())
        return answered.begin()->second + " was answered as entry " + std::to_string(answered.begin()->first) +
               " of the log, which does not have it";
    std::erase_if(operations, [](const Operation& operation) { return operation.open() && !operation.claim; });
    return {};
}

}  // namespace understudy::sim
