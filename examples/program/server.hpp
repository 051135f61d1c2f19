// The parts of a server program around its service: a line when it is ready, events with time stamps on stderr, and an
// orderly end on a signal.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>

#include <understudy/event.hpp>

#include "exit_codes.hpp"
#include "lines.hpp"
#include "signals.hpp"

namespace program {

/// `2024-05-01T12:00:00.123Z`.
inline std::string time_stamp() {
    using namespace std::chrono;
    const auto now = floor<milliseconds>(system_clock::now());
    const std::time_t seconds = system_clock::to_time_t(now);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char date[32];
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    char text[48];
    std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(now.time_since_epoch().count() % 1000));
    return text;
}

/// Writes a line to stderr. Never waits for the reader, and may be called on any thread.
inline void log(std::string_view line) {
    static auto& lines = *new LineWriter{STDERR_FILENO, time_stamp};
    lines.write(time_stamp() + ' ' + understudy::printable(line));
}
inline void log_event(const understudy::Event& event) { log(describe(event)); }

inline void say_ready(const understudy::Address& address) {
    LineWriter{STDOUT_FILENO, time_stamp}.write("listening on " + address);
}

/// The socket's file of a `unix://` address; empty for other addresses.
inline std::string socket_file(const understudy::Address& address) {
    constexpr std::string_view scheme = "unix://";
    return address.starts_with(scheme) ? address.substr(scheme.size()) : std::string{};
}

/// Runs a program's body and reports an exception on stderr. If a port is in use, the library's exception names it.
template <typename Body>
Exit guarded(std::string_view name, Body body) {
    const auto complain = [name](const char* what) {
        LineWriter{STDERR_FILENO, time_stamp}.write(understudy::printable(std::string{name} + ": " + what, true));
    };
    try {
        return body();
    } catch (const Ended& ended) {
        complain(ended.what());
        return ended.exit;
    } catch (const std::system_error& failure) {
        complain(failure.what());
        return exit_code(failure.code());
    } catch (const std::exception& failure) {
        complain(failure.what());
        return Exit::failed;
    }
}

}  // namespace program
