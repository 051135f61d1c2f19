// The output of the demo: the events, line by line, and on a terminal a panel below them that is redrawn in place.
#pragma once

#include <algorithm>
#include <clocale>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/ioctl.h>
#include <unistd.h>

#include "pulse.hpp"
#include "text.hpp"

namespace demo {

enum class Style { plain, good, calm, dim, bad, strong };

/// The content of the panel.
struct Panel {
    struct Row {
        std::string label, name, state;
        Style style = Style::plain;
    };
    std::vector<Row> servers;
    std::uint64_t view = 0;
    bool writing = false;
    std::optional<Milliseconds> gap;  ///< Of the last failover, or of the present one.
    std::string activity;  ///< What the demo is doing.
};

class Display {
public:
    Display(bool plain, const Pulse& pulse)
        : pulse_{pulse}, live_{!plain && is_capable()}, colours_{live_ && !is_set("NO_COLOR")}, unicode_{is_utf8()} {
        if (live_) std::fputs("\033[?25l", stdout);  // hides the cursor
    }
    Display(const Display&) = delete;
    Display& operator=(const Display&) = delete;
    ~Display() { close(); }

    bool live() const { return live_; }

    /// Prints a line that stays.
    void say(std::string_view line) {
        erase();
        std::fwrite(line.data(), 1, line.size(), stdout);
        std::fputc('\n', stdout);
        draw();
        std::fflush(stdout);
    }
    /// Prints a line that stays, with the present time.
    void show(std::string_view event, Style style = Style::plain) {
        say(paint(Style::dim, right(fixed(seconds(), 1), 6) + " s") + "  " + paint(style, event));
    }
    /// Starts the clock.
    void begin() { start_ = Clock::now(); }
    double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

    /// Called ten times a second. Without a panel it prints a line each second.
    void show(Panel panel) {
        panel_ = std::move(panel);
        if (live_) {
            rewind();
            draw();
            std::fflush(stdout);
        } else if (panel_.writing && ++shown_ % 10 == 0) {
            show("view " + std::to_string(panel_.view) + "  " + roles() + "  " + grouped(pulse_.last_second()) +
                 " writes/s  " + grouped(pulse_.total()) + " answered");
        }
    }
    /// Removes the panel permanently.
    void close() {
        if (!live_) return;
        erase();
        panel_ = {};
        live_ = false;
        std::fputs("\033[?25h", stdout);
        std::fflush(stdout);
    }

    std::string paint(Style style, std::string_view text) const {
        static constexpr const char* codes[] = {"", "\033[32m", "\033[36m", "\033[90m", "\033[31m", "\033[1m"};
        const char* code = codes[static_cast<std::size_t>(style)];
        if (!colours_ || !*code) return std::string{text};
        return code + std::string{text} + "\033[0m";
    }

private:
    static constexpr std::size_t name_width = 46;

    static bool is_set(const char* variable) {
        const char* value = std::getenv(variable);
        return value && *value;
    }
    static bool is_utf8() {
        for (const char* variable : {"LC_ALL", "LC_CTYPE", "LANG"})
            if (is_set(variable)) {
                const std::string_view value = std::getenv(variable);
                return value.find("UTF-8") != value.npos || value.find("utf8") != value.npos;
            }
        return false;
    }
    static bool is_capable() {
        if (!::isatty(STDOUT_FILENO) || !is_set("TERM")) return false;
        if (std::string_view{std::getenv("TERM")} == "dumb") return false;
        winsize size{};
        return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 78 && size.ws_row >= 16;
    }

    std::string roles() const {
        std::string text;
        for (const auto& row : panel_.servers) text += (text.empty() ? "" : ", ") + row.label + " " + row.state;
        return text;
    }

    void rewind() {
        if (drawn_ > 0) std::fputs(("\033[" + std::to_string(drawn_) + "A").c_str(), stdout);
        drawn_ = 0;
    }
    void erase() {
        rewind();
        if (live_) std::fputs("\033[J", stdout);
    }
    void draw() {
        if (!live_ || panel_.servers.empty()) return;
        line(paint(Style::dim, rule()));
        for (const auto& row : panel_.servers)
            line("  " + paint(Style::strong, row.label) + "   " + left(row.name, name_width) + "  " +
                 paint(row.style, row.state));
        line("");
        line("  " + sparks() + "  " + paint(Style::strong, right(grouped(pulse_.last_second()), 8)) + " writes/s");
        line("  view " + left(std::to_string(panel_.view), 4) + right(grouped(pulse_.total()), 12) + " answered" +
             gaps());
        line("  " + paint(Style::dim, right(fixed(seconds(), 1), 4) + " s  " + panel_.activity));
    }
    void line(const std::string& text) {
        std::fputs((text + "\033[K\n").c_str(), stdout);
        ++drawn_;
    }

    std::string gaps() const {
        const auto last = panel_.gap ? in_ms(*panel_.gap) : std::string{"-"};
        return "   last failover " + paint(Style::strong, right(last, 8)) + "  longest gap " +
               right(in_ms(pulse_.longest()), 8);
    }
    std::string rule() const {
        std::string text;
        for (int column = 0; column < 78; ++column) text += unicode_ ? "─" : "-";
        return text;
    }
    /// The writes of the last seconds, one column for each tenth of a second.
    std::string sparks() const {
        static constexpr const char* blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
        static constexpr const char* letters[] = {" ", ".", ".", ":", ":", "+", "+", "#", "#"};
        constexpr std::size_t columns = 54;
        std::uint64_t most = 1;
        for (std::size_t age = 0; age < columns; ++age) most = std::max(most, pulse_.tenth(age));
        std::string text;
        for (std::size_t age = columns; age-- > 0;) {
            const auto level = (8 * pulse_.tenth(age) + most - 1) / most;
            text += (unicode_ ? blocks : letters)[level];
        }
        return paint(Style::good, text);
    }

    const Pulse& pulse_;
    bool live_, colours_, unicode_;
    Panel panel_;
    int drawn_ = 0;
    std::uint64_t shown_ = 0;
    Clock::time_point start_ = Clock::now();
};

}  // namespace demo
