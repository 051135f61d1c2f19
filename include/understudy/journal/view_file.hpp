// The file implementation of `ViewStore`: it persists a view service's record in a directory.
#pragma once

#include <poll.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>

#include <understudy/async/executor_guard.hpp>
#include <understudy/error.hpp>
#include <understudy/journal/posix_disk.hpp>
#include <understudy/journal/view_files.hpp>
#include <understudy/view_store.hpp>

namespace understudy::journal {

/// Persists a view service's record in files (view_files.hpp). A thread of its own does the disk work, so that no event
/// loop waits for it. A set completes when it is on stable storage. The destructor waits for work that is under way.
class FileViewStore {
public:
    /// Opens and locks the directory, and reads the files in it; creates the directory if only its parent exists.
    /// Blocks. Throws `std::system_error` if the disk fails or the directory is in use already, and
    /// `std::runtime_error` if files are damaged or are not the record of a view service; its text says what is wrong
    /// and what to do.
    explicit FileViewStore(const std::string& directory, ViewFilesOptions options = {})
        : work_{std::make_unique<Work>(directory, options)} {}

    /// See `ViewStore`. Completes on the executor of the awaiting coroutine. Throws `std::system_error`: with
    /// `error::journal_failed` if the disk fails, and with `asio::error::operation_aborted` if the wait is cancelled.
    asio::awaitable<std::optional<StoredViews>> async_load() {
        const auto executor = co_await asio::this_coro::executor;
        Call call{executor};
        start(call.task(), [](ViewFiles<PosixDisk>& files, Task& done) { done.loaded = files.stored(); });
        co_await call.finished();
        co_return std::move(call.task()->loaded);
    }
    /// See `ViewStore`, and `async_load` for errors. A set whose wait was cancelled may still be carried out.
    asio::awaitable<bool> async_compare_and_set(std::uint64_t expected, view_service::ViewChanges changes) {
        const auto executor = co_await asio::this_coro::executor;
        Call call{executor};
        start(call.task(), [expected, changes = std::move(changes)](ViewFiles<PosixDisk>& files, Task& done) {
            done.stored = files.compare_and_set(expected, changes);
        });
        co_await call.finished();
        // Writes the checkpoint mark after each set, because sets are rare. The caller does not wait for it.
        asio::post(work_->thread, [files = &work_->files] { checkpoint(*files); });
        co_return call.task()->stored;
    }

private:
    struct Work {
        Work(const std::string& directory, ViewFilesOptions options)
            : files{PosixDisk{directory, [this](const std::string& what, int tries) { return lacks(what, tries); }},
                    draw_salt(), options} {
            files.read();
        }
        ~Work() { ending = true; }

        /// See `Shortage`. Allows retries for 30 s, or for 1 s if the store is to end.
        bool lacks(const std::string& what, int tries) const {
            constexpr int each_ms = 20, most = 1500, most_at_end = 50;
            if (what.empty() || tries >= (ending ? most_at_end : most)) return false;
            ::poll(nullptr, 0, each_ms);
            return true;
        }

        std::atomic<bool> ending = false;
        ViewFiles<PosixDisk> files;
        asio::thread_pool thread{1};  // destroyed before the files, after the task under way has ended
    };
    /// The work of the thread for one call, and its result. It continues even if the caller no longer waits for it.
    struct Task {
        explicit Task(const asio::any_io_executor& executor)
            : guard{understudy::detail::ExecutorGuard::open(executor)} {}
        std::shared_ptr<understudy::detail::ExecutorGuard> guard;
        // notifies the waiting coroutine; used on its executor only, as is `done`
        asio::steady_timer* wakeup = nullptr;
        bool done = false;
        std::string failure;
        bool stored = false;
        std::optional<StoredViews> loaded;
    };
    /// The wait for a task. It lives in the frame of the waiting coroutine. When that frame is destroyed, the
    /// destructor shuts the executor guard, so that the thread cannot post to an executor that may be gone.
    class Call {
    public:
        explicit Call(const asio::any_io_executor& executor)
            : task_{std::make_shared<Task>(executor)}, wakeup_{executor, asio::steady_timer::time_point::max()} {
            task_->wakeup = &wakeup_;
        }
        Call(const Call&) = delete;
        Call& operator=(const Call&) = delete;
        ~Call() {
            task_->guard->shut();
            task_->wakeup = nullptr;
        }

        const std::shared_ptr<Task>& task() const { return task_; }
        /// Waits for the task. Throws if it failed. If the wait is cancelled this throws, and the task still runs.
        asio::awaitable<void> finished() {
            std::error_code ec;
            if (!task_->done) co_await wakeup_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
            if (!task_->done) throw std::system_error{ec};
            if (!task_->failure.empty())
                throw std::system_error{make_error_code(error::journal_failed), task_->failure};
        }

    private:
        std::shared_ptr<Task> task_;
        asio::steady_timer wakeup_;
    };

    /// Runs `step` in the thread, and then completes the task on the executor of the caller.
    template <typename Step>
    void start(const std::shared_ptr<Task>& task, Step step) {
        asio::post(work_->thread, [files = &work_->files, task, step = std::move(step)] {
            try {
                step(*files, *task);
            } catch (const std::exception& failed) {
                task->failure = failed.what();
            }
            task->guard->post([task] {
                task->done = true;
                if (task->wakeup) task->wakeup->cancel();
            });
        });
    }
    /// Errors are ignored here: a log that has failed throws the same error again in the next set.
    static void checkpoint(ViewFiles<PosixDisk>& files) {
        try {
            files.checkpoint();
        } catch (const std::exception&) {
        }
    }
    static std::uint64_t draw_salt() {
        std::random_device device;
        return std::uint64_t{device()} << 32 | device();
    }

    std::unique_ptr<Work> work_;
};
static_assert(ViewStore<FileViewStore>);

}  // namespace understudy::journal
