// What a server knows of itself and of its group: its name, its incarnation, and the newest view.
#pragma once

#include <algorithm>

#include <understudy/options.hpp>
#include <understudy/view.hpp>

namespace understudy::replica {

/// Limits a ping interval, or D, to 1 ms to 365 days. A shorter one would make the event loop spin, a longer one would
/// overflow the clock. The value comes from another process, so it may be anything.
constexpr Duration workable(Duration length) { return std::clamp<Duration>(length, 1ms, 365 * 24h); }

/// The hard state of this server: its name and incarnation, and what the view service has announced.
struct NodeState {
    Address name;
    Incarnation incarnation = Incarnation::none;
    ViewInfo info;          ///< The newest view that was adopted.
    Duration dead_after{};  ///< D, from the view service's last answer.
    /// How long a backup may acknowledge nothing (S7): D/2, more if this server is slow itself.
    Duration ack_timeout{};

    bool knows_cluster() const { return info.cluster != ClusterId::none; }
    /// The role in the view. `idle` if the view names another incarnation of this server (S1).
    Role role() const {
        // Incarnations first: comparing names costs more, and this is asked several times a turn.
        const auto is_me = [this](const Member& one) { return one.incarnation == incarnation && one.name == name; };
        if (is_me(info.view.primary)) return Role::primary;
        return std::ranges::any_of(info.view.backups, is_me) ? Role::backup : Role::idle;
    }
    friend bool operator==(const NodeState&, const NodeState&) = default;
};

}  // namespace understudy::replica
