// A replica's journal in files: whatever ends a life, the next one has what was answered, or a clear refusal.
#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <understudy/sim/random.hpp>

#include "tests/support/journaled_server.hpp"

using namespace understudy;
using namespace understudy::test;

TEST_SUITE("replica_files") {
    constexpr int commands = 60;

    std::string command(int n) { return "command-" + std::to_string(n); }

    /// What the store holds after the first `count` commands.
    std::string after(int count) {
        std::string all;
        for (int n = 0; n < count; ++n) all += command(n) + ";";
        return all;
    }

    /// Starts the server and sends it commands until its disk fails; gives how many were answered.
    int run(JournaledServer& server, int from) {
        int answered = from;
        try {
            server.start();
            while (answered < from + commands && server.put(command(answered))) ++answered;
        } catch (const std::system_error&) {
        }
        server.end();
        return answered;
    }

    /// How many commands a life finds that begins now; all of them in order, at least `answered` and at most one more.
    int survived(JournaledServer& server, int answered) {
        server.start();
        CHECK(server.continues());
        const int found = server.all() == after(answered) ? answered : answered + 1;
        CHECK(server.all() == after(found));
        return found;
    }

    std::uint64_t operations_of_a_run() {
        sim::Storage storage;
        JournaledServer server{storage};
        CHECK(run(server, 0) == commands);
        CHECK(server.snapshots() > 2);
        return storage.operations();
    }

    /// Everything stops at the n-th operation, in every possible place; `crash` is what becomes of the machine.
    template <typename Crash>
    void stop_everywhere(Crash crash) {
        const auto last = operations_of_a_run();
        constexpr std::uint64_t ways = 8;
        for (std::uint64_t way = ways; way < (last + 1) * ways; ++way) {
            CAPTURE(way);
            sim::Storage storage;
            JournaledServer server{storage};
            storage.inject({.operation = {}, .nth = way / ways, .cause = EIO, .lasting = true});
            const int answered = run(server, 0);
            sim::Random random{way};
            crash(storage, random);
            const int found = survived(server, answered);
            server.end();
            const std::uint64_t reach = random.chance(0.5) ? 15 : 200;
            storage.inject({.operation = {}, .nth = 1 + random.below(reach), .cause = EIO, .lasting = true});
            const int more = run(server, found);  // and once more, maybe while it recovers
            crash(storage, random);
            survived(server, more);
        }
    }

    TEST_CASE("S9: after a power cut at any operation everything that was answered is there") {
        stop_everywhere([](sim::Storage& storage, sim::Random& random) { storage.crash_power(random); });
    }

    TEST_CASE("S9: after a kill at any operation everything that was answered is there") {
        stop_everywhere([](sim::Storage& storage, sim::Random&) { storage.crash_process(); });
    }

    TEST_CASE("S9: after a sync that fails nothing is answered that a power cut takes back") {
        const auto last = operations_of_a_run();
        for (std::uint64_t n = 1; n <= last / 3; ++n) {
            CAPTURE(n);
            sim::Storage storage;
            JournaledServer server{storage};
            storage.inject({.operation = sim::DiskOperation::sync, .nth = n, .cause = EIO});
            const int answered = run(server, 0);
            storage.crash_process();
            const int found = survived(server, answered);  // which syncs what it found
            server.end();
            sim::Random random{n};
            storage.crash_power(random);
            survived(server, found);
        }
    }

    /// Tells what is there to a list; gives what that holds.
    std::string read(journal::ReplicaFiles<sim::Disk>& files) {
        Recovery<ListStore> reader{ListStore{}, 1000};
        files.read(reader);
        return std::move(reader).finish().state.store.all;
    }
    journal::PendingBatch batch(Position prev, const std::string& text, std::vector<SnapshotPiece> pieces = {}) {
        Log log;
        log.reset(prev);
        log.append({{1, prev.index + 1}, EntryKind::command, {}, 0, 0, text});
        JournalBatch one{1, std::move(pieces), {}, prev, prev.index + 1, prev.index + 1};
        return journal::make_pending(one, log);
    }

    TEST_CASE("what is written after a snapshot that replaces everything is not taken for older than that") {
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
            sim::Storage storage;
            {
                journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 1};
                read(files);
                files.write(batch({}, "a"));
                files.sync();
                files.seal();
                if (seed % 2 == 0) files.write(batch({1, 1}, "b"));
                files.write(batch({}, "c", {{{}, 0, {}, true, true}}));  // an empty server instead
            }
            sim::Random random{seed};
            storage.crash_power(random);
            std::string found;
            {
                journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 2};
                found = read(files);
                CHECK((found.empty() || found == "c;"));
                files.write(batch(found.empty() ? Position{} : Position{1, 1}, "d"));
                files.sync();
            }
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 3};
            CHECK(read(files) == found + "d;");
        }
    }

    TEST_CASE("S9: what a life has said of itself is there until the next one has said as much") {
        sim::Storage storage;
        const auto life = [&](std::uint64_t salt, auto body) {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, salt};
            Recovery<ListStore> reader{ListStore{}, 1000};
            files.read(reader);
            body(files);
            return std::move(reader).finish().standing.lives;
        };
        const auto alone = [](auto standing, std::vector<SnapshotPiece> pieces) {
            JournalBatch one{1, std::move(pieces), std::move(standing), {}, 0, 0};
            return journal::make_pending(one, Log{});
        };
        const HardState standing{"a", {}, {Incarnation{1}}};
        const std::optional<HardState> nothing;
        life(1, [&](auto& files) {
            files.write(alone(std::optional{standing}, {}));
            files.write(alone(nothing, {{{}, 0, {}, true, true}}));  // a snapshot makes that superfluous
            files.sync();
            files.write(batch({}, "x"));
        });
        life(2, [](auto&) {});  // a life that is cut off before it has written anything
        CHECK(life(3, [](auto&) {}) == standing.lives);
    }

    TEST_CASE("a journal that nobody syncs does not grow for ever") {
        sim::Storage storage;
        journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 1, {.segment_bytes = 1000, .grow_bytes = 0}};
        read(files);
        for (Index index = 0; index < 100; ++index) {
            std::vector<SnapshotPiece> pieces;
            if (index % 10 == 9) pieces.push_back({{1, index}, 0, "the state", true});
            files.write(batch({index == 0 ? 0u : 1u, index}, std::string(200, 'x'), std::move(pieces)));
        }
        CHECK(files.bytes() < 5'000);
    }

    TEST_CASE("what was dropped stays void when a later snapshot takes the place of the one that said so") {
        sim::Storage storage;
        {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 1};
            read(files);
            files.write(batch({}, "a"));
            files.write(batch({1, 1}, "b"));
            files.write(batch({1, 2}, "c"));
            files.write(batch({}, "d", {{{}, 0, {}, true, true}}));            // an empty server instead
            files.write(batch({1, 1}, "e", {{{1, 1}, 0, "2 0  d;", true, false}}));  // and a snapshot of its own
            files.sync();
        }
        journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 2};
        CHECK(read(files) == "d;e;");
    }

    TEST_CASE("a full disk ends a server and loses nothing") {
        sim::Storage storage;
        JournaledServer server{storage};
        storage.inject({.operation = sim::DiskOperation::append,
                        .nth = 40,
                        .cause = ENOSPC,
                        .written = 100,
                        .lasting = true});
        const int answered = run(server, 0);
        CHECK(answered > 5);
        CHECK(answered < commands);
        storage.crash_process();
        survived(server, answered);
    }

    void copy(const sim::Storage& from, sim::Storage& to) {
        sim::Disk disk{to};
        for (const auto& [name, file] : from.files()) {
            auto copied = disk.create(name, 0);
            copied.append(file->content());
            copied.sync();
            copied.close();
        }
        disk.sync_directory();
    }

    TEST_CASE("damage to any byte of any file is found out or does no harm") {
        sim::Storage original;
        JournaledServer server{original};
        server.start();
        for (int n = 0; n < commands; ++n) REQUIRE(server.put(command(n)));
        server.seal();
        server.end();
        std::uint64_t refused = 0, harmless = 0;
        for (const auto& [name, file] : original.files()) {
            const auto size = file->content().size();
            for (std::size_t offset = 0; offset < size; ++offset) {
                CAPTURE(name);
                CAPTURE(offset);
                const std::string wrong(1, static_cast<char>(file->content()[offset] ^ (1 << offset % 8)));
                sim::Storage storage;
                copy(original, storage);
                storage.corrupt(name, offset, wrong);
                JournaledServer next{storage};
                try {
                    next.start();
                    CHECK(next.all() == after(commands));
                    ++harmless;
                } catch (const std::runtime_error& refusal) {
                    CHECK(std::string{refusal.what()}.find(name) != std::string::npos);
                    ++refused;
                }
            }
        }
        CHECK(refused > 1000);
        MESSAGE(refused << " refused, " << harmless << " harmless");
    }
}
