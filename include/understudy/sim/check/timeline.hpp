// Prints a history as a table with a bar per operation, so that a person sees which operations overlap.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <understudy/sim/check/model.hpp>

namespace understudy::sim {

namespace detail {

/// A text in quotes, with `?` for each unprintable character, shortened to `most` characters.
inline std::string quoted_for_people(std::string_view text, std::size_t most = 32) {
    std::string quoted = "\"";
    for (const char c : text.substr(0, most)) quoted += c >= ' ' && c <= '~' ? c : '?';
    quoted += '"';
    if (text.size() > most) quoted += "... (" + std::to_string(text.size()) + " bytes)";
    return quoted;
}

inline std::string milliseconds(Duration time) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3f", std::chrono::duration<double, std::milli>(time).count());
    return text.data();
}

/// A claim as text: " @7" is the change with number 7, " @7+" a read of the state after it.
inline std::string placed(const std::optional<Claim>& claim) {
    return claim ? " @" + std::to_string(claim->change) + (claim->reads ? "+" : "") : "";
}

/// Aligns the cells of several lines in columns. The first `numbers` columns are right-aligned.
class Columns {
public:
    explicit Columns(std::size_t numbers) : numbers_{numbers} {}

    void line(std::vector<std::string> cells) { lines_.push_back(std::move(cells)); }

    std::string text() const {
        std::vector<std::size_t> widths;
        for (const auto& cells : lines_) {
            widths.resize(std::max(widths.size(), cells.size()));
            for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
        }
        std::string all;
        for (const auto& cells : lines_) {
            std::string one;
            for (std::size_t i = 0; i < cells.size(); ++i) {
                const std::string space(widths[i] - cells[i].size(), ' ');
                one += i < numbers_ ? space + cells[i] : cells[i] + space;
                one += "  ";
            }
            one.erase(one.find_last_not_of(' ') + 1);
            all += one + '\n';
        }
        return all;
    }

private:
    std::size_t numbers_;
    std::vector<std::vector<std::string>> lines_;
};

}  // namespace detail

/// One line per operation, in the order of the calls. Times are milliseconds since the first call. The bars show the
/// order of the events and not their distance in time: operations with overlapping bars are concurrent; a bar that ends
/// with `>` is an open operation.
template <Model M>
std::string timeline(const M& model, std::vector<OperationOf<M>> operations, std::size_t width = 48) {
    std::sort(operations.begin(), operations.end(), [](auto& a, auto& b) { return a.called < b.called; });
    std::map<std::uint64_t, std::size_t> places;  // the column of each event in the bars
    for (const auto& operation : operations) {
        places[operation.called];
        if (!operation.open()) places[operation.returned];
    }
    const bool claims = std::ranges::any_of(operations, [](auto& operation) { return operation.claim.has_value(); });
    std::size_t place = 0;
    for (auto& [number, column] : places) column = place++ * width / places.size();

    detail::Columns columns{2};
    columns.line({"from", "to", "client", "operation", claims ? "answer, and its place" : "answer"});
    for (const auto& operation : operations) {
        const auto start = operations.front().begun;
        const auto from = places[operation.called], to = operation.open() ? width : places[operation.returned];
        auto bar = std::string(from, ' ') + '[' + std::string(to > from ? to - from - 1 : 0, '-');
        bar += operation.open() ? '>' : ']';
        columns.line(
            {detail::milliseconds(operation.begun - start),
             operation.ended == never ? "" : detail::milliseconds(operation.ended - start), operation.client,
             model.describe(operation.input),
             (operation.output ? model.describe(*operation.output) : "(open)") + detail::placed(operation.claim),
             std::move(bar)});
    }
    return columns.text();
}

}  // namespace understudy::sim
