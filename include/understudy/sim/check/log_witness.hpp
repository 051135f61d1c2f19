// The log as a witness: it says which commands of unknown outcome took effect, and where, so that nobody has to guess;
// and it must not hold what nobody called, nor lack what was answered.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <understudy/sim/check/chronicle.hpp>
#include <understudy/sim/check/history.hpp>

namespace understudy::sim {

/// Gives each open command of a history the place of its entry, and leaves out those that have none: the group is at
/// rest, so they had no effect. `text(input)` is a command as it travels; empty for a query. Returns what is wrong, if
/// the answers and the log are not of one piece.
///
/// Open commands of one text are given the entries of that text in the order of their calls. Since all that holds for
/// an open one is what must come before it, no other way to pair them fits if this one does not. O(n log n).
template <typename Operation, typename Text>
std::string place_open(std::vector<Operation>& operations, const std::vector<Chronicle::Change>& changes, Text text) {
    std::map<std::uint64_t, std::string> answered;  // by the change that they claim to be
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
