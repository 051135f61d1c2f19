// What a server program is around its service: a line when it is ready, events with time stamps on stderr, and an
// orderly end when it is told to go.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <system_error>

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <understudy/event.hpp>

#include "exit_codes.hpp"

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

inline void log(std::string_view line) { std::cerr << time_stamp() + ' ' + std::string{line} + '\n' << std::flush; }
inline void log_event(const understudy::Event& event) { log(describe(event)); }

inline void say_ready(const understudy::Address& address) { std::cout << "listening on " << address << std::endl; }

/// The first SIGTERM or SIGINT calls `leave`, the second one `stop`.
class Farewell {
public:
    Farewell(asio::io_context& io, std::function<void()> leave, std::function<void()> stop)
        : signals_{io, SIGTERM, SIGINT}, leave_{std::move(leave)}, stop_{std::move(stop)} {
        std::signal(SIGPIPE, SIG_IGN);  // a reader of our events that goes away must not end us
        wait();
    }
    void cancel() { signals_.cancel(); }

private:
    void wait() {
        signals_.async_wait([this](std::error_code ec, int) {
            if (ec) return;
            if (!std::exchange(asked_, true)) {
                wait();
                leave_();
            } else {
                stop_();
            }
        });
    }

    asio::signal_set signals_;
    std::function<void()> leave_, stop_;
    bool asked_ = false;
};

/// Runs a program's body; what it throws is said on stderr. A port that is taken is named in what the library throws.
template <typename Body>
Exit guarded(std::string_view name, Body body) {
    try {
        return body();
    } catch (const Ended& ended) {
        std::cerr << name << ": " << ended.what() << '\n';
        return ended.exit;
    } catch (const std::system_error& failure) {
        std::cerr << name << ": " << failure.what() << '\n';
        return exit_code(failure.code());
    } catch (const std::exception& failure) {
        std::cerr << name << ": " << failure.what() << '\n';
        return Exit::failed;
    }
}

}  // namespace program
