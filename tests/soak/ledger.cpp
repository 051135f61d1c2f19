// Trials of a host's own store, a ledger.
#include <tests/soak/ledger_workload.hpp>
#include <tests/soak/run.hpp>

int understudy::test::soak_ledger(const Options& options) { return run(options, LedgerWorkload{}); }
