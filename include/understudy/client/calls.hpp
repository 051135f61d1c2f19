// The calls of a client: what each was asked, where it stands, and the indexes that find the ones to act on
// without looking at the others. Whom to ask and when to ask again is decided in state_machine.hpp.
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

/// Names a call to its host, who counts: of two calls the later has the greater key, and no key comes twice.
using CallKey = std::uint64_t;

/// How a call ended.
struct Finished {
    CallKey key = 0;
    std::optional<understudy::error> error{};///< Nothing: it was answered.
    Position at{};                           ///< Of the answer.
    JsonText value{};                        ///< What the store returned.
    std::string detail{};                    ///< With an error: what is known about its cause, for people.
    std::optional<DumpResult> dump{};        ///< The answer to a `dump`.
    friend bool operator==(const Finished&, const Finished&) = default;
};

/// Calls of one kind wait together to be sent: what keeps one from being taken keeps the next one too. `snapshot` is a
/// dump that begins; while servers have no room for one more, those that go on can make some.
enum class CallKind : std::uint8_t { command, read, snapshot };
inline constexpr CallKind call_kinds[] = {CallKind::command, CallKind::read, CallKind::snapshot};

/// One call under way.
struct ClerkCall {
    CallKey key = 0;
    Method method = Method::none;      ///< `pb_execute`, `pb_query` or `pb_dump`.
    JsonText text{};                   ///< The command or query.
    std::optional<Position> dump_at{};
    std::uint64_t dump_chunk = 0;
    Time deadline = never;
    Time timer = never;                ///< When to act on it next.
    SessionId session{};
    Sequence seq = 0;                  ///< In `session`; 0: none yet.
    std::vector<std::uint64_t> sendings{};  ///< Numbers of the sendings whose answers would still count, oldest first.
    std::uint64_t sent = 0;            ///< How often it was sent in all.
    std::uint64_t possible = 0;        ///< Sendings that may have been executed: no definite refusal of them has come.
    bool flying = false;               ///< Sent, and its answer awaited; else it waits to be sent.
    std::optional<error> refusal{};    ///< The last definite refusal,
    std::string detail{};              ///< and its text.

    CallKind kind() const {
        if (method == Method::pb_execute) return CallKind::command;
        return method == Method::pb_dump && !dump_at ? CallKind::snapshot : CallKind::read;
    }
    bool is_command() const { return kind() == CallKind::command; }
    /// Whether it may have taken effect. A read has none.
    bool maybe() const { return is_command() && possible > 0; }
    friend bool operator==(const ClerkCall&, const ClerkCall&) = default;
};

/// All calls under way. What each of them needs costs O(log n).
class ClerkCalls {
public:
    using Keys = std::set<CallKey, std::less<>, RecyclingAllocator<CallKey>>;

    /// Answers to older sendings than these are not waited for.
    static constexpr std::size_t max_sendings = 8;

    std::size_t size() const { return calls_.size(); }
    std::size_t flying() const { return flying_; }
    std::size_t flying_bytes() const { return flying_bytes_; }
    bool has(CallKey key) const { return calls_.contains(key); }
    ClerkCall& at(CallKey key) { return calls_.at(key); }

    /// Those of a kind that wait to be sent, in the order in which they are to be sent.
    const Keys& waiting(CallKind kind) const { return waiting_[static_cast<std::size_t>(kind)]; }

    /// Whether sending `n` was made at all; if not, nobody waits for its answer.
    bool made(std::uint64_t n) const { return n > 0 && n < next_; }

    /// The call of which `n` is a sending; null for a late answer to a call that has ended.
    ClerkCall* by_sending(std::uint64_t n) {
        auto found = sendings_.find(n);
        return found == sendings_.end() ? nullptr : &calls_.at(found->second);
    }

    void add(ClerkCall call) {
        auto key = call.key;
        UNDERSTUDY_CHECK(!calls_.contains(key));
        call.timer = call.deadline;
        lane(call).insert(lane(call).end(), key);
        calls_.emplace(key, std::move(call));
        start_timer(calls_.at(key));
    }

    /// The call is about to be sent; its answer is awaited until `until`. Returns the sending's number.
    std::uint64_t fly(ClerkCall& call, Time until) {
        UNDERSTUDY_CHECK(!call.flying);
        lane(call).erase(call.key);
        auto n = next_++;
        sendings_.emplace(n, call.key);
        if (call.sendings.size() == max_sendings) {
            sendings_.erase(call.sendings.front());
            call.sendings.erase(call.sendings.begin());
        }
        call.sendings.push_back(n);
        ++call.sent;
        ++call.possible;
        call.flying = true;
        ++flying_;
        flying_bytes_ += call.text.size();
        set_timer(call, until);
        return n;
    }

    /// Whether it is the answer to sending `n` that the call awaits.
    bool awaits(const ClerkCall& call, std::uint64_t n) const { return call.flying && call.sendings.back() == n; }

    /// Sending `n` of the call was refused.
    void refused(ClerkCall& call, std::uint64_t n, bool definite) {
        std::erase(call.sendings, n);
        sendings_.erase(n);
        if (definite) --call.possible;
    }

    /// The call waits to be sent again.
    void land(ClerkCall& call) {
        UNDERSTUDY_CHECK(call.flying);
        settle(call);
        lane(call).insert(call.key);
        set_timer(call, never);
    }
    /// Every call whose answer is awaited waits to be sent again.
    void land_all() {
        for (const auto& [n, key] : sendings_)
            if (auto& call = calls_.at(key); call.flying) land(call);
    }

    /// Its answer is awaited longer, within its deadline.
    void postpone(ClerkCall& call, Time until) { set_timer(call, until); }

    /// The call whose time has come, or null.
    ClerkCall* due(Time now) { return timers_.deadline() > now ? nullptr : &calls_.at(timers_.first()); }
    Time deadline() const { return timers_.deadline(); }

    /// The keys of all calls in their order. O(n log n).
    std::vector<CallKey> keys() const {
        std::vector<CallKey> all;
        for (const auto& [key, call] : calls_) all.push_back(key);
        std::ranges::sort(all);
        return all;
    }

    void remove(ClerkCall& call) {
        const auto key = call.key;
        if (call.flying)
            settle(call);
        else
            lane(call).erase(key);
        for (auto n : call.sendings) sendings_.erase(n);
        const auto timer = call.timer;
        calls_.erase(key);
        end_timer(timer, key);
    }

    void invariants() const {
        UNDERSTUDY_CHECK(calls_.size() == flying_ + waiting_[0].size() + waiting_[1].size() + waiting_[2].size());
        UNDERSTUDY_CHECK(flying_ <= sendings_.size());
    }
    /// O(calls), for simulation.
    void deep_invariants() const {
        std::size_t flying = 0, bytes = 0, sendings = 0;
        for (const auto& [key, call] : calls_) {
            UNDERSTUDY_CHECK(key == call.key && call.timer <= call.deadline && timers_.contains(call.timer, key));
            UNDERSTUDY_CHECK(call.flying != waiting(call.kind()).contains(key));
            UNDERSTUDY_CHECK(call.possible <= call.sent && call.sendings.size() <= max_sendings);
            for (auto n : call.sendings) UNDERSTUDY_CHECK(sendings_.at(n) == key);
            flying += call.flying;
            bytes += call.flying ? call.text.size() : 0;
            sendings += call.sendings.size();
        }
        UNDERSTUDY_CHECK(flying == flying_ && bytes == flying_bytes_ && sendings == sendings_.size());
        UNDERSTUDY_CHECK(timers_.deadline() == never || is_current(timers_.deadline(), timers_.first()));
    }
    /// The timers follow from the calls.
    friend bool operator==(const ClerkCalls& a, const ClerkCalls& b) {
        return a.calls_ == b.calls_ && a.sendings_ == b.sendings_ && a.next_ == b.next_;
    }

private:
    Keys& lane(const ClerkCall& call) { return waiting_[static_cast<std::size_t>(call.kind())]; }
    void settle(ClerkCall& call) {
        call.flying = false;
        --flying_;
        flying_bytes_ -= call.text.size();
    }
    void set_timer(ClerkCall& call, Time time) {
        time = std::min(time, call.deadline);
        if (time == call.timer) return;
        const auto former = std::exchange(call.timer, time);
        start_timer(call);
        end_timer(former, call.key);
    }
    void start_timer(const ClerkCall& call) { timers_.start(call.timer, call.key); }
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

    Map<ClerkCall> calls_;
    Map<CallKey> sendings_;
    TimerQueue timers_;      // of each call that has one
    std::array<Keys, std::size(call_kinds)> waiting_;
    std::size_t flying_ = 0, flying_bytes_ = 0;
    std::uint64_t next_ = 1;  // the number of the next sending
};

}  // namespace understudy::client
