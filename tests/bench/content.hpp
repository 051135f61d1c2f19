// The content that a store is filled with before a measurement.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

namespace understudy::bench {

/// The keys and values to fill a store with.
struct Content {
    std::size_t keys = 0;
    std::size_t bytes = 100;  ///< Of each value; a long value is written in several pieces.

    static constexpr std::size_t piece = 256u << 10;
    std::size_t pieces() const { return std::max<std::size_t>(1, bytes / piece); }
    std::size_t commands() const { return keys * pieces(); }
    double payload() const { return static_cast<double>(keys * (bytes + key(0).size())); }
    /// The keys come in an order that is not their sort order.
    static std::string key(std::size_t n) {
        auto digits = std::to_string(n * 2654435761u % 4294967296u);
        return "key:" + std::string(10 - digits.size(), '0') + digits;
    }
};

}  // namespace understudy::bench
