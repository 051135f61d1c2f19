// A simulated server's journal: when an entry counts as stable, what a crash takes back, and what the next incarnation
// recovers.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/list_store.hpp"
#include <understudy/sim/disk/journal.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::test;
using journal::SyncPolicy;
using namespace std::chrono_literals;

TEST_SUITE("sim_journal") {
    /// A process that writes entries one by one, each in a batch whose commit index includes it.
    struct Writer {
        Writer(sim::World& in, std::shared_ptr<sim::ServerDisk> on) : world{in}, journal{in, std::move(on)} {
            Recovery<ListStore> reader{ListStore{}, 1'000};
            journal.read(reader);
            auto from = std::move(reader).finish();
            found = from.state.store.all;
            log = std::move(from.state.log);
            journal.start([this] { ++told; });
        }
        void write(const std::string& command) {
            JournalBatch batch{++batches, {}, {}, log.last(), 0, 0};
            log.append({{1, log.last().index + 1}, EntryKind::command, {}, 0, 0, command});
            batch.through = batch.commit = log.last().index;
            journal.write(batch, log);
        }

        sim::World& world;
        sim::DiskJournal journal;
        std::string found;  // written by former incarnations
        Log log;
        std::uint64_t batches = 0;
        int told = 0;
    };

    /// A world with one computer whose disk takes 10 ms for each sync.
    struct Machine {
        explicit Machine(SyncPolicy sync = SyncPolicy::always(), std::uint64_t seed = 1, double changes = 0)
            : world{seed} {
            sim::ServerDiskOptions options{.sync = sync, .changes = changes, .stalls = 0};
            options.latency_least = options.latency_most = 10ms;
            disk = std::make_shared<sim::ServerDisk>(options, world.random().split("disk"));
            writer.emplace(world, disk);
        }
        /// Starts a new incarnation and returns what it finds.
        std::string restart() {
            writer.emplace(world, disk);
            return writer->found;
        }
        /// Does the same for an incarnation of a server, which first writes its hard state.
        void begin(Incarnation incarnation) {
            writer.emplace(world, disk);
            disk->began(incarnation);
            JournalBatch batch{++writer->batches, {}, HardState{}, writer->log.last(), 0, 0};
            batch.through = batch.commit = writer->log.last().index;
            writer->journal.write(batch, writer->log);
        }

        sim::World world;
        std::shared_ptr<sim::ServerDisk> disk;
        std::optional<Writer> writer;
    };

    TEST_CASE("a batch is persisted and that is told when its sync has ended") {
        Machine machine;
        machine.writer->write("a");
        machine.world.run_for(9ms);
        CHECK(machine.writer->journal.persisted() == 0);
        CHECK(machine.writer->told == 0);
        machine.world.run_for(1ms);
        CHECK(machine.writer->journal.persisted() == 1);
        CHECK(machine.writer->told == 1);
    }

    TEST_CASE("all that is written during a sync is covered by the next one") {
        Machine machine;
        machine.writer->write("a");
        machine.world.run_for(5ms);
        for (const auto* command : {"b", "c", "d"}) machine.writer->write(command);
        machine.world.run_for(5ms);
        CHECK(machine.writer->journal.persisted() == 1);
        machine.world.run_for(10ms);
        CHECK(machine.writer->journal.persisted() == 4);
        CHECK(machine.writer->told == 2);
    }

    TEST_CASE("a process that dies between write and sync leaves what it wrote but not what was queued") {
        Machine machine;
        machine.writer->write("a");
        machine.world.run_for(5ms);
        machine.writer->write("b");
        machine.disk->crash_process();
        machine.world.run_for(1s);  // the dead process does nothing more
        CHECK(machine.writer->told == 0);
        CHECK(machine.restart() == "a;");
    }

    TEST_CASE("a power cut takes back only what was not persisted") {
        bool kept = false, lost = false;
        for (std::uint64_t seed = 1; seed <= 30; ++seed) {
            CAPTURE(seed);
            Machine machine{SyncPolicy::always(), seed};
            machine.writer->write("a");
            machine.world.run_for(10ms);
            machine.writer->write("b");
            machine.world.run_for(5ms);
            machine.disk->crash_power();
            const auto found = machine.restart();
            CHECK((found == "a;" || found == "a;b;"));
            (found == "a;" ? lost : kept) = true;
        }
        CHECK(kept);
        CHECK(lost);
    }

    TEST_CASE("without syncs a batch is persisted at once and a power cut may take it back") {
        bool lost = false;
        for (std::uint64_t seed = 1; seed <= 30; ++seed) {
            CAPTURE(seed);
            Machine machine{SyncPolicy::never(), seed};
            CHECK(!machine.writer->journal.promises());
            machine.writer->write("a");
            machine.world.run_for(0ms);
            CHECK(machine.writer->journal.persisted() == 1);
            machine.disk->crash_power();
            lost = lost || machine.restart().empty();
        }
        CHECK(lost);
    }

    TEST_CASE("by an interval a batch is persisted at once and synced when the interval has passed") {
        Machine machine{SyncPolicy::every(100ms)};
        CHECK(!machine.writer->journal.promises());
        for (const auto* command : {"a", "b"}) {
            machine.writer->write(command);
            machine.world.run_for(0ms);
            CHECK(machine.writer->journal.persisted() == machine.writer->batches);
            machine.world.run_for(110ms);  // a sync takes 10 ms
        }
        machine.disk->crash_power();
        CHECK(machine.restart() == "a;b;");
    }

    TEST_CASE("a power cut takes back what was written in the last interval at most") {
        const auto interval = 700ms, latency = 10ms;
        bool lost = false;
        for (std::uint64_t seed = 1; seed <= 60; ++seed) {
            CAPTURE(seed);
            Machine machine{SyncPolicy::every(interval), seed};
            auto chance = machine.world.random().split("pauses");
            std::vector<Time> written;
            const auto end = machine.world.now() + chance.between(1s, 5s);
            while (machine.world.now() < end) {
                machine.writer->write("x");
                const auto at = machine.world.now();
                machine.world.run_for(0ms);
                if (machine.writer->journal.persisted() == machine.writer->batches) written.push_back(at);
                machine.world.run_for(std::min<Duration>(chance.between(0ms, 900ms), end - machine.world.now()));
            }
            const auto cut = machine.world.now();
            machine.disk->crash_power();
            const auto found = machine.restart().size() / 2;
            const auto old = static_cast<std::size_t>(
                std::ranges::count_if(written, [&](Time at) { return at + interval + latency <= cut; }));
            CHECK(found >= old);
            lost = lost || found < written.size();
        }
        CHECK(lost);
    }

    TEST_CASE("a batch that nothing follows is on stable storage after a second however long the interval is") {
        Machine machine{SyncPolicy::every(1h)};
        machine.writer->write("a");
        machine.world.run_for(1s);
        machine.disk->crash_power();
        CHECK(machine.restart() == "a;");
    }

    TEST_CASE("a sync of an interval that fails ends the journal") {
        Machine machine{SyncPolicy::every(100ms)};
        machine.writer->write("a");
        machine.disk->begin(sim::ServerDiskFault::sync, 1);
        machine.world.run_for(90ms);
        CHECK(machine.writer->journal.failure().empty());
        machine.world.run_for(20ms);
        CHECK(!machine.writer->journal.failure().empty());
        CHECK(machine.writer->journal.persisted() == 1);
    }

    TEST_CASE("a disk that throws ends the journal with a reason and what was persisted stays") {
        using enum sim::ServerDiskFault;
        for (const auto fault : {write, room, sync, read_only, power}) {
            CAPTURE(static_cast<int>(fault));
            Machine machine;
            machine.writer->write("a");
            machine.world.run_for(10ms);
            machine.disk->begin(fault, 1);
            machine.writer->write("b");
            machine.world.run_for(10ms);
            CHECK(!machine.writer->journal.failure().empty());
            CHECK(machine.writer->journal.persisted() == 1);
            CHECK(machine.writer->told == 2);
            machine.writer->write("c");
            machine.world.run_for(1s);
            CHECK(machine.writer->told == 2);
            machine.disk->crash_process();
            machine.disk->end_fault();
            const auto found = machine.restart();
            // the entry was written, although its sync failed
            CHECK((found == "a;" || (fault == sync && found == "a;b;")));
        }
    }

    TEST_CASE("a disk that is replaced is empty and keeps nobody's state") {
        Machine machine;
        machine.disk->began(Incarnation{1});
        machine.writer->write("a");
        machine.world.run_for(10ms);
        machine.disk->crash_power();
        CHECK(machine.disk->keeps(Incarnation{1}));
        CHECK(machine.restart() == "a;");
        machine.disk->began(Incarnation{2});
        CHECK(machine.disk->continues(Incarnation{2}, Incarnation{1}));
        machine.disk->replace();
        CHECK(machine.restart().empty());
        machine.disk->began(Incarnation{3});
        CHECK(!machine.disk->keeps(Incarnation{2}));
        CHECK(!machine.disk->continues(Incarnation{3}, Incarnation{2}));
    }

    TEST_CASE("one life that did not wait for the disk ends the claim to all before it") {
        Machine machine;
        const auto live = [&](std::uint64_t incarnation) {
            machine.begin(Incarnation{incarnation});
            machine.world.run_for(20ms);
            machine.disk->crash_process();
        };
        live(1);
        CHECK(machine.disk->keeps(Incarnation{1}));
        for (const auto lax : {SyncPolicy::never(), SyncPolicy::every(1s)}) {
            machine.disk->set_policy(lax);
            live(2);
            CHECK(!machine.disk->keeps(Incarnation{1}));
            CHECK(!machine.disk->keeps(Incarnation{2}));
            CHECK(!machine.disk->continues(Incarnation{2}, Incarnation{1}));
        }
        machine.disk->set_policy(SyncPolicy::always());
        live(3);
        CHECK(machine.disk->keeps(Incarnation{3}));
        CHECK(!machine.disk->keeps(Incarnation{1}));
        CHECK(!machine.disk->continues(Incarnation{3}, Incarnation{1}));
        CHECK(!machine.disk->continues(Incarnation{3}, Incarnation{2}));
        live(4);
        CHECK(machine.disk->continues(Incarnation{4}, Incarnation{3}));
        CHECK(!machine.disk->continues(Incarnation{3}, Incarnation{4}));
    }

    TEST_CASE("a power cut may take back that a life did not wait for the disk unless that is on stable storage") {
        for (const auto ran : {20ms, 1'100ms}) {  // after the longer one the log has a checkpoint mark
            Machine machine;
            machine.begin(Incarnation{1});
            machine.world.run_for(20ms);
            machine.disk->crash_process();
            machine.disk->set_policy(SyncPolicy::never());
            machine.begin(Incarnation{2});
            machine.world.run_for(ran);
            machine.disk->crash_power();
            machine.disk->set_policy(SyncPolicy::always());
            machine.begin(Incarnation{3});
            CHECK(machine.disk->continues(Incarnation{3}, Incarnation{1}) == (ran == 20ms));
            CHECK(!machine.disk->continues(Incarnation{3}, Incarnation{2}));
            CHECK(!machine.disk->keeps(Incarnation{1}));
        }
    }

    TEST_CASE("a life begins under the policy that there is for it and keeps it") {
        Machine machine{SyncPolicy::always(), 1, 1};
        int promised = 0, synced = 0, never_synced = 0;
        for (std::uint64_t incarnation = 1; incarnation <= 30; ++incarnation) {
            const auto policy = machine.disk->policy();
            (policy.promises() ? promised : policy == SyncPolicy::never() ? never_synced : synced) += 1;
            machine.begin(Incarnation{incarnation});  // this draws the next policy
            CHECK(machine.writer->journal.promises() == policy.promises());
            machine.disk->crash_process();
        }
        CHECK(std::min({promised, synced, never_synced}) > 3);
    }

    TEST_CASE("a slow disk makes every sync wait") {
        Machine machine;
        machine.disk->slow_down(2s);
        machine.writer->write("a");
        machine.world.run_for(1'999ms);
        CHECK(machine.writer->journal.persisted() == 0);
        machine.world.run_for(1ms);
        CHECK(machine.writer->journal.persisted() == 1);
    }
}
