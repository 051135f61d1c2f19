// Limits, for a test, how many more files or sockets the process may open.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <understudy/base/descriptor.hpp>

namespace understudy::test {

/// While this object exists, the process can open only `spare` more descriptors.
class FewDescriptors {
public:
    explicit FewDescriptors(rlim_t spare) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const detail::Descriptor lowest{::dup(0)};
        rlimit few = before_;
        few.rlim_cur = static_cast<rlim_t>(lowest.get()) + spare;
        ::setrlimit(RLIMIT_NOFILE, &few);
    }
    FewDescriptors(FewDescriptors&&) = delete;
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

}  // namespace understudy::test
