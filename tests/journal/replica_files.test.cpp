// A replica's journal in files: however an incarnation ends, the next one recovers every answered command, or refuses
// with a clear error.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <understudy/sim/world/random.hpp>

#include "tests/support/journaled_server.hpp"
#include "tests/support/setting.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::test;

TEST_SUITE("replica_files") {
    constexpr int commands = 60;
    // how often the run is stopped at one operation: the data lost differs
    const auto ways = setting("UNDERSTUDY_WAYS", 8);
    constexpr std::uint64_t appends_of_a_snapshot = 4;  // header, position, piece and mark; then comes the log's frame

    std::string command(int n) { return "command-" + std::to_string(n); }

    /// The content of the store after the first `count` commands.
    std::string after(int count) {
        std::string all;
        for (int n = 0; n < count; ++n) all += command(n) + ";";
        return all;
    }

    /// Starts the server and sends it commands until its disk fails; returns how many were answered.
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

    /// Starts an incarnation and returns how many commands it finds: all in order, at least `answered` and at most one
    /// more.
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

    /// Fails every operation from the n-th on, for every n; `crash` decides what the computer loses.
    template <typename Crash>
    void stop_everywhere(Crash crash) {
        const auto last = operations_of_a_run();
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
            const int more = run(server, found);  // a second run, which may fail while it recovers
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

    Recovered<ListStore> recover(journal::ReplicaFiles<sim::Disk>& files) {
        Recovery<ListStore> reader{ListStore{}, 1000};
        files.read(reader);
        return std::move(reader).finish();
    }

    template <typename Body>
    bool fails(Body body) {
        try {
            body();
            return false;
        } catch (const std::system_error&) {
            return true;
        }
    }

    /// The newest view that is known to an incarnation which reads the journal and writes nothing.
    ViewNumber known_view(sim::Storage& storage, std::uint64_t salt) {
        journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, salt};
        return recover(files).hard_state.info.view.number;
    }

    /// Fails all operations from the n-th on in the turn in which a server drops its state for a forced view; `crash`
    /// decides what the computer loses. Returns whether the turn had that many operations.
    template <typename Crash>
    bool stop_while_dropping(std::uint64_t n, std::uint64_t seed, Crash crash) {
        sim::Random random{seed};
        sim::Storage storage;
        JournaledServer server{storage};
        const int answered = run(server, 0);
        server.start();
        if (seed % 2 == 0) server.checkpoint();
        const auto led = server.view();
        storage.inject({.operation = {}, .nth = n, .cause = EIO, .written = random.below(600), .lasting = true});
        const bool stopped = fails([&] { server.lose_to_forced_view(); });
        server.end();
        crash(storage, random);
        storage.inject({.operation = {}, .nth = 1 + random.below(20), .cause = EIO, .lasting = true});
        fails([&] { known_view(storage, random.below(1000)); });
        crash(storage, random);

        const auto known = known_view(storage, random.below(1000));
        CHECK((known == led || known == server.view()));
        CHECK((known > led || stopped));
        const auto kept = after(known == led ? answered : 0);
        server.start();
        CHECK(server.all() == kept);
        CHECK(server.put("more"));
        server.end();
        crash(storage, random);
        server.start();
        CHECK(server.all() == kept + "more;");
        server.end();
        CHECK(known_view(storage, random.below(1000)) == server.view());
        return stopped;
    }

    template <typename Crash>
    void stop_while_dropping_everywhere(Crash crash) {
        bool stopped = true;
        for (std::uint64_t n = 1; stopped; ++n) {
            for (std::uint64_t seed = 0; seed < 5 * ways; ++seed) {
                CAPTURE(n);
                CAPTURE(seed);
                stopped = stop_while_dropping(n, seed, crash);
            }
        }
    }

    TEST_CASE("S3: a power cut while a server drops everything takes back all of that or nothing") {
        stop_while_dropping_everywhere([](sim::Storage& storage, sim::Random& random) { storage.crash_power(random); });
    }

    TEST_CASE("S3: a kill while a server drops everything takes back all of that or nothing") {
        stop_while_dropping_everywhere([](sim::Storage& storage, sim::Random&) { storage.crash_process(); });
    }

    /// Reads the files into a list store; returns its content.
    std::string read(journal::ReplicaFiles<sim::Disk>& files) { return recover(files).state.store.all; }
    journal::PendingBatch batch(Position prev, const std::string& text, std::vector<SnapshotPiece> pieces = {},
                                std::optional<HardState> hard_state = {}) {
        Log log;
        log.reset(prev);
        log.append({{1, prev.index + 1}, EntryKind::command, {}, 0, 0, text});
        JournalBatch one{1, std::move(pieces), std::move(hard_state), prev, prev.index + 1, prev.index + 1};
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
                files.checkpoint();
                if (seed % 2 == 0) files.write(batch({1, 1}, "b"));
                files.write(batch({}, "c", {{{}, 0, {}, true, true}}));  // the state of an empty server instead
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

    /// An incarnation that never syncs writes entries and receives a snapshot in their place; all operations from the
    /// n-th on in that turn fail. The next incarnation syncs what it answers, and the one after it must have all of
    /// that.
    bool stop_unsynced_at_snapshot(std::uint64_t n, std::uint64_t seed, bool replaces) {
        sim::Random random{seed};
        sim::Storage storage;
        bool stopped = false;
        {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 1};
            read(files);
            for (Index index = 0; index < 5; ++index) files.write(batch({index == 0 ? 0u : 1u, index}, "old"));
            storage.inject({.operation = {}, .nth = n, .cause = EIO, .written = random.below(600), .lasting = true});
            const Position at{1, replaces ? 9u : 5u};
            stopped = fails([&] { files.write(batch(at, "new", {{at, 0, "2 0  state;", true, replaces}})); });
        }
        storage.crash_power(random);
        std::string found;
        {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 2};
            const auto state = recover(files);
            auto last = state.state.log.last();
            found = state.state.store.all;
            for (int more = 0; more < 3; ++more, last = {1, last.index + 1}) files.write(batch(last, "answered"));
            files.sync();
        }
        storage.crash_power(random);
        journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 3};
        const auto next = recover(files);
        const auto& log = next.state.log;
        for (Index back = 0; back < 3; ++back) {
            REQUIRE(log.last().index > log.base().index + back);
            CHECK(log[log.last().index - back].command == "answered");
        }
        return stopped;
    }

    TEST_CASE("S9: what a life answers is there though the one before never synced and got a snapshot") {
        for (const bool replaces : {false, true}) {
            bool stopped = true;
            for (std::uint64_t n = 1; stopped; ++n)
                for (std::uint64_t seed = 0; seed < 3 * ways; ++seed) {
                    CAPTURE(replaces);
                    CAPTURE(n);
                    CAPTURE(seed);
                    stopped = stop_unsynced_at_snapshot(n, seed, replaces);
                }
        }
    }

    /// The view and the store that the next incarnation finds, "1 a;" for example.
    std::string state(sim::Storage& storage, std::uint64_t salt) {
        journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, salt};
        const auto found = recover(files);
        return std::to_string(found.hard_state.info.view.number) + " " + found.state.store.all;
    }

    HardState in_view(ViewNumber number) { return {"a", {{}, {}, {}, {number, {}, {}, 0}}, {}}; }

    /// One turn adopts view 2 and completes these snapshots, the last of them at `at`. The power is cut at each of its
    /// operations: the next incarnation must have the state from before, or `expected`.
    void cut_a_turn_with(const std::vector<SnapshotPiece>& pieces, Position at, const std::string& expected) {
        bool stopped = true;
        for (std::uint64_t n = 1; stopped; ++n) {
            for (std::uint64_t seed = 0; seed < 5 * ways; ++seed) {
                CAPTURE(n);
                CAPTURE(seed);
                sim::Storage storage;
                {
                    journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 1};
                    read(files);
                    files.write(batch({}, "a", {}, in_view(1)));
                    for (Index index : {1u, 2u}) files.write(batch({1, index}, index == 1 ? "b" : "c"));
                    files.sync();
                    Log log;
                    log.reset(at);
                    JournalBatch turn{4, pieces, in_view(2), at, at.index, at.index};
                    storage.inject({.operation = {}, .nth = n, .cause = EIO, .lasting = true});
                    stopped = fails([&] { files.write(journal::make_pending(turn, log)), files.sync(); });
                }
                sim::Random random{seed};
                storage.crash_power(random);
                const auto found = state(storage, 2);
                CHECK((found == expected || (stopped && found == "1 a;b;c;")));
            }
        }
    }

    TEST_CASE("S3: of several snapshots in one turn a crash leaves none or the last with the turn's view") {
        const SnapshotPiece received{{1, 2}, 0, "2 0  r;", true, true}, nothing{{}, 0, {}, true, true};
        cut_a_turn_with({received, nothing}, {}, "2 ");
        cut_a_turn_with({nothing, received}, {1, 2}, "2 r;");
        auto held = received;  // its content was appended after everything was dropped
        held.replaces = false;
        cut_a_turn_with({nothing, held}, {1, 2}, "2 r;");
    }

    TEST_CASE("S9: what a life has said of itself is there until the next one has said as much") {
        sim::Storage storage;
        const auto process = [&](std::uint64_t salt, auto body) {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, salt};
            const auto found = recover(files);
            body(files);
            return found.hard_state.incarnations;
        };
        const auto alone = [](auto hard_state, std::vector<SnapshotPiece> pieces) {
            JournalBatch one{1, std::move(pieces), std::move(hard_state), {}, 0, 0};
            return journal::make_pending(one, Log{});
        };
        const HardState hard_state{"a", {}, {Incarnation{1}}};
        const std::optional<HardState> nothing;
        process(1, [&](auto& files) {
            files.write(alone(std::optional{hard_state}, {}));
            // a snapshot makes the record of the hard state superfluous
            files.write(alone(nothing, {{{}, 0, {}, true, true}}));
            files.sync();
            files.write(batch({}, "x"));
        });
        process(2, [](auto&) {});  // an incarnation that ends before it has written anything
        CHECK(process(3, [](auto&) {}) == hard_state.incarnations);
    }

    TEST_CASE("S9: what only a snapshot says of a server is there when later ones have taken its place") {
        sim::Storage storage;
        {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 1};
            read(files);
            files.write(batch({}, "a", {}, in_view(1)));
            storage.inject(
                {.operation = sim::DiskOperation::append, .nth = appends_of_a_snapshot + 1, .lasting = true});
            const auto dropped = batch({}, "b", {{{}, 0, {}, true, true}}, in_view(2));
            CHECK(fails([&] { files.write(dropped); }));
        }
        storage.crash_process();
        {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 2, {.segment_bytes = 1000, .grow_bytes = 0}};
            read(files);
            for (Index index = 0; index < 20; ++index) {
                std::vector<SnapshotPiece> pieces;
                if (index == 15) pieces.push_back({{1, index}, 0, "2 0  s;", true});
                files.write(batch({index == 0 ? 0u : 1u, index}, std::string(200, 'x'), std::move(pieces)));
            }
        }
        CHECK(known_view(storage, 3) == 2);
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

    std::size_t bytes_of(const sim::Storage& storage) {
        std::size_t bytes = 0;
        for (const auto& [name, file] : storage.files()) bytes += file->content().size();
        return bytes;
    }

    TEST_CASE("S9: a server that is killed three hundred times keeps few files and little more than its state") {
        sim::Storage storage;
        JournaledServer server{storage, {}};
        int answered = 0;
        for (int number = 0; number < 300; ++number) {
            server.start();
            REQUIRE(server.all() == after(answered));
            if (number % 3 == 0) REQUIRE(server.put(command(answered++)));
            server.end();
            storage.crash_process();
        }
        CHECK(storage.files().size() <= 3);
        CHECK(bytes_of(storage) <= 512u << 10);
    }

    TEST_CASE("S9: what lives say of themselves counts as written so that a snapshot takes its place") {
        for (const bool empty : {false, true}) {
            sim::Storage storage;
            JournaledServer server{storage};  // with journal_bytes of 1500
            std::size_t most = 0;
            for (int number = 0; number < 100; ++number) {
                server.start();
                REQUIRE(server.all() == (number == 0 || empty ? "" : "x;"));
                if (number == 0 && !empty) REQUIRE(server.put("x"));
                server.end();
                storage.crash_process();
                most = std::max(most, bytes_of(storage));
            }
            CHECK(most <= 8'000);
            CHECK(storage.files().size() <= 4);
            CHECK(server.snapshots() > 3);
        }
    }

    TEST_CASE("a journal of a small state is small again when a snapshot is whole") {
        sim::Storage storage;
        journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 1};
        read(files);
        for (Index index = 0; index < 100; ++index) {
            std::vector<SnapshotPiece> pieces;
            if (index % 10 == 9) pieces.push_back({{1, index}, 0, "the state", true});
            files.write(batch({index == 0 ? 0u : 1u, index}, std::string(200'000, 'x'), std::move(pieces)));
            CHECK(bytes_of(storage) <= 11 * 200'000 + 2 * (256u << 10));
        }
    }

    TEST_CASE("a server that comes back holds as much of its log for others as it may") {
        sim::Storage storage;
        Log log;
        {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 1};
            Recovery<ListStore> nothing{ListStore{}, 0};
            files.read(nothing);
            JournalBatch batch;
            for (batch.number = 1; batch.number <= 1'000; ++batch.number) {
                batch.prev = log.last();
                for (int n = 0; n < 10; ++n)
                    log.append({{1, log.last().index + 1}, EntryKind::command, {}, 0, 0, std::string(100, 'c')});
                batch.through = log.last().index;
                batch.commit = batch.prev.index;  // a primary learns the commit index one batch later
                files.write(journal::make_pending(batch, log));
            }
        }
        for (const std::size_t keep : {0u, 100'000u, 500'000u, 10'000'000u}) {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 2};
            Recovery<ListStore> reader{ListStore{}, keep};
            files.read(reader);
            const auto found = std::move(reader).finish();
            CHECK(found.state.log.last() == log.last());
            const auto held = log.bytes(found.state.log.base().index, found.state.applied.index);
            CHECK(held <= keep);
            CHECK(held + 1'000 >= std::min(keep, log.bytes(0, found.state.applied.index)));
        }
    }

    TEST_CASE("a server that was started again and again holds its log for others too") {
        sim::Storage storage;
        Log log;
        std::uint64_t number = 0;
        for (std::uint64_t process = 1; process <= 40; ++process) {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, process};
            Recovery<ListStore> reader{ListStore{}, 1'000'000};
            files.read(reader);
            const auto found = std::move(reader).finish();
            CHECK(found.state.log.bytes() == log.bytes());
            JournalBatch batch;
            batch.number = ++number;
            batch.prev = log.last();
            for (int n = 0; n < 10; ++n)
                log.append({{1, log.last().index + 1}, EntryKind::command, {}, 0, 0, std::string(100, 'c')});
            batch.through = batch.commit = log.last().index;
            files.write(journal::make_pending(batch, log));
            files.checkpoint();
        }
    }

    TEST_CASE("what was dropped stays void when a later snapshot takes the place of the one that said so") {
        sim::Storage storage;
        {
            journal::ReplicaFiles<sim::Disk> files{sim::Disk{storage}, 1};
            read(files);
            files.write(batch({}, "a"));
            files.write(batch({1, 1}, "b"));
            files.write(batch({1, 2}, "c"));
            files.write(batch({}, "d", {{{}, 0, {}, true, true}}));            // the state of an empty server instead
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

    /// Damages every byte of every file in turn: the next incarnation must have that view and store, or refuse.
    void damage_everywhere(const sim::Storage& original, ViewNumber view, const std::string& all) {
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
                try {
                    const auto known = known_view(storage, 5);
                    CHECK(known == view);
                    JournaledServer next{storage};
                    next.start();
                    CHECK(next.all() == all);
                    ++harmless;
                } catch (const std::runtime_error& refusal) {
                    CHECK(std::string{refusal.what()}.find(name) != std::string::npos);
                    ++refused;
                }
            }
        }
        CHECK(refused > 500);
        MESSAGE(refused << " refused, " << harmless << " harmless");
    }

    TEST_CASE("damage to any byte of any file is found out or does no harm") {
        sim::Storage storage;
        JournaledServer server{storage};
        server.start();
        for (int n = 0; n < commands; ++n) REQUIRE(server.put(command(n)));
        server.checkpoint();
        server.end();
        damage_everywhere(storage, server.view(), after(commands));
    }

    TEST_CASE("damage to any byte is found out or does no harm where a snapshot alone says what a server is") {
        sim::Storage storage;
        JournaledServer server{storage};
        CHECK(run(server, 0) == commands);
        server.start();
        storage.inject({.operation = sim::DiskOperation::append, .nth = appends_of_a_snapshot + 1, .lasting = true});
        CHECK(fails([&] { server.lose_to_forced_view(); }));
        server.end();
        storage.crash_process();
        damage_everywhere(storage, server.view(), "");
    }
}
