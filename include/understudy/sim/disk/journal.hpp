// A server's journal on a simulated disk, in virtual time: what is written counts when a sync has come to its end, or,
// by a policy that does not wait for it, when the kernel has it.
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

/// The journal of one life of a server, over a disk that outlives it. Once the process has died by one of the disk's
/// crashes it does nothing more. What is written while a sync is under way is covered by the next one.
class DiskJournal {
public:
    /// Told what it reads of the server's former life: it knew of these views.
    using Found = std::function<void(const HardState&)>;

    /// Throws `std::system_error` if a process that lives uses the disk.
    DiskJournal(World& world, std::shared_ptr<ServerDisk> disk, Found found = {})
        : worker_{std::make_shared<Worker>(world, std::move(disk))}, found_{std::move(found)} {}

    /// See `Journal`; these are the laws that it keeps.
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
    struct Listener final : replica::JournalReader {
        Listener(replica::JournalReader& reader, const Found& function) : to{reader}, found{function} {}
        std::string snapshot(const SnapshotPiece& piece) override { return to.snapshot(piece); }
        void standing(HardState standing) override {
            if (found) found(standing);
            to.standing(std::move(standing));
        }
        std::string batch(const JournalBatch& batch, std::span<const EntryView> entries) override {
            if (found && batch.standing) found(*batch.standing);
            return to.batch(batch, entries);
        }
        void to_come(std::uint64_t bytes) override { to.to_come(bytes); }
        std::string whole() override { return to.whole(); }
        replica::JournalReader& to;
        const Found& found;
    };

    /// Each of its steps is an event of the world.
    struct Worker : std::enable_shared_from_this<Worker> {
        Worker(World& in, std::shared_ptr<ServerDisk> on)
            : world{in},
              disk{std::move(on)},
              files{Disk{disk->storage()},
                    disk->draw_salt(),
                    {.segment_bytes = disk->options().segment_bytes, .grow_bytes = grow_bytes}},
              life{disk->storage().life()},
              schedule{disk->policy(), idle, in.now()} {}

        static constexpr std::size_t grow_bytes = 2048;
        static constexpr Duration idle = 1s;  // then the end of the log is sealed

        void take(journal::PendingBatch batch) {
            queue.push_back(std::move(batch));
            if (!std::exchange(busy, true)) then({}, &Worker::write_all);
        }
        void write_all() {
            attempt([this] {
                for (; !queue.empty(); queue.pop_front()) {
                    files.write(queue.front());
                    for (const auto& piece : queue.front().pieces)
                        if (piece.last) disk->count_snapshot();
                    if (queue.front().standing) disk->noted();
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
        void sync() {
            attempt([this] { files.sync(); });
            if (!failure.empty()) return;
            disk->synced();
            if (schedule.policy().promises()) publish();
            go_on();
        }
        void publish() {
            persisted = written;
            tell();
        }
        void go_on() {
            if (!queue.empty()) return then({}, &Worker::write_all);
            busy = false;
            plan();
        }
        /// What is to be done when nothing comes until then.
        void plan() {
            const auto next = schedule.next();
            if (next >= planned) return;  // and it plans anew
            planned = next;
            then(std::max(next - world.now(), Duration{}), &Worker::rest);
        }
        void rest() {
            if (world.now() < planned) return;  // it had been planned for now, and then for later
            planned = never;
            if (busy) return;  // and `go_on` plans anew
            if (schedule.sync_due() <= world.now()) {
                busy = true;
                return begin_sync();
            }
            if (schedule.seal_due() <= world.now()) {
                attempt([this] { files.seal(); });
                if (!failure.empty()) return;
                schedule.seals(world.now());
                disk->synced();
            }
            plan();
        }

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
        void then(Duration delay, void (Worker::*step)()) {
            world.at(after(world.now(), delay), [weak = weak_from_this(), step] {
                const auto self = weak.lock();
                if (self && self->failure.empty() && self->disk->storage().life() == self->life) (self.get()->*step)();
            });
        }

        World& world;
        std::shared_ptr<ServerDisk> disk;
        journal::ReplicaFiles<Disk> files;
        const Storage::Life life;
        std::function<void()> progress;
        std::deque<journal::PendingBatch> queue;
        std::uint64_t written = 0, persisted = 0;  // batches
        std::string failure;
        journal::SyncSchedule schedule;
        Time planned = never;  // `rest` is to come then
        bool busy = false;     // a step that writes or syncs is to come
    };

    std::shared_ptr<Worker> worker_;
    Found found_;
};

static_assert(Journal<DiskJournal> && Journal<OptionalJournal<DiskJournal>>);

}  // namespace understudy::sim
