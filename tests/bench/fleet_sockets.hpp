// A fleet with one connection per server. It must cost little, because it shares the machine with the measured process:
// a ping is made from the text of the previous one, and an answer equal to the last one is not decoded.
#pragma once

#include <sys/prctl.h>
#include <sys/resource.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <understudy/wire/frame.hpp>
#include <understudy/wire/json.hpp>

#include "tests/bench/meter.hpp"
#include "tests/bench/sockets.hpp"
#include "tests/support/fleet.hpp"

namespace understudy::bench {

using namespace protocol;

/// Raises the limit so that this process and its children may have a descriptor for each server; throws if that is not
/// possible.
inline void allow_descriptors(std::size_t count) {
    rlimit limit{};
    must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    if (limit.rlim_max < count)
        throw std::runtime_error{std::to_string(count) + " descriptors are needed, " + std::to_string(limit.rlim_max) +
                                 " are allowed"};
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

class FleetSockets {
public:
    /// Connects all servers.
    FleetSockets(const Place& view_service, std::size_t servers, std::chrono::nanoseconds interval)
        : fleet_{servers}, gap_{interval / static_cast<std::int64_t>(servers)}, lines_(servers) {
        prctl(PR_SET_TIMERSLACK, 1);  // otherwise every wait would last 50 us longer
        for (std::uint32_t n = 0; n < servers; ++n) {
            lines_[n].socket = dial(view_service);
            unblock(lines_[n].socket);
            poll_.add(lines_[n].socket, n);
        }
        due_ = Clock::now();
    }
    ~FleetSockets() {
        for (std::size_t n = 0; n < lines_.size(); ++n) hang_up(n);
    }
    FleetSockets(const FleetSockets&) = delete;
    FleetSockets& operator=(const FleetSockets&) = delete;

    const test::Fleet& fleet() const { return fleet_; }
    static Clock::time_point now() { return Clock::now(); }

    /// Called when a server receives a new view.
    std::function<void(std::size_t server)> on_news = [](std::size_t) {};

    /// Measured since the last call of `measure`.
    std::vector<std::uint32_t> round_trips;  ///< In nanoseconds.
    Clock::duration latest{};                ///< The greatest delay of a ping.
    void measure() {
        round_trips.clear();
        latest = {};
    }

    /// Sends the pings, each server once per interval and evenly spread, and reads answers, until `done()`.
    template <typename Done>
    void run(Done done) {
        while (!done()) {
            auto now = Clock::now();
            for (int count = 0; count < most_in_a_row && due_ <= now; ++count, due_ += gap_) {
                latest = std::max(latest, now - due_);
                ping(next_, now);
                next_ = (next_ + 1) % fleet_.size();
                if (count % 8 == 7) now = Clock::now();
            }
            poll_.wait(std::max(due_ - Clock::now(), Clock::duration{}), [this](std::uint32_t n) { read(n); });
        }
    }
    void run_for(Clock::duration length) {
        run([until = Clock::now() + length] { return Clock::now() >= until; });
    }

    void silence(std::size_t n) { lines_[n].silent = true; }
    /// The server disconnects; a connection to its address is refused.
    void hang_up(std::size_t n) {
        silence(n);
        if (lines_[n].socket >= 0) close(std::exchange(lines_[n].socket, -1));
    }

private:
    static constexpr int most_in_a_row = 64;

    /// The text of a ping is `before`, its id, `between`, its number, `behind`.
    struct Line {
        int socket = -1;
        bool silent = false;
        std::string between, behind;
        std::string answer;  // the last answer, without everything up to its id
        std::string unread;
        Clock::time_point asked;
    };
    static constexpr std::string_view before = R"({"jsonrpc":"2.0","id":)";

    void ping(std::size_t n, Clock::time_point now) {
        auto& line = lines_[n];
        if (line.silent) return;
        const auto number = fleet_.next_ping(n).n;
        if (line.between.empty()) write_anew(n);
        text_.clear();
        const auto start = wire::begin_frame(text_);
        text_.append(before).append(make_call_id(Method::view_ping, number).json()).append(line.between);
        wire::append_number(text_, number);
        text_.append(line.behind);
        wire::end_frame(text_, start);
        line.asked = now;
        write_all(line.socket, text_.data(), text_.size());
    }
    /// Encodes the ping and splits its text into these parts.
    void write_anew(std::size_t n) {
        const auto& ping = fleet_.last_ping(n);
        const auto id = make_call_id(Method::view_ping, ping.n).json(), number = std::to_string(ping.n);
        const auto text = wire::encode(id, ping);
        const std::string name = R"("n":)";
        const auto at = text.find(name) + name.size();
        lines_[n].between = text.substr(before.size() + id.size(), at - before.size() - id.size());
        lines_[n].behind = text.substr(at + number.size());
    }

    void read(std::uint32_t n) {
        auto& line = lines_[n];
        if (line.socket < 0) return;
        const auto count = read_some(line.socket, buffer_.data(), buffer_.size());
        std::string_view bytes{buffer_.data(), count};
        if (!line.unread.empty()) bytes = line.unread.append(bytes);
        while (const auto size = whole_frame(bytes)) {
            take(n, bytes.substr(wire::frame_header, size - wire::frame_header));
            bytes.remove_prefix(size);
        }
        line.unread = std::string{bytes};
    }
    static std::size_t whole_frame(std::string_view bytes) {
        if (bytes.size() < wire::frame_header) return 0;
        std::size_t size = wire::frame_header;
        for (std::size_t i = 0, shift = 24; i < wire::frame_header; ++i, shift -= 8)
            size += std::size_t{static_cast<unsigned char>(bytes[i])} << shift;
        return size <= bytes.size() ? size : 0;
    }

    void take(std::size_t n, std::string_view payload) {
        auto& line = lines_[n];
        if (payload.starts_with(before)) {
            round_trips.push_back(static_cast<std::uint32_t>((Clock::now() - line.asked).count()));
            const auto rest = payload.substr(std::min(payload.find(',', before.size()), payload.size()));
            if (rest == line.answer) return;
            line.answer = rest;
        }
        const auto decoded = wire::decode(payload);
        const auto* message = std::get_if<wire::Decoded>(&decoded);
        const auto* answer = message ? std::get_if<PingResult>(&message->message) : nullptr;
        const auto* pushed = message ? std::get_if<ViewChanged>(&message->message) : nullptr;
        if (!answer && !pushed) throw std::runtime_error{"the view service answers " + std::string{payload}};
        if (!fleet_.tell(n, answer ? answer->info : pushed->info)) return;
        line.between.clear();
        on_news(n);
    }

    test::Fleet fleet_;
    Clock::duration gap_;
    std::vector<Line> lines_;
    Poll poll_;
    Clock::time_point due_;
    std::size_t next_ = 0;
    std::string text_;
    std::array<char, 16 * 1024> buffer_{};
};

}  // namespace understudy::bench
