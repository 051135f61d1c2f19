// What a store is filled with before something is measured of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

namespace understudy::bench {

/// Keys to fill a store with.
struct Content {
    std::size_t keys = 0;
    std::size_t bytes = 100;  ///< Of each value; a long one is put together of several pieces.

    static constexpr std::size_t piece = 256u << 10;
    std::size_t pieces() const { return std::max<std::size_t>(1, bytes / piece); }
    std::size_t commands() const { return keys * pieces(); }
    double payload() const { return static_cast<double>(keys * (bytes + key(0).size())); }
    /// In an order that is not that of the keys.
    static std::string key(std::size_t n) {
        auto digits = std::to_string(n * 2654435761u % 4294967296u);
        return "key:" + std::string(10 - digits.size(), '0') + digits;
    }
};

}  // namespace understudy::bench
