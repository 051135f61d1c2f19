// At most once: which commands of which session have taken effect, and what they returned (rules S10, C3, C4).
// The table is part of the replicated state: it changes only when an entry is applied, and travels in snapshots.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/protocol/message.hpp>
#include <understudy/replica/session_results.hpp>

namespace understudy::replica {

class SessionTable {
public:
    /// What is known of a command before it is applied.
    enum class Verdict { fresh, repeated, forgotten };

    struct Session {
        Sequence low = 0;  ///< Below it every call was answered or given up.
        SharedResults results;
        // What only a primary minds, by its own clock; it does not travel.
        Time used{};                ///< When a client last sent something in it,
        Time executed{};            ///< and when a command last took effect in it.
        std::size_t reserved = 0;   ///< Bytes of results that are expected of its commands in the log (C6).
        std::size_t expected = 0;   ///< Bytes of the result that its next command is expected to have.
        bool closing = false;       ///< This primary has logged its closing.

        Verdict judge(Sequence seq) const {
            if (results.find(seq)) return Verdict::repeated;
            return seq < low ? Verdict::forgotten : Verdict::fresh;
        }
        /// No command has taken effect in it.
        bool never_used() const { return low == 0 && results.size() == 0; }
        friend bool operator==(const Session& a, const Session& b) { return a.low == b.low && a.results == b.results; }
    };

    void open(SessionId id, Time now) {
        auto& session = sessions_[id];
        session.used = session.executed = now;
    }
    void close(SessionId id) {
        const auto found = sessions_.find(id);
        if (found == sessions_.end()) return;
        bytes_ -= found->second.results.bytes();
        sessions_.erase(found);
    }
    /// Forgets a session's results below `to`; from now on nothing below it takes effect (C3).
    void raise_low(Session& session, Sequence to) {
        session.low = std::max(session.low, to);
        bytes_ -= session.results.bytes();
        session.results.forget_below(session.low);
        bytes_ += session.results.bytes();
    }
    void record(Session& session, SessionResults::Result result) {
        bytes_ += result.bytes();
        session.results.record(std::move(result));
    }

    const Session* find(SessionId id) const {
        auto found = sessions_.find(id);
        return found == sessions_.end() ? nullptr : &found->second;
    }
    Session* find(SessionId id) {
        auto found = sessions_.find(id);
        return found == sessions_.end() ? nullptr : &found->second;
    }
    std::size_t size() const { return sessions_.size(); }
    /// Of all results.
    std::size_t bytes() const { return bytes_; }
    const std::map<SessionId, Session>& all() const { return sessions_; }

    /// All sessions count as used now, as at a takeover (C4).
    void touch_all(Time now) {
        for (auto& [id, session] : sessions_) {
            session.used = session.executed = now;
            session.reserved = session.expected = 0;
            session.closing = false;
        }
    }

    /// The table as text; equal tables give equal text.
    std::string save() const;
    /// The inverse of `save`; nothing if the text is not of that form.
    static std::optional<SessionTable> load(std::string_view text);

    friend bool operator==(const SessionTable& a, const SessionTable& b) { return a.sessions_ == b.sessions_; }

private:
    friend class SessionTableReader;

    std::map<SessionId, Session> sessions_;
    std::size_t bytes_ = 0;
};

}  // namespace understudy::replica

#include <understudy/replica/session_table_text.ipp>
