// Reads a journal in a second thread while batches that were read before are applied. Applying takes most of the time
// of a recovery, so reading the disk in parallel costs almost no extra time.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <understudy/protocol/entry_block.hpp>
#include <understudy/replica/journal_reader.hpp>

namespace understudy::journal {

/// A bounded queue between the thread that reads a journal and the thread in which the `JournalReader` is called.
/// Batches are passed on asynchronously, in blocks, and `to_come` with them. All other calls wait until the reader has
/// answered them.
class ReadAhead final : public replica::JournalReader {
public:
    // ---- called in the thread that reads -----------------------------------------------------------------

    std::string snapshot(const SnapshotPiece& piece) override {
        return pass([&](replica::JournalReader& to) { return to.snapshot(piece); });
    }
    void hard_state(HardState hard_state) override {
        pass([&](replica::JournalReader& to) {
            to.hard_state(std::move(hard_state));
            return std::string{};
        });
    }
    std::string batch(const JournalBatch& batch, std::span<const EntryView> entries) override {
        std::size_t bytes = 0;
        for (const auto& entry : entries) bytes += EntryBlock::size_of(entry.command.size());
        if (!filling_.has_room(bytes) || filling_.batches.size() == most_batches) {
            if (!hand_over()) return stopped_text;
            filling_.begin(bytes);
        }
        filling_.add(batch, entries);
        filling_.to_come = to_come_;
        return {};
    }
    void to_come(std::uint64_t bytes) override { to_come_ = bytes; }
    std::string complete() override {
        return pass([](replica::JournalReader& to) { return to.complete(); });
    }
    /// Passes on the batches of the block that is being filled.
    void flush() { hand_over(); }
    /// Nothing more follows. `deliver` returns once it has passed on what is queued.
    void end() noexcept {
        const std::lock_guard lock{mutex_};
        ended_ = true;
        changed_.notify_all();
    }

    // ---- called in the thread of the reader --------------------------------------------------------------

    /// Calls `to` for everything that is queued, until `end`. If `to` finds a batch wrong, `refuse(number, wrong)` is
    /// called, which must throw.
    template <typename Refuse>
    void deliver(replica::JournalReader& to, Refuse refuse) {
        std::unique_lock lock{mutex_};
        for (;;) {
            changed_.wait(lock, [&] { return !full_.empty() || step_ || ended_; });
            if (!full_.empty()) {
                auto block = std::move(full_.front());
                const auto bytes = block.bytes();
                full_.pop_front();
                lock.unlock();
                block.deliver(to, refuse);
                lock.lock();
                waiting_bytes_ -= bytes;
                if (bytes <= most_bytes) empty_.push_back(std::move(block));
            } else if (step_) {
                const auto step = std::exchange(step_, nullptr);
                lock.unlock();
                auto answer = step(to);
                lock.lock();
                answer_ = std::move(answer);
            } else {
                return;
            }
            changed_.notify_all();
        }
    }
    /// The reader failed. The reading thread gets an error text from one of its next calls, so that it stops.
    void stop() {
        const std::lock_guard lock{mutex_};
        stopped_ = true;
        changed_.notify_all();
    }

private:
    static constexpr std::size_t block_bytes = 256u << 10;
    static constexpr std::size_t most_batches = 1'000;          // in one block
    static constexpr std::size_t most_bytes = 4 * block_bytes;  // may be queued when another block is added
    static constexpr auto stopped_text = "nobody wants to know";

    /// A run of batches, and the entries of all of them. `begin` comes first.
    struct Block {
        EntryBlock::Pointer entries;
        std::vector<std::pair<JournalBatch, std::size_t>> batches;  // each with the number of its entries
        std::uint64_t to_come = 0;

        /// Makes room for at least `bytes` of entries. Memory that is there is used again.
        void begin(std::size_t bytes) {
            batches.clear();
            if (entries && entries->room() >= std::max(block_bytes, bytes)) entries->shrink(0);
            else entries = EntryBlock::make(std::max(block_bytes, bytes));
        }
        bool has_room(std::size_t bytes) const { return entries && entries->has_room(bytes); }
        std::size_t bytes() const { return entries->bytes() + batches.size() * sizeof(batches[0]); }
        void add(const JournalBatch& batch, std::span<const EntryView> its) {
            batches.emplace_back(batch, its.size());
            for (const auto& entry : its) entries->append(entry, {}, 0);
        }
        template <typename Refuse>
        void deliver(replica::JournalReader& to, Refuse& refuse) {
            to.to_come(to_come);
            std::vector<EntryView> its;
            std::size_t next = 0;
            for (const auto& [batch, count] : batches) {
                its.clear();
                while (its.size() < count) its.push_back((*entries)[next++]);
                if (const auto wrong = to.batch(batch, its); !wrong.empty()) refuse(batch.number, wrong);
            }
        }
    };

    /// Queues the block that was filled, and waits while too much is queued. False if `stop` was called.
    bool hand_over() {
        if (filling_.batches.empty()) return true;
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return stopped_ || waiting_bytes_ <= most_bytes; });
        if (stopped_) return false;
        waiting_bytes_ += filling_.bytes();
        full_.push_back(std::exchange(filling_, {}));
        if (!empty_.empty()) {
            filling_ = std::move(empty_.back());
            empty_.pop_back();
            filling_.begin(0);
        }
        changed_.notify_all();
        return true;
    }
    /// Runs `step` in the thread of the reader, after everything queued before it, and returns its answer.
    std::string pass(std::function<std::string(replica::JournalReader&)> step) {
        if (!hand_over()) return stopped_text;
        std::unique_lock lock{mutex_};
        step_ = std::move(step);
        changed_.notify_all();
        changed_.wait(lock, [&] { return stopped_ || answer_; });
        if (!answer_) return stopped_text;
        return *std::exchange(answer_, std::nullopt);
    }

    Block filling_;  // this and the next member belong to the reading thread
    std::uint64_t to_come_ = 0;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Block> full_;
    std::size_t waiting_bytes_ = 0;  // of these blocks, and of the one that is being passed on
    std::vector<Block> empty_;       // handled blocks, whose memory is used again
    std::function<std::string(replica::JournalReader&)> step_;
    std::optional<std::string> answer_;
    bool ended_ = false;
    bool stopped_ = false;
};

/// Calls `read(reader)` in a new thread, and passes each call of that reader on to `to`, in the calling thread. Blocks
/// until both are done. Throws what `read` or `to` throws; if `to` finds a batch wrong, throws
/// `std::runtime_error{explain(number, wrong)}`.
template <typename Read, typename Explain>
void read_ahead(replica::JournalReader& to, Read read, Explain explain) {
    ReadAhead between;
    std::exception_ptr thrown;
    std::thread thread{[&] {
        try {
            read(static_cast<replica::JournalReader&>(between));
        } catch (...) {
            thrown = std::current_exception();
        }
        try {
            between.flush();
        } catch (...) {
            if (!thrown) thrown = std::current_exception();
        }
        between.end();
    }};
    try {
        between.deliver(to, [&](std::uint64_t number, const std::string& wrong) {
            throw std::runtime_error{explain(number, wrong)};
        });
    } catch (...) {
        between.stop();
        thread.join();
        throw;
    }
    thread.join();
    if (thrown) std::rethrow_exception(thrown);
}

}  // namespace understudy::journal
