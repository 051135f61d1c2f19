// The commit history: which entries the groups of a cluster have committed, collected from every replica that applies
// an entry. All replicas must apply the same entries. The log oracle and the checks of snapshots use it too.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <understudy/protocol/message.hpp>

namespace understudy::sim {

/// The committed entries of all groups. A forced view may drop committed entries, so the history of a group is stored
/// in parts, one for each forced view.
class CommitHistory {
public:
    /// A command that took effect.
    struct Change {
        Index index = 0;
        std::string command{};  ///< The JSON text as it is sent.
    };

    /// Records that the server `who` has applied an entry. `forced` is the newest forced view that this server knows
    /// (0: none); entries after it belong to a new part of the history. `effective` is false if the entry had no effect
    /// (S10). Returns what is wrong if another replica applied a different entry at this index; empty otherwise.
    std::string applied(const std::string& who, const std::string& group, ViewNumber forced, const Entry& entry,
                        bool effective) {
        auto& era = eras_[group][forced];
        const auto [place, is_new] = era.try_emplace(
            entry.at.index, Committed{entry.at, entry.kind, entry.session, entry.seq, effective, entry.command});
        if (is_new ||
            place->second == Committed{entry.at, entry.kind, entry.session, entry.seq, effective, entry.command})
            return {};
        const auto& other = place->second;
        std::string how = " has applied " + shown(entry.at) + " where another has " + shown(other.at);
        if (other.at == entry.at)
            how += other.effective != effective ? ", but not with that effect" : ", but otherwise";
        return who + how;
    }

    /// The commands that took effect, in order, in the history that remains after the newest forced view.
    std::vector<Change> changes(const std::string& group) const {
        std::vector<Change> all;
        for (const auto& [index, committed] : lineage(group, ~ViewNumber{0}))
            if (committed.kind == EntryKind::command && committed.effective) all.push_back({index, committed.command});
        return all;
    }

    /// The index of the last entry that survived this forced view: up to it, the history before the force and the
    /// history after it are equal. No value if no entry was applied since the force, because then it is unknown.
    std::optional<Index> kept(const std::string& group, ViewNumber forced) const {
        const auto found = eras_.find(group);
        if (found == eras_.end() || !found->second.contains(forced)) return {};
        return last_common(lineage(group, forced - 1), found->second.at(forced));
    }

private:
    struct Committed {
        Position at;
        EntryKind kind;
        SessionId session;
        Sequence seq;
        bool effective;
        std::string command;
        friend bool operator==(const Committed&, const Committed&) = default;
    };

    static std::string shown(Position at) {
        return "(" + std::to_string(at.view) + ", " + std::to_string(at.index) + ")";
    }

    using Era = std::map<Index, Committed>;

    /// The last index up to which both histories are equal. `later` may have gaps: a server that lags behind applies
    /// old entries after it has learned of the forced view, and these are recorded in `later`. So a missing entry is no
    /// difference; only the first differing entry ends the common part.
    static Index last_common(const Era& before, const Era& later) {
        for (const auto& [index, committed] : later) {
            const auto old = before.find(index);
            if (old == before.end() || !(old->second == committed)) return index - 1;
        }
        return later.rbegin()->first;
    }

    /// The history that remains after all forced views up to `last`.
    Era lineage(const std::string& group, ViewNumber last) const {
        Era all;
        const auto found = eras_.find(group);
        if (found == eras_.end()) return all;
        for (const auto& [forced, era] : found->second) {
            if (forced > last) break;
            all.erase(all.upper_bound(last_common(all, era)), all.end());
            all.insert(era.begin(), era.end());
        }
        return all;
    }

    std::map<std::string, std::map<ViewNumber, std::map<Index, Committed>>> eras_;  // by group and forced view
};

}  // namespace understudy::sim
