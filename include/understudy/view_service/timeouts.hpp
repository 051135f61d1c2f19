// The timeouts of the view service in one place. All follow from a host's options, so that they keep their proportions.
#pragma once

#include <algorithm>
#include <chrono>

#include <understudy/options.hpp>
#include <understudy/view.hpp>

namespace understudy::view_service {

struct Timeouts {
    Duration dead;              ///< D: a server may be silent this long.
    Duration returning;         ///< Added to D for a server that has not pinged since the view service restarted.
    Duration grace;             ///< From suspicion to loss: time to read what came. Also how late a turn may begin.
    Duration retention;         ///< Retention of replaced incarnations and of reports of unreachable servers.
    Duration dead_retention;    ///< Retention of a dead server that is in no view.
    Duration abandon;           ///< The only server of a group that was never in use may be silent this long.
    Duration operator_timeout;  ///< Timeout of an operator request.

    explicit Timeouts(const ViewOptions& options)
        : dead(options.dead_after()),
          returning(options.return_time),
          grace(options.ping_interval / 10),
          retention(10 * dead),
          dead_retention(100 * dead),
          abandon(std::max<Duration>(std::chrono::hours{1}, 100 * dead)),
          operator_timeout(10 * dead) {}
    friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

}  // namespace understudy::view_service
