// Virtual time: a discrete-event scheduler made of one io_context and one heap of events. It polls the io_context until
// no handler is ready; then time jumps to the earliest event. Nothing sleeps, so hours of virtual time take seconds,
// and the same seed gives the same run.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/io_context.hpp>

#include <understudy/sim/world/random.hpp>
#include <understudy/view.hpp>

namespace understudy::sim {

/// The trace: called with the virtual time and one line of text for each thing that happens in a world.
using Trace = std::function<void(Time, std::string_view text)>;

/// The virtual time of a world and its pending events. Events at the same time run in the order of their insertion, and
/// all of them before any coroutine: frames that arrive at the same time are received in one batch. Not thread-safe.
class Schedule {
public:
    // Not zero, so that a `Time{}` is in the past.
    static constexpr Time start = Time{std::chrono::seconds{1000}};

    Schedule() = default;
    Schedule(const Schedule&) = delete;
    Schedule& operator=(const Schedule&) = delete;

    asio::io_context& context() { return context_; }
    Time now() const { return now_; }

    /// Runs `function` at `time`, or at the present time if that is in the past; not at all if `time` is `never`. O(log
    /// events).
    void at(Time time, std::function<void()> function) {
        if (time == never) return;
        heap_.push_back({std::max(time, now_), inserted_++, std::move(function)});
        std::ranges::push_heap(heap_, std::ranges::greater{}, &Entry::key);
    }
    /// Runs `function` after `delay`.
    void in(Duration delay, std::function<void()> function) { at(after(now_, delay), std::move(function)); }

    /// Sets how many handlers may run at one point in time. More mean that some code loops without letting time pass;
    /// then `settle` and `step` throw.
    void set_limit(std::uint64_t handlers) { max_handlers_ = handlers; }

    /// Runs handlers until none is ready, which means that all coroutines wait. Throws `std::runtime_error` above the
    /// limit.
    void settle() {
        context_.restart();
        for (std::uint64_t handlers = 0; context_.poll_one() != 0;)
            if (++handlers > max_handlers_) throw std::runtime_error{"simulation: time stands still, something spins"};
    }

    /// Settles, advances time to the earliest event, runs all events of that time, and settles again. Returns false if
    /// there is no event. Throws the exceptions of events and of handlers.
    bool step() {
        settle();
        if (heap_.empty()) return false;
        now_ = heap_.front().time;
        for (std::uint64_t events = 0; !heap_.empty() && heap_.front().time == now_; ++events) {
            if (events > max_handlers_) throw std::runtime_error{"simulation: events without end in one instant"};
            take_first()();
        }
        settle();
        return true;
    }

    /// Runs all events up to and including `time`. Afterwards `now()` is `time`, unless it was later already.
    void run_until(Time time) {
        settle();
        while (next_time() <= time && step()) {}
        now_ = std::max(now_, time);
    }
    void run_for(Duration duration) { run_until(after(now_, duration)); }

    /// Runs until `holds()` is true, at most for `limit`. The predicate is called after every step. Returns its last
    /// result.
    template <std::predicate Predicate>
    bool run_until(Predicate holds, Duration limit) {
        const auto end = after(now_, limit);
        settle();
        while (!holds()) {
            if (next_time() > end || heap_.empty()) {
                if (end != never) run_until(end);
                return holds();
            }
            step();
        }
        return true;
    }

    /// The time of the next event; `never` if there is none.
    Time next_time() const { return heap_.empty() ? never : heap_.front().time; }

    /// The hash of everything that was folded in so far. It is equal for two runs of one seed, unless the simulation is
    /// not deterministic.
    std::uint64_t event_hash() const { return hash_; }
    /// Adds one thing that happened, with the present time, to the hash.
    void fold(std::string_view from, std::string_view to, std::string_view what) {
        hash_ = mix(mix(mix(mix(hash_, static_cast<std::uint64_t>(now_.time_since_epoch().count())), from), to), what);
    }

    void trace(Trace trace) { trace_ = std::move(trace); }
    bool traced() const { return static_cast<bool>(trace_); }
    /// Calls the trace, if there is one. A long text is shortened, so that the output stays bounded.
    void trace_line(std::string text) {
        if (!trace_) return;
        if (text.size() > max_text) text.replace(max_text, std::string::npos, "...");
        trace_(now_, text);
    }

private:
    static constexpr std::size_t max_text = 200;

    struct Entry {
        Time time;
        std::uint64_t number;
        std::function<void()> function;
        std::pair<Time, std::uint64_t> key() const { return {time, number}; }
    };

    std::function<void()> take_first() {
        std::ranges::pop_heap(heap_, std::ranges::greater{}, &Entry::key);
        auto function = std::move(heap_.back().function);
        heap_.pop_back();
        return function;
    }

    asio::io_context context_{1};
    Time now_ = start;
    std::vector<Entry> heap_;
    std::uint64_t inserted_ = 0;
    std::uint64_t max_handlers_ = 5'000'000;
    std::uint64_t hash_ = 0;
    Trace trace_;
};

}  // namespace understudy::sim
