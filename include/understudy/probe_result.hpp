// The outcome of a probe, shared by transports and state machines.
#pragma once

namespace understudy {

/// What a probe of an address found: nobody listens there (`refused`), somebody does (`alive`), or neither is known.
enum class ProbeResult { refused, alive, unknown };

}  // namespace understudy
