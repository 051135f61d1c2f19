// Numbers as files hold them: the lowest byte first, whatever the processor does.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>

namespace understudy::journal {

template <std::unsigned_integral Number>
void store(char* to, Number value) {
    for (std::size_t i = 0; i < sizeof value; ++i) to[i] = static_cast<char>(value >> (8 * i) & 0xFF);
}

template <std::unsigned_integral Number>
Number load(const char* from) {
    Number value = 0;
    if constexpr (std::endian::native == std::endian::little) {
        std::memcpy(&value, from, sizeof value);  // checksums read all bytes by this
    } else {
        for (std::size_t i = sizeof value; i-- > 0;)
            value = static_cast<Number>(value << 8 | static_cast<unsigned char>(from[i]));
    }
    return value;
}

}  // namespace understudy::journal
