// Numbers that can be set in the environment of a test run.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace understudy::test {

inline std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace understudy::test
