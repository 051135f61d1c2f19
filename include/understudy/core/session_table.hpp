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

#include <understudy/core/message.hpp>
#include <understudy/core/session_results.hpp>
#include <understudy/core/text_fields.hpp>

namespace understudy {

class SessionTable {
public:
    /// What is known of a command before it is applied.
    enum class Verdict { fresh, repeated, forgotten };

    struct Session {
        Sequence low = 0;  ///< Below it every call was answered or given up.
        SessionResults results;
        Time used{};           ///< By this server's clock; only a primary minds it, and it does not travel.
        bool closing = false;  ///< This primary has logged its closing; does not travel either.

        Verdict judge(Sequence seq) const {
            if (results.find(seq)) return Verdict::repeated;
            return seq < low ? Verdict::forgotten : Verdict::fresh;
        }
        /// Forgets the results below `to`; from now on nothing below it takes effect (C3).
        void raise_low(Sequence to) {
            low = std::max(low, to);
            results.forget_below(low);
        }
        friend bool operator==(const Session& a, const Session& b) { return a.low == b.low && a.results == b.results; }
    };

    void open(SessionId id, Time now) { sessions_[id].used = now; }
    void close(SessionId id) { sessions_.erase(id); }

    const Session* find(SessionId id) const {
        auto found = sessions_.find(id);
        return found == sessions_.end() ? nullptr : &found->second;
    }
    Session* find(SessionId id) {
        auto found = sessions_.find(id);
        return found == sessions_.end() ? nullptr : &found->second;
    }
    std::size_t size() const { return sessions_.size(); }
    const std::map<SessionId, Session>& all() const { return sessions_; }

    /// All sessions count as used now, as at a takeover (C4).
    void touch_all(Time now) {
        for (auto& [id, session] : sessions_) {
            session.used = now;
            session.closing = false;
        }
    }

    /// The table as text; equal tables give equal text.
    std::string save() const {
        std::string text;
        put_number(text, sessions_.size());
        for (const auto& [id, session] : sessions_) {
            for (auto number : {id.view, id.index, session.low, Sequence{session.results.size()}})
                put_number(text, number);
            session.results.each([&](const auto& result) {
                for (auto number : {result.seq, result.at.view, result.at.index}) put_number(text, number);
                put_bytes(text, result.value);
            });
        }
        return text;
    }

    /// The inverse of `save`; nothing if the text is not of that form.
    static std::optional<SessionTable> load(std::string_view text) {
        SessionTable table;
        FieldReader read{text};
        for (auto sessions = read.number(); sessions > 0 && read.ok(); --sessions) {
            auto view = read.number();
            auto& session = table.sessions_[{view, read.number()}];
            session.low = read.number();
            for (auto results = read.number(); results > 0 && read.ok(); --results) {
                const auto seq = read.number();
                const auto at_view = read.number();
                const auto at_index = read.number();
                if (session.results.find(seq)) return std::nullopt;
                session.results.record({seq, {at_view, at_index}, read.bytes()});
            }
        }
        if (!read.ok() || !read.rest().empty()) return std::nullopt;
        return table;
    }

    friend bool operator==(const SessionTable&, const SessionTable&) = default;

private:
    std::map<SessionId, Session> sessions_;
};

}  // namespace understudy
