// All targets, for the fuzzer and for the tests. A target takes any bytes and fails an UNDERSTUDY_CHECK, throws, or
// trips a sanitizer when something is wrong.
#pragma once

#include <string_view>

#include "tests/fuzz/frame.hpp"
#include "tests/fuzz/json.hpp"
#include "tests/fuzz/machines.hpp"
#include "tests/fuzz/snapshot.hpp"

namespace understudy::fuzz {

struct Target {
    std::string_view name;
    void (*run)(std::string_view bytes);
};

inline constexpr Target targets[] = {
    {"frame", &fuzz_frame},
    {"json", &fuzz_json},
    {"view_rules", &fuzz_view_rules},
    {"replica_rules", &fuzz_replica_rules},
    {"clerk_rules", &fuzz_clerk_rules},
    {"snapshot", &fuzz_snapshot},
    {"transfer", &fuzz_transfer},
};

}  // namespace understudy::fuzz
