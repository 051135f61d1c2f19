// A machine for tools: one question to one address, one answer; and watching the views of a group.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/client/question.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/effects.hpp>

namespace understudy::client {

/// How a question ended, with a `Failure` for a message if there is more to say of that; or, of a watch, the news of a
/// view.
struct Told {
    std::uint64_t key = 0;
    std::optional<error> code;
    std::optional<Message> message;
};

class AskRules {
public:
    /// How long to wait before a question is asked again: of a connection that ended, and of silence.
    static constexpr Duration redial = std::chrono::milliseconds{100};
    static constexpr Duration patience = std::chrono::seconds{1};
    static constexpr bool tells_each_refusal = true;  // each is the end of a call

    void ask(std::uint64_t key, Question question, Time now) {
        const auto deadline = after(now, question.timeout);
        asked_.emplace(key, Asked{std::move(question), deadline, now});
    }
    void cancel(std::uint64_t key) { asked_.erase(key); }
    std::vector<Told> take_told() { return std::exchange(told_, {}); }

    void receive(Envelope envelope, Time, Effects& out) {
        if (auto* changed = std::get_if<ViewChanged>(&envelope.message)) return tell_watchers(envelope.peer, *changed);
        const auto name = read_call_id(envelope.id);
        auto found = asked_.find(name.n);
        const auto* question = found == asked_.end() ? nullptr : &found->second.question;
        if (!question || question->to != envelope.peer || question->method != name.method)
            return out.tell(Refused{envelope.peer, error::invalid_request, "an answer that nobody waits for"});
        if (auto* failure = std::get_if<Failure>(&envelope.message)) {
            out.tell(Refused{envelope.peer, failure->code, failure->text});
            failure->text = envelope.peer + ": " + failure->text;
            return finish(found, {name.n, failure->code, std::move(envelope.message)});
        }
        if (name.method != Method::view_watch) return finish(found, {name.n, {}, std::move(envelope.message)});
        found->second.next = never;  // the connection tells the rest
        told_.push_back({name.n, {}, std::move(envelope.message)});
    }
    void gone(const Address& peer, Time now, Effects&) {
        for (auto next = asked_.begin(); next != asked_.end();) {
            auto entry = next++;
            auto& asked = entry->second;
            if (asked.question.to != peer || asked.next <= now) continue;
            if (asked.question.repeatable) asked.next = after(now, redial);
            else finish(entry, {entry->first, error::outcome_unknown, say("the connection to " + peer + " broke")});
        }
    }
    void probed(const Address&, ProbeResult, Time, Effects&) {}
    void wake(Time now, Effects& out) {
        for (auto next = asked_.begin(); next != asked_.end();) {
            auto entry = next++;
            auto& asked = entry->second;
            if (asked.deadline <= now) {
                const auto code = asked.question.repeatable ? error::deadline_passed : error::outcome_unknown;
                finish(entry, {entry->first, code, say("no answer from " + asked.question.to)});
            } else if (asked.next <= now) {
                out.send(asked.question.to, make_call_id(asked.question.method, entry->first), asked.question.message);
                asked.next = asked.question.repeatable ? after(now, patience) : never;
            }
        }
    }
    Time deadline() const {
        auto time = never;
        for (const auto& [key, asked] : asked_) time = std::min({time, asked.next, asked.deadline});
        return time;
    }
    void invariants() const {}

private:
    struct Asked {
        Question question;
        Time deadline;
        Time next;  // when to ask, or to ask again
    };
    using Table = std::map<std::uint64_t, Asked>;

    static Message say(std::string text) {
        Failure failure;
        failure.text = std::move(text);
        return failure;
    }
    void finish(Table::iterator entry, Told told) {
        asked_.erase(entry);
        told_.push_back(std::move(told));
    }
    void tell_watchers(const Address& peer, const ViewChanged& changed) {
        for (const auto& [key, asked] : asked_) {
            const auto* watch = std::get_if<ViewWatch>(&asked.question.message);
            if (watch && asked.question.to == peer && watch->group == changed.info.group)
                told_.push_back({key, {}, ViewResult{changed.info}});
        }
    }

    Table asked_;
    std::vector<Told> told_;
};

}  // namespace understudy::client
