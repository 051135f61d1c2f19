// The store of a view service in a directory of its own.
#pragma once

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
        auto task = std::make_shared<Task>(co_await asio::this_coro::executor);
        start(task, [](ViewFiles<PosixDisk>& files, Task& done) { done.loaded = files.stored(); });
        co_await finished(task);
        co_return std::move(task->loaded);
    }
    asio::awaitable<bool> async_compare_and_set(std::uint64_t expected, ViewChanges changes) {
        auto task = std::make_shared<Task>(co_await asio::this_coro::executor);
        start(task, [expected, changes = std::move(changes)](ViewFiles<PosixDisk>& files, Task& done) {
            done.stored = files.compare_and_set(expected, changes);
        });
        co_await finished(task);
        asio::post(work_->thread, [files = &work_->files] { seal(*files); });
        co_return task->stored;
    }

private:
    struct Work {
        Work(const std::string& directory, ViewFilesOptions options)
            : files{PosixDisk{directory}, draw_salt(), options} {
            files.read();
        }
        ViewFiles<PosixDisk> files;
        asio::thread_pool thread{1};  // ends before the files, once what it is doing is done
    };
    /// One call: how it ended, and what wakes who waits for it.
    struct Task {
        explicit Task(asio::any_io_executor executor)
            : bell{std::move(executor), asio::steady_timer::time_point::max()} {}
        asio::steady_timer bell;
        bool done = false;
        std::string failure;
        bool stored = false;
        std::optional<StoredViews> loaded;
    };

    template <typename Step>
    void start(const std::shared_ptr<Task>& task, Step step) {
        asio::post(work_->thread, [files = &work_->files, task, step = std::move(step)] {
            try {
                step(*files, *task);
            } catch (const std::exception& failed) {
                task->failure = failed.what();
            }
            asio::post(task->bell.get_executor(), [task] {
                task->done = true;
                task->bell.cancel();
            });
        });
    }
    /// A wait that is cancelled leaves the task to itself.
    static asio::awaitable<void> finished(std::shared_ptr<Task> task) {
        std::error_code ec;
        if (!task->done) co_await task->bell.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        if (!task->done) throw std::system_error{ec};
        if (!task->failure.empty()) throw std::system_error{make_error_code(error::journal_failed), task->failure};
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
