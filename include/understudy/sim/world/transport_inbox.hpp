// Helpers of the transport conformance tests: coroutines that receive into an inbox, and the exception for a broken
// requirement.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/awaitable.hpp>

#include <understudy/transport.hpp>

namespace understudy::sim::laws {

using namespace std::chrono_literals;

/// A requirement that the transport breaks; `what()` is the requirement as a sentence.
struct BrokenLaw : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Throws `BrokenLaw` with the requirement `law` unless `holds`.
inline void expect(bool holds, const char* law) {
    if (!holds) throw BrokenLaw{law};
}

/// What one transport has received. `turns` counts the calls of `next` that completed; `ended` is the error of the call
/// that failed.
struct Inbox {
    TransportEvents arrivals;
    std::optional<std::error_code> ended;
    std::size_t turns = 0;

    template <typename Kind>
    std::vector<Kind> all() const {
        std::vector<Kind> found;
        for (const auto& arrival : arrivals)
            if (const auto* match = std::get_if<Kind>(&arrival)) found.push_back(*match);
        return found;
    }
    template <typename Kind>
    std::size_t count() const {
        return all<Kind>().size();
    }
    std::vector<std::string> payloads() const {
        std::vector<std::string> texts;
        for (const auto& delivered : all<Delivered>()) texts.push_back(delivered.payload);
        return texts;
    }
};

/// Calls `next` once and records its result in the inbox.
template <typename T>
asio::awaitable<void> next_once(T& transport, Inbox& inbox, Time deadline) {
    try {
        auto arrivals = co_await transport.next(deadline);
        ++inbox.turns;
        for (auto& arrival : arrivals) inbox.arrivals.push_back(std::move(arrival));
    } catch (const std::system_error& failure) {
        inbox.ended = failure.code();
    }
}

/// Calls `next` until it fails, usually because the transport is closed.
template <typename T>
asio::awaitable<void> receive_all(T& transport, Inbox& inbox) {
    while (!inbox.ended) co_await next_once(transport, inbox, never);
}

}  // namespace understudy::sim::laws
