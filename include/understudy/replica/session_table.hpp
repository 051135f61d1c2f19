// At-most-once execution: which commands of which session have taken effect, and their results (rules S10, C3, C4).
// The table is part of the replicated state: it changes only when an entry is applied, and it travels in snapshots.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <understudy/protocol/message.hpp>
#include <understudy/replica/session_results.hpp>

namespace understudy::replica {

/// The open sessions of a group with their results. Finding a session takes O(1): it is done several times for each
/// command. Where the order of sessions matters, `all` sorts them.
class SessionTable {
public:
    /// The state of a command before it is applied. `fresh`: it has not taken effect yet. `repeated`: it has taken
    /// effect, and its result is retained. `dropped`: it is below its session's low, so it is not known whether it
    /// took effect.
    enum class SequenceState { fresh, repeated, dropped };

    struct Session {
        Sequence low = 0;  ///< The client has an answer to each call below it, or gave it up.
        SharedResults results;
        // Only a primary uses the following, by its own clock. They are no part of the replicated state or of its text.
        Time used{};                ///< When a client last sent a command in it (C4).
        Time executed{};            ///< When a command last took effect in it.
        std::size_t reserved = 0;   ///< Bytes reserved for commands that are logged, not applied (C6).
        std::size_t expected = 0;   ///< Estimated bytes of its next result; 0: no result yet.
        bool closing = false;       ///< This primary has logged an entry that closes it.

        /// Classifies the command with this number. If its result is retained it is `repeated`. Else it is `dropped`
        /// below `low`, and `fresh` from there on.
        SequenceState classify(Sequence seq) const {
            if (results.find(seq)) return SequenceState::repeated;
            return seq < low ? SequenceState::dropped : SequenceState::fresh;
        }
        /// Whether no command has ever taken effect in it.
        bool never_used() const { return low == 0 && results.size() == 0; }
        friend bool operator==(const Session& a, const Session& b) { return a.low == b.low && a.results == b.results; }
    };

    /// Opens a session. It counts as used at `now`.
    void open(SessionId id, Time now) {
        auto& session = sessions_[id];
        session.used = session.executed = now;
    }
    /// Closes a session and drops its results. One that is not open is ignored.
    void close(SessionId id) {
        const auto found = sessions_.find(id);
        if (found == sessions_.end()) return;
        bytes_ -= found->second.results.bytes();
        sessions_.erase(found);
    }
    /// Raises a session's low to `to`, if it is lower, and drops the results below it. From now on no command below it
    /// can take effect: so a command that its client gave up, and that still travels, stays without effect (C3).
    void raise_low(Session& session, Sequence to) {
        session.low = std::max(session.low, to);
        bytes_ -= session.results.bytes();
        session.results.forget_below(session.low);
        bytes_ += session.results.bytes();
    }
    /// Adds the result of a command that has just taken effect.
    void record(Session& session, SessionResults::Result result) {
        bytes_ -= session.results.bytes();
        session.results.record(std::move(result));
        bytes_ += session.results.bytes();
    }

    /// The session; null if it is not open.
    const Session* find(SessionId id) const {
        auto found = sessions_.find(id);
        return found == sessions_.end() ? nullptr : &found->second;
    }
    Session* find(SessionId id) {
        auto found = sessions_.find(id);
        return found == sessions_.end() ? nullptr : &found->second;
    }
    /// How many sessions are open.
    std::size_t size() const { return sessions_.size(); }
    /// The bytes of all results of all sessions (`SessionResults::bytes`). O(1).
    std::size_t bytes() const { return bytes_; }
    /// A session with its name.
    struct Named {
        const SessionId& id;
        const Session& session;
    };
    /// All sessions, in the order of their names. O(n log n).
    std::vector<Named> all() const {
        std::vector<const std::pair<const SessionId, Session>*> sorted;
        sorted.reserve(sessions_.size());
        for (const auto& one : sessions_) sorted.push_back(&one);
        std::ranges::sort(sorted, {}, [](const auto* one) { return one->first; });
        std::vector<Named> named;
        named.reserve(sorted.size());
        for (const auto* one : sorted) named.push_back({one->first, one->second});
        return named;
    }

    /// At a takeover: all sessions count as used at `now`, and what a primary notes of them is reset. The new primary
    /// does not know when they were last used, and must not close them too early (C4).
    void touch_all(Time now) {
        for (auto& [id, session] : sessions_) {
            session.used = session.executed = now;
            session.reserved = session.expected = 0;
            session.closing = false;
        }
    }

    /// The table as text. Equal tables give equal text. `SessionTableWriter` writes it piece by piece.
    std::string save() const;
    /// The inverse of `save`; nothing if the text is malformed.
    static std::optional<SessionTable> load(std::string_view text);

    friend bool operator==(const SessionTable& a, const SessionTable& b) { return a.sessions_ == b.sessions_; }

private:
    friend class SessionTableReader;

    /// Sessions are named by positions in the log, and no client chooses one: their indexes spread well as they are.
    struct Hash {
        std::size_t operator()(SessionId id) const { return static_cast<std::size_t>(id.index ^ id.view << 40); }
    };
    std::unordered_map<SessionId, Session, Hash> sessions_;
    std::size_t bytes_ = 0;
};

}  // namespace understudy::replica

#include <understudy/replica/session_table_text.ipp>
