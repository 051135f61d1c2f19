// The requirements of transports under the short name that the tests use. If one throws, its text fails the test.
#pragma once

#include <understudy/sim/laws/transport_laws.hpp>

namespace understudy {
namespace laws = sim::laws;
}
