// The one way in which a state machine says that it refuses a request.
#pragma once

#include <string>

#include <understudy/error.hpp>

namespace understudy::protocol {

/// Why a request is refused. A check returns `std::optional<Fault>`: empty if it finds nothing wrong. The state machine
/// makes the answer, the event and the coverage mark of it in one place.
struct Fault {
    error code = error::internal;
    std::string text;  ///< One sentence: what was wrong and what was expected.
    friend bool operator==(const Fault&, const Fault&) = default;
};

}  // namespace understudy::protocol
