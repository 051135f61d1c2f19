// What a probe found.
#pragma once

namespace understudy {

/// The outcome of a probe: nobody listens there, somebody does, or it cannot be known.
enum class ProbeResult { refused, alive, unknown };

}  // namespace understudy
