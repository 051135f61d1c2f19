// What both prototype servers have: the log, the sessions with the results that a client may ask for again, and the
// store.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

#include <understudy/kv/cow_map.hpp>
#include <understudy/options.hpp>

#include "tests/bench/prototype/log.hpp"

namespace understudy::bench::prototype {

/// What a command has given.
struct Outcome {
    Position at;
    std::optional<std::uint64_t> length;
    bool present = false;
};

/// The results of one client's commands, so that each is applied once however often it comes.
class Session {
public:
    /// The result of a command that was applied before. Throws if the client has said that it has that result.
    const Outcome* find(std::uint64_t seq) {
        if (seq < results_.first()) throw std::runtime_error{"the prototype got a command again that was answered"};
        return results_.has(seq) && results_[seq].present ? &results_[seq] : nullptr;
    }
    /// Adds a result. Those of numbers below `low` are not asked for any more.
    void add(std::uint64_t seq, std::uint64_t low, const Outcome& result) {
        while (results_.next() <= seq) results_.push().present = false;
        results_[seq] = result;
        while (results_.first() < std::min(low, seq)) results_.pop();
    }

private:
    NumberedQueue<Outcome> results_;
};

struct State {
    static constexpr std::uint64_t view = 2;

    Log log;
    std::uint64_t commit = 0, applied = 0;
    kv::CowMap map;
    std::unordered_map<std::uint64_t, Session> sessions;  ///< By the index of the entry that has opened them.
    std::size_t log_bytes = ReplicaOptions{}.log_bytes;

    Session& session(Position id) {
        const auto found = sessions.find(id.index);
        if (found == sessions.end()) throw std::runtime_error{"the prototype does not know this session"};
        return found->second;
    }

    /// Applies the next entry.
    Outcome apply_next() {
        const Entry& entry = log[++applied];
        if (entry.opens()) return sessions[entry.at.index], Outcome{entry.at, {}, true};
        auto& its = session(entry.session);
        if (const auto* former = its.find(entry.seq)) return *former;
        Outcome result{entry.at, {}, true};
        if (entry.command.append)
            result.length = map.append(entry.command.key, entry.command.value);
        else
            map.assign(entry.command.key, entry.command.value);
        its.add(entry.seq, entry.low, result);
        return result;
    }
    void trim() { log.trim(log_bytes, applied); }

    /// A number that differs if the content does.
    std::uint64_t digest() const {
        std::uint64_t sum = map.size();
        const auto add = [&](std::string_view text) {
            sum = sum * 0x100000001b3 ^ std::hash<std::string_view>{}(text);
        };
        for (auto at = map.begin(); !at.at_end(); at.next()) {
            add(at.key());
            add(at.value());
        }
        return sum;
    }
};

}  // namespace understudy::bench::prototype
