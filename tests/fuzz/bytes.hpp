// Reads a fuzzer's bytes as choices: mostly small numbers, so that views, positions and names often agree, and
// sometimes the extreme values of their types. After the last byte every choice is 0.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>

#include <understudy/view.hpp>

namespace understudy::fuzz {

class Bytes {
public:
    explicit Bytes(std::string_view bytes) : left_{bytes} {}

    bool empty() const { return left_.empty(); }
    std::string_view rest() const { return left_; }

    std::size_t byte() {
        if (left_.empty()) return 0;
        const auto value = static_cast<unsigned char>(left_.front());
        left_.remove_prefix(1);
        return value;
    }
    std::size_t below(std::size_t n) { return byte() % n; }
    /// Returns false for a byte of 0, so that optional parts are absent by default.
    bool one_in(std::size_t n) { return below(n) == n - 1; }
    template <typename T>
    T pick(std::initializer_list<T> values) {
        return std::data(values)[below(values.size())];
    }

    /// 0 to 15 in fifteen of sixteen cases, otherwise an extreme value.
    std::uint64_t number() {
        const auto value = byte();
        constexpr std::uint64_t edges[] = {~0ull,      ~0ull - 1,        1ull << 63, (1ull << 63) - 1,
                                           1ull << 32, (1ull << 48) - 1, 1000,       1ull << 53};
        return value < 240 ? value % 16 : edges[value % std::size(edges)];
    }
    /// From zero to years, and the longest duration.
    Duration duration() {
        using namespace std::chrono_literals;
        return pick<Duration>(
            {100ms, 10ms, 1ms, 60ms, 500ms, 1s, 20s, 24h, 0ns, 1ns, Duration::max() / 2, Duration::max()});
    }
    /// At most `max` bytes, unchanged.
    std::string_view take(std::size_t max) {
        const auto taken = left_.substr(0, max);
        left_.remove_prefix(taken.size());
        return taken;
    }

private:
    std::string_view left_;
};

}  // namespace understudy::fuzz
