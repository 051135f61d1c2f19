// Medians and their confidence intervals.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace understudy::bench {

/// The value below which a share `q` of the values lies; 0 if there are none.
template <typename Number>
Number quantile(std::vector<Number> values, double q) {
    if (values.empty()) return {};
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1) + 0.5);
    std::ranges::nth_element(values, at);
    return *at;
}

struct Estimate {
    double median = 0, low = 0, high = 0;  ///< `low` to `high`: 90% of the medians of resampled rounds.
};

/// Bootstrap over rounds, with the same draws each time.
inline Estimate estimate(const std::vector<double>& rounds) {
    if (rounds.empty()) return {};
    std::mt19937 random{1};  // NOLINT: the same draws each time
    std::vector<double> medians, drawn(rounds.size());
    for (int i = 0; i < 2000; ++i) {
        for (auto& value : drawn) value = rounds[random() % rounds.size()];
        medians.push_back(quantile(drawn, 0.5));
    }
    return {quantile(rounds, 0.5), quantile(medians, 0.05), quantile(medians, 0.95)};
}

}  // namespace understudy::bench
