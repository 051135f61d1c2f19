// Runs of the key/value store.
#include <tests/soak/run.hpp>
#include <understudy/sim/soak/workload.hpp>

namespace understudy::test {
namespace {
const auto entered = soaks().emplace("kv", [](const Options& options) { return run(options, sim::KvWorkload{}); });
}
}  // namespace understudy::test
