// What the groups of a cluster have committed, entry by entry, as every replica tells it that applies one: they must
// all tell the same.
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

class Chronicle {
public:
    /// A command that took effect.
    struct Change {
        Index index = 0;
        std::string command{};  ///< As it travels.
    };

    /// `who` of the group has applied an entry, and knows of the view with that number as the newest forced one (0:
    /// none): entries after it belong to another history. Returns what is wrong, if another replica has told otherwise.
    std::string applied(const std::string& who, const std::string& group, ViewNumber forced, const Entry& entry,
                        bool effective) {
        auto& era = eras_[group][forced];
        const auto [place, is_new] = era.try_emplace(
            entry.at.index, Told{entry.at, entry.kind, entry.session, entry.seq, effective, entry.command});
        if (is_new || place->second == Told{entry.at, entry.kind, entry.session, entry.seq, effective, entry.command})
            return {};
        const auto& other = place->second;
        std::string how = " has applied " + shown(entry.at) + " where another has " + shown(other.at);
        if (other.at == entry.at)
            how += other.effective != effective ? ", but not with that effect" : ", but otherwise";
        return who + how;
    }

    /// The commands that took effect, in their order: of the history that the newest forced view has left.
    std::vector<Change> changes(const std::string& group) const {
        std::vector<Change> all;
        for (const auto& [index, told] : lineage(group, ~ViewNumber{0}))
            if (told.kind == EntryKind::command && told.effective) all.push_back({index, told.command});
        return all;
    }

    /// The last entry that was kept of what the group had before that view was forced: all up to there stands in both
    /// histories. Nothing if nothing was applied since.
    std::optional<Index> kept(const std::string& group, ViewNumber forced) const {
        const auto found = eras_.find(group);
        if (found == eras_.end() || !found->second.contains(forced)) return {};
        return last_common(lineage(group, forced - 1), found->second.at(forced));
    }

private:
    struct Told {
        Position at;
        EntryKind kind;
        SessionId session;
        Sequence seq;
        bool effective;
        std::string command;
        friend bool operator==(const Told&, const Told&) = default;
    };

    static std::string shown(Position at) {
        return "(" + std::to_string(at.view) + ", " + std::to_string(at.index) + ")";
    }

    using Era = std::map<Index, Told>;

    /// The last index up to which both histories are the same. `later` may have gaps: a server that lags behind tells
    /// old entries again once it has heard of the forced view. Only the first entry that differs ends what is common.
    static Index last_common(const Era& before, const Era& later) {
        for (const auto& [index, told] : later) {
            const auto old = before.find(index);
            if (old == before.end() || !(old->second == told)) return index - 1;
        }
        return later.rbegin()->first;
    }

    /// What the forced views up to that one have left.
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

    std::map<std::string, std::map<ViewNumber, std::map<Index, Told>>> eras_;  // by group and forced view
};

}  // namespace understudy::sim
