// Where the rules decide something, so that a test can tell which of them were ever tried. A fence that never ran is a
// fence that nobody knows to hold.
#pragma once

#include <atomic>
#include <string_view>

#include <understudy/base/namespaces.hpp>
#include <understudy/error.hpp>

namespace understudy::protocol {

/// Told of each place that is reached, by what it does ("S3: entries that conflict are cut off"), and of each refusal,
/// by the error's name. It is called on whatever thread the machine runs on, and must not throw.
using CoverageObserver = void (*)(std::string_view place);

inline constinit std::atomic<CoverageObserver> coverage_observer{nullptr};

/// Replaces the observer of the whole process and returns the one before; null, as at the start, for none.
inline CoverageObserver set_coverage_observer(CoverageObserver observer) {
    return coverage_observer.exchange(observer);
}

/// The code passes a place where a rule decides. `place` begins with the rule.
inline void reached(std::string_view place) {
    if (auto* observer = coverage_observer.load(std::memory_order_relaxed)) [[unlikely]]
        observer(place);
}
inline void reached(error refusal) { reached(to_string(refusal)); }

}  // namespace understudy::protocol
