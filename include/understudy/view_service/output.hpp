// The output of the view service's state machine.
#pragma once

#include <vector>

#include <understudy/protocol/output.hpp>

namespace understudy::view_service {

struct Output : CommonOutput {
    /// Addresses of servers to connect to, so as to learn whether a process listens there.
    std::vector<Address> probes;

    void clear() {
        CommonOutput::clear();
        empty(probes);
    }
};

}  // namespace understudy::view_service
