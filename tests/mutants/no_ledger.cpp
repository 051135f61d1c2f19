// The mutants are tried with the key/value store alone: half as much to compile.
#include <tests/soak/options.hpp>

int understudy::test::soak_ledger(const Options&) { return 2; }
