// Calls that reach a service from outside its executor while another thread runs that. It is the commonest mistake of a
// host with threads, and what comes of it (a table changed under the loop's hands) looks like a fault of the library.
#pragma once

#include <atomic>
#include <thread>

#include <asio/any_io_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include <understudy/base/check.hpp>

namespace understudy::detail {

/// Where the calling thread stands to an executor.
enum class Standpoint {
    inside,   ///< It runs the executor, in its strand if that is one; or nobody does.
    outside,  ///< It does not.
    unknown,  ///< This kind of executor cannot be asked.
};

inline Standpoint standpoint(const asio::any_io_executor& executor) {
    const auto of = [](const auto& kind) {
        return kind.running_in_this_thread() ? Standpoint::inside : Standpoint::outside;
    };
    if (const auto* io = executor.target<asio::io_context::executor_type>())
        return io->context().stopped() ? Standpoint::inside : of(*io);
    if (const auto* strand = executor.target<asio::strand<asio::io_context::executor_type>>()) return of(*strand);
    return Standpoint::unknown;
}

/// One of a service. A call from outside is noted; the turn that serves it then runs either on that same thread, which
/// ran the executor after the call (no fault), or on another one, which may have run it all the time: that is reported,
/// in builds without NDEBUG. Threads that run one executor in turns (`poll` under a lock of the host's) have to make
/// their calls from within it.
class ThreadCheck {
public:
    /// A call of the host's, to whoever has this `executor()`.
    template <typename Owner>
    void called(Owner& owner) {
        const auto last = turned_.load(std::memory_order_relaxed);
        if (last == std::thread::id{} || last == std::this_thread::get_id()) return;
        if (standpoint(owner.executor()) == Standpoint::outside)
            outside_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    }
    /// A turn begins.
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
    std::atomic<std::thread::id> turned_{};   // where the last turn ran
    std::atomic<std::thread::id> outside_{};  // where a call came from
};

}  // namespace understudy::detail
