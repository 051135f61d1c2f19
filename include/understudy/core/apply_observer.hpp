// What each replica of this process applies, entry by entry, for whoever wants to compare them all: a simulated world.
#pragma once

#include <atomic>

#include <understudy/core/message.hpp>

namespace understudy {

/// Told of each entry that a replica has just applied, in the order of its log. `replica` is the address of its
/// `ReplicatedState`; `effective` says whether the entry took effect there (S10). It is called on whatever thread the
/// machine runs on, and must not throw.
using ApplyObserver = void (*)(const void* replica, const Entry& entry, bool effective);

namespace detail {
inline constinit std::atomic<ApplyObserver> apply_observer{nullptr};
}

/// Replaces the observer of the whole process and returns the one before; null, as at the start, for none.
inline ApplyObserver set_apply_observer(ApplyObserver observer) { return detail::apply_observer.exchange(observer); }

inline void tell_applied(const void* replica, const Entry& entry, bool effective) {
    if (auto* observer = detail::apply_observer.load(std::memory_order_relaxed)) [[unlikely]]
        observer(replica, entry, effective);
}

}  // namespace understudy
