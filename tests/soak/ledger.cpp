// Trials of a store of a host's own: money that must not become more or less.
#include <examples/ledger_workload.hpp>
#include <tests/soak/run.hpp>

namespace understudy::test {
namespace {
const auto entered = soaks().emplace("ledger", [](const Options& options) { return run(options, ledger::Workload{}); });
}
}  // namespace understudy::test
