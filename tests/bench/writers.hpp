// Clients that write as fast as they get answers, and the gaps between these answers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <asio/steady_timer.hpp>

#include "tests/bench/ours.hpp"

namespace understudy::bench {

/// A write of this client was answered at this time, in nanoseconds of the monotonic clock.
struct Answer {
    std::int64_t at = 0;
    std::uint64_t client = 0;
};

inline std::int64_t nanoseconds_now() { return Clock::now().time_since_epoch().count(); }

/// Each client writes again `pause` after an answer. Every answer is written to the descriptor `to`.
inline void write_for_ever(const Address& view_service, std::size_t clients, Duration pause, int to) {
    struct Writer {
        Clerk<net::AnyTransport> clerk;
        asio::steady_timer timer;
        Duration pause;
        int to;
        std::uint64_t n;

        void next() {
            clerk.async_put(key(n), std::string(100, 'v'), [this](std::error_code ec) {
                if (ec) throw std::system_error{ec, "understudy"};
                const Answer answer{nanoseconds_now(), n};
                write_all(to, reinterpret_cast<const char*>(&answer), sizeof answer);
                if (pause == Duration{}) return next();
                timer.expires_after(pause);
                timer.async_wait([this](std::error_code) { next(); });
            });
        }
    };
    asio::io_context io{1};
    ClientOptions options;
    options.view_service = {view_service};
    std::vector<std::unique_ptr<Writer>> writers;
    for (std::size_t n = 0; n < clients; ++n) {
        Clerk<net::AnyTransport> clerk{net::AnyTransport{io}, options};
        writers.push_back(std::make_unique<Writer>(Writer{std::move(clerk), asio::steady_timer{io}, pause, to, n}));
        writers.back()->next();
    }
    io.run();
}

/// In nanoseconds.
struct Gaps {
    std::int64_t of_all = 0;  ///< The longest time in which no client was answered.
    std::int64_t of_one = 0;  ///< The longest time in which some client was not answered.
};

/// Takes the answers in the order of their arrival.
class Answers {
public:
    explicit Answers(std::size_t clients) : last_of_(clients) {}

    /// Takes one answer and updates `gaps` by the gaps that end with it.
    void take(const Answer& answer, Gaps& gaps) {
        if (last_ != 0) gaps.of_all = std::max(gaps.of_all, answer.at - last_);
        auto& last = last_of_[answer.client];
        if (last != 0) gaps.of_one = std::max(gaps.of_one, answer.at - last);
        last_ = last = answer.at;
    }

    /// Reads until every client was answered at least `after` the time `from`; returns the gaps that end after `from`.
    Gaps read_until(int answers, std::int64_t from, std::int64_t after) {
        Gaps gaps, earlier;
        while (std::ranges::min(last_of_) < from + after) {
            Answer answer;
            for (std::size_t got = 0; got < sizeof answer;) {
                const auto count = read(answers, reinterpret_cast<char*>(&answer) + got, sizeof answer - got);
                if (count <= 0) throw std::runtime_error{"the writers ended"};
                got += static_cast<std::size_t>(count);
            }
            take(answer, answer.at >= from ? gaps : earlier);
        }
        return gaps;
    }

private:
    std::int64_t last_ = 0;
    std::vector<std::int64_t> last_of_;
};

}  // namespace understudy::bench
