// The backups of a primary's view, and what follows from all of them together: the in-sync set, the commit index, and
// which read rounds are confirmed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/replica/backup_link.hpp>

namespace understudy::replica {

/// The links to all backups. Empty while this server serves as no primary. Transfers of former backups rest here for a
/// while.
template <TextStore S>
class BackupLinks {
public:
    /// The link to the backup of that name, or null.
    BackupLink<S>* find(const Address& name) {
        auto found = std::ranges::find_if(links_, [&](const auto& link) { return link.member().name == name; });
        return found == links_.end() ? nullptr : &*found;
    }

    /// The names of the in-sync set, as a ping reports them.
    std::vector<Address> in_sync() const {
        return names([](const auto& link) { return link.in_sync(); });
    }
    /// The backups that acknowledge nothing (S7), as a ping reports them.
    std::vector<Address> unreachable() const {
        return names([](const auto& link) { return link.unreachable(); });
    }
    std::size_t in_sync_count() const {
        return static_cast<std::size_t>(std::ranges::count_if(links_, [](const auto& link) { return link.in_sync(); }));
    }
    std::vector<BackupStatus> statuses() const {
        std::vector<BackupStatus> all;
        for (const auto& link : links_)
            all.push_back({link.member().name, std::string{link.state()}, link.match(), link.bytes_sent()});
        return all;
    }
    /// Whether all backups have announced the feature, those that are catching up too.
    bool all_announce(std::string_view feature) const {
        return std::ranges::all_of(links_,
                                   [&](const auto& link) { return announces(link.progress().features(), feature); });
    }

    // ---- views ----

    /// Makes the links of a new view. A backup that stays keeps its link; one that comes back gets its transfer again,
    /// if it is the same incarnation: another one has lost the chunks.
    void enter_view(const Turn<S>& turn) {
        std::vector<BackupLink<S>> links;
        for (const auto& member : turn.view().backups) {
            auto old = std::ranges::find_if(links_, [&](const auto& link) { return link.is(member); });
            if (old != links_.end()) {
                reached("S4: a match that is known carries over to the primary's next view");
                links.push_back(std::move(*old));
                links_.erase(old);
                links.back().enter_view(member);
                continue;
            }
            links.emplace_back(member);
            auto parked = parked_.find(member.name);
            if (parked == parked_.end()) continue;
            if (parked->second.incarnation == member.incarnation)
                links.back().give_transfer(std::move(parked->second.transfer));
            parked_.erase(parked);
        }
        replace(std::move(links), turn);
    }
    /// This server serves no more.
    void clear(const Turn<S>& turn) { replace({}, turn); }

    // ---- what all of them have in common ----

    /// S4: how far entries may be committed: as far as this server, whose log counts up to `own`, and the whole in-sync
    /// set hold them.
    Index commit_index(Index own) const {
        auto commit = own;
        for (const auto& link : links_) {
            // An entry that one of the in-sync set lacks must not be committed: that backup may be the next primary.
            if (link.in_sync()) commit = std::min(commit, link.match());
            // Commit throttle: without it, a backup that is nearly caught up would stay behind the writes for ever.
            if (link.catching_up()) commit = std::min(commit, link.progress().commit_limit());
        }
        return commit;
    }
    /// S4: adds to the in-sync set the backups that caught up. `takeover_last` is the last entry that was uncommitted
    /// at takeover. Returns whether the set grew.
    bool grow_in_sync_set(Index takeover_last, Turn<S>& turn) {
        bool grew = false;
        const auto commit = turn.state.commit;
        for (auto& link : links_) {
            if (link.in_sync() || link.mode() != BackupLink<S>::Mode::log) continue;
            // The previous primary may have answered any entry of the log that this one took over. A backup that lacks
            // one must not become primary.
            if (link.match() >= commit && link.match() < takeover_last)
                reached("S4: a backup without all that the primary inherited does not enter Q");
            if (link.match() < std::max(commit, takeover_last)) continue;  // S4
            reached("S4: a backup enters Q");
            link.enter_in_sync_set();
            grew = true;
            turn.out.emit(BackupInSync{link.member().name, turn.view().number, link.match()});
        }
        return grew;
    }
    /// The newest round that the whole in-sync set has confirmed; `newest` is the newest one that was begun. Each
    /// backup was still in this view when it confirmed, so no later primary had answered anything when the round began.
    Round round_confirmed(Round newest) const {
        auto confirmed = newest;
        for (const auto& link : links_)
            if (link.in_sync()) confirmed = std::min(confirmed, link.progress().round_acknowledged());
        return confirmed;
    }
    /// S7: finds the backups that newly acknowledge nothing. Returns whether there is one.
    bool find_unreachable(Turn<S>& turn) {
        bool found = false;
        for (auto& link : links_) {
            if (!link.overdue(turn)) continue;
            turn.out.emit(BackupUnreachable{link.member().name, turn.view().number});
            found = true;
        }
        return found;
    }
    /// The entries after this one may be needed to bring up a backup, or one that comes back.
    Index pinned() const {
        auto through = ~Index{0};
        for (const auto& link : links_) through = std::min(through, link.pinned());
        for (const auto& [name, parked] : parked_) through = std::min(through, parked.transfer.id().at.index);
        return through;
    }

    // ---- the end of a turn ----

    /// Sends to every backup what is due. `round` is the newest read round.
    void flush(Round round, Turn<S>& turn) {
        for (auto& link : links_) link.flush(calls_made_, round, turn);
    }
    /// Drops transfers of former backups that rested for `transfer_ttl`.
    void expire(Time now) {
        std::erase_if(parked_, [&](const auto& parked) { return parked.second.expires <= now; });
    }
    /// When `flush`, `find_unreachable` or `expire` has something to do.
    Time deadline(const NodeState& node, const ReplicaOptions& options) const {
        auto next = never;
        for (const auto& link : links_) next = std::min(next, link.deadline(node, options));
        for (const auto& [name, parked] : parked_) next = std::min(next, parked.expires);
        return next;
    }

    friend bool operator==(const BackupLinks&, const BackupLinks&) = default;

private:
    /// A transfer to a backup that has no link at the moment.
    struct Parked {
        Incarnation incarnation = Incarnation::none;
        OutgoingSnapshot<S> transfer;
        Time expires{};
        friend bool operator==(const Parked&, const Parked&) = default;
    };

    template <typename Which>
    std::vector<Address> names(Which which) const {
        std::vector<Address> names;
        for (const auto& link : links_)
            if (which(link)) names.push_back(link.member().name);
        return names;
    }

    /// Takes the new links. The transfers of dropped links are retained for `transfer_ttl`, in case their backups come
    /// back (S8): a large snapshot then need not start again.
    void replace(std::vector<BackupLink<S>> links, const Turn<S>& turn) {
        for (auto& old : links_)
            if (auto transfer = old.take_transfer())
                parked_.insert_or_assign(old.member().name, Parked{old.member().incarnation, std::move(*transfer),
                                                                   turn.now + turn.options.transfer_ttl});
        links_ = std::move(links);
    }

    std::vector<BackupLink<S>> links_;
    std::map<Address, Parked> parked_;
    std::uint64_t calls_made_ = 0;  // messages that were sent to any backup: it numbers them
};

}  // namespace understudy::replica
