// The way from a thread that works for a service back to the service's executor.
#pragma once

#include <mutex>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/post.hpp>

namespace understudy::detail {

/// Posts to an executor until it is shut. Whoever needs the executor to be there shuts it in time: after `shut` has
/// returned no thread is on its way through, none comes through any more, and the executor may go. Thread-safe.
class Gate {
public:
    explicit Gate(asio::any_io_executor executor) : executor_{std::move(executor)} {}
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    /// Does not wait, but for another `post` or `shut`.
    template <typename Function>
    void post(Function function) {
        const std::lock_guard lock{mutex_};
        if (executor_) asio::post(executor_, std::move(function));
    }
    void shut() {
        const std::lock_guard lock{mutex_};
        executor_ = {};
    }

private:
    std::mutex mutex_;
    asio::any_io_executor executor_;
};

}  // namespace understudy::detail
