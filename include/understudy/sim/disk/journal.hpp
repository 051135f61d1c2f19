// A server's journal on a simulated disk, in virtual time. It runs the real journal code, but the steps of its worker
// are events of the world instead of a thread. Under the sync policy `always` a batch counts as persisted when a sync
// has ended; under other policies as soon as it is written to the kernel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <understudy/journal.hpp>
#include <understudy/journal/replica_files.hpp>
#include <understudy/journal/sync_policy.hpp>
#include <understudy/sim/disk/disk.hpp>
#include <understudy/sim/disk/server_disk.hpp>
#include <understudy/sim/world/world.hpp>

namespace understudy::sim {

/// The journal of one incarnation of a server, on a disk that outlives it. After a crash of the disk's process it does
/// nothing more. Batches that are submitted while a sync is under way are covered by the next sync.
class DiskJournal {
public:
    /// Called with each hard state that is read during recovery. The soak test needs it to know the newest view that
    /// the previous incarnation knew.
    using Found = std::function<void(const HardState&)>;

    /// Throws `std::system_error` if another living process uses the disk.
    DiskJournal(World& world, std::shared_ptr<ServerDisk> disk, Found found = {})
        : worker_{std::make_shared<Worker>(world, std::move(disk))}, found_{std::move(found)} {}

    // The operations of the concept `Journal`.
    void read(replica::JournalReader& to) {
        Listener listener{to, found_};
        worker_->files.read(listener);
    }
    void start(std::function<void()> progress) {
        worker_->progress = std::move(progress);
        worker_->plan();
    }
    void write(JournalBatch& batch, const replica::Log& log) { worker_->take(journal::make_pending(batch, log)); }
    std::uint64_t persisted() const { return worker_->persisted; }
    bool promises() const { return worker_->schedule.policy().promises(); }
    std::string failure() const { return worker_->failure; }

private:
    /// Passes everything on to the real reader, and reports each hard state to `found`.
    struct Listener final : replica::JournalReader {
        Listener(replica::JournalReader& reader, const Found& function) : to{reader}, found{function} {}
        std::string snapshot(const SnapshotPiece& piece) override { return to.snapshot(piece); }
        void hard_state(HardState hard_state) override {
            if (found) found(hard_state);
            to.hard_state(std::move(hard_state));
        }
        std::string batch(const JournalBatch& batch, std::span<const EntryView> entries) override {
            if (found && batch.hard_state) found(*batch.hard_state);
            return to.batch(batch, entries);
        }
        void to_come(std::uint64_t bytes) override { to.to_come(bytes); }
        std::string complete() override { return to.complete(); }
        replica::JournalReader& to;
        const Found& found;
    };

    /// The worker of the journal. Each step is an event of the world. At most one step that writes or syncs is
    /// scheduled at a time (`busy`).
    struct Worker : std::enable_shared_from_this<Worker> {
        Worker(World& in, std::shared_ptr<ServerDisk> on)
            : world{in},
              disk{std::move(on)},
              files{Disk{disk->storage()},
                    disk->draw_salt(),
                    {.segment_bytes = disk->options().segment_bytes, .grow_bytes = grow_bytes}},
              generation{disk->storage().generation()},
              schedule{disk->policy(), idle, in.now()} {}

        static constexpr std::size_t grow_bytes = 2048;
        static constexpr Duration idle = 1s;  // without a write for this time, a checkpoint mark is written

        /// Queues a batch, and starts writing if the worker is idle.
        void take(journal::PendingBatch batch) {
            queue.push_back(std::move(batch));
            if (!std::exchange(busy, true)) then({}, &Worker::write_all);
        }
        /// Writes all queued batches. Then begins a sync if one is due by the policy.
        void write_all() {
            attempt([this] {
                for (; !queue.empty(); queue.pop_front()) {
                    files.write(queue.front());
                    for (const auto& piece : queue.front().pieces)
                        if (piece.last) disk->count_snapshot();
                    if (queue.front().hard_state) disk->noted();
                    written = queue.front().number;
                }
            });
            if (!failure.empty()) return;
            schedule.wrote(world.now());
            if (!schedule.policy().promises()) publish();
            schedule.sync_due() <= world.now() ? begin_sync() : go_on();
        }
        void begin_sync() {
            schedule.syncs(world.now());
            then(disk->draw_latency(), &Worker::sync);
        }
        /// The sync has ended. It covers the batches written before it began, because nothing is written meanwhile.
        void sync() {
            attempt([this] { files.sync(); });
            if (!failure.empty()) return;
            disk->synced();
            if (schedule.policy().promises()) publish();
            go_on();
        }
        /// Reports all written batches as persisted.
        void publish() {
            persisted = written;
            tell();
        }
        /// Continues with the batches that were queued meanwhile, or goes idle.
        void go_on() {
            if (!queue.empty()) return then({}, &Worker::write_all);
            busy = false;
            plan();
        }
        /// Schedules the next step of the policy (a sync or a checkpoint mark), for the case that no batch comes
        /// before.
        void plan() {
            const auto next = schedule.next();
            if (next >= planned) return;  // `rest` runs before that, and plans again
            planned = next;
            then(std::max(next - world.now(), Duration{}), &Worker::rest);
        }
        /// Does what the policy demands of an idle journal.
        void rest() {
            if (world.now() < planned) return;  // an outdated event: the plan has changed since
            planned = never;
            if (busy) return;  // `go_on` plans again
            if (schedule.sync_due() <= world.now()) {
                busy = true;
                return begin_sync();
            }
            if (schedule.checkpoint_due() <= world.now()) {
                attempt([this] { files.checkpoint(); });
                if (!failure.empty()) return;
                schedule.checkpoints(world.now());
                disk->synced();
            }
            plan();
        }

        /// Runs an operation on the files. An exception ends the journal: it is stored in `failure`, and no step runs
        /// any more.
        template <typename Operation>
        void attempt(Operation operation) {
            try {
                operation();
            } catch (const std::exception& failed) {
                failure = failed.what();
                disk->blame();
                tell();
            }
        }
        void tell() {
            if (progress) progress();
        }
        /// Schedules a step. It does not run if the journal was destroyed or has failed, or if the process has died.
        void then(Duration delay, void (Worker::*step)()) {
            world.at(after(world.now(), delay), [weak = weak_from_this(), step] {
                const auto self = weak.lock();
                if (self && self->failure.empty() && self->disk->storage().generation() == self->generation)
                    (self.get()->*step)();
            });
        }

        World& world;
        std::shared_ptr<ServerDisk> disk;
        journal::ReplicaFiles<Disk> files;
        const Storage::Generation generation;
        std::function<void()> progress;
        std::deque<journal::PendingBatch> queue;
        std::uint64_t written = 0, persisted = 0;  // numbers of the last batches
        std::string failure;
        journal::SyncSchedule schedule;
        Time planned = never;  // when `rest` is scheduled
        bool busy = false;     // a step that writes or syncs is scheduled
    };

    std::shared_ptr<Worker> worker_;
    Found found_;
};

static_assert(Journal<DiskJournal> && Journal<OptionalJournal<DiskJournal>>);

}  // namespace understudy::sim
