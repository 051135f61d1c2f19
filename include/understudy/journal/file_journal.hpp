// The journal of a server in a directory of its own.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/post.hpp>

#include <understudy/journal.hpp>
#include <understudy/journal/posix_disk.hpp>
#include <understudy/journal/replica_files.hpp>
#include <understudy/options.hpp>

namespace understudy::journal {

/// When what was written is brought to stable storage.
struct SyncPolicy {
    /// Before it counts: no crash takes back what was answered, and a group that died as a whole comes back by itself.
    static SyncPolicy always() { return {Duration{}}; }
    /// Once in an interval: the death of a process takes nothing back, that of a machine up to that much. A server may
    /// then not say that it recovered its state (S9): after the death of a whole group an operator decides.
    static SyncPolicy every(Duration interval) { return {interval}; }
    /// When the kernel likes; else as `every`.
    static SyncPolicy never() { return {Duration::max()}; }

    Duration interval{};
};

struct FileJournalOptions {
    SyncPolicy sync = SyncPolicy::always();
    std::uint64_t segment_bytes = 64u << 20;  ///< Of the log's files.
    Duration idle = 1s;  ///< After so long without anything new the end of the log is sealed, so that damage shows.
};

/// Keeps a replica's batches in files (replica_files.hpp) by a thread of its own, the only one of this library: no
/// event loop waits for a disk. What arrives while one sync runs is covered by the next (group commit). Its destructor
/// waits until what was written is on stable storage. The loop of its service must have ended (`async_run` completed)
/// before the execution context is destroyed.
class FileJournal {
public:
    /// Opens the directory, makes it if its parent is there, and locks it. Throws `std::system_error` if that fails.
    explicit FileJournal(const std::string& directory, FileJournalOptions options = {})
        : worker_{std::make_unique<Worker>(directory, options)} {}

    /// See `Journal`. Throws `Damaged` if a file holds what no crash leaves behind, `std::runtime_error` for files of
    /// another version or of another store, `std::system_error` if the disk fails.
    void read(JournalReader& to) { worker_->files.read(to); }
    void start(const asio::any_io_executor& executor, std::function<void()> progress) {
        worker_->start(executor, std::move(progress));
    }
    void write(JournalBatch& batch, const Log& log) { worker_->take(make_pending(batch, log)); }
    std::uint64_t persisted() const { return worker_->progress().persisted; }
    std::string failure() const { return worker_->progress().failure; }
    bool promises() const { return worker_->promised(); }

private:
    struct Progress {
        std::uint64_t persisted = 0;
        std::string failure;
    };

    class Worker {
    public:
        Worker(const std::string& directory, const FileJournalOptions& chosen)
            : files{PosixDisk{directory}, draw_salt(), {.segment_bytes = chosen.segment_bytes}}, options{chosen} {}
        Worker(const Worker&) = delete;
        Worker& operator=(const Worker&) = delete;
        ~Worker() {
            if (!thread_.joinable()) return;
            {
                const std::lock_guard lock{mutex_};
                stopping_ = true;
            }
            arrived_.notify_one();
            thread_.join();
        }

        ReplicaFiles<PosixDisk> files;
        const FileJournalOptions options;
        bool promised() const { return options.sync.interval == Duration{}; }

        void start(const asio::any_io_executor& executor, std::function<void()> progress) {
            executor_ = executor;
            tell_ = std::make_shared<const std::function<void()>>(std::move(progress));
            thread_ = std::thread{[this] { run(); }};
        }
        void take(PendingBatch batch) {
            {
                const std::lock_guard lock{mutex_};
                queue_.push_back(std::move(batch));
            }
            arrived_.notify_one();
        }
        Progress progress() const {
            const std::lock_guard lock{mutex_};
            return progress_;
        }

    private:
        using Clock = std::chrono::steady_clock;

        static std::uint64_t draw_salt() {
            std::random_device device;
            return std::uint64_t{device()} << 32 | device();
        }

        void run() {
            try {
                while (work_once()) {
                }
                files.seal();
            } catch (const std::exception& failed) {
                publish([&](Progress& progress) { progress.failure = failed.what(); });
            }
        }
        /// Takes all that is there, writes it and brings it to stable storage. False when nothing more will come.
        bool work_once() {
            std::deque<PendingBatch> batches;
            if (!wait(batches)) return false;
            if (batches.empty()) {
                files.seal();
                return true;
            }
            for (const auto& batch : batches) files.write(batch);
            const auto& interval = options.sync.interval;
            const auto now = Clock::now();
            if (interval == Duration{} || (interval != Duration::max() && now >= synced_at_ + interval)) {
                files.sync();
                synced_at_ = now;
            }
            publish([&](Progress& progress) { progress.persisted = batches.back().number; });
            return true;
        }
        /// Waits for batches; gives none when it is time to seal the log. False if nothing more will come.
        bool wait(std::deque<PendingBatch>& batches) {
            std::unique_lock lock{mutex_};
            const auto something = [&] { return stopping_ || !queue_.empty(); };
            const auto patience = promised() ? options.idle : std::min(options.idle, options.sync.interval);
            if (sealed_) arrived_.wait(lock, something);
            else arrived_.wait_for(lock, patience, something);
            batches.swap(queue_);
            sealed_ = batches.empty();
            return !batches.empty() || !stopping_;
        }

        template <typename Change>
        void publish(Change change) {
            {
                const std::lock_guard lock{mutex_};
                change(progress_);
            }
            asio::post(executor_, [tell = tell_] { (*tell)(); });
        }

        mutable std::mutex mutex_;
        std::condition_variable arrived_;
        std::deque<PendingBatch> queue_;
        Progress progress_;
        bool stopping_ = false;

        bool sealed_ = false;  // nothing was written since the end of the log was sealed
        Clock::time_point synced_at_{};

        asio::any_io_executor executor_;
        std::shared_ptr<const std::function<void()>> tell_;
        std::thread thread_;
    };

    std::unique_ptr<Worker> worker_;
};

static_assert(Journal<FileJournal>);

}  // namespace understudy::journal
