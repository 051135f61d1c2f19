// `Result`: the value of a call together with its position in the replicated log.
#pragma once

#include <understudy/view.hpp>

namespace understudy {

/// `at` is the position of the command in the replicated log. For a query it is the position up to which the answering
/// primary had applied the log. Positions only grow, whichever server is primary. So other systems can use them as
/// fencing tokens.
template <typename T>
struct Result {
    T value{};
    Position at;
    friend bool operator==(const Result&, const Result&) = default;
};

template <>
struct Result<void> {
    Position at;
    friend bool operator==(const Result&, const Result&) = default;
};

}  // namespace understudy
