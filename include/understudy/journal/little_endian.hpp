// Numbers as files hold them: the lowest byte first, whatever the processor does.
#pragma once

#include <concepts>
#include <cstddef>

namespace understudy::journal {

template <std::unsigned_integral Number>
constexpr void store(char* to, Number value) {
    for (std::size_t i = 0; i < sizeof value; ++i) to[i] = static_cast<char>(value >> (8 * i) & 0xFF);
}

template <std::unsigned_integral Number>
constexpr Number load(const char* from) {
    Number value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i)
        value = static_cast<Number>(value | static_cast<Number>(static_cast<unsigned char>(from[i])) << (8 * i));
    return value;
}

}  // namespace understudy::journal
