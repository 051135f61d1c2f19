// Charts of the measurements, drawn by gnuplot: rates by the number of clients, and comparisons of the systems.
#pragma once

#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace understudy::bench {

class Charts {
public:
    /// Throws if gnuplot cannot be run.
    explicit Charts(std::string folder) : folder_{std::move(folder)} {
        draw("set terminal svg");  // fails now, and not after all measurements
        std::filesystem::create_directories(folder_);
    }

    /// Draws, from the rows of a report, one chart of rates and one of ratios for each network, operation and length.
    void draw_all(const nlohmann::json& rows) const {
        std::map<std::string, Chart> charts;
        for (const auto& row : rows) {
            if (!row.contains("system")) continue;
            const std::string network = row["network"], operation = row["operation"], system = row["system"];
            const auto outstanding = row["connections"].get<std::size_t>() * row["in_flight"].get<std::size_t>();
            const bool piped = row["in_flight"] > 1;
            const auto kind = operation + "-" + std::to_string(row["bytes"].get<std::size_t>()) + "B" +
                              (row["one_cpu"] ? "-one-cpu" : "");
            const auto title = operation + ", values of " + std::to_string(row["bytes"].get<std::size_t>()) + " B" +
                               (row["one_cpu"] ? ", one CPU" : "");
            // One client with one call belongs to both series: more connections, and more calls in flight.
            for (const bool in_flight : {false, true}) {
                if (outstanding > 1 && piped != in_flight) continue;
                const std::string way = in_flight ? "-in-flight" : "-connections";
                const std::string x = in_flight ? "calls in flight on one connection" : "connections, one call each";
                auto& rate = charts["rate-" + kind + way + "-" + network];
                rate.title = title + ", " + network;
                rate.x = x;
                rate.y = "operations per second";
                rate.lines[system].push_back(point(outstanding, row["rate"]));
                if (!row.contains("ours_by_this")) continue;
                auto& ratio = charts["ratio-" + kind + way + "-" + network];
                ratio.title = title + ", " + network + ": rate of understudy by that of the other";
                ratio.x = x;
                ratio.y = "ratio within rounds";
                ratio.lines["by " + system].push_back(point(outstanding, row["ours_by_this"]["rate"]));
            }
        }
        for (const auto& [name, chart] : charts)
            if (chart.clients() > 1) draw(script(folder_ + "/" + name + ".svg", chart));
    }

private:
    struct Point {
        std::size_t clients;
        double median, low, high;
    };
    struct Chart {
        std::string title, x, y;
        std::map<std::string, std::vector<Point>> lines;

        std::size_t clients() const { return xs().size(); }
        std::set<std::size_t> xs() const {
            std::set<std::size_t> all;
            for (const auto& [name, points] : lines)
                for (const auto& point : points) all.insert(point.clients);
            return all;
        }
    };

    static Point point(std::size_t clients, const nlohmann::json& it) {
        return {clients, it["median"], it["low"], it["high"]};
    }

    /// The line style of a system; its colour is the same in all charts.
    static std::string style(std::string_view line) {
        if (line.starts_with("by ")) line.remove_prefix(3);
        const bool batch = line.starts_with("Redis, "), redis = line.starts_with("Redis");
        const char* colour = batch                          ? "#e69f00"
                             : redis                        ? "#d55e00"
                             : line.starts_with("raw")       ? "#7f7f7f"
                             : line.starts_with("prototype") ? "#009e73"
                                                             : "#0072b2";
        return std::string{" lc rgb '"} + colour + "' lw 2 pt 7 ps 0.6";
    }

    static std::string script(const std::string& file, const Chart& chart) {
        std::ostringstream out;
        out << "set terminal svg size 760,400 font 'sans-serif,13' background '#ffffff'\nset output '" << file
            << "'\nset title '" << chart.title << "'\nset xlabel '" << chart.x << "'\nset ylabel '" << chart.y
            << "'\nset key outside right center\nset grid ytics lc rgb '#dddddd'\nset border 3\n"
            << "set logscale x 2\nset yrange [0:*]\nset format y '%.6g'\nset tics nomirror\nset xtics (";
        const char* separator = "";
        for (const auto x : chart.xs()) out << std::exchange(separator, ", ") << x;
        out << ")\nset xrange [" << static_cast<double>(*chart.xs().begin()) / 1.3 << ':'
            << static_cast<double>(*chart.xs().rbegin()) * 1.3 << "]\n";
        std::string plots;
        for (std::size_t n = 0; const auto& [name, points] : chart.lines) {
            out << "$line" << n << " << EOD\n";
            for (const auto& it : points)
                out << it.clients << ' ' << it.median << ' ' << it.low << ' ' << it.high << '\n';
            out << "EOD\n";
            plots += (n == 0 ? "plot $line" : ", $line") + std::to_string(n) + " with yerrorlines title '" + name +
                     "'" + style(name);
            ++n;
        }
        if (chart.y.starts_with("ratio")) plots += ", 1 notitle lc rgb '#000000' lw 1";
        return out.str() + plots + "\n";
    }

    static void draw(const std::string& script) {
        FILE* gnuplot = popen("gnuplot", "w");
        if (!gnuplot) throw std::runtime_error{"gnuplot cannot be run"};
        const bool emitted = std::fputs((script + "\n").c_str(), gnuplot) >= 0;
        if (pclose(gnuplot) != 0 || !emitted) throw std::runtime_error{"gnuplot failed; is it installed?"};
    }

    std::string folder_;
};

}  // namespace understudy::bench
