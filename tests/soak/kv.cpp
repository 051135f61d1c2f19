// Trials of the key/value store.
#include <tests/soak/run.hpp>
#include <understudy/sim/workload.hpp>

int understudy::test::soak_kv(const Options& options) { return run(options, sim::KvWorkload{}); }
