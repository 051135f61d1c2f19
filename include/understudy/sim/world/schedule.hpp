// Virtual time: one io_context and one heap of events. The io_context is polled until it is idle, then time jumps
// to the earliest event; nothing sleeps, and the same seed gives the same run.
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

/// Told what happens in a world, one line each.
using Trace = std::function<void(Time, std::string_view text)>;

/// A world's time and what is due. Events at one time run in the order in which they were put in, all of them before
/// any coroutine does: what arrives in one instant is there together.
class Schedule {
public:
    static constexpr Time start = Time{std::chrono::seconds{1000}};

    Schedule() = default;
    Schedule(const Schedule&) = delete;
    Schedule& operator=(const Schedule&) = delete;

    asio::io_context& context() { return context_; }
    Time now() const { return now_; }

    /// Runs `function` at `time`, or in this instant if that has passed; never if `time` is `never`.
    void at(Time time, std::function<void()> function) {
        if (time == never) return;
        heap_.push_back({std::max(time, now_), inserted_++, std::move(function)});
        std::ranges::push_heap(heap_, std::ranges::greater{}, &Entry::key);
    }
    void in(Duration delay, std::function<void()> function) { at(after(now_, delay), std::move(function)); }

    /// What may run in one instant; more means that something spins without letting time pass.
    void set_limit(std::uint64_t handlers) { max_handlers_ = handlers; }

    /// Lets the coroutines run until all of them wait.
    void settle() {
        context_.restart();
        for (std::uint64_t handlers = 0; context_.poll_one() != 0;)
            if (++handlers > max_handlers_) throw std::runtime_error{"simulation: time stands still, something spins"};
    }

    /// Settles, goes on to the earliest event, runs all that is due then, and settles again.
    /// False if nothing is due any more. Throws what a coroutine or function let escape.
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

    /// Runs all that is due up to and including `time`; then it is `time`.
    void run_until(Time time) {
        settle();
        while (next_time() <= time && step()) {}
        now_ = std::max(now_, time);
    }
    void run_for(Duration duration) { run_until(after(now_, duration)); }

    /// Runs until `holds()`, which is asked after every step, or until `limit` has passed. Whether it holds.
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

    /// When the next event is due; `never` if none is.
    Time next_time() const { return heap_.empty() ? never : heap_.front().time; }

    /// The hash of all that was folded in so far: two runs of one seed must agree on it.
    std::uint64_t event_hash() const { return hash_; }
    void fold(std::string_view from, std::string_view to, std::string_view what) {
        hash_ = mix(mix(mix(mix(hash_, static_cast<std::uint64_t>(now_.time_since_epoch().count())), from), to), what);
    }

    void trace(Trace trace) { trace_ = std::move(trace); }
    bool traced() const { return static_cast<bool>(trace_); }
    /// Tells the trace, if there is one; a long text is shortened, so that output stays bounded.
    void tell(std::string text) {
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
