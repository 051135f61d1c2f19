// A hook that sees each entry which the replicas of this thread apply. The simulator uses it to compare all replicas of
// a group; a host needs it only for a similar check.
#pragma once

#include <utility>

#include <understudy/protocol/entry.hpp>

namespace understudy::replica {

/// Called for each entry that a replica on this thread has just applied, in the order of its log. `replica` is the
/// address of the replica's `ReplicatedState`. `effective` says whether the entry took effect there (S10): false for a
/// repeated or refused command. The observer must not throw.
using ApplyObserver = void (*)(const void* replica, const Entry& entry, bool effective);

inline constinit thread_local ApplyObserver apply_observer = nullptr;

/// Replaces the observer of this thread and returns the previous one. Null means no observer; this is the initial
/// value.
inline ApplyObserver set_apply_observer(ApplyObserver observer) {
    return std::exchange(apply_observer, observer);
}

/// Calls the observer of this thread, if there is one. Only then the entry is copied.
inline void observe_applied(const void* replica, const EntryView& entry, bool effective) {
    if (apply_observer) [[unlikely]]
        apply_observer(replica, Entry(entry), effective);
}

}  // namespace understudy::replica
