// How far the explorations of the tests go: by default so far that they take seconds, further when the environment
// says so (UNDERSTUDY_STATES, UNDERSTUDY_DEPTH).
#pragma once

#include <understudy/sim/check/explore.hpp>

#include <tests/support/setting.hpp>

namespace understudy::test {

/// Whether this build is fast enough for the bounds as they are written in the tests.
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool fast_build = false;
#else
inline constexpr bool fast_build = true;
#endif

/// `states` in a fast build, a thirtieth of it in others, or what the environment says.
inline sim::ExploreBounds explore_bounds(std::size_t states) {
    return {.depth = setting("UNDERSTUDY_DEPTH", 1000),
            .states = setting("UNDERSTUDY_STATES", fast_build ? states : states / 30)};
}

/// Whether a search may be expected to get as far as its test says.
inline bool explores_fully() {
    return fast_build && explore_bounds(100'000).states >= 100'000 && explore_bounds(0).depth >= 1000;
}

}  // namespace understudy::test
