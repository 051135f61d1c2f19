// The bounds of the explorations in the tests: by default small enough for seconds, larger if the environment sets
// UNDERSTUDY_STATES or UNDERSTUDY_DEPTH.
#pragma once

#include <understudy/sim/check/explore.hpp>

#include <tests/support/setting.hpp>

namespace understudy::test {

/// Whether this build is fast enough for the bounds that the tests name.
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool fast_build = false;
#else
inline constexpr bool fast_build = true;
#endif

/// Returns `states` in a fast build and a thirtieth of it in others, unless the environment sets the number.
inline sim::ExploreBounds explore_bounds(std::size_t states) {
    return {.depth = setting("UNDERSTUDY_DEPTH", 1000),
            .states = setting("UNDERSTUDY_STATES", fast_build ? states : states / 30)};
}

/// Whether a search can be expected to get as far as its test says.
inline bool explores_fully() {
    return fast_build && explore_bounds(100'000).states >= 100'000 && explore_bounds(0).depth >= 1000;
}

}  // namespace understudy::test
