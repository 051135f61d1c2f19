// The client's side of the protocol (rules C1 to C6): whom to ask, when to ask again, and when to give up. Each call
// comes out once, and what is said about its outcome is true however many of its sendings were lost or overtaken.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/client/backoff.hpp>
#include <understudy/client/calls.hpp>
#include <understudy/client/farewell.hpp>
#include <understudy/client/refusals.hpp>
#include <understudy/client/session.hpp>
#include <understudy/client/view_follower.hpp>
#include <understudy/options.hpp>
#include <understudy/protocol/coverage.hpp>
#include <understudy/protocol/effects.hpp>

namespace understudy::client {

/// A client: any number of calls under way at one group.
///
/// Calls start with `execute`, `query` and `dump`, are sent by the next `wake`, and come out once each by
/// `take_finished`, unless they are cancelled. How they end, besides with the answer:
///  - `outcome_unknown`: a command that may have taken effect: its deadline passed after it was sent (C2), its session
///    expired under a retry (C4), or a retry was refused for good while an earlier sending was unaccounted for;
///  - `deadline_passed`: it had no effect. A query or dump never has one, so its deadline always ends with this;
///  - `overloaded`, `not_enough_replicas`, `wrong_cluster`: the deadline passed, and every sending of the command had
///    been refused like this. That is certain where the transport repeats no request, as no stream does;
///  - `overloaded` at once: `max_calls` are under way. `too_large` at once: longer than `max_command`;
///  - a refusal that trying again cannot cure (`bad_request`, `too_large`, `unauthorized` …), with its text;
///  - `wrong_cluster`: the view service has lost its state and became another cluster. A client belongs to the cluster
///    of its first view: all calls end like this from now on, those that may have taken effect with `outcome_unknown`;
///  - `closed`: `stop` was called; of calls that were sent the outcome is unknown.
/// The servers' `session_ttl` is longer than the client waits for an answer, which is at most 4 `resend_after`.
class ClerkRules {
public:
    /// `options` are valid. `seed` varies the waits between retries, nothing else.
    ClerkRules(ClerkOptions options, std::uint64_t seed)
        : options_(checked(std::move(options))),
          chance_(seed),
          follower_(options_),
          lanes_{new_lane(), new_lane(), new_lane()} {}

    /// Executes a command once (or, without a session, at least once: C5). `give_up_after`: nothing means the option's.
    void execute(CallKey key, JsonText command, std::optional<Duration> give_up_after, Time now) {
        ClerkCall call{.key = key, .method = Method::pb_execute, .text = std::move(command)};
        start(std::move(call), give_up_after, now);
    }
    /// Reads, linearizably.
    void query(CallKey key, JsonText query, std::optional<Duration> give_up_after, Time now) {
        ClerkCall call{.key = key, .method = Method::pb_query, .text = std::move(query)};
        start(std::move(call), give_up_after, now);
    }
    /// Reads one piece of a snapshot (`Dump`).
    void dump(CallKey key, std::optional<Position> at, std::uint64_t chunk, std::optional<Duration> give_up_after,
              Time now) {
        ClerkCall call{.key = key, .method = Method::pb_dump, .dump_at = at, .dump_chunk = chunk};
        start(std::move(call), give_up_after, now);
    }
    /// Forgets a call: it will not come out, and whether it takes effect stays unknown if it was sent.
    void cancel(CallKey key, Time) {
        if (calls_.has(key)) remove(calls_.at(key));
    }
    /// Ends all calls, and each later one at once, with `closed`.
    void stop() {
        farewell_.end();
        end_all(error::closed, "the client was stopped");
    }
    /// The same in good order: closes the session at the primary too (C4). What was sent in it before takes effect
    /// before that or not at all. It is tried for two `resend_after`, 2 s at most; until then, or until it is done,
    /// `leaving`.
    void leave(Time now);
    bool leaving() const { return farewell_.under_way(); }
    /// Learns the view and keeps it up to date also while there are no calls.
    void follow(Time now) {
        following_ = true;
        follower_.want(now);
    }

    std::vector<Finished> take_finished() { return std::exchange(finished_, {}); }
    /// The newest view known; number 0 if none is.
    const ViewInfo& view() const { return view_; }
    const ClerkOptions& options() const { return options_; }
    /// Calls under way.
    std::size_t pending() const { return calls_.size(); }

    // ---- the machine -------------------------------------------------------------------------------------

    void receive(Envelope envelope, Time now, Effects& out) {
        if (ended_ && !leaving()) return;
        std::visit([&](auto& message) { handle(envelope, message, now, out); }, envelope.message);
    }
    void gone(const Address& peer, Time now, Effects& out) {
        if (ended_ && !leaving()) return;
        follower_.gone(peer, now, out);
        if (!has_view() || peer != primary().name) return;
        follower_.suspect(now);
        if (leaving()) farewell_.send_at(after(now, lane(CallKind::command).backoff.next(chance_)));
        if (calls_.flying() == 0 && !opening_.awaited()) return;
        calls_.land_all();
        opening_.lost();
        lost_ = true;
        pause_all(now);
    }
    void probed(const Address&, ProbeResult, Time, Effects&) {}

    void wake(Time now, Effects& out) {
        if (leaving()) say_farewell(now, out);
        if (ended_) return;
        while (auto* call = calls_.due(now)) {
            if (call->deadline <= now)
                give_up(*call);
            else if (large_until_ > now)
                calls_.postpone(*call, large_until_);
            else {
                reached("C2: what is not answered in time is asked again");
                calls_.land(*call);
                follower_.suspect(now);
            }
        }
        open_session(now, out);
        while (auto key = next_call(now)) send(calls_.at(*key), now, out);
        if (wants_view()) follower_.wake(now, chance_, out);
        invariants();
    }
    Time deadline() const {
        if (ended_) return leaving() ? std::min(farewell_.deadline(), follower_.deadline()) : never;
        auto time = std::min(calls_.deadline(), open_time());
        for (const auto kind : call_kinds) time = std::min(time, send_time(kind));
        return wants_view() ? std::min(time, follower_.deadline()) : time;
    }
    void invariants() const {
        calls_.invariants();
        UNDERSTUDY_CHECK(calls_.flying() <= options_.window);
        UNDERSTUDY_CHECK(calls_.size() <= options_.max_calls);
        UNDERSTUDY_CHECK(session_.unanswered() <= calls_.size());
        UNDERSTUDY_CHECK(!ended_ || calls_.size() == 0);
    }
    /// O(calls), for simulation.
    void deep_invariants() const { calls_.deep_invariants(); }

    friend bool operator==(const ClerkRules&, const ClerkRules&) = default;

private:
    static constexpr std::size_t large_answer = 64u << 10;

    // When calls of a kind may be sent.
    struct Lane {
        Backoff backoff;
        Time resume_at{};
        friend bool operator==(const Lane&, const Lane&) = default;
    };

    static ClerkOptions checked(ClerkOptions options) {
        UNDERSTUDY_CHECK(options.validate().empty());
        return options;
    }
    bool has_view() const { return view_.view.number != 0; }
    const Member& primary() const { return view_.view.primary; }
    bool wants_view() const { return following_ || calls_.size() > 0; }
    Lane new_lane() const { return {Backoff{options_.retry_first, options_.retry_last}}; }
    Lane& lane(CallKind kind) { return lanes_[static_cast<std::size_t>(kind)]; }
    const Lane& lane(CallKind kind) const { return lanes_[static_cast<std::size_t>(kind)]; }
    Lane& lane(const ClerkCall& call) { return lane(call.kind()); }

    // ---- calls begin and end -----------------------------------------------------------------------------

    void start(ClerkCall call, std::optional<Duration> give_up_after, Time now) {
        UNDERSTUDY_CHECK(!calls_.has(call.key));
        auto refuse = [&](error code, std::string why) {
            finished_.push_back({.key = call.key, .error = code, .detail = std::move(why)});
        };
        if (ended_) return refuse(*ended_, ended_why_);
        if (call.text.size() > options_.max_command)
            return refuse(error::too_large, std::to_string(call.text.size()) + " bytes, max_command is " +
                                                std::to_string(options_.max_command));
        if (calls_.size() >= options_.max_calls) {
            reached("C6: a client refuses a call beyond its max_calls");
            return refuse(error::overloaded, std::to_string(calls_.size()) + " calls are under way");
        }
        call.deadline = after(now, give_up_after.value_or(options_.give_up_after));
        calls_.add(std::move(call));
        follower_.want(now);
    }
    void remove(ClerkCall& call) {
        if (call.seq != 0) session_.end(call.session, call.seq);  // C3: also one that is given up
        calls_.remove(call);
    }
    void finish(ClerkCall& call, Finished&& how) {
        how.key = call.key;
        finished_.push_back(std::move(how));
        remove(call);
    }
    // It can have had no effect, unless an earlier sending did.
    void fail(ClerkCall& call, error code, std::string why) {
        finish(call, {.error = call.maybe() ? error::outcome_unknown : code, .detail = std::move(why)});
    }
    void give_up(ClerkCall& call) {
        reached("C2: a call whose deadline passes ends with what is known of its outcome");
        auto code = call.is_command() && call.refusal ? *call.refusal : error::deadline_passed;
        fail(call, code, call.detail.empty() ? why_unanswered(call) : std::move(call.detail));
    }
    std::string why_unanswered(const ClerkCall& call) const {
        auto trouble = trouble_.empty() ? "" : ": " + trouble_;
        if (!has_view())
            return "no view of group " + options_.group + " is known" +
                   (no_view_why_.empty() ? trouble : ": " + no_view_why_);
        if (call.is_command() && !session_ready())
            return "no session could be opened" + (trouble.empty() ? " at " + primary().name : trouble);
        return (call.sent == 0 ? "not sent yet to " : "no answer from ") + primary().name;
    }
    void end_all(error code, std::string why) {
        if (ended_) return;
        for (const auto key : calls_.keys()) {
            auto& call = calls_.at(key);
            if (code == error::closed)
                finish(call, {.error = code, .detail = why});
            else
                fail(call, code, why);
        }
        ended_ = code;
        ended_why_ = std::move(why);
    }

    // ---- sending -----------------------------------------------------------------------------------------

    bool room() const { return calls_.flying() < options_.window && calls_.flying_bytes() < options_.window_bytes; }
    bool session_ready() const { return !options_.session || session_.is_open(); }

    // When the next one of a kind may be sent.
    Time send_time(CallKind kind) const {
        if (!has_view() || !room() || calls_.waiting(kind).empty()) return never;
        if (kind == CallKind::command && !session_ready()) return never;
        return lane(kind).resume_at;
    }
    std::optional<CallKey> next_call(Time now) const {
        std::optional<CallKey> first;
        for (const auto kind : call_kinds)
            if (send_time(kind) <= now)
                if (auto key = *calls_.waiting(kind).begin(); !first || key < *first) first = key;
        return first;
    }
    void send(ClerkCall& call, Time now, Effects& out) {
        if (call.seq != 0 && call.session != session_.id()) {  // the new one does not know what it did in the old
            reached("C4: a call of an expired session is not repeated in the next one");
            return fail(call, error::outcome_unknown, "the session at " + primary().name + " expired");
        }
        if (call.is_command() && options_.session && call.seq == 0) {
            call.session = session_.id();
            call.seq = session_.take();
        }
        auto n = calls_.fly(call, after(now, patience(call)));
        out.send(primary().name, make_call_id(call.method, n), request(call));
    }
    // An answer may be late because the primary has more than enough to do.
    Duration patience(const ClerkCall& call) const {
        auto length = options_.resend_after;
        return length > Duration::max() / 4 ? length : length * (1 << std::min<std::uint64_t>(call.sent, 2));
    }
    Message request(const ClerkCall& call) const {
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
    Time open_time() const {
        if (!has_view() || session_ready() || calls_.waiting(CallKind::command).empty()) return never;
        return std::max(opening_.until(), lane(CallKind::command).resume_at);
    }
    void open_session(Time now, Effects& out) {
        if (open_time() > now) return;
        if (opening_.awaited()) follower_.suspect(now);
        reached("C3: a session is opened by one replicated command");
        auto n = opening_.send(after(now, options_.resend_after));
        out.send(primary().name, make_call_id(Method::pb_open, n),
                 Open{.cluster = view_.cluster, .group = options_.group});
    }

    void pause(Lane& lane, Time now) {
        if (lane.resume_at <= now) lane.resume_at = after(now, lane.backoff.next(chance_));
    }
    void pause_all(Time now) {
        for (auto& lane : lanes_) pause(lane, now);
    }
    void resume_all() {
        for (auto& lane : lanes_) {
            lane.resume_at = Time{};
            lane.backoff.reset();
        }
        lost_ = false;
    }

    // ---- the view (C1) -----------------------------------------------------------------------------------

    // Takes over what is newer; true if it was.
    bool learn(const ViewInfo& info, const Address& from, Time now, Effects& out) {
        if (info.group != options_.group) {
            refuse(from, error::wrong_group, "a view of group " + info.group, out);
            return false;
        }
        if (has_view() && info.cluster != view_.cluster && (info.view.number != 0 || info.cluster != ClusterId::none)) {
            auto why = "a view of cluster " + to_hex(info.cluster) + ", this client is of " + to_hex(view_.cluster);
            refuse(from, error::wrong_cluster, why, out);
            if (follower_.is_view_service(from))
                end_all(error::wrong_cluster, std::move(why));
            else
                follower_.suspect(now);
            return false;
        }
        if (!is_newer(info.view, view_.view)) return false;
        auto moved = info.view.primary.name != primary().name || info.view.primary.incarnation != primary().incarnation;
        view_ = info;
        trouble_.clear();
        follower_.helped();
        if (moved) {
            if (calls_.flying() > 0) reached("C2: what is unanswered is sent to the next primary too");
            calls_.land_all();
            opening_.lost();
        }
        if (moved && leaving()) farewell_.send_at(now);
        if (moved || lost_) resume_all();
        return true;
    }
    void handle(const Envelope& envelope, ViewResult& result, Time now, Effects& out) {
        auto name = read_call_id(envelope.id);
        if ((name.method != Method::view_watch && name.method != Method::view_get) || !follower_.made(name.n))
            return refuse(envelope.peer, error::invalid_request, "a view that nobody asked for", out);
        follower_.answered(name.n, result.info.view.number != 0);
        no_view_why_ = std::move(result.trouble);
        learn(result.info, envelope.peer, now, out);
    }
    void handle(const Envelope& envelope, ViewChanged& news, Time now, Effects& out) {
        if (!follower_.is_view_service(envelope.peer))
            return refuse(envelope.peer, error::unauthorized, "view.changed not from the view service", out);
        if (learn(news.info, envelope.peer, now, out)) reached("C1: a client follows the views that are pushed");
    }

    // ---- answers -----------------------------------------------------------------------------------------

    void handle(const Envelope& envelope, OpenResult& result, Time, Effects& out) {
        auto name = read_call_id(envelope.id);
        if (name.method != Method::pb_open || !opening_.made(name.n))
            return refuse(envelope.peer, error::invalid_request, "a session that nobody asked for", out);
        if (!opening_.answered(name.n)) return;
        session_.open(result.session);
        trouble_.clear();
        answered(lane(CallKind::command));
    }
    void handle(const Envelope& envelope, CloseResult&, Time, Effects& out);
    void handle(const Envelope& envelope, ExecuteResult& result, Time now, Effects& out) {
        note_large(result.value.size(), now);
        answer(envelope, Method::pb_execute, {.at = result.at, .value = std::move(result.value)}, out);
    }
    void handle(const Envelope& envelope, QueryResult& result, Time now, Effects& out) {
        note_large(result.value.size(), now);
        answer(envelope, Method::pb_query, {.at = result.at, .value = std::move(result.value)}, out);
    }
    void handle(const Envelope& envelope, DumpResult& result, Time now, Effects& out) {
        note_large(result.data.size(), now);
        auto at = result.at;
        answer(envelope, Method::pb_dump, {.at = at, .dump = std::move(result)}, out);
    }
    // What is behind it in the connection is late, not lost; asked again it would come twice.
    void note_large(std::size_t bytes, Time now) {
        if (bytes >= large_answer) large_until_ = after(now, options_.resend_after);
    }
    void answered(Lane& lane) {
        lane.backoff.reset();
        lost_ = false;
    }
    void answer(const Envelope& envelope, Method method, Finished&& how, Effects& out) {
        auto name = read_call_id(envelope.id);
        auto* call = calls_.by_sending(name.n);
        if (name.method != method || !calls_.made(name.n) || (call && call->method != method))
            return refuse(envelope.peer, error::invalid_request, "an answer that nobody asked for", out);
        if (!call) return;  // late: the call has ended
        answered(lane(*call));
        finish(*call, std::move(how));
    }
    template <typename Other>
    void handle(const Envelope& envelope, Other&, Time, Effects& out) {
        refuse(envelope.peer, error::unknown_method, "a message that is not for a client", out);
    }
    static std::string said_by(const Address& peer, const std::string& text) { return peer + ": " + text; }
    static void refuse(const Address& peer, error code, std::string what, Effects& out) {
        out.tell(Refused{peer, code, std::move(what)});
    }

    // ---- refusals (clerk_rules_refusals.hpp) ---------------------------------------------------------------

    void handle(const Envelope& envelope, Failure& failure, Time now, Effects& out);
    void view_refused(const Address& peer, std::uint64_t n, Failure& failure, Time now, Effects& out);
    void open_refused(const Address& peer, std::uint64_t n, Failure& failure, Time now, Effects& out);
    void call_refused(const Envelope& envelope, Failure& failure, Time now, Effects& out);
    void refused(ClerkCall& call, Failure& failure, Time now);
    void change_session(ClerkCall& call, Time now);
    void look_elsewhere(const Address& peer, const Failure& failure, Time now, Effects& out);

    // ---- the end (clerk_rules_farewell.hpp) ----------------------------------------------------------------

    void say_farewell(Time now, Effects& out);
    void farewell_refused(const Address& peer, Failure& failure, Time now, Effects& out);

    ClerkOptions options_;
    Chance chance_;
    ViewInfo view_;
    ViewFollower follower_;
    ClerkCalls calls_;
    ClerkSession session_;
    SessionOpening opening_;
    SessionFarewell farewell_;
    std::array<Lane, std::size(call_kinds)> lanes_;
    Time large_until_{};  // a large answer came less than `resend_after` before
    bool following_ = false;
    bool lost_ = false;    // the connection to the primary ended, and nothing was heard since
    std::string trouble_;  // why the view service, or the opening of a session, was last refused
    std::string no_view_why_;  // as the view service says
    std::optional<error> ended_;
    std::string ended_why_;
    std::vector<Finished> finished_;
};

}  // namespace understudy::client

#include <understudy/client/state_machine_farewell.ipp>
#include <understudy/client/state_machine_refusals.ipp>
