// Checks every answered write: is it there, and is it there only once?
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "writer.hpp"

namespace demo {

struct Findings {
    std::uint64_t found = 0, lost = 0, doubled = 0;
    std::string example;  ///< Describes the first fault.

    bool good() const { return lost == 0 && doubled == 0; }
};

/// Reads everything that the writers wrote, with many reads in flight.
class Check {
public:
    Check(Clerk& clerk, std::vector<const Record*> records) : clerk_{clerk}, records_{std::move(records)} {
        for (const auto* record : records_) {
            puts_ += record->puts.size();
            logs_ = std::max(logs_, record->appends.size() / steps_per_log + 1);
        }
    }

    void start() {
        for (readers_ = 0; readers_ < 64; ++readers_)
            asio::co_spawn(clerk_.get_executor(), read(), [this](std::exception_ptr fault) {
                if (fault) fault_ = fault;
                --readers_;
            });
    }
    /// Returns true when everything was read. Throws the error of a read that failed.
    bool done() {
        if (fault_) std::rethrow_exception(fault_);
        return readers_ == 0;
    }
    int percent() const { return static_cast<int>(100 * read_ / (puts_ + logs_)); }

    Findings findings() const {
        auto result = findings_;
        for (unsigned client = 0; client < records_.size(); ++client)
            for (std::uint32_t step = 0; step < records_[client]->appends.size(); ++step)
                count_append(result, client, step);
        return result;
    }

private:
    struct Put {
        unsigned client;
        std::uint32_t step;
    };

    asio::awaitable<void> read() {
        while (auto put = next_put()) {
            std::string key = put_key(put->client, put->step);
            std::optional<std::string> value = co_await get(std::move(key));
            if (!records_[put->client]->puts[put->step]) continue;
            if (value == put_value(put->client, put->step)) ++findings_.found;
            else lose(findings_, "the put of " + put_key(put->client, put->step));
        }
        while (next_log_ < logs_) {
            std::string key = log_key(static_cast<std::uint32_t>(next_log_++ * steps_per_log));
            std::optional<std::string> value = co_await get(std::move(key));
            if (value) count_elements(*value);
        }
    }
    /// The value, or nothing if the key does not exist; any other error ends the check.
    asio::awaitable<std::optional<std::string>> get(std::string key) {
        std::error_code ec;
        std::string value = co_await clerk_.async_get(std::move(key), asio::redirect_error(asio::use_awaitable, ec));
        ++read_;
        if (!ec) co_return value;
        if (ec != understudy::error::key_not_found) throw std::system_error{ec, "reading for the check"};
        co_return std::nullopt;
    }

    std::optional<Put> next_put() {
        while (next_.client < records_.size() && next_.step == records_[next_.client]->puts.size())
            next_ = Put{next_.client + 1, 0};
        if (next_.client == records_.size()) return {};
        return Put{next_.client, next_.step++};
    }
    void count_elements(std::string_view log) {
        for (auto end = log.find(element_end); end != log.npos; end = log.find(element_end)) {
            ++elements_[std::string{log.substr(0, end)}];
            log.remove_prefix(end + 1);
        }
    }
    void count_append(Findings& result, unsigned client, std::uint32_t step) const {
        const auto name = element(client, step);
        const auto times = elements_.find(name);
        if (times != elements_.end() && times->second > 1) {
            ++result.doubled;  // counts also if the write was not answered
            if (result.example.empty()) result.example = "element " + name + " stands more than once";
        }
        if (!records_[client]->appends[step]) return;
        if (times != elements_.end()) ++result.found;
        else lose(result, "the append of " + name);
    }
    static void lose(Findings& result, const std::string& what) {
        ++result.lost;
        if (result.example.empty()) result.example = what + " was answered and is not there";
    }

    Clerk& clerk_;
    std::vector<const Record*> records_;
    std::size_t puts_ = 0, logs_ = 0, read_ = 0, next_log_ = 0;
    Put next_{0, 0};
    int readers_ = 0;
    std::exception_ptr fault_;
    Findings findings_;
    std::unordered_map<std::string, int> elements_;
};

}  // namespace demo
