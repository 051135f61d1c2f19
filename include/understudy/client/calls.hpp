// The table of a client's calls: the request and the state of each, and the indexes that find the calls which are due
// without a scan over all of them. The choice of the peer and the time of a retry is made in state_machine.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <understudy/base/check.hpp>
#include <understudy/base/number_map.hpp>
#include <understudy/base/text_buffers.hpp>
#include <understudy/client/slot_heap.hpp>
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

/// The numbers of a call's attempts whose answers would still count, oldest first. They stand in the call itself.
class Attempts {
public:
    /// Attempts of one call that are retained. An answer to an older attempt is ignored, like any late answer; without
    /// a bound a call without a deadline would collect attempts for as long as an outage lasts.
    static constexpr std::size_t most = 8;

    std::size_t size() const { return size_; }
    bool full() const { return size_ == most; }
    const std::uint64_t* begin() const { return numbers_.data(); }
    const std::uint64_t* end() const { return numbers_.data() + size_; }
    /// Precondition: there is one.
    std::uint64_t oldest() const { return numbers_[0]; }
    std::uint64_t newest() const { return numbers_[size_ - 1]; }

    /// Precondition: not full.
    void add(std::uint64_t n) { numbers_[size_++] = n; }
    void remove(std::uint64_t n) {
        const auto last = numbers_.begin() + size_;
        size_ = static_cast<std::uint32_t>(std::remove(numbers_.begin(), last, n) - numbers_.begin());
    }
    void clear() { size_ = 0; }
    friend bool operator==(const Attempts& a, const Attempts& b) { return std::ranges::equal(a, b); }

private:
    std::array<std::uint64_t, most> numbers_{};
    std::uint32_t size_ = 0;
};

/// What a call asks for.
struct CallRequest {
    Method method = Method::none;      ///< `pb_execute`, `pb_query` or `pb_dump`.
    JsonText text{};                   ///< The command or query.
    std::optional<Position> dump_at{};  ///< Which snapshot a dump reads; absent: the call takes a new one.
    std::uint64_t dump_chunk = 0;      ///< Which piece of it, from 0.
    friend bool operator==(const CallRequest&, const CallRequest&) = default;
};

/// One call under way.
struct ClientCall : CallRequest {
    CallKey key = 0;                   ///< 0: the slot is free.
    Slot slot = 0;                     ///< Its place in the table, for the indexes.
    Time deadline = never;             ///< The call ends then, answered or not.
    Time timer = never;                ///< When to act on it next; at most `deadline`.
    SessionId session{};               ///< The session that `seq` belongs to.
    Sequence seq = 0;                  ///< Its sequence number in `session`; 0: none yet.
    Attempts attempts{};
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

    /// The same call in the same state, in whatever slot.
    bool same_as(const ClientCall& other) const {
        return static_cast<const CallRequest&>(*this) == other && key == other.key && deadline == other.deadline &&
               timer == other.timer && session == other.session && seq == other.seq && attempts == other.attempts &&
               sent == other.sent && possible == other.possible && in_flight == other.in_flight &&
               refusal == other.refusal && detail == other.detail;
    }
};

/// All calls under way. They stand in slots that are used again, so a call costs no allocation. An operation on one
/// call costs O(log n) with n calls; `requeue_all`, `keys` and comparisons go over all slots. A reference to a call is
/// valid until the next `add`.
class ClientCalls {
public:
    std::size_t size() const { return by_key_.size(); }
    /// Places for calls that there is memory for.
    std::size_t slots() const { return slots_.capacity(); }
    /// Bytes of the texts in these places. O(slots): for tests.
    std::size_t text_bytes() const {
        std::size_t bytes = 0;
        for (const auto& call : slots_) bytes += call.text.capacity();
        return bytes;
    }
    /// Calls that were sent and whose answers are awaited.
    std::size_t in_flight() const { return in_flight_; }
    /// Bytes of the commands and queries of these calls.
    std::size_t in_flight_bytes() const { return in_flight_bytes_; }

    /// The call of a key; null if it has ended.
    ClientCall* find(CallKey key) {
        const auto* slot = by_key_.find(key);
        return slot ? &slots_[*slot] : nullptr;
    }
    /// True if a call may have this key: it is greater than that of every call before it.
    bool is_new(CallKey key) const { return key > last_key_; }

    bool has_waiting(CallKind kind) const { return !waiting_[index_of(kind)].empty(); }
    /// Of the calls of a kind that wait to be sent, the one that started first, and its key. Precondition: one waits.
    ClientCall& first_waiting(CallKind kind) { return slots_[waiting_[index_of(kind)].first()]; }
    CallKey first_key(CallKind kind) const { return waiting_[index_of(kind)].least(); }

    /// True if attempt `n` was ever made. An answer to any other number is a fault of the peer.
    bool made(std::uint64_t n) const { return n > 0 && n < next_; }

    /// The call that attempt `n` belongs to; null if the call has ended or the attempt is no longer retained.
    ClientCall* by_attempt(std::uint64_t n) {
        const auto* slot = by_attempt_.find(n);
        return slot ? &slots_[*slot] : nullptr;
    }

    /// Adds a call that waits to be sent. Its key must be new.
    void add(CallKey key, CallRequest&& request, Time deadline) {
        UNDERSTUDY_CHECK(is_new(key));
        last_key_ = key;
        auto& call = free_slot();
        static_cast<CallRequest&>(call) = std::move(request);
        call.key = key;
        call.deadline = call.timer = deadline;
        by_key_.add(key, call.slot);
        waiting(call).set(call.slot, key);
        start_timer(call);
    }

    /// Records that a waiting call is sent now and its answer is awaited until `until`. Returns the attempt's number.
    std::uint64_t note_sent(ClientCall& call, Time until) {
        UNDERSTUDY_CHECK(!call.in_flight);
        waiting(call).remove(call.slot);
        const auto n = next_++;
        by_attempt_.add(n, call.slot);
        if (call.attempts.full()) forget(call, call.attempts.oldest());
        call.attempts.add(n);
        ++call.sent;
        ++call.possible;
        call.in_flight = true;
        ++in_flight_;
        in_flight_bytes_ += call.text.size();
        set_timer(call, until);
        return n;
    }

    /// True if the call awaits the answer to attempt `n`, its newest one.
    bool awaits(const ClientCall& call, std::uint64_t n) const { return call.in_flight && call.attempts.newest() == n; }

    /// Records that attempt `n` of the call was refused. `definite`: it has not been executed and will not be.
    void refused(ClientCall& call, std::uint64_t n, bool definite) {
        forget(call, n);
        if (definite) --call.possible;
    }

    /// Requeues a call that was sent: its answer is no longer awaited, but still counts if it comes.
    void requeue(ClientCall& call) {
        UNDERSTUDY_CHECK(call.in_flight);
        settle(call);
        waiting(call).set(call.slot, call.key);
        set_timer(call, never);
    }
    /// Requeues every call that was sent.
    void requeue_all() {
        for (auto& call : slots_)
            if (call.in_flight) requeue(call);
    }

    /// Awaits the answer until `until` instead, or until the call's deadline if that is earlier.
    void postpone(ClientCall& call, Time until) { set_timer(call, until); }

    /// The call whose timer is due first, or null if none is due. Calls that are due together come in the order of
    /// their keys.
    ClientCall* due(Time now) { return deadline() > now ? nullptr : &slots_[timers_.first()]; }
    /// When the next timer is due.
    Time deadline() const { return timers_.empty() ? never : timers_.least().time; }

    /// The keys of all calls in ascending order. O(n log n).
    std::vector<CallKey> keys() const {
        std::vector<CallKey> all;
        for (const auto& call : slots_)
            if (call.key != 0) all.push_back(call.key);
        std::ranges::sort(all);
        return all;
    }

    /// Removes a call that has ended; the reference is invalid afterwards.
    void remove(ClientCall& call) {
        if (call.in_flight)
            settle(call);
        else
            waiting(call).remove(call.slot);
        for (const auto n : call.attempts) by_attempt_.take(n);
        timers_.remove(call.slot);
        by_key_.take(call.key);
        release(call);
    }

    /// An empty text, with the memory of a command that has ended if there is any. It is for the next command.
    JsonText text_buffer() { return buffers_.take(); }

    void invariants() const {
        UNDERSTUDY_CHECK(size() == in_flight_ + waiting_[0].size() + waiting_[1].size() + waiting_[2].size());
        UNDERSTUDY_CHECK(size() + free_.size() == slots_.size());
        UNDERSTUDY_CHECK(in_flight_ <= by_attempt_.size());
    }
    /// Checks every call and every index. O(slots): for simulation and tests.
    void deep_invariants() const {
        std::size_t in_flight = 0, bytes = 0, attempts = 0, timers = 0;
        for (const auto& call : slots_) {
            UNDERSTUDY_CHECK(&call == &slots_[call.slot]);
            if (call.key == 0) continue;
            check_indexes(call);
            in_flight += call.in_flight;
            bytes += call.in_flight ? call.text.size() : 0;
            attempts += call.attempts.size();
            timers += call.timer != never;
        }
        UNDERSTUDY_CHECK(in_flight == in_flight_ && bytes == in_flight_bytes_ && attempts == by_attempt_.size());
        UNDERSTUDY_CHECK(timers == timers_.size());
        timers_.deep_invariants();
        for (const auto& waiting : waiting_) waiting.deep_invariants();
    }
    /// In which slots the calls stand is not compared, and neither are the indexes: they follow from the calls.
    friend bool operator==(const ClientCalls& a, const ClientCalls& b) {
        return a.size() == b.size() && a.next_ == b.next_ && std::ranges::all_of(a.slots_, [&](const auto& call) {
                   const auto* slot = call.key == 0 ? nullptr : b.by_key_.find(call.key);
                   return call.key == 0 || (slot && call.same_as(b.slots_[*slot]));
               });
    }

private:
    struct Timer {
        Time time;
        CallKey key = 0;
        friend auto operator<=>(const Timer&, const Timer&) = default;
    };
    using Waiting = SlotHeap<CallKey>;

    static constexpr std::size_t most_kept = 1024;  // slots that are kept when the last call has ended

    static std::size_t index_of(CallKind kind) { return static_cast<std::size_t>(kind); }
    Waiting& waiting(const ClientCall& call) { return waiting_[index_of(call.kind())]; }

    ClientCall& free_slot() {
        if (free_.empty()) {
            const auto slot = static_cast<Slot>(slots_.size());
            slots_.emplace_back().slot = slot;
            return slots_.back();
        }
        auto& call = slots_[free_.back()];
        free_.pop_back();
        return call;
    }
    // The slot is as a new one afterwards.
    void release(ClientCall& call) {
        buffers_.give(std::move(call.text));
        std::string{}.swap(call.text);  // what was not taken over: nothing would bound it in a free slot
        call.key = 0;
        call.session = {};
        call.seq = 0;
        call.attempts.clear();
        call.sent = call.possible = 0;
        call.refusal.reset();
        if (!call.detail.empty()) std::string{}.swap(call.detail);
        free_.push_back(call.slot);
        if (by_key_.empty() && slots_.size() > most_kept) give_memory_back();
    }
    // After a time of very many calls.
    void give_memory_back() {
        std::vector<ClientCall>{}.swap(slots_);  // `= {}` would keep the capacity
        std::vector<Slot>{}.swap(free_);
        timers_.clear();
        for (auto& waiting : waiting_) waiting.clear();
    }

    void forget(ClientCall& call, std::uint64_t n) {
        call.attempts.remove(n);
        by_attempt_.take(n);
    }
    // The answer is no longer awaited.
    void settle(ClientCall& call) {
        call.in_flight = false;
        --in_flight_;
        in_flight_bytes_ -= call.text.size();
    }
    void set_timer(ClientCall& call, Time time) {
        time = std::min(time, call.deadline);
        if (time == call.timer) return;
        call.timer = time;
        start_timer(call);
    }
    void start_timer(const ClientCall& call) {
        if (call.timer == never)
            timers_.remove(call.slot);
        else
            timers_.set(call.slot, {call.timer, call.key});
    }

    void check_indexes(const ClientCall& call) const {
        const auto* slot = by_key_.find(call.key);
        UNDERSTUDY_CHECK(slot && *slot == call.slot && call.key <= last_key_);
        UNDERSTUDY_CHECK(call.timer <= call.deadline && timers_.contains(call.slot) == (call.timer != never));
        for (const auto kind : call_kinds)
            UNDERSTUDY_CHECK(waiting_[index_of(kind)].contains(call.slot) == (!call.in_flight && kind == call.kind()));
        UNDERSTUDY_CHECK(call.possible <= call.sent);
        for (const auto n : call.attempts) {
            const auto* of = by_attempt_.find(n);
            UNDERSTUDY_CHECK(of && *of == call.slot);
        }
    }

    std::vector<ClientCall> slots_;
    std::vector<Slot> free_;        // the slots without a call
    NumberMap<Slot> by_key_;
    NumberMap<Slot> by_attempt_;    // from the number of each retained attempt to its call
    SlotHeap<Timer> timers_;        // one for each call whose `timer` is not `never`
    std::array<Waiting, std::size(call_kinds)> waiting_;
    TextBuffers buffers_;
    std::size_t in_flight_ = 0, in_flight_bytes_ = 0;
    CallKey last_key_ = 0;
    std::uint64_t next_ = 1;  // the number of the next attempt
};

}  // namespace understudy::client
