// A simulated server's journal: what counts when, what a crash takes back, and what the next life is given.
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tests/support/list_store.hpp"
#include <understudy/sim/journal.hpp>

using namespace understudy;
using namespace understudy::test;
using namespace std::chrono_literals;

TEST_SUITE("sim_journal") {
    /// A process that writes one entry after the other, each in a batch that says that all is committed.
    struct Writer {
        Writer(sim::World& in, std::shared_ptr<sim::ServerDisk> on) : world{in}, journal{in, std::move(on)} {
            Recovery<ListStore> reader{ListStore{}, 1'000};
            journal.read(reader);
            auto from = std::move(reader).finish();
            found = from.state.store.all;
            log = std::move(from.state.log);
            journal.start(world.get_executor(), [this] { ++told; });
        }
        void write(const std::string& command) {
            JournalBatch batch{++batches, {}, {}, log.last(), 0, 0};
            log.append({{1, log.last().index + 1}, EntryKind::command, {}, 0, 0, command});
            batch.through = batch.commit = log.last().index;
            journal.write(batch, log);
        }

        sim::World& world;
        sim::DiskJournal journal;
        std::string found;  // of the lives before
        Log log;
        std::uint64_t batches = 0;
        int told = 0;
    };

    /// A world with one machine, each of whose syncs takes 10 ms.
    struct Machine {
        explicit Machine(bool promises = true, std::uint64_t seed = 1) : world{seed} {
            sim::ServerDiskOptions options{.promises = promises, .stalls = 0};
            options.latency_least = options.latency_most = 10ms;
            disk = std::make_shared<sim::ServerDisk>(options, world.random().split("disk"));
            writer.emplace(world, disk);
        }
        /// What a life finds that begins now.
        std::string restart() {
            writer.emplace(world, disk);
            return writer->found;
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
        machine.world.run_for(1s);  // the dead one does nothing more
        CHECK(machine.writer->told == 0);
        CHECK(machine.restart() == "a;");
    }

    TEST_CASE("a power cut takes back only what was not persisted") {
        bool kept = false, lost = false;
        for (std::uint64_t seed = 1; seed <= 30; ++seed) {
            CAPTURE(seed);
            Machine machine{true, seed};
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
            Machine machine{false, seed};
            CHECK(!machine.writer->journal.promises());
            machine.writer->write("a");
            machine.world.run_for(0ms);
            CHECK(machine.writer->journal.persisted() == 1);
            machine.disk->crash_power();
            lost = lost || machine.restart().empty();
        }
        CHECK(lost);
    }

    TEST_CASE("a disk that throws ends the journal with a reason and what was persisted stays") {
        using enum sim::ServerDiskTrouble;
        for (const auto trouble : {write, room, sync, read_only, power}) {
            CAPTURE(static_cast<int>(trouble));
            Machine machine;
            machine.writer->write("a");
            machine.world.run_for(10ms);
            machine.disk->begin(trouble, 1);
            machine.writer->write("b");
            machine.world.run_for(10ms);
            CHECK(!machine.writer->journal.failure().empty());
            CHECK(machine.writer->journal.persisted() == 1);
            CHECK(machine.writer->told == 2);
            machine.writer->write("c");
            machine.world.run_for(1s);
            CHECK(machine.writer->told == 2);
            machine.disk->crash_process();
            machine.disk->end_trouble();
            const auto found = machine.restart();
            CHECK((found == "a;" || (trouble == sync && found == "a;b;")));  // its text was written all the same
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
