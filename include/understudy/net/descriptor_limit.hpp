// Raises the limit of open files and connections, for host programs. The library itself never changes this limit.
#pragma once

#include <sys/resource.h>

#include <cstddef>

namespace understudy::net {

/// Raises this process's soft limit of open descriptors to the hard limit, which needs no privilege. Call it at the
/// start of a program. Each connection uses a descriptor, and so does each open file of a journal. Returns the limit
/// that is in force afterwards, or 0 if it is not known. Programs that use `select` with descriptors above 1023 must
/// not call it.
inline std::size_t raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    const auto before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur != before && ::setrlimit(RLIMIT_NOFILE, &limit) != 0) return static_cast<std::size_t>(before);
    return static_cast<std::size_t>(limit.rlim_cur);
}

}  // namespace understudy::net
