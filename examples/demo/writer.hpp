// A client that writes continuously, one call after the other, and records which of its writes were answered.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/clerk.hpp>
#include <understudy/net/any.hpp>

#include "pulse.hpp"

namespace demo {

using Clerk = understudy::Clerk<understudy::net::AnyTransport>;

// In step n client c puts a key of its own, then appends an element to a log that all clients share. A log gets a few
// hundred steps of each client, so that no value grows without bound.
inline constexpr std::uint32_t steps_per_log = 250;

inline std::string put_key(unsigned client, std::uint32_t step) {
    return "client-" + std::to_string(client) + "/" + std::to_string(step);
}
inline std::string put_value(unsigned client, std::uint32_t step) {
    return "put " + std::to_string(step) + " of client " + std::to_string(client);
}
inline std::string log_key(std::uint32_t step) { return "log/" + std::to_string(step / steps_per_log); }
inline std::string element(unsigned client, std::uint32_t step) {
    return std::to_string(client) + "." + std::to_string(step);
}
inline constexpr char element_end = ';';

/// Which writes of one client were answered, by step.
struct Record {
    std::vector<bool> puts, appends;
};

class Writer {
public:
    Writer(asio::io_context& io, understudy::ClientOptions options, unsigned number, Pulse& pulse)
        : clerk_{understudy::net::AnyTransport{io}, std::move(options)}, number_{number}, pulse_{pulse} {}

    void start() { asio::co_spawn(clerk_.get_executor(), run(), asio::detached); }
    /// It ends after the write in flight.
    void stop() { stopping_ = true; }
    bool ended() const { return ended_; }

    const Record& record() const { return record_; }
    /// The number of writes without an answer: they may have taken effect or not.
    std::uint64_t unanswered() const { return unanswered_; }
    /// A refusal that a retry would not resolve.
    std::error_code fault() const { return fault_; }

private:
    asio::awaitable<void> run() {
        std::error_code ec;
        for (std::uint32_t step = 0; !done(); ++step) {
            std::string key = put_key(number_, step);
            std::string value = put_value(number_, step);
            co_await clerk_.async_put(std::move(key), std::move(value), asio::redirect_error(asio::use_awaitable, ec));
            note(record_.puts, ec);
            if (done()) break;
            key = log_key(step);
            value = element(number_, step) + element_end;
            co_await clerk_.async_append(std::move(key), std::move(value),
                                         asio::redirect_error(asio::use_awaitable, ec));
            note(record_.appends, ec);
        }
        ended_ = true;
    }
    bool done() const { return stopping_ || fault_; }
    void note(std::vector<bool>& answered, std::error_code ec) {
        answered.push_back(!ec);
        if (!ec) return pulse_.answered();
        ++unanswered_;
        if (ec != understudy::error::outcome_unknown && ec != understudy::error::deadline_passed) fault_ = ec;
    }

    Clerk clerk_;
    unsigned number_;
    Pulse& pulse_;
    Record record_;
    std::uint64_t unanswered_ = 0;
    std::error_code fault_;
    bool stopping_ = false, ended_ = false;
};

}  // namespace demo
