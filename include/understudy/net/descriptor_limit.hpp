// For hosts: how many files and connections the process may have open. The library itself changes no limit.
#pragma once

#include <sys/resource.h>

#include <cstddef>

namespace understudy::net {

/// Raises the soft limit of open descriptors of this process to the hard one, which needs no privilege; to be called at
/// the start of a program. Each connection is a descriptor, and each file of a journal. Returns the limit that holds
/// then, 0 if it is not known. Programs that use `select` with descriptors from 1024 on must not call it.
inline std::size_t raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    const auto before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur != before && ::setrlimit(RLIMIT_NOFILE, &limit) != 0) return static_cast<std::size_t>(before);
    return static_cast<std::size_t>(limit.rlim_cur);
}

}  // namespace understudy::net
