// The file implementation of `Journal`: it persists a server's batches in a directory, with a thread of its own.
#pragma once

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

#include <understudy/journal.hpp>
#include <understudy/journal/posix_disk.hpp>
#include <understudy/journal/read_ahead.hpp>
#include <understudy/journal/replica_files.hpp>
#include <understudy/journal/sync_policy.hpp>
#include <understudy/options.hpp>

namespace understudy::journal {

struct FileJournalOptions {
    SyncPolicy sync = SyncPolicy::always();
    std::uint64_t segment_bytes = 64u << 20;  ///< Maximum size of a log file.
    Duration idle = 1s;  ///< After this time without a batch a checkpoint mark is written; see `FrameLog::checkpoint`.
};

/// Persists a replica's batches in files (replica_files.hpp). A thread of its own does the disk work, so that no event
/// loop waits for a disk. Batches that are submitted while one sync runs are covered by the next one (group commit).
/// The destructor blocks until all submitted batches are on stable storage, or the disk has failed.
class FileJournal {
public:
    /// Opens and locks the directory; creates it if only its parent exists. Blocks. Throws `std::system_error` if that
    /// fails.
    explicit FileJournal(const std::string& directory, FileJournalOptions options = {})
        : worker_{std::make_unique<Worker>(directory, options)} {}

    /// See `Journal`. A second thread reads ahead; `to`, and through it the store, is called in the calling thread.
    /// Throws `Damaged` if a file is in a state that no crash can cause, `std::runtime_error` for files of another
    /// format version or of another store, and `std::system_error` if the disk fails or no thread can be started.
    void read(replica::JournalReader& to) {
        auto& files = worker_->files;
        read_ahead(
            to, [&](replica::JournalReader& ahead) { files.read(ahead); },
            [&](std::uint64_t number, const std::string& wrong) { return files.unreadable(number, wrong); });
    }
    /// See `Journal`. Starts the thread; `progress` is called in it.
    void start(std::function<void()> progress) { worker_->start(std::move(progress)); }
    /// See `Journal`. Encodes the batch at once, in the calling thread: the log may change afterwards.
    void write(JournalBatch& batch, const replica::Log& log) { worker_->take(make_pending(batch, log)); }
    std::uint64_t persisted() const { return worker_->progress().persisted; }
    std::string failure() const { return worker_->progress().failure; }
    std::string waiting() const { return worker_->progress().waiting; }
    bool promises() const { return worker_->options.sync.promises(); }

private:
    struct Progress {
        std::uint64_t persisted = 0;
        std::string failure;
        std::string waiting;
    };

    class Worker {
        // Declared before `files`, because opening the files calls `lacks`, which uses some of these members.
        mutable std::mutex mutex_;
        std::condition_variable arrived_;
        std::deque<PendingBatch> queue_;
        Progress progress_;
        bool stopping_ = false;
        std::function<void()> notify_;

    public:
        Worker(const std::string& directory, const FileJournalOptions& chosen)
            : files{PosixDisk{directory, [this](const std::string& what, int tries) { return lacks(what, tries); }},
                    draw_salt(),
                    {.segment_bytes = chosen.segment_bytes}},
              options{chosen} {}
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

        void start(std::function<void()> progress) {
            notify_ = std::move(progress);
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
        static Time now() { return Time{std::chrono::steady_clock::now().time_since_epoch()}; }
        static std::uint64_t draw_salt() {
            std::random_device device;
            return std::uint64_t{device()} << 32 | device();
        }

        // The thread. After an error it ends: once a disk has failed, nothing more is persisted.
        void run() {
            try {
                while (work_once()) {
                }
                files.checkpoint();
            } catch (const std::exception& failed) {
                publish([&](Progress& progress) { progress.failure = failed.what(); });
            }
        }
        /// Takes all submitted batches, writes them, and syncs or seals if the policy calls for it. Under a policy that
        /// promises stable storage, `persisted` advances after the sync; otherwise once the kernel has the batches.
        /// Returns false when the journal ends and nothing is left.
        bool work_once() {
            std::deque<PendingBatch> batches;
            if (!wait(batches)) return false;
            for (const auto& batch : batches) files.write(batch);
            const auto written_at = now();
            if (!batches.empty()) schedule_.wrote(written_at);
            const auto count = [&] {
                if (!batches.empty()) publish([&](Progress& progress) { progress.persisted = batches.back().number; });
            };
            if (!options.sync.promises()) count();
            if (schedule_.sync_due() <= written_at) {
                files.sync();
                schedule_.syncs(written_at);
            } else if (schedule_.checkpoint_due() <= written_at) {
                files.checkpoint();
                schedule_.checkpoints(written_at);
            }
            if (options.sync.promises()) count();
            return true;
        }
        /// Waits until there are batches, or a sync or a seal is due; then `batches` may be empty. Returns false when
        /// the journal ends and nothing is left.
        bool wait(std::deque<PendingBatch>& batches) {
            std::unique_lock lock{mutex_};
            const auto something = [&] { return stopping_ || !queue_.empty(); };
            if (const auto next = schedule_.next(); next == understudy::never) arrived_.wait(lock, something);
            else arrived_.wait_for(lock, next - now(), something);
            batches.swap(queue_);
            return !batches.empty() || !stopping_;
        }

        /// See `Shortage`. Allows retries for 30 s, or for 1 s if the journal is to end. Reports the shortage through
        /// `Journal::waiting`.
        bool lacks(const std::string& what, int tries) {
            constexpr int most = 300, most_at_end = 10;
            constexpr auto each = std::chrono::milliseconds{100};
            const bool is_news = tries == 0 || what.empty();
            if (is_news) publish([&](Progress& progress) { progress.waiting = what; });
            if (what.empty()) return false;
            std::unique_lock lock{mutex_};
            if (tries >= (stopping_ ? most_at_end : most)) return false;
            // New batches notify `arrived_` too, but must not shorten the wait: the number of tries limits the time.
            const bool ending = stopping_;
            arrived_.wait_for(lock, each, [&] { return stopping_ != ending; });
            return true;
        }

        template <typename Change>
        void publish(Change change) {
            {
                const std::lock_guard lock{mutex_};
                change(progress_);
            }
            if (notify_) notify_();
        }

        SyncSchedule schedule_{options.sync, options.idle, now()};  // used by the thread only

        std::thread thread_;
    };

    std::unique_ptr<Worker> worker_;
};

static_assert(Journal<FileJournal>);

}  // namespace understudy::journal
