// The laws of transports under the short name that the tests use. What they throw fails a test with its sentence.
#pragma once

#include <understudy/sim/laws/transport_laws.hpp>

namespace understudy {
namespace laws = sim::laws;
}
