// The way from a thread that works for a service back to the service's executor.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/post.hpp>

namespace understudy::detail {

/// Posts to an executor until it is shut: by whoever knows that nobody waits any more, or by the executor's context
/// when that is destroyed. After `shut` has returned no thread is on its way through, none comes through any more, and
/// the executor may go. Thread-safe.
class Gate {
public:
    static std::shared_ptr<Gate> open(const asio::any_io_executor& executor);
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
    explicit Gate(asio::any_io_executor executor) : executor_{std::move(executor)} {}

    std::mutex mutex_;
    asio::any_io_executor executor_;
};

/// The gates of one context. Asio shuts a context's services down before it destroys any, the youngest first; this one
/// is younger than the scheduler, which then takes its queue apart and must not be given anything meanwhile.
class Gates final : public asio::execution_context::service {
public:
    using key_type = Gates;
    static inline asio::execution_context::id id;

    explicit Gates(asio::execution_context& context) : service{context} {}

    /// O(gates that are in use).
    void add(const std::shared_ptr<Gate>& gate) {
        const std::lock_guard lock{mutex_};
        std::erase_if(gates_, [](const auto& one) { return one.expired(); });
        gates_.push_back(gate);
    }

private:
    void shutdown() override {
        const std::lock_guard lock{mutex_};
        for (const auto& one : gates_)
            if (const auto gate = one.lock()) gate->shut();
    }

    std::mutex mutex_;
    std::vector<std::weak_ptr<Gate>> gates_;
};

inline std::shared_ptr<Gate> Gate::open(const asio::any_io_executor& executor) {
    const std::shared_ptr<Gate> gate{new Gate{executor}};
    asio::use_service<Gates>(asio::query(executor, asio::execution::context)).add(gate);
    return gate;
}

}  // namespace understudy::detail
