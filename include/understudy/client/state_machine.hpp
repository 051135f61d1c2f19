// The client's side of the protocol (rules C1 to C6; C7 is in view_follower.hpp): which server to ask, when to ask
// again, and when to give up. Each call ends once, and what is reported about its outcome is true even if attempts of
// it were lost or reordered.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/client/backoff.hpp>
#include <understudy/client/calls.hpp>
#include <understudy/client/farewell.hpp>
#include <understudy/client/output.hpp>
#include <understudy/client/refusals.hpp>
#include <understudy/client/session.hpp>
#include <understudy/client/turn.hpp>
#include <understudy/client/view_follower.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/caller.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/fault.hpp>
#include <understudy/protocol/message_view.hpp>

namespace understudy::client {

/// A client: any number of calls under way at one group.
///
/// `execute`, `query` and `dump` start a call, and the next `wake` sends it. Each call is reported once by
/// `take_finished`, unless it is cancelled. A call that is not answered ends with one of these errors:
///  - `outcome_unknown`: a command that may have taken effect. Its deadline passed after it was sent (C2), or its
///    session expired during a retry (C4), or a retry was refused for good while an earlier attempt may have succeeded;
///  - `deadline_passed`: the deadline passed and the call had no effect. A query or dump never has an effect, so its
///    deadline always ends it with this error;
///  - `overloaded`, `not_enough_replicas`, `wrong_cluster`: the deadline passed, and every attempt of the command was
///    definitely refused, lastly with this error. So it had no effect, provided that the transport does not send a
///    request twice; stream transports do not;
///  - `overloaded` at once: `max_calls` calls are under way. `too_large` at once: the text exceeds `max_command`;
///  - a refusal that a retry cannot cure (`bad_request`, `too_large`, `unauthorized` …), with its text;
///  - `wrong_cluster`: the view service lost its state and is now another cluster. A client belongs to the cluster of
///    its first view. All its calls end with this error from now on; those that may have taken effect end with
///    `outcome_unknown`;
///  - `closed`: `stop` or `leave` was called. The outcome of calls that were sent is unknown.
///
/// Requirement: the servers' `session_ttl` is longer than the client waits for the answer to one attempt. That is at
/// most 4 `resend_after`, and longer only while large answers keep coming (`note_large`). Otherwise a session could
/// expire during the wait, and a command that took effect could be executed again in the next session.
class ClientStateMachine {
public:
    using Output = client::Output;

    /// `options` must be valid (checked). `seed` decides the jitter of the waits between retries and nothing else.
    ClientStateMachine(ClientOptions options, std::uint64_t seed)
        : options_(checked(std::move(options))),
          chance_(seed),
          follower_(options_),
          queues_{new_queue(), new_queue(), new_queue()} {}

    /// Starts a command. It is executed at most once, or without a session at least once (C5). Without `give_up_after`
    /// the value of the options counts; the call ends then at the latest.
    void execute(CallKey key, JsonText command, std::optional<Duration> give_up_after, Time now) {
        start(key, {.method = Method::pb_execute, .text = std::move(command)}, give_up_after, now);
    }
    /// Starts a read. It is linearizable.
    void query(CallKey key, JsonText query, std::optional<Duration> give_up_after, Time now) {
        start(key, {.method = Method::pb_query, .text = std::move(query)}, give_up_after, now);
    }
    /// Starts the read of one piece of an exported snapshot (`Dump`). Without `at` the primary takes a new snapshot.
    void dump(CallKey key, std::optional<Position> at, std::uint64_t chunk, std::optional<Duration> give_up_after,
              Time now) {
        start(key, {.method = Method::pb_dump, .dump_at = at, .dump_chunk = chunk}, give_up_after, now);
    }
    /// Drops a call: it is not reported. If it was sent, it may still take effect.
    void cancel(CallKey key, Time) {
        if (auto* call = calls_.find(key)) remove(*call);
    }
    /// Ends all calls with `closed`. Each later call ends with `closed` at once.
    void stop() {
        farewell_.end();
        end_all(error::closed, "the client was stopped");
    }
    /// Like `stop`, but also closes the session at the primary (C4), so that the servers can drop its results at once.
    /// A command that was sent in the session takes effect before that or not at all. The client tries for two
    /// `resend_after`, at most 2 s; `leaving` is true until the session is closed or this time is over.
    void leave(Time now);
    bool leaving() const { return farewell_.under_way(); }
    /// Asks for the view and keeps it up to date even while there are no calls.
    void follow(Time now) {
        following_ = true;
        follower_.want(now);
    }

    /// An empty text, with the memory of a command that has ended if there is any. It is for the next command.
    JsonText text_buffer() { return calls_.text_buffer(); }

    /// The calls that ended since the last call of this function, in order.
    std::vector<Finished> take_finished() { return std::exchange(finished_, {}); }
    /// Takes back what `take_finished` returned, so that the next calls that end need no memory.
    void reuse(std::vector<Finished>&& taken) {
        if (!finished_.empty() || taken.capacity() > most_kept) return;
        taken.clear();
        finished_ = std::move(taken);
    }
    /// The newest view known; its number is 0 if none is known.
    const ViewInfo& view() const { return view_; }
    const ClientOptions& options() const { return options_; }
    /// Calls under way.
    std::size_t pending() const { return calls_.size(); }

    // ---- the state machine (protocol/output.hpp) ---------------------------------------------------------

    void receive(Envelope envelope, Time now, Output& out) {
        if (ended_ && !leaving()) return;
        Turn turn{now, out};
        const Caller caller{std::move(envelope.peer), std::move(envelope.id)};
        const auto handle = [&](auto& message) {
            if constexpr (requires { view_of(message); }) {
                const auto& view = view_of(message);
                on(caller, view, turn);
            } else {
                on(caller, std::move(message), turn);
            }
        };
        std::visit(handle, envelope.message);
    }
    /// The same for a message whose texts belong to the caller.
    void receive(const Caller& caller, const MessageView& message, Time now, Output& out) {
        if (ended_ && !leaving()) return;
        Turn turn{now, out};
        std::visit([&](const auto& view) { on(caller, view, turn); }, message);
    }
    void disconnected(const Address& peer, Time now, Output& out) {
        if (ended_ && !leaving()) return;
        follower_.disconnected(peer, now, out);
        if (!has_view() || peer != primary().name) return;
        // The primary may have failed, or only the connection. Ask for a newer view, and repeat what was unanswered
        // after a wait: a server that closes each connection at once must not be dialled in a loop.
        follower_.ask_again(now);
        if (leaving()) farewell_.send_at(after(now, queue(CallKind::command).backoff.next(chance_)));
        if (calls_.in_flight() == 0 && !opening_.awaited()) return;
        calls_.requeue_all();
        opening_.lost();
        lost_ = true;
        pause_all(now);
    }
    void probed(const Address&, ProbeResult, Time, Output&) {}

    /// Ends the calls whose deadline has passed, requeues those whose answer is overdue, and sends what may be sent.
    void wake(Time now, Output& out) {
        Turn turn{now, out};
        if (leaving()) say_farewell(turn);
        if (ended_) return;
        while (auto* call = calls_.due(now)) {
            if (call->deadline <= now)
                give_up(*call);
            else if (large_until_ > now)  // the answer may be queued behind a large one (note_large)
                calls_.postpone(*call, large_until_);
            else {
                reached("C2: what is not answered in time is asked again");
                calls_.requeue(*call);
                follower_.ask_again(now);
            }
        }
        open_session(turn);
        while (const auto kind = next_kind(now)) send(calls_.first_waiting(*kind), turn);
        if (wants_view()) follower_.wake(now, chance_, out);
        invariants();
    }
    /// When `wake` has something to do, if no message comes before.
    Time deadline() const {
        if (ended_) return leaving() ? std::min(farewell_.deadline(), follower_.deadline()) : never;
        auto time = std::min(calls_.deadline(), open_time());
        for (const auto kind : call_kinds) time = std::min(time, send_time(kind));
        return wants_view() ? std::min(time, follower_.deadline()) : time;
    }
    void invariants() const {
        calls_.invariants();
        UNDERSTUDY_CHECK(calls_.in_flight() <= options_.window);
        UNDERSTUDY_CHECK(calls_.size() <= options_.max_calls);
        UNDERSTUDY_CHECK(session_.unanswered() <= calls_.size());
        UNDERSTUDY_CHECK(!ended_ || calls_.size() == 0);
    }
    /// Checks every call. O(calls): for simulation and tests.
    void deep_invariants() const { calls_.deep_invariants(); }

    friend bool operator==(const ClientStateMachine&, const ClientStateMachine&) = default;

private:
    static constexpr std::size_t large_answer = 64u << 10;
    static constexpr std::size_t most_kept = 1024;  // finished calls for which memory is kept

    // The retry state that all calls of one kind share.
    struct RetryQueue {
        Backoff backoff;
        Time resume_at{};  // no call of this kind is sent before
        friend bool operator==(const RetryQueue&, const RetryQueue&) = default;
    };

    static ClientOptions checked(ClientOptions options) {
        UNDERSTUDY_CHECK(options.validate().empty());
        return options;
    }
    bool has_view() const { return view_.view.number != 0; }
    const Member& primary() const { return view_.view.primary; }
    // An idle client does not ask the view service, unless `follow` was called.
    bool wants_view() const { return following_ || calls_.size() > 0; }
    RetryQueue new_queue() const { return {Backoff{options_.retry_first, options_.retry_last}}; }
    RetryQueue& queue(CallKind kind) { return queues_[static_cast<std::size_t>(kind)]; }
    const RetryQueue& queue(CallKind kind) const { return queues_[static_cast<std::size_t>(kind)]; }
    RetryQueue& queue(const ClientCall& call) { return queue(call.kind()); }

    // ---- calls begin and end -----------------------------------------------------------------------------

    void start(CallKey key, CallRequest&& request, std::optional<Duration> give_up_after, Time now) {
        UNDERSTUDY_CHECK(calls_.is_new(key));
        auto refuse = [&](error code, std::string why) {
            finished_.push_back({.key = key, .error = code, .detail = std::move(why)});
        };
        if (ended_) return refuse(*ended_, ended_why_);
        if (request.text.size() > options_.max_command)
            return refuse(error::too_large, std::to_string(request.text.size()) + " bytes, max_command is " +
                                                std::to_string(options_.max_command));
        if (calls_.size() >= options_.max_calls) {
            reached("C6: a client refuses a call beyond its max_calls");
            return refuse(error::overloaded, std::to_string(calls_.size()) + " calls are under way");
        }
        calls_.add(key, std::move(request), after(now, give_up_after.value_or(options_.give_up_after)));
        follower_.want(now);
    }
    void remove(ClientCall& call) {
        if (call.seq != 0) session_.end(call.session, call.seq);  // C3: a call that is given up counts as answered
        calls_.remove(call);
    }
    // Returns the result of the call, for the caller to fill in the rest.
    Finished& finish(ClientCall& call) {
        auto& how = finished_.emplace_back();
        how.key = call.key;
        remove(call);
        return how;
    }
    void finish(ClientCall& call, error code, std::string&& why) {
        auto& how = finish(call);
        how.error = code;
        how.detail = std::move(why);
    }
    // Ends a call with an error whose meaning is "no effect". If an attempt may have been executed, that would be a
    // false promise, so the call ends with `outcome_unknown`.
    void fail(ClientCall& call, error code, std::string why) {
        finish(call, call.maybe() ? error::outcome_unknown : code, std::move(why));
    }
    void give_up(ClientCall& call) {
        reached("C2: a call whose deadline passes ends with what is known of its outcome");
        auto code = call.is_command() && call.refusal ? *call.refusal : error::deadline_passed;
        fail(call, code, call.detail.empty() ? why_unanswered(call) : std::move(call.detail));
    }
    // Human-readable text for a call that ends without a refusal of its own.
    std::string why_unanswered(const ClientCall& call) const {
        auto trouble = trouble_.empty() ? "" : ": " + trouble_;
        if (!has_view())
            return "no view of group " + options_.group + " is known" +
                   (no_view_why_.empty() ? trouble : ": " + no_view_why_);
        if (call.is_command() && !session_ready())
            return "no session could be opened" + (trouble.empty() ? " at " + primary().name : trouble);
        return (call.sent == 0 ? "not sent yet to " : "no answer from ") + primary().name;
    }
    // Ends all calls, in the order of their keys, and makes `start` refuse each later call with the same error.
    void end_all(error code, std::string why) {
        if (ended_) return;
        for (const auto key : calls_.keys()) {
            auto& call = *calls_.find(key);
            if (code == error::closed)  // it says nothing about the outcome, so it needs no `outcome_unknown`
                finish(call, code, std::string{why});
            else
                fail(call, code, why);
        }
        ended_ = code;
        ended_why_ = std::move(why);
    }

    // ---- sending -----------------------------------------------------------------------------------------

    // The window bounds what is sent and unanswered. At least one call is sent, whatever its size.
    bool room() const {
        return calls_.in_flight() < options_.window && calls_.in_flight_bytes() < options_.window_bytes;
    }
    bool session_ready() const { return !options_.session || session_.is_open(); }

    // When the first waiting call of a kind may be sent; `never` while something other than time must happen first.
    Time send_time(CallKind kind) const {
        if (!has_view() || !room() || !calls_.has_waiting(kind)) return never;
        if (kind == CallKind::command && !session_ready()) return never;
        return queue(kind).resume_at;
    }
    // The kind of the oldest call that may be sent now: calls of different kinds keep the order in which they started.
    std::optional<CallKind> next_kind(Time now) const {
        std::optional<CallKind> first;
        for (const auto kind : call_kinds)
            if (send_time(kind) <= now)
                if (!first || calls_.first_key(kind) < calls_.first_key(*first)) first = kind;
        return first;
    }
    void send(ClientCall& call, Turn& turn) {
        // The new session does not have the results of the old one, so it cannot recognize a command that was executed
        // there: repeated in the new session, the command could take effect twice.
        if (call.seq != 0 && call.session != session_.id()) {
            reached("C4: a call of an expired session is not repeated in the next one");
            return fail(call, error::outcome_unknown, "the session at " + primary().name + " expired");
        }
        if (call.is_command() && options_.session && call.seq == 0) {
            call.session = session_.id();
            call.seq = session_.take();
        }
        auto n = calls_.note_sent(call, after(turn.now, patience(call)));
        turn.out.send(primary_peer_, make_call_id(call.method, n), request(call));
    }
    // How long to await the answer to the next attempt: 1, 2, then 4 times `resend_after`. The primary may be late
    // because it is overloaded, and repeating at a constant pace would add to its load.
    Duration patience(const ClientCall& call) const {
        auto length = options_.resend_after;
        return length > Duration::max() / 4 ? length : length * (1 << std::min<std::uint64_t>(call.sent, 2));
    }
    // `low` is that of the moment of sending, also in a repeated request (C3): servers drop results earlier.
    Message request(const ClientCall& call) const {
        auto cluster = view_.cluster;
        const auto& group = options_.group;
        switch (call.method) {
            case Method::pb_execute:
                if (!options_.session) {
                    reached("C5: without a session a command is executed at least once");
                    return Execute{cluster, group, SessionId{}, 0, 0, call.text};
                }
                return Execute{cluster, group, call.session, call.seq, session_.low(), call.text};  // C2, C3
            case Method::pb_query: return Query{cluster, group, call.text};
            default: return Dump{cluster, group, call.dump_at, call.dump_chunk};
        }
    }
    // When to ask for a session; `never` if no command waits for one.
    Time open_time() const {
        if (!has_view() || session_ready() || !calls_.has_waiting(CallKind::command)) return never;
        return std::max(opening_.until(), queue(CallKind::command).resume_at);
    }
    void open_session(Turn& turn) {
        if (open_time() > turn.now) return;
        if (opening_.awaited()) follower_.ask_again(turn.now);  // the last request was not answered in time
        reached("C3: a session is opened by one replicated command");
        auto n = opening_.send(after(turn.now, options_.resend_after));
        turn.out.send(primary_peer_, make_call_id(Method::pb_open, n),
                      Open{.cluster = view_.cluster, .group = options_.group});
    }

    // Holds back the calls of a kind for the next wait of its backoff. A queue that waits already is left alone:
    // otherwise one fault that refuses a hundred calls would lengthen the wait a hundred times.
    void pause(RetryQueue& queue, Time now) {
        if (queue.resume_at <= now) queue.resume_at = after(now, queue.backoff.next(chance_));
    }
    void pause_all(Time now) {
        for (auto& queue : queues_) pause(queue, now);
    }
    // A new primary has not refused anything yet: send at once, and begin the backoffs anew.
    void resume_all() {
        for (auto& queue : queues_) {
            queue.resume_at = Time{};
            queue.backoff.reset();
        }
        lost_ = false;
    }

    // ---- the view (state_machine_views.ipp) --------------------------------------------------------------

    bool learn(const ViewInfo& info, const Address& from, Turn& turn);
    void on(const Caller& caller, ViewResult&& result, Turn& turn);
    void on(const Caller& caller, ViewChanged&& news, Turn& turn);

    // ---- answers (state_machine_answers.ipp) -------------------------------------------------------------

    void on(const Caller& caller, OpenResult&& result, Turn& turn);
    void on(const Caller& caller, CloseResult&&, Turn& turn);  // state_machine_farewell.ipp
    void on(const Caller& caller, const ExecuteResultView& result, Turn& turn);
    void on(const Caller& caller, const QueryResultView& result, Turn& turn);
    void on(const Caller& caller, DumpResult&& result, Turn& turn);
    void note_large(std::size_t bytes, Time now);
    void answered(RetryQueue& queue);
    Finished* answer(const Caller& caller, Method method, Position at, std::string_view value, Turn& turn);
    template <typename Other>
    void on(const Caller& caller, Other&&, Turn& turn) {
        turn.refuse(caller.peer, {error::unknown_method, "a message that is not for a client"});
    }
    static std::string said_by(const Address& peer, const std::string& text) { return peer + ": " + text; }

    // ---- refusals (state_machine_refusals.ipp) -----------------------------------------------------------

    void on(const Caller& caller, Failure&& failure, Turn& turn);
    void view_refused(const Address& peer, std::uint64_t n, Failure& failure, Turn& turn);
    void open_refused(const Address& peer, std::uint64_t n, Failure& failure, Turn& turn);
    void call_refused(const Caller& caller, Failure& failure, Turn& turn);
    void refused(ClientCall& call, Failure& failure, Time now);
    void change_session(ClientCall& call, Time now);
    void look_elsewhere(const Address& peer, const Failure& failure, Turn& turn);

    // ---- the end (state_machine_farewell.ipp) ------------------------------------------------------------

    void say_farewell(Turn& turn);
    void farewell_refused(const Address& peer, Failure& failure, Turn& turn);

    ClientOptions options_;
    Prng chance_;
    ViewInfo view_;
    Peer primary_peer_;  // the primary's name
    ViewFollower follower_;
    ClientCalls calls_;
    ClientSession session_;
    SessionOpening opening_;
    SessionFarewell farewell_;
    std::array<RetryQueue, std::size(call_kinds)> queues_;
    Time large_until_{};  // `resend_after` after the last large answer: until then no answer counts as overdue
    bool following_ = false;
    bool lost_ = false;    // the connection to the primary was lost; no answer and no newer view came since
    std::string trouble_;  // the last refusal by the view service, or of `pb.open`, as human-readable text
    std::string no_view_why_;  // why the group has no view, as the view service explains it
    std::optional<error> ended_;  // set: all calls have ended, and later ones end with this error
    std::string ended_why_;
    std::vector<Finished> finished_;
};

}  // namespace understudy::client

#include <understudy/client/state_machine_answers.ipp>
#include <understudy/client/state_machine_farewell.ipp>
#include <understudy/client/state_machine_refusals.ipp>
#include <understudy/client/state_machine_views.ipp>
