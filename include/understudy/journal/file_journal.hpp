// The journal of a server in a directory of its own.
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
    std::uint64_t segment_bytes = 64u << 20;  ///< Of the log's files.
    Duration idle = 1s;  ///< After so long without anything new the end of the log is sealed, so that damage shows.
};

/// Keeps a replica's batches in files (replica_files.hpp) by a thread of its own: no event loop waits for a disk. What
/// arrives while one sync runs is covered by the next (group commit). Its destructor waits until what was written is on
/// stable storage.
class FileJournal {
public:
    /// Opens the directory, makes it if its parent is there, and locks it. Throws `std::system_error` if that fails.
    explicit FileJournal(const std::string& directory, FileJournalOptions options = {})
        : worker_{std::make_unique<Worker>(directory, options)} {}

    /// See `Journal`. A thread of its own reads ahead; `to`, and with it the store, is told in this one. Throws
    /// `Damaged` if a file holds what no crash leaves behind, `std::runtime_error` for files of another version or of
    /// another store, `std::system_error` if the disk fails or no thread can be started.
    void read(replica::JournalReader& to) {
        auto& files = worker_->files;
        read_ahead(
            to, [&](replica::JournalReader& ahead) { files.read(ahead); },
            [&](std::uint64_t number, const std::string& wrong) { return files.unreadable(number, wrong); });
    }
    void start(std::function<void()> progress) { worker_->start(std::move(progress)); }
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
        // Before the files, which use some of them when they are opened.
        mutable std::mutex mutex_;
        std::condition_variable arrived_;
        std::deque<PendingBatch> queue_;
        Progress progress_;
        bool stopping_ = false;
        std::function<void()> tell_;

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
            tell_ = std::move(progress);
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

        void run() {
            try {
                while (work_once()) {
                }
                files.seal();
            } catch (const std::exception& failed) {
                publish([&](Progress& progress) { progress.failure = failed.what(); });
            }
        }
        /// Takes all that is there, writes it, and does what the policy wants. False when nothing more will come.
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
            } else if (schedule_.seal_due() <= written_at) {
                files.seal();
                schedule_.seals(written_at);
            }
            if (options.sync.promises()) count();
            return true;
        }
        /// Waits for batches; gives none when it is time to sync or to seal. False if nothing more will come.
        bool wait(std::deque<PendingBatch>& batches) {
            std::unique_lock lock{mutex_};
            const auto something = [&] { return stopping_ || !queue_.empty(); };
            if (const auto next = schedule_.next(); next == understudy::never) arrived_.wait(lock, something);
            else arrived_.wait_for(lock, next - now(), something);
            batches.swap(queue_);
            return !batches.empty() || !stopping_;
        }

        /// See `Shortage`. Waits for half a minute, or a second if the journal is to end.
        bool lacks(const std::string& what, int tries) {
            constexpr int most = 300, most_at_end = 10;
            constexpr auto each = std::chrono::milliseconds{100};
            const bool is_news = tries == 0 || what.empty();
            if (is_news) publish([&](Progress& progress) { progress.waiting = what; });
            if (what.empty()) return false;
            std::unique_lock lock{mutex_};
            if (tries >= (stopping_ ? most_at_end : most)) return false;
            // What arrives meanwhile is no reason to try earlier: each try lasts its whole time.
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
            if (tell_) tell_();
        }

        SyncSchedule schedule_{options.sync, options.idle, now()};  // the thread's

        std::thread thread_;
    };

    std::unique_ptr<Worker> worker_;
};

static_assert(Journal<FileJournal>);

}  // namespace understudy::journal
