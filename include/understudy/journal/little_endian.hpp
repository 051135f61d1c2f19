// Reads and writes numbers as the files have them: little endian, independent of the processor.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>

namespace understudy::journal {

/// Writes `sizeof value` bytes to `to`, the lowest first.
template <std::unsigned_integral Number>
void store(char* to, Number value) {
    for (std::size_t i = 0; i < sizeof value; ++i) to[i] = static_cast<char>(value >> (8 * i) & 0xFF);
}

/// Reads a number that `store` has written. `from` needs no alignment.
template <std::unsigned_integral Number>
Number load(const char* from) {
    Number value = 0;
    if constexpr (std::endian::native == std::endian::little) {
        std::memcpy(&value, from, sizeof value);  // the fast path: checksums read all their bytes through this
    } else {
        for (std::size_t i = sizeof value; i-- > 0;)
            value = static_cast<Number>(value << 8 | static_cast<unsigned char>(from[i]));
    }
    return value;
}

}  // namespace understudy::journal
