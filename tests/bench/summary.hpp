// The results of a benchmark as Markdown: one table for each operation, and one more for many calls in flight, with one
// row for each shape.
#pragma once

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/bench/machine.hpp"
#include "tests/bench/perf_counters.hpp"
#include "tests/bench/shape.hpp"

namespace understudy::bench {

namespace detail {
inline std::string fixed(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}
/// With a comma between thousands.
inline std::string grouped(double value) {
    auto text = fixed(value, 0);
    for (auto at = text.size(); at > 3;) text.insert(at -= 3, ",");
    return text;
}
/// A figure of which three digits count.
inline std::string short_number(double value) { return value < 100 ? fixed(value, 1) : grouped(value); }
inline std::string with_interval(const nlohmann::json& it) {
    return fixed(it["median"], 2) + " (" + fixed(it["low"], 2) + "-" + fixed(it["high"], 2) + ")";
}
}  // namespace detail

/// Makes the tables from the rows of a report.
class Summary {
public:
    /// `how`: a sentence about the rounds.
    Summary(const nlohmann::json& rows, std::string how) : how_{std::move(how)} {
        for (const auto& row : rows) {
            const auto table = table_of(row);
            auto& shape = shape_of(table, row["shape"]);
            if (!row.contains("system")) {
                by_[table] = row["by"];
                shape.by = row["ratio"]["rate"];
                continue;
            }
            const std::string system = row["system"];
            shape.systems[system] = row;
            auto& systems = systems_[table];
            if (std::ranges::find(systems, system) == systems.end()) systems.push_back(system);
            if (system == ours && steps_.insert(name_of(row)).second) {
                rounds_ += row["rounds"].get<int>();
                disturbed_ += row["disturbed"].get<int>();
            }
        }
    }

    std::string text() const {
        std::string out = describe_machine() + ".\n\n" + how_;
        if (disturbed_ > 0)
            out += " Others used the machine in " + std::to_string(disturbed_) + " of " + std::to_string(rounds_) +
                   " rounds.";
        out += "\n";
        for (const auto& [name, shapes] : tables_) out += "\n" + rate_table(name, shapes);
        const auto missing = PerfCounters::missing();
        if (!missing.empty()) out += "\n" + missing + "\n";
        for (const auto& event : perf_events)
            for (const auto& [name, shapes] : tables_) out += count_table(event, name, shapes);
        return out;
    }

private:
    using Cells = std::vector<std::string>;
    struct Measured {
        std::string shape;
        std::map<std::string, nlohmann::json> systems;
        nlohmann::json by;  // the ratio to the first operation
    };
    static constexpr const char* ours = "understudy";

    static std::string table_of(const nlohmann::json& row) {
        const std::string operation = row["operation"];
        return row["in_flight"] > 1 ? operation + ", many in flight" : operation;
    }
    Measured& shape_of(const std::string& name, const std::string& shape) {
        auto table = std::ranges::find(tables_, name, [](const auto& it) { return it.first; });
        if (table == tables_.end()) table = tables_.insert(table, {name, {}});
        auto& shapes = table->second;
        auto found = std::ranges::find(shapes, shape, &Measured::shape);
        if (found == shapes.end()) {
            shapes.push_back({shape, {}, {}});
            return shapes.back();
        }
        return *found;
    }

    static std::string line(const Cells& cells) {
        std::string text = "|";
        for (const auto& cell : cells) text += " " + cell + " |";
        return text + "\n";
    }
    /// What distinguishes a shape within a table: the sockets, the clients, and what is not as usual.
    static std::string name_of(const nlohmann::json& row) {
        std::string text = row["network"];
        text += ", " + std::to_string(row["connections"].get<std::size_t>());
        if (row["in_flight"] > 1) text += " × " + std::to_string(row["in_flight"].get<std::size_t>());
        const auto bytes = row["bytes"].get<std::size_t>();
        if (bytes != Shape{}.bytes) {
            const bool kibibytes = bytes >= 1024 && bytes % 1024 == 0, mebibytes = bytes % (1u << 20) == 0;
            text += ", " +
                    std::to_string(mebibytes   ? bytes >> 20
                                   : kibibytes ? bytes >> 10
                                               : bytes) +
                    (mebibytes   ? " MiB"
                     : kibibytes ? " KiB"
                                 : " B");
        }
        return row["one_cpu"] ? text + ", one CPU" : text;
    }
    static std::string latencies(double p50, double p99) {
        if (p50 >= 1000) return detail::fixed(p50 / 1e3, 1) + ", " + detail::fixed(p99 / 1e3, 1) + " ms";
        return detail::grouped(p50) + ", " + detail::grouped(p99) + " µs";
    }

    std::string rate_table(const std::string& name, const std::vector<Measured>& shapes) const {
        const auto& systems = systems_.at(name);
        const bool by = by_.contains(name);
        Cells head{name, "per s", "p50, p99", "CPU"};
        for (const char* what : {"rate ÷ ", "CPU ÷ "})
            for (const auto& system : systems)
                if (system != ours) head.push_back(what + system);
        if (by) head.push_back("rate ÷ our " + by_.at(name));
        std::string text = line(head) + line(Cells(head.size(), "---"));
        for (const auto& it : shapes) {
            const auto& row = it.systems.at(ours);
            Cells cells{name_of(row), detail::grouped(row["rate"]["median"]),
                        latencies(row["p50_us"]["median"], row["p99_us"]["median"]),
                        detail::short_number(row["cpu_us"]["median"]) + " µs"};
            for (const char* what : {"rate", "cpu"})
                for (const auto& system : systems)
                    if (system != ours) cells.push_back(ratio(it, system, what));
            if (by) cells.push_back(it.by.is_null() ? "" : detail::with_interval(it.by));
            text += line(cells);
        }
        return text;
    }
    static std::string ratio(const Measured& it, const std::string& system, const char* what) {
        const auto found = it.systems.find(system);
        return found == it.systems.end() ? "" : detail::with_interval(found->second["ours_by_this"][what]);
    }

    /// What the processor counted for an operation; nothing where it does not count.
    std::string count_table(const PerfEvent& event, const std::string& table,
                            const std::vector<Measured>& shapes) const {
        const std::string name{event.name};
        const auto& systems = systems_.at(table);
        Cells head{name + " per " + table};
        head.insert(head.end(), systems.begin(), systems.end());
        std::string rows;
        for (const auto& it : shapes) {
            Cells cells{name_of(it.systems.at(ours))};
            bool any = false;
            for (const auto& system : systems) {
                const auto found = it.systems.find(system);
                const bool counted = found != it.systems.end() && found->second.contains("counts") &&
                                     found->second["counts"].contains(name);
                cells.push_back(counted ? detail::short_number(found->second["counts"][name]["median"]) : "");
                any = any || counted;
            }
            if (any) rows += line(cells);
        }
        return rows.empty() ? rows : "\n" + line(head) + line(Cells(head.size(), "---")) + rows;
    }

    std::string how_;
    std::vector<std::pair<std::string, std::vector<Measured>>> tables_;  // in the order in which they came
    std::map<std::string, std::vector<std::string>> systems_;            // of each table
    std::map<std::string, std::string> by_;  // of each table: the operation that it is compared with
    std::set<std::string> steps_;            // operations of one step were measured in the same rounds
    int rounds_ = 0, disturbed_ = 0;
};

}  // namespace understudy::bench
