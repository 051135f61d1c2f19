// Runs of a host's own store: a ledger whose total must not change.
#include <examples/ledger_workload.hpp>
#include <tests/soak/run.hpp>

namespace understudy::test {
namespace {
const auto entered = soaks().emplace("ledger", [](const Options& options) { return run(options, ledger::Workload{}); });
}
}  // namespace understudy::test
