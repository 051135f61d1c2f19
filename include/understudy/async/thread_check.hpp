// Detects calls that reach a service from outside its executor while another thread runs that executor. This is the
// most common mistake of a host with several threads. Its effect, a table that changes during a turn, looks like a bug
// in the library.
#pragma once

#include <atomic>
#include <thread>

#include <asio/any_io_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include <understudy/async/executor_target.hpp>
#include <understudy/base/check.hpp>

namespace understudy::detail {

/// The relation of the calling thread to an executor.
enum class Standpoint {
    inside,   ///< It runs the executor (within the strand, if it is one), or the executor is stopped.
    outside,  ///< It does not run the executor.
    unknown,  ///< This kind of executor cannot be asked.
};

inline Standpoint standpoint(const asio::any_io_executor& executor) {
    const auto of = [](const auto& kind) {
        return kind.running_in_this_thread() ? Standpoint::inside : Standpoint::outside;
    };
    if (const auto* io = target_of<asio::io_context::executor_type>(executor))
        return io->context().stopped() ? Standpoint::inside : of(*io);
    if (const auto* strand = target_of<asio::strand<asio::io_context::executor_type>>(executor)) return of(*strand);
    return Standpoint::unknown;
}

/// Belongs to one service. A call from outside the executor is only noted, since the same thread may run the executor
/// afterwards, which is correct. If the next turn runs on that thread, there is no fault. If it runs on another thread,
/// that thread may have been running all the time: builds without NDEBUG report this. Threads that take turns to run
/// one executor (`poll` under a mutex of the host) must make their calls from within it.
class ThreadCheck {
public:
    /// Call this at each call of the host. `owner.executor()` is the service's executor.
    template <typename Owner>
    void called(Owner& owner) {
        const auto last = turned_.load(std::memory_order_relaxed);
        // Before the first turn no thread is known to run the executor.
        if (last == std::thread::id{} || last == std::this_thread::get_id()) return;
        if (standpoint(owner.executor()) == Standpoint::outside)
            outside_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    }
    /// Call this when a turn begins.
    void turn() {
        const auto here = std::this_thread::get_id();
        turned_.store(here, std::memory_order_relaxed);
        const auto caller = outside_.load(std::memory_order_relaxed);
        if (caller == std::thread::id{}) return;
        outside_.store({}, std::memory_order_relaxed);
#ifndef NDEBUG
        if (caller != here)
            check_failed("a call of the host came from another thread than the one that runs the executor of this "
                         "service or client: make it there (asio::post, asio::co_spawn), or in its strand",
                         __FILE__, __LINE__);
#endif
    }

private:
    std::atomic<std::thread::id> turned_{};   // the thread of the last turn
    std::atomic<std::thread::id> outside_{};  // the thread of a call from outside, until the next turn
};

}  // namespace understudy::detail
