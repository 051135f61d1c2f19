// What a call returned, together with where in the history it did.
#pragma once

#include <understudy/view.hpp>

namespace understudy {

/// `at` is the position of the command in the replicated log, or, of a query, the position up to which the answering
/// primary had applied. Positions only grow, whoever is primary: hand it to other systems as a fencing token.
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
