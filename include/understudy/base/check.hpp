// UNDERSTUDY_CHECK: asserts a condition that can be false only through a bug in the library. Also on in release builds.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace understudy {

/// Called when a check fails. It may throw or end the process. If it returns, the process is aborted: a replica that
/// has found its own state wrong must not answer requests any more.
using CheckHandler = void (*)(const char* condition, const char* file, int line);

namespace detail {
inline void abort_on_failed_check(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "understudy: check failed: %s (%s:%d)\n", condition, file, line);
}
inline std::atomic<CheckHandler> check_handler{&abort_on_failed_check};

[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) {
    check_handler.load()(condition, file, line);
    std::abort();
}
}  // namespace detail

/// Replaces the handler for the whole process and returns the former one.
inline CheckHandler set_check_handler(CheckHandler handler) { return detail::check_handler.exchange(handler); }

}  // namespace understudy

#define UNDERSTUDY_CHECK(condition) \
    ((condition) ? void() : ::understudy::detail::check_failed(#condition, __FILE__, __LINE__))
