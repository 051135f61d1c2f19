// Words and numbers as text for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace demo {

/// 1234567 as 1,234,567.
inline std::string grouped(std::uint64_t number) {
    auto text = std::to_string(number);
    for (auto end = text.size(); end > 3; end -= 3) text.insert(end - 3, 1, ',');
    return text;
}

inline std::string fixed(double number, int digits) {
    char text[32];
    std::snprintf(text, sizeof text, "%.*f", digits, number);
    return text;
}

/// `7.2 ms`, `134 ms`.
inline std::string in_ms(std::chrono::duration<double, std::milli> time) {
    return fixed(time.count(), time.count() < 10 ? 1 : 0) + " ms";
}

/// Padded with spaces, or truncated, to `width`.
inline std::string left(std::string_view text, std::size_t width) {
    std::string result{text.substr(0, width)};
    result.resize(width, ' ');
    return result;
}
inline std::string right(std::string_view text, std::size_t width) {
    return text.size() < width ? std::string(width - text.size(), ' ').append(text) : std::string{text};
}

inline std::string counted(std::uint64_t number, std::string_view one, std::string_view many) {
    return grouped(number) + " " + std::string{number == 1 ? one : many};
}

}  // namespace demo
