// The store of a view service in a directory of its own.
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

#include <understudy/async/gate.hpp>
#include <understudy/error.hpp>
#include <understudy/journal/posix_disk.hpp>
#include <understudy/journal/view_files.hpp>
#include <understudy/view_store.hpp>

namespace understudy::journal {

/// Keeps a view service's record in files (view_files.hpp). A thread of its own works on the disk, so that no event
/// loop waits for it; a set is done when it is on stable storage.
class FileViewStore {
public:
    /// Opens the directory, makes it if its parent is there, locks it, and reads all that is there. Blocks. Throws
    /// `std::system_error` if the disk fails or another process uses the directory, `std::runtime_error` with what is
    /// wrong and what to do if files are damaged or are no record of a view service.
    explicit FileViewStore(const std::string& directory, ViewFilesOptions options = {})
        : work_{std::make_unique<Work>(directory, options)} {}

    /// See `ViewStore`.
    asio::awaitable<std::optional<StoredViews>> async_load() {
        const auto executor = co_await asio::this_coro::executor;
        Call call{executor};
        start(call.task(), [](ViewFiles<PosixDisk>& files, Task& done) { done.loaded = files.stored(); });
        co_await call.finished();
        co_return std::move(call.task()->loaded);
    }
    asio::awaitable<bool> async_compare_and_set(std::uint64_t expected, view_service::ViewChanges changes) {
        const auto executor = co_await asio::this_coro::executor;
        Call call{executor};
        start(call.task(), [expected, changes = std::move(changes)](ViewFiles<PosixDisk>& files, Task& done) {
            done.stored = files.compare_and_set(expected, changes);
        });
        co_await call.finished();
        asio::post(work_->thread, [files = &work_->files] { seal(*files); });
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

        /// See `Shortage`. Waits for half a minute, or a second if the store is to end.
        bool lacks(const std::string& what, int tries) const {
            constexpr int each_ms = 20, most = 1500, most_at_end = 50;
            if (what.empty() || tries >= (ending ? most_at_end : most)) return false;
            ::poll(nullptr, 0, each_ms);
            return true;
        }

        std::atomic<bool> ending = false;
        ViewFiles<PosixDisk> files;
        asio::thread_pool thread{1};  // ends before the files, once what it is doing is done
    };
    /// What the thread does for a call, and how that ended. It goes on when nobody waits for it any more.
    struct Task {
        explicit Task(const asio::any_io_executor& executor) : gate{understudy::detail::Gate::open(executor)} {}
        std::shared_ptr<understudy::detail::Gate> gate;
        asio::steady_timer* bell = nullptr;  // what wakes who waits; this and the next belong to that executor
        bool done = false;
        std::string failure;
        bool stored = false;
        std::optional<StoredViews> loaded;
    };
    /// Who waits for a task, in the coroutine's frame, so that it ends with that.
    class Call {
    public:
        explicit Call(const asio::any_io_executor& executor)
            : task_{std::make_shared<Task>(executor)}, bell_{executor, asio::steady_timer::time_point::max()} {
            task_->bell = &bell_;
        }
        Call(const Call&) = delete;
        Call& operator=(const Call&) = delete;
        ~Call() {
            task_->gate->shut();
            task_->bell = nullptr;
        }

        const std::shared_ptr<Task>& task() const { return task_; }
        /// A wait that is cancelled leaves the task to itself.
        asio::awaitable<void> finished() {
            std::error_code ec;
            if (!task_->done) co_await bell_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
            if (!task_->done) throw std::system_error{ec};
            if (!task_->failure.empty())
                throw std::system_error{make_error_code(error::journal_failed), task_->failure};
        }

    private:
        std::shared_ptr<Task> task_;
        asio::steady_timer bell_;
    };

    template <typename Step>
    void start(const std::shared_ptr<Task>& task, Step step) {
        asio::post(work_->thread, [files = &work_->files, task, step = std::move(step)] {
            try {
                step(*files, *task);
            } catch (const std::exception& failed) {
                task->failure = failed.what();
            }
            task->gate->post([task] {
                task->done = true;
                if (task->bell) task->bell->cancel();
            });
        });
    }
    /// What fails here fails again with the next set.
    static void seal(ViewFiles<PosixDisk>& files) {
        try {
            files.seal();
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
