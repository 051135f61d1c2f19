// The bounds on sessions and on their results, as a primary enforces them (rules C4, C6). The primary decides before it
// logs an entry. Applying an entry reads no option; so servers with different options still reach the same state.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <understudy/options.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/entry.hpp>
#include <understudy/protocol/fault.hpp>
#include <understudy/replica/session_table.hpp>

namespace understudy::replica {

/// Bounds the bytes of all results (`ReplicaOptions::max_result_bytes`). The size of a command's result is not known
/// when the command is logged. An estimate is reserved for it: about the largest of the latest results in its session,
/// or of all sessions if its session has none yet. The reservation is released when the command is applied.
///
/// A quarter of the bytes is set apart, in equal shares for each possible session (`always_kept`). So a few sessions
/// with many results cannot block the others.
class ResultRoom {
public:
    using Session = SessionTable::Session;

    /// This server becomes primary: it has logged no command yet, so that nothing is reserved.
    void reset() {
        reserved_ = 0;
        expected_ = 0;
    }

    /// Whether a command of this session, with this number and this `low` (at most `seq`), may be logged. Results below
    /// `low` count as dropped, since they are when the command is applied.
    ///
    /// A session with few bytes of results never has to wait for other sessions. A session with more than an eighth of
    /// all bytes waits until its client has acknowledged results. All sessions together get three quarters.
    ///
    /// O(results below `low`), and O(1) while there is ample room.
    bool has_room(const SessionTable& table, const Session& session, Sequence seq, Sequence low,
                  const ReplicaOptions& options) const {
        const auto all = options.max_result_bytes;
        const auto more = expected_of(session, all);
        auto own = session.results.bytes() + session.reserved + more;
        if (own <= of_one(all) && table.bytes() + reserved_ + more <= of_many(all)) return true;
        const auto dropped = session.results->bytes_below(low);
        own -= dropped;
        if (own <= always_kept(options)) return true;
        // `seq == low` is the lowest command without an answer. It is not refused because of its session's own results:
        // until it is answered the client cannot raise `low`, so the session would be blocked for ever.
        if (seq > low && own > more && own > of_one(all)) {
            reached("C6: a session whose results take much has to acknowledge some");
            return false;
        }
        if (table.bytes() + reserved_ + more <= of_many(all) + dropped) return true;
        reached("C6: a command whose result has no room is refused");
        return false;
    }

    /// A command of the session is logged. Returns the bytes that are reserved for its result; the caller passes them
    /// to `release` when the command is applied.
    std::size_t reserve(Session& session, const ReplicaOptions& options) {
        const auto bytes = expected_of(session, options.max_result_bytes);
        session.reserved += bytes;
        reserved_ += bytes;
        return bytes;
    }
    /// A command was applied, and its result has `returned` bytes. Gives back the reservation, and corrects the
    /// estimates. `session` is null if the session is closed by now.
    void release(Session* session, std::size_t reserved, std::size_t returned) {
        reserved_ -= std::min(reserved_, reserved);
        learn(expected_, returned);
        if (!session) return;
        session->reserved -= std::min(session->reserved, reserved);
        learn(session->expected, returned);
    }

    /// Whether results take more than half of `max_result_bytes`. Then sessions are closed early (C4).
    static bool is_short(const SessionTable& table, const ReplicaOptions& options) {
        return table.bytes() > options.max_result_bytes / 2;
    }
    /// The bytes of results that each session may have, however many the others have.
    static std::size_t always_kept(const ReplicaOptions& options) {
        return options.max_result_bytes / 4 / options.max_sessions;
    }

    friend bool operator==(const ResultRoom&, const ResultRoom&) = default;

private:
    /// The bound for one session, and the bound for all.
    static std::size_t of_one(std::size_t all) { return all / 8; }
    static std::size_t of_many(std::size_t all) { return all - all / 4; }  // the rest is for `always_kept`

    /// The estimate for the next result of a session. It is at most a sixteenth of all bytes: after one huge result the
    /// later commands of its session still find room.
    std::size_t expected_of(const Session& session, std::size_t all) const {
        const auto value = session.expected == 0 ? expected_ : session.expected;
        return std::min(value, all / 16) + SessionResults::overhead;
    }
    /// Updates an estimate: a maximum that decays by an eighth with each result, unless that result is larger.
    static void learn(std::size_t& expected, std::size_t returned) {
        expected = std::max(returned, expected - (expected + 7) / 8);
    }

    std::size_t reserved_ = 0;  // bytes, for all commands that are logged and not applied
    std::size_t expected_ = 0;  // the estimate for a session without results
};

/// Which connection opened which session. It bounds the sessions of one connection, so that one client cannot fill the
/// whole table. Only sessions that were opened through this primary are known; after a takeover nothing is.
/// Operations take O(log n); `disconnected` takes O(log n) for each session of the connection.
class SessionOwners {
public:
    /// How many sessions the connection has open, or is opening.
    std::size_t count(const Address& peer) const {
        const auto found = peers_.find(peer);
        return found == peers_.end() ? 0 : found->second.opening + found->second.open.size();
    }
    /// The entry that opens a session for `peer` was logged.
    void opening(const Address& peer) { ++peers_[peer].opening; }
    /// That entry was applied, and `session` is open.
    void opened(const Address& peer, SessionId session) {
        const auto found = peers_.find(peer);
        if (found == peers_.end() || found->second.opening == 0) return;  // disconnected meanwhile
        --found->second.opening;
        found->second.open.insert(session);
        owners_.insert_or_assign(session, peer);
    }
    /// The session was closed. One whose owner is not known is ignored.
    void closed(SessionId session) {
        const auto owner = owners_.find(session);
        if (owner == owners_.end()) return;
        const auto found = peers_.find(owner->second);
        found->second.open.erase(session);
        if (found->second.open.empty() && found->second.opening == 0) peers_.erase(found);
        owners_.erase(owner);
    }
    /// The connection is disconnected. Its sessions stay open, since a session belongs to no connection (C4), but count
    /// towards no connection's bound any more.
    void disconnected(const Address& peer) {
        const auto found = peers_.find(peer);
        if (found == peers_.end()) return;
        for (auto session : found->second.open) owners_.erase(session);
        peers_.erase(found);
    }
    void reset() { *this = {}; }

    friend bool operator==(const SessionOwners&, const SessionOwners&) = default;

private:
    struct Peer {
        std::size_t opening = 0;  // open entries that are logged and not applied
        std::set<SessionId> open;
        friend bool operator==(const Peer&, const Peer&) = default;
    };
    std::map<Address, Peer> peers_;
    std::map<SessionId, Address> owners_;
};

/// Chooses the sessions that are closed before `session_ttl` because the table is nearly full, or because results take
/// too much room (C4). A session for which a command of this primary is logged and not applied is never chosen: its
/// client would not learn from a repetition whether the command took effect.
class SessionRelief {
public:
    /// A full table: a session in which no command ever took effect may be closed when it was unused for this long.
    static constexpr Duration unused_grace = 10s;
    /// Too many bytes of results: a session with more than `always_kept` may be closed when no command took effect in
    /// it for `result_grace`. `overfull_grace` applies when results take more than `max_result_bytes`, which happens if
    /// they turn out larger than estimated.
    static constexpr Duration result_grace = 10s, overfull_grace = 2s;
    /// A full table: any other session may be closed when it was unused for this long.
    static constexpr Duration used_grace = 60s;
    /// The most sessions that are chosen in one call. It bounds the work, and the entries logged, in one turn.
    static constexpr std::size_t at_once = 512;

    /// Whether 15 of 16 parts of `max_sessions` are taken.
    static bool is_full(const SessionTable& table, const ReplicaOptions& options) {
        return table.size() >= options.max_sessions - options.max_sessions / 16;
    }
    /// Whether sessions or results leave too little room, so that `choose` may find something to close. O(1).
    static bool is_needed(const SessionTable& table, const ReplicaOptions& options) {
        return is_full(table, options) || ResultRoom::is_short(table, options);
    }

    /// The sessions to close at `now`, at most `at_once`. O(sessions), and sorting the candidates; so it must not be
    /// called in every turn.
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

    /// The sessions for which `which` holds, and for which at least `grace` has passed since the time that `since`
    /// gives. Those that are unused the longest come first: a client that used its session lately is more likely to
    /// need it.
    template <typename Since, typename Which>
    std::vector<Candidate> candidates(Duration grace, Since since, Which which) const {
        std::vector<Candidate> found;
        for (const auto& [id, session] : table_.all())
            if (!session.closing && session.reserved == 0 && after(since(session), grace) <= now_ && which(session))
                found.emplace_back(session.used, id);
        std::ranges::sort(found);
        return found;
    }
    /// False if no more sessions may be chosen.
    bool take(SessionId id) {
        if (chosen_.size() == at_once) return false;
        chosen_.push_back(id);
        return true;
    }

    /// Chooses sessions until the results of the others take at most half of `max_result_bytes`. Sessions that are
    /// being closed already count as closed.
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
    /// Chooses sessions until an eighth of the table is free. It starts when only a sixteenth is free, so that it
    /// need not run again for every new session. Sessions in which no command ever took effect come first: their
    /// clients lose nothing.
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

/// The bounds on sessions, put together as a primary uses them.
class SessionRoom {
public:
    ResultRoom results;

    /// This server becomes primary. It is not known which connections opened the existing sessions.
    void take_over(Time now) {
        *this = {};
        next_relief_ = now;
    }
    void disconnected(const Address& peer) { owners_.disconnected(peer); }

    /// Whether the connection may open another session (C6).
    std::optional<Fault> check_open(const SessionTable& table, const Address& peer,
                                    const ReplicaOptions& options) const {
        if (table.size() + opening_ >= options.max_sessions) {
            reached("C6: a session beyond max_sessions is refused");
            return Fault{error::overloaded, "max_sessions is " + std::to_string(options.max_sessions)};
        }
        if (owners_.count(peer) < options.max_sessions_per_peer) return std::nullopt;
        reached("C6: a session beyond max_sessions_per_peer is refused");
        return Fault{error::overloaded, "max_sessions_per_peer is " + std::to_string(options.max_sessions_per_peer)};
    }
    /// The entry that opens a session for `peer` was logged.
    void opening(const Address& peer) {
        ++opening_;
        owners_.opening(peer);
    }
    /// An entry was applied. `peer` is the connection that waits for its answer; null if none does, as with entries
    /// that were uncommitted at takeover, and with those that the primary logged by itself.
    void applied(const EntryView& entry, const Address* peer) {
        if (entry.kind == EntryKind::close) owners_.closed(entry.session);
        if (entry.kind != EntryKind::open || !peer) return;
        opening_ -= std::min<std::size_t>(opening_, 1);
        owners_.opened(*peer, entry.at);
    }

    /// The sessions to close early, if it is time to look. The search costs O(sessions): it runs once a second at most,
    /// or every 100 ms while each search finds as many sessions as one turn may close.
    std::vector<SessionId> to_close(const SessionTable& table, const ReplicaOptions& options, Time now) {
        if (now < next_relief_ || !SessionRelief::is_needed(table, options)) return {};
        auto chosen = SessionRelief::choose(table, options, now);
        next_relief_ = after(now, chosen.size() == SessionRelief::at_once ? Duration{100ms} : Duration{1s});
        return chosen;
    }

    friend bool operator==(const SessionRoom&, const SessionRoom&) = default;

private:
    std::size_t opening_ = 0;  // open entries that this primary logged and that are not applied
    SessionOwners owners_;
    Time next_relief_{};
};

}  // namespace understudy::replica
