// The targets under libFuzzer: one program for all; UNDERSTUDY_FUZZ names the target to run. Built by run.sh.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/targets.hpp"

namespace {

const understudy::fuzz::Target& chosen() {
    using namespace understudy::fuzz;
    const char* name = std::getenv("UNDERSTUDY_FUZZ");
    const auto* found = std::ranges::find(targets, std::string_view{name ? name : ""}, &Target::name);
    if (found != std::end(targets)) return *found;
    std::fprintf(stderr, "UNDERSTUDY_FUZZ names no target; there are:");
    for (const auto& target : targets) std::fprintf(stderr, " %s", target.name.data());
    std::fprintf(stderr, "\n");
    std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto& target = chosen();
    target.run({reinterpret_cast<const char*>(data), size});
    return 0;
}
