// The table of a client's calls: the request and the state of each, and the indexes that find the calls which are due
// without a scan over all of them. The choice of the peer and the time of a retry is made in state_machine.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/base/recycling_allocator.hpp>
#include <understudy/client/timer_queue.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/protocol/message.hpp>

namespace understudy::client {

/// Names a call. The host chooses the keys: each is used once, and a later call has a greater key than an earlier one.
using CallKey = std::uint64_t;

/// The result of one call.
struct Finished {
    CallKey key = 0;
    std::optional<understudy::error> error{};///< Absent: the call was answered.
    Position at{};                           ///< The position in the answer (a fencing token).
    JsonText value{};                        ///< The store's reply to a command or query.
    std::string detail{};                    ///< With an error: its known cause as human-readable text.
    std::optional<DumpResult> dump{};        ///< The answer to a `dump`: one piece of the export.
    friend bool operator==(const Finished&, const Finished&) = default;
};

/// Calls of one kind share a retry queue: the reason for which a server refuses one of them holds for the next one too.
/// `snapshot` is the first call of a dump. It has a queue of its own: while a server has no room for another dump, the
/// later pieces of dumps under way (kind `read`) must still be sent, since finishing these is what makes room.
enum class CallKind : std::uint8_t { command, read, snapshot };
inline constexpr CallKind call_kinds[] = {CallKind::command, CallKind::read, CallKind::snapshot};

/// One call under way.
struct ClientCall {
    CallKey key = 0;
    Method method = Method::none;      ///< `pb_execute`, `pb_query` or `pb_dump`.
    JsonText text{};                   ///< The command or query.
    std::optional<Position> dump_at{};  ///< Which snapshot a dump reads; absent: the call takes a new one.
    std::uint64_t dump_chunk = 0;      ///< Which piece of it, from 0.
    Time deadline = never;             ///< The call ends then, answered or not.
    Time timer = never;                ///< When to act on it next; at most `deadline`.
    SessionId session{};               ///< The session that `seq` belongs to.
    Sequence seq = 0;                  ///< Its sequence number in `session`; 0: none yet.
    std::vector<std::uint64_t> attempts{};  ///< Numbers of the attempts whose answers would still count, oldest first.
    std::uint64_t sent = 0;            ///< Attempts so far; a change of session counts from 0 again.
    std::uint64_t possible = 0;        ///< Attempts that may have been executed: none of them was definitely refused.
    bool in_flight = false;               ///< Sent, and an answer is awaited; otherwise the call waits to be sent.
    std::optional<error> refusal{};    ///< The last definite refusal.
    std::string detail{};              ///< Human-readable text of the last refusal, definite or not.

    CallKind kind() const {
        if (method == Method::pb_execute) return CallKind::command;
        return method == Method::pb_dump && !dump_at ? CallKind::snapshot : CallKind::read;
    }
    bool is_command() const { return kind() == CallKind::command; }
    /// True if the call may have taken effect. A read never has an effect.
    bool maybe() const { return is_command() && possible > 0; }
    friend bool operator==(const ClientCall&, const ClientCall&) = default;
};

/// All calls under way. An operation on one call costs O(log n) with n calls, averaged over many (TimerQueue);
/// `requeue_all` and `keys` go over all of them.
class ClientCalls {
public:
    using Keys = std::set<CallKey, std::less<>, RecyclingAllocator<CallKey>>;

    /// Attempts of one call that are retained. An answer to an older attempt is ignored, like any late answer; without
    /// a bound a call without a deadline would collect attempts for as long as an outage lasts.
    static constexpr std::size_t max_attempts = 8;

    std::size_t size() const { return calls_.size(); }
    /// Calls that were sent and whose answers are awaited.
    std::size_t in_flight() const { return in_flight_; }
    /// Bytes of the commands and queries of these calls.
    std::size_t in_flight_bytes() const { return in_flight_bytes_; }
    bool has(CallKey key) const { return calls_.contains(key); }
    ClientCall& at(CallKey key) { return calls_.at(key); }

    /// The calls of a kind that wait to be sent, in the order of sending: the order of their keys.
    const Keys& waiting(CallKind kind) const { return waiting_[static_cast<std::size_t>(kind)]; }

    /// True if attempt `n` was ever made. An answer to any other number is a fault of the peer.
    bool made(std::uint64_t n) const { return n > 0 && n < next_; }

    /// The call that attempt `n` belongs to; null if the call has ended or the attempt is no longer retained.
    ClientCall* by_attempt(std::uint64_t n) {
        auto found = attempts_.find(n);
        return found == attempts_.end() ? nullptr : &calls_.at(found->second);
    }

    /// Adds a call that waits to be sent. Its key must be greater than that of every call before it.
    void add(ClientCall call) {
        auto key = call.key;
        UNDERSTUDY_CHECK(!calls_.contains(key));
        call.timer = call.deadline;
        queue(call).insert(queue(call).end(), key);
        calls_.emplace(key, std::move(call));
        start_timer(calls_.at(key));
    }

    /// Records that a waiting call is sent now and its answer is awaited until `until`. Returns the attempt's number.
    std::uint64_t note_sent(ClientCall& call, Time until) {
        UNDERSTUDY_CHECK(!call.in_flight);
        queue(call).erase(call.key);
        auto n = next_++;
        attempts_.emplace(n, call.key);
        if (call.attempts.size() == max_attempts) {
            attempts_.erase(call.attempts.front());
            call.attempts.erase(call.attempts.begin());
        }
        call.attempts.push_back(n);
        ++call.sent;
        ++call.possible;
        call.in_flight = true;
        ++in_flight_;
        in_flight_bytes_ += call.text.size();
        set_timer(call, until);
        return n;
    }

    /// True if the call awaits the answer to attempt `n`, its newest one.
    bool awaits(const ClientCall& call, std::uint64_t n) const { return call.in_flight && call.attempts.back() == n; }

    /// Records that attempt `n` of the call was refused. `definite`: it has not been executed and will not be.
    void refused(ClientCall& call, std::uint64_t n, bool definite) {
        std::erase(call.attempts, n);
        attempts_.erase(n);
        if (definite) --call.possible;
    }

    /// Requeues a call that was sent: its answer is no longer awaited, but still counts if it comes.
    void requeue(ClientCall& call) {
        UNDERSTUDY_CHECK(call.in_flight);
        settle(call);
        queue(call).insert(call.key);
        set_timer(call, never);
    }
    /// Requeues every call that was sent. O(attempts).
    void requeue_all() {
        for (const auto& [n, key] : attempts_)
            if (auto& call = calls_.at(key); call.in_flight) requeue(call);
    }

    /// Awaits the answer until `until` instead, or until the call's deadline if that is earlier.
    void postpone(ClientCall& call, Time until) { set_timer(call, until); }

    /// The call whose timer is due first, or null if none is due.
    ClientCall* due(Time now) { return timers_.deadline() > now ? nullptr : &calls_.at(timers_.first()); }
    /// When the next timer is due.
    Time deadline() const { return timers_.deadline(); }

    /// The keys of all calls in ascending order. O(n log n).
    std::vector<CallKey> keys() const {
        std::vector<CallKey> all;
        for (const auto& [key, call] : calls_) all.push_back(key);
        std::ranges::sort(all);
        return all;
    }

    /// Removes a call that has ended; the reference is invalid afterwards.
    void remove(ClientCall& call) {
        const auto key = call.key;
        if (call.in_flight)
            settle(call);
        else
            queue(call).erase(key);
        for (auto n : call.attempts) attempts_.erase(n);
        const auto timer = call.timer;
        calls_.erase(key);
        end_timer(timer, key);
    }

    void invariants() const {
        UNDERSTUDY_CHECK(calls_.size() == in_flight_ + waiting_[0].size() + waiting_[1].size() + waiting_[2].size());
        UNDERSTUDY_CHECK(in_flight_ <= attempts_.size());
    }
    /// Checks every call and every index. O(calls): for simulation and tests.
    void deep_invariants() const {
        std::size_t in_flight = 0, bytes = 0, attempts = 0;
        for (const auto& [key, call] : calls_) {
            UNDERSTUDY_CHECK(key == call.key && call.timer <= call.deadline && timers_.contains(call.timer, key));
            UNDERSTUDY_CHECK(call.in_flight != waiting(call.kind()).contains(key));
            UNDERSTUDY_CHECK(call.possible <= call.sent && call.attempts.size() <= max_attempts);
            for (auto n : call.attempts) UNDERSTUDY_CHECK(attempts_.at(n) == key);
            in_flight += call.in_flight;
            bytes += call.in_flight ? call.text.size() : 0;
            attempts += call.attempts.size();
        }
        UNDERSTUDY_CHECK(in_flight == in_flight_ && bytes == in_flight_bytes_ && attempts == attempts_.size());
        UNDERSTUDY_CHECK(timers_.deadline() == never || is_current(timers_.deadline(), timers_.first()));
    }
    /// Timers and queues are not compared: they follow from the calls.
    friend bool operator==(const ClientCalls& a, const ClientCalls& b) {
        return a.calls_ == b.calls_ && a.attempts_ == b.attempts_ && a.next_ == b.next_;
    }

private:
    Keys& queue(const ClientCall& call) { return waiting_[static_cast<std::size_t>(call.kind())]; }
    // The answer is no longer awaited.
    void settle(ClientCall& call) {
        call.in_flight = false;
        --in_flight_;
        in_flight_bytes_ -= call.text.size();
    }
    // The new time is stored before the old timer ends: `is_current` recognizes ended timers by the stored time.
    void set_timer(ClientCall& call, Time time) {
        time = std::min(time, call.deadline);
        if (time == call.timer) return;
        const auto former = std::exchange(call.timer, time);
        start_timer(call);
        end_timer(former, call.key);
    }
    void start_timer(const ClientCall& call) { timers_.start(call.timer, call.key); }
    void end_timer(Time time, CallKey key) {
        timers_.end(time, key, calls_.size(), [this](Time at, CallKey of) { return is_current(at, of); });
    }
    bool is_current(Time time, CallKey key) const {
        const auto found = calls_.find(key);
        return found != calls_.end() && found->second.timer == time;
    }

    template <typename Value>
    using Map = std::unordered_map<std::uint64_t, Value, std::hash<std::uint64_t>, std::equal_to<>,
                                   RecyclingAllocator<std::pair<const std::uint64_t, Value>>>;

    Map<ClientCall> calls_;
    Map<CallKey> attempts_;  // from the number of each retained attempt to its call
    TimerQueue timers_;      // one for each call whose `timer` is not `never`
    std::array<Keys, std::size(call_kinds)> waiting_;
    std::size_t in_flight_ = 0, in_flight_bytes_ = 0;
    std::uint64_t next_ = 1;  // the number of the next attempt
};

}  // namespace understudy::client
