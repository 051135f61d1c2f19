// The state machine of operator tools: it sends one question to one address and reports the one answer, and it
// follows the views of a group. A tool names the address itself, so nothing of ClientStateMachine's search for the
// primary is needed here.
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
#include <understudy/client/output.hpp>
#include <understudy/client/question.hpp>
#include <understudy/client/turn.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/caller.hpp>

namespace understudy::client {

/// One report about a question: its end, or, for a watch, a view.
struct Answer {
    std::uint64_t key = 0;            ///< The key that `ask` was given.
    std::optional<error> code;        ///< Set if the question ended with an error.
    std::optional<Message> message;   ///< The answer; with an error a `Failure` that explains it; for a watch the view.
};

/// Any number of questions under way, to any addresses. A question that may be repeated is sent again until it is
/// answered or its timeout passes. A watch (`view.watch`) reports each view and ends only with a refusal, its timeout
/// or `cancel`.
///
/// Errors, besides those that the peer answers with: `deadline_passed` (a question that may be repeated got no answer
/// in time), and `outcome_unknown` (a question that may not be repeated got none, or its connection was lost after it
/// was sent). A step costs O(n) with n questions under way; a tool has few.
class AdminStateMachine {
public:
    using Output = client::Output;

    /// The wait before a question is sent again after its connection was lost.
    static constexpr Duration redial = std::chrono::milliseconds{100};
    /// The wait before a question is sent again when no answer comes.
    static constexpr Duration patience = std::chrono::seconds{1};
    /// Asks the driver to emit every `Refused`, also repeated ones, since each of them is the end of a call.
    static constexpr bool emits_each_refusal = true;

    /// Starts a question; the next `wake` sends it. `key` names it in `Answer` and must not be in use.
    void ask(std::uint64_t key, Question question, Time now) {
        const auto deadline = after(now, question.timeout);
        asked_.emplace(key, Asked{std::move(question), deadline, now});
    }
    /// Drops a question: nothing more is reported for it. A request that was already sent may still take effect.
    void cancel(std::uint64_t key) { asked_.erase(key); }
    /// The reports since the last call, in order.
    std::vector<Answer> take_answers() { return std::exchange(answers_, {}); }

    void receive(Envelope envelope, Time now, Output& out) {
        Turn turn{now, out};
        const Caller caller{std::move(envelope.peer), std::move(envelope.id)};
        std::visit([&](auto& message) { on(caller, std::move(message), turn); }, envelope.message);
    }
    void disconnected(const Address& peer, Time now, Output&) {
        for (auto next = asked_.begin(); next != asked_.end();) {
            auto entry = next++;
            auto& asked = entry->second;
            if (asked.question.to != peer || asked.next <= now) continue;  // not sent yet, or due to be sent anyway
            if (asked.question.repeatable) asked.next = after(now, redial);
            else finish(entry, {entry->first, error::outcome_unknown, say("the connection to " + peer + " broke")});
        }
    }
    void probed(const Address&, ProbeResult, Time, Output&) {}
    void wake(Time now, Output& out) {
        // A question that may be repeated has no effect that matters, so it ends with `deadline_passed`. Any other may
        // have been executed although no answer came.
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
        Time next;  // when to send it, for the first time or again; `never`: only an answer or the deadline counts
    };
    using Table = std::map<std::uint64_t, Asked>;

    static Message say(std::string text) {
        Failure failure;
        failure.text = std::move(text);
        return failure;
    }
    void finish(Table::iterator entry, Answer answer) {
        asked_.erase(entry);
        answers_.push_back(std::move(answer));
    }
    // The question that the message answers. The id alone proves nothing: an answer counts only from the peer that was
    // asked, and for that method.
    Table::iterator answered_by(const Caller& caller, Turn& turn) {
        const auto name = read_call_id(caller.id);
        auto found = asked_.find(name.n);
        if (found != asked_.end() && found->second.question.to == caller.peer &&
            found->second.question.method == name.method)
            return found;
        turn.refuse(caller.peer, {error::invalid_request, "an answer that nobody waits for"});
        return asked_.end();
    }
    template <typename Result>
    void on(const Caller& caller, Result&& result, Turn& turn) {
        auto found = answered_by(caller, turn);
        if (found == asked_.end()) return;
        if (found->second.question.method != Method::view_watch)
            return finish(found, {found->first, {}, std::move(result)});
        found->second.next = never;  // later views are pushed over this connection; ask again only if it is lost
        answers_.push_back({found->first, {}, std::move(result)});
    }
    void on(const Caller& caller, Failure&& failure, Turn& turn) {
        auto found = answered_by(caller, turn);
        if (found == asked_.end()) return;
        const auto code = failure.code;
        turn.refuse(caller.peer, {code, failure.text});
        failure.text = caller.peer.address() + ": " + failure.text;
        finish(found, {found->first, code, std::move(failure)});
    }
    // A `view.changed` has no id. It belongs to every watch of that group at that peer.
    void on(const Caller& caller, ViewChanged&& changed, Turn&) {
        for (const auto& [key, asked] : asked_) {
            const auto* watch = std::get_if<ViewWatch>(&asked.question.message);
            if (watch && asked.question.to == caller.peer && watch->group == changed.info.group)
                answers_.push_back({key, {}, ViewResult{changed.info}});
        }
    }

    Table asked_;
    std::vector<Answer> answers_;
};

}  // namespace understudy::client
