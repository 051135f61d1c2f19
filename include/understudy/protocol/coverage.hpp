// Reports each place where a protocol rule decides something, so that a test can see which decisions were ever
// exercised. A safeguard that no test reaches may not work.
#pragma once

#include <atomic>
#include <string_view>

#include <understudy/base/namespaces.hpp>
#include <understudy/error.hpp>

namespace understudy::protocol {

/// Called for each place that is reached, with what happens there ("S3: entries that conflict are truncated"), and for
/// each refusal, with the name of the error. It is called on the thread that runs the state machine, and must not
/// throw.
using CoverageObserver = void (*)(std::string_view place);

inline constinit std::atomic<CoverageObserver> coverage_observer{nullptr};

/// Replaces the observer for the whole process and returns the former one. Null means none, which is the initial value.
inline CoverageObserver set_coverage_observer(CoverageObserver observer) {
    return coverage_observer.exchange(observer);
}

/// Call this at a place where a rule decides. `place` begins with the rule. The cost without an observer is one load.
inline void reached(std::string_view place) {
    if (auto* observer = coverage_observer.load(std::memory_order_relaxed)) [[unlikely]]
        observer(place);
}
inline void reached(error refusal) { reached(to_string(refusal)); }

}  // namespace understudy::protocol
