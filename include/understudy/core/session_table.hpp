// At most once: which commands of which session have taken effect, and what they returned (rules S10, C3, C4).
// The table is part of the replicated state: it changes only when an entry is applied, and travels in snapshots.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <understudy/core/message.hpp>
#include <understudy/core/recycling_allocator.hpp>
#include <understudy/core/text_fields.hpp>

namespace understudy {

class SessionTable {
public:
    struct Result {
        Position at;
        JsonText value;
        friend bool operator==(const Result&, const Result&) = default;
    };
    using Results = std::map<Sequence, Result, std::less<>, RecyclingAllocator<std::pair<const Sequence, Result>, 8>>;
    struct Session {
        Sequence low = 0;  ///< Below it every call was answered or given up.
        Results results;
        Time used{};           ///< By this server's clock; only a primary minds it, and it does not travel.
        bool closing = false;  ///< This primary has logged its closing; does not travel either.
        friend bool operator==(const Session& a, const Session& b) { return a.low == b.low && a.results == b.results; }
    };

    /// What is known of a command before it is applied.
    enum class Verdict { fresh, repeated, forgotten, unknown_session };

    Verdict judge(SessionId id, Sequence seq) const {
        auto session = find(id);
        if (!session) return Verdict::unknown_session;
        if (session->results.contains(seq)) return Verdict::repeated;
        return seq < session->low ? Verdict::forgotten : Verdict::fresh;
    }

    /// The result of a command that was judged `repeated`.
    const Result& result(SessionId id, Sequence seq) const { return sessions_.at(id).results.at(seq); }

    void open(SessionId id, Time now) { sessions_[id].used = now; }
    void close(SessionId id) { sessions_.erase(id); }

    /// Forgets the results below `low`; from now on nothing below it takes effect (C3).
    void raise_low(SessionId id, Sequence low) {
        auto& session = sessions_.at(id);
        session.low = std::max(session.low, low);
        session.results.erase(session.results.begin(), session.results.lower_bound(session.low));
    }
    void record(SessionId id, Sequence seq, Result result) {
        sessions_.at(id).results.insert_or_assign(seq, std::move(result));
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
            for (const auto& [seq, result] : session.results) {
                for (auto number : {seq, result.at.view, result.at.index}) put_number(text, number);
                put_bytes(text, result.value);
            }
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
                auto seq = read.number();
                auto& result = session.results[seq];
                result.at.view = read.number();
                result.at.index = read.number();
                result.value = read.bytes();
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
