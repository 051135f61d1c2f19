// The only source of random numbers in a simulated world. It has its own generator and distributions, because those of
// the standard library differ between implementations, so that one seed would give different runs.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <understudy/base/check.hpp>
#include <understudy/view.hpp>

namespace understudy::sim {

/// Mixes `value` into `hash`. Every bit of both affects every bit of the result (finalizer of splitmix64).
constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
    std::uint64_t mixed = hash + 0x9e3779b97f4a7c15u + value;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

/// Mixes a text and its length into `hash`.
constexpr std::uint64_t mix(std::uint64_t hash, std::string_view text) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        word = word << 8 | static_cast<unsigned char>(text[i]);
        if (i % 8 == 7) hash = mix(hash, std::exchange(word, 0));
    }
    return mix(mix(hash, word), text.size());
}

/// The generator xoshiro256** (Blackman and Vigna). It is a uniform random bit generator; equal seeds give equal
/// sequences on every platform.
class Random {
public:
    using result_type = std::uint64_t;

    explicit constexpr Random(std::uint64_t seed) : seed_{seed} {
        for (std::uint64_t i = 0; i < state_.size(); ++i) state_[i] = mix(seed, i);
    }

    static constexpr result_type min() { return 0; }
    static constexpr result_type max() { return ~result_type{0}; }

    constexpr result_type operator()() {
        const auto result = rotate(state_[1] * 5, 7) * 9;
        const auto shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = rotate(state_[3], 45);
        return result;
    }

    /// A separate generator for the part called `name`. It depends only on the seed, the name and the number, so an
    /// additional node in a world does not change the numbers that the others draw.
    constexpr Random split(std::string_view name, std::uint64_t number = 0) const {
        return Random{mix(mix(seed_, name), number)};
    }

    /// Uniform in [0, bound); `bound` is positive.
    constexpr std::uint64_t below(std::uint64_t bound) {
        UNDERSTUDY_CHECK(bound > 0);
        const auto biased = (max() - bound + 1) % bound;  // 2^64 mod bound: rejected, else some results are likelier
        for (;;)
            if (const auto drawn = (*this)(); drawn >= biased) return drawn % bound;
    }

    /// Uniform in [least, most].
    constexpr std::int64_t between(std::int64_t least, std::int64_t most) {
        UNDERSTUDY_CHECK(least <= most);
        const auto span = static_cast<std::uint64_t>(most) - static_cast<std::uint64_t>(least);
        const auto drawn = span == max() ? (*this)() : below(span + 1);
        return static_cast<std::int64_t>(static_cast<std::uint64_t>(least) + drawn);
    }
    constexpr Duration between(Duration least, Duration most) {
        return Duration{between(std::int64_t{least.count()}, std::int64_t{most.count()})};
    }

    /// Uniform in [0, 1).
    constexpr double unit() { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }

    /// True with this probability. Draws no number if it is 0.
    constexpr bool chance(double probability) { return probability > 0 && unit() < probability; }

    /// Exponentially distributed. Uses von Neumann's method, which needs comparisons only, because the last bit of
    /// `std::log` differs between platforms.
    constexpr Duration exponential(Duration mean) {
        for (double whole = 0;; ++whole) {
            const double first = unit();
            double last = first;
            bool odd = true;
            for (double next = unit(); next < last; next = unit()) {
                last = next;
                odd = !odd;
            }
            if (odd) return Duration{static_cast<Duration::rep>((whole + first) * static_cast<double>(mean.count()))};
        }
    }

    /// Heavy-tailed in [least, most]: each doubling of the value is half as likely as the one before. `least` must be
    /// positive.
    constexpr Duration heavy_tail(Duration least, Duration most) {
        UNDERSTUDY_CHECK(least > Duration{} && least <= most);
        auto octave = least;
        while (octave <= most / 2 && chance(0.5)) octave *= 2;
        return std::min(most, between(octave, octave * 2));
    }

    /// A random element of a non-empty random access container.
    template <typename Container>
    constexpr auto& pick(Container& container) {
        return container[static_cast<std::size_t>(below(container.size()))];
    }

    template <typename Container>
    /// A uniform random permutation (Fisher and Yates).
    constexpr void shuffle(Container& container) {
        for (std::size_t left = container.size(); left > 1; --left)
            std::swap(container[left - 1], container[static_cast<std::size_t>(below(left))]);
    }

private:
    static constexpr std::uint64_t rotate(std::uint64_t value, int by) { return value << by | value >> (64 - by); }

    std::uint64_t seed_;
    std::array<std::uint64_t, 4> state_{};
};

}  // namespace understudy::sim
