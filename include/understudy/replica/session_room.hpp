// Which sessions a primary has room for, and which results (rules C4, C6). It decides before it logs: what is applied
// reads no option, so that servers with other options come to the same state.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <understudy/options.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/replica/session_table.hpp>

namespace understudy::replica {

/// Bounds the bytes of all results. What a command will return is not known when it is logged: it counts for about as
/// much as those before it in its session, or the latest ones anywhere.
class ResultRoom {
public:
    using Session = SessionTable::Session;

    /// A new primary: nothing of its own is in the log.
    void reset() {
        reserved_ = 0;
        expected_ = 0;
    }

    /// Whether a command of this session that has this `low` may be logged. A session with little never has to wait for
    /// others; one with much waits until its client has acknowledged results.
    bool has_room(const SessionTable& table, const Session& session, Sequence seq, Sequence low,
                  const ReplicaOptions& options) const {
        const auto all = options.max_result_bytes;
        const auto more = expected_of(session, all);
        auto own = session.results.bytes() + session.reserved + more;
        if (own <= of_one(all) && table.bytes() + reserved_ + more <= of_many(all)) return true;
        const auto forgotten = session.results->bytes_below(low);
        own -= forgotten;
        if (own <= always_kept(options)) return true;
        // The lowest one that is not answered: without it the client can acknowledge nothing more.
        if (seq > low && own > more && own > of_one(all)) {
            reached("C6: a session whose results take much has to acknowledge some");
            return false;
        }
        if (table.bytes() + reserved_ + more <= of_many(all) + forgotten) return true;
        reached("C6: a command whose result has no room is refused");
        return false;
    }

    /// A command of the session is logged; returns what it counts for until it is applied.
    std::size_t reserve(Session& session, const ReplicaOptions& options) {
        const auto bytes = expected_of(session, options.max_result_bytes);
        session.reserved += bytes;
        reserved_ += bytes;
        return bytes;
    }
    /// It was applied and returned so many bytes. The session is null if it is closed.
    void release(Session* session, std::size_t reserved, std::size_t returned) {
        reserved_ -= std::min(reserved_, reserved);
        learn(expected_, returned);
        if (!session) return;
        session->reserved -= std::min(session->reserved, reserved);
        learn(session->expected, returned);
    }

    /// Half of what there is room for is taken: sessions are closed.
    static bool is_short(const SessionTable& table, const ReplicaOptions& options) {
        return table.bytes() > options.max_result_bytes / 2;
    }
    /// What a session may keep however little room there is.
    static std::size_t always_kept(const ReplicaOptions& options) {
        return options.max_result_bytes / 4 / options.max_sessions;
    }

    friend bool operator==(const ResultRoom&, const ResultRoom&) = default;

private:
    static std::size_t of_one(std::size_t all) { return all / 8; }
    static std::size_t of_many(std::size_t all) { return all - all / 4; }  // the rest is what all may keep

    std::size_t expected_of(const Session& session, std::size_t all) const {
        const auto value = session.expected == 0 ? expected_ : session.expected;
        return std::min(value, all / 16) + SessionResults::overhead;
    }
    /// The largest of the latest ones, about.
    static void learn(std::size_t& expected, std::size_t returned) {
        expected = std::max(returned, expected - (expected + 7) / 8);
    }

    std::size_t reserved_ = 0;
    std::size_t expected_ = 0;  // of a session of which nothing is known
};

/// Which connection opened which session, as far as this primary knows: one client must not take the whole table.
class SessionOwners {
public:
    std::size_t count(const Address& peer) const {
        const auto found = peers_.find(peer);
        return found == peers_.end() ? 0 : found->second.opening + found->second.open.size();
    }
    void opening(const Address& peer) { ++peers_[peer].opening; }
    void opened(const Address& peer, SessionId session) {
        const auto found = peers_.find(peer);
        if (found == peers_.end() || found->second.opening == 0) return;  // the connection has ended meanwhile
        --found->second.opening;
        found->second.open.insert(session);
        owners_.insert_or_assign(session, peer);
    }
    void closed(SessionId session) {
        const auto owner = owners_.find(session);
        if (owner == owners_.end()) return;
        const auto found = peers_.find(owner->second);
        found->second.open.erase(session);
        if (found->second.open.empty() && found->second.opening == 0) peers_.erase(found);
        owners_.erase(owner);
    }
    void gone(const Address& peer) {
        const auto found = peers_.find(peer);
        if (found == peers_.end()) return;
        for (auto session : found->second.open) owners_.erase(session);
        peers_.erase(found);
    }
    void reset() { *this = {}; }

    friend bool operator==(const SessionOwners&, const SessionOwners&) = default;

private:
    struct Peer {
        std::size_t opening = 0;  // sessions whose opening is in the log
        std::set<SessionId> open;
        friend bool operator==(const Peer&, const Peer&) = default;
    };
    std::map<Address, Peer> peers_;
    std::map<SessionId, Address> owners_;
};

/// Sessions that are closed before their time since there is no room (C4). None has a command in the log.
class SessionRelief {
public:
    /// A session in which nothing has taken effect is closed when it was not used for so long,
    static constexpr Duration unused_grace = 10s;
    /// one whose results are in the way, when no command took effect in it for so long: or so long, when results that
    /// nobody expected take more than there is room for,
    static constexpr Duration result_grace = 10s, overfull_grace = 2s;
    /// and any other one when it was not used for so long.
    static constexpr Duration used_grace = 60s;
    static constexpr std::size_t at_once = 512;

    static bool is_full(const SessionTable& table, const ReplicaOptions& options) {
        return table.size() >= options.max_sessions - options.max_sessions / 16;
    }
    static bool is_needed(const SessionTable& table, const ReplicaOptions& options) {
        return is_full(table, options) || ResultRoom::is_short(table, options);
    }

    /// The sessions to close now, at most `at_once`. O(sessions), so not in every turn.
    static std::vector<SessionId> choose(const SessionTable& table, const ReplicaOptions& options, Time now) {
        SessionRelief relief{table, options, now};
        if (ResultRoom::is_short(table, options)) relief.make_room_for_results();
        if (is_full(table, options)) relief.make_room_for_sessions();
        return std::move(relief.chosen_);
    }

private:
    using Session = SessionTable::Session;
    using Candidate = std::pair<Time, SessionId>;

    SessionRelief(const SessionTable& table, const ReplicaOptions& options, Time now)
        : table_{table}, options_{options}, now_{now} {
        for (const auto& [id, session] : table.all()) {
            if (!session.closing) continue;
            ++closing_;
            closing_bytes_ += session.results.bytes();
        }
    }

    /// Those of which that is so for `grace` since what `since` says, the ones that are unused the longest first: the
    /// client of one that was used lately may have something to lose.
    template <typename Since, typename Which>
    std::vector<Candidate> candidates(Duration grace, Since since, Which which) const {
        std::vector<Candidate> found;
        for (const auto& [id, session] : table_.all())
            if (!session.closing && session.reserved == 0 && after(since(session), grace) <= now_ && which(session))
                found.emplace_back(session.used, id);
        std::ranges::sort(found);
        return found;
    }
    bool take(SessionId id) {
        if (chosen_.size() == at_once) return false;
        chosen_.push_back(id);
        return true;
    }

    void make_room_for_results() {
        const auto much = ResultRoom::always_kept(options_);
        auto bytes = table_.bytes() - closing_bytes_;
        const auto grace = bytes > options_.max_result_bytes ? overfull_grace : result_grace;
        for (const auto& [used, id] : candidates(grace, [](const Session& one) { return one.executed; },
                                                  [&](const Session& one) { return one.results.bytes() > much; })) {
            if (bytes <= options_.max_result_bytes / 2 || !take(id)) return;
            reached("C4: a session whose results are in the way is closed");
            bytes -= table_.find(id)->results.bytes();
        }
    }
    /// Those that were never used come first.
    void make_room_for_sessions() {
        const auto enough = options_.max_sessions - std::max<std::size_t>(1, options_.max_sessions / 8);
        const auto used = [](const Session& one) { return one.used; };
        const auto close = [&](const std::vector<Candidate>& sessions) {
            for (const auto& [since, id] : sessions) {
                if (table_.size() <= enough + closing_ + chosen_.size()) return;
                if (std::ranges::find(chosen_, id) != chosen_.end()) continue;
                if (!take(id)) return;
                reached("C4: a full table loses the sessions that are unused the longest");
            }
        };
        close(candidates(unused_grace, used, [](const Session& one) { return one.never_used(); }));
        close(candidates(used_grace, used, [](const Session& one) { return !one.never_used(); }));
    }

    const SessionTable& table_;
    const ReplicaOptions& options_;
    Time now_;
    std::size_t closing_ = 0, closing_bytes_ = 0;
    std::vector<SessionId> chosen_;
};

/// All of it, as a primary uses it.
class SessionRoom {
public:
    ResultRoom results;

    void take_over(Time now) {
        *this = {};
        next_relief_ = now;
    }
    void gone(const Address& peer) { owners_.gone(peer); }

    /// Why that connection may not open another session; empty if it may.
    std::string objection(const SessionTable& table, const Address& peer, const ReplicaOptions& options) const {
        if (table.size() + opening_ >= options.max_sessions) {
            reached("C6: a session beyond max_sessions is refused");
            return "max_sessions is " + std::to_string(options.max_sessions);
        }
        if (owners_.count(peer) < options.max_sessions_per_peer) return {};
        reached("C6: a session beyond max_sessions_per_peer is refused");
        return "max_sessions_per_peer is " + std::to_string(options.max_sessions_per_peer);
    }
    void opening(const Address& peer) {
        ++opening_;
        owners_.opening(peer);
    }
    /// The entry was applied; `peer` waited for it, if somebody did.
    void applied(const Entry& entry, const Address* peer) {
        if (entry.kind == EntryKind::close) owners_.closed(entry.session);
        if (entry.kind != EntryKind::open || !peer) return;
        opening_ -= std::min<std::size_t>(opening_, 1);
        owners_.opened(*peer, entry.at);
    }

    /// The sessions to close now, before their time.
    std::vector<SessionId> to_close(const SessionTable& table, const ReplicaOptions& options, Time now) {
        if (now < next_relief_ || !SessionRelief::is_needed(table, options)) return {};
        auto chosen = SessionRelief::choose(table, options, now);
        next_relief_ = after(now, chosen.size() == SessionRelief::at_once ? Duration{100ms} : Duration{1s});
        return chosen;
    }

    friend bool operator==(const SessionRoom&, const SessionRoom&) = default;

private:
    std::size_t opening_ = 0;  // sessions whose opening is in the log
    SessionOwners owners_;
    Time next_relief_{};
};

}  // namespace understudy::replica
