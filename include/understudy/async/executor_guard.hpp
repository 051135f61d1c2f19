// Lets a worker thread of a service (the journal's) post to the service's executor, although the executor may end
// first.
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

/// Posts to an executor until it is shut. It is shut when no result is awaited any more, or when the context of the
/// executor is destroyed. After `shut` has returned, no thread is inside `post`, no later `post` reaches the executor,
/// and the executor may be destroyed. Thread-safe.
class ExecutorGuard {
public:
    static std::shared_ptr<ExecutorGuard> open(const asio::any_io_executor& executor);
    ExecutorGuard(const ExecutorGuard&) = delete;
    ExecutorGuard& operator=(const ExecutorGuard&) = delete;

    /// Does nothing if the guard is shut. Waits only for another `post` or `shut`.
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
    explicit ExecutorGuard(asio::any_io_executor executor) : executor_{std::move(executor)} {}

    std::mutex mutex_;
    asio::any_io_executor executor_;
};

/// All executor guards of one context. Asio calls `shutdown` of all services of a context before it destroys any of
/// them, the youngest first. This service is younger than the scheduler. So the guards are shut before the scheduler
/// destroys its queue, during which nothing may be posted.
class ExecutorGuards final : public asio::execution_context::service {
public:
    using key_type = ExecutorGuards;
    static inline asio::execution_context::id id;

    explicit ExecutorGuards(asio::execution_context& context) : service{context} {}

    /// O(guards in use).
    void add(const std::shared_ptr<ExecutorGuard>& guard) {
        const std::lock_guard lock{mutex_};
        std::erase_if(gates_, [](const auto& one) { return one.expired(); });
        gates_.push_back(guard);
    }

private:
    void shutdown() override {
        const std::lock_guard lock{mutex_};
        for (const auto& one : gates_)
            if (const auto guard = one.lock()) guard->shut();
    }

    std::mutex mutex_;
    std::vector<std::weak_ptr<ExecutorGuard>> gates_;
};

inline std::shared_ptr<ExecutorGuard> ExecutorGuard::open(const asio::any_io_executor& executor) {
    const std::shared_ptr<ExecutorGuard> guard{new ExecutorGuard{executor}};
    asio::use_service<ExecutorGuards>(asio::query(executor, asio::execution::context)).add(guard);
    return guard;
}

}  // namespace understudy::detail
