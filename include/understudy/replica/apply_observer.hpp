// What each replica of this thread applies, entry by entry, for whoever wants to compare them all: a simulated world.
#pragma once

#include <utility>

#include <understudy/protocol/message.hpp>

namespace understudy::replica {

/// Told of each entry that a replica has just applied on this thread, in the order of its log. `replica` is the address
/// of its `ReplicatedState`; `effective` says whether the entry took effect there (S10). It must not throw.
using ApplyObserver = void (*)(const void* replica, const Entry& entry, bool effective);

inline constinit thread_local ApplyObserver apply_observer = nullptr;

/// Replaces the observer of this thread and returns the one before; null, as at the start, for none.
inline ApplyObserver set_apply_observer(ApplyObserver observer) {
    return std::exchange(apply_observer, observer);
}

inline void tell_applied(const void* replica, const Entry& entry, bool effective) {
    if (apply_observer) [[unlikely]]
        apply_observer(replica, entry, effective);
}
/// The same of what can become an entry, which it does only for an observer.
template <typename E>
void tell_applied(const void* replica, const E& entry, bool effective) {
    if (apply_observer) [[unlikely]]
        apply_observer(replica, Entry(entry), effective);
}

}  // namespace understudy::replica
