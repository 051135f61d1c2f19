// What a log does while nothing fails, what it costs, and how it fails.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <tests/support/failure.hpp>
#include <tests/support/journal_process.hpp>

using namespace understudy;
using namespace understudy::test;
using sim::DiskOperation;
using sim::Storage;
using SimLog = journal::FrameLog<sim::Disk>;

TEST_SUITE("frame log") {
    namespace {

    const auto no_visit = [](std::uint64_t, std::string_view) {};

    // A log on a disk of its own, used by one incarnation.
    struct Harness {
        explicit Harness(journal::FrameLogOptions options = {.grow_bytes = 0}) : log{disk, "log", 1, options} {
            log.recover(no_visit);
        }
        Storage storage{};
        sim::Disk disk{storage};
        SimLog log;
    };

    std::vector<std::string> names(const Storage& storage) {
        std::vector<std::string> all;
        for (const auto& [name, file] : storage.files()) all.push_back(name);
        return all;
    }

    }  // namespace

    TEST_CASE("a new log is empty and begins with number 1") {
        Harness harness;
        CHECK(harness.log.first() == 1);
        CHECK(harness.log.last() == 0);
        CHECK(harness.log.synced() == 0);
        CHECK(names(harness.storage) == std::vector<std::string>{"log-0000000000000001.log"});
        CHECK(harness.log.append("one") == 1);
        CHECK(harness.log.append("two") == 2);
    }

    TEST_CASE("frames of any length come back in order with their numbers") {
        Storage storage;
        Frames appended;
        {
            sim::Disk disk{storage};
            SimLog log{disk, "log", 1};
            log.recover(no_visit);
            for (const std::size_t size : {0u, 1u, 31u, 32u, 33u, 480u, 511u, 512u, 513u, 5000u, 300000u}) {
                const std::string payload(size, static_cast<char>(size));
                appended[log.append(payload)] = payload;
            }
            log.sync();
        }
        CHECK(recover(storage, {}) == appended);
        CHECK(recover(storage, {}) == appended);
    }

    TEST_CASE("a group of frames costs one write and one sync") {
        Harness harness;
        const auto before = harness.storage.operations();
        for (int i = 0; i < 100; ++i) harness.log.append("something");
        CHECK(harness.storage.operations() == before);
        CHECK(harness.log.synced() == 0);
        harness.log.sync();
        CHECK(harness.storage.operations() == before + 2);
        CHECK(harness.log.synced() == 100);
        harness.log.sync();
        CHECK(harness.storage.operations() == before + 2);
    }

    TEST_CASE("many bytes are written before anybody asks") {
        Harness harness{{.buffer_bytes = 1000, .grow_bytes = 0}};
        const auto before = harness.storage.operations();
        harness.log.append(std::string(2000, 'x'));
        CHECK(harness.storage.operations() == before + 1);
        CHECK(harness.log.synced() == 0);
    }

    TEST_CASE("a full segment is followed by another and a longer frame has one of its own") {
        Harness harness{{.segment_bytes = 64 + 4 * 64, .grow_bytes = 0}};
        for (int i = 0; i < 5; ++i) harness.log.append("a frame of 64 bytes");
        REQUIRE(harness.log.segments().size() == 2);
        CHECK(harness.log.segments()[1].first == 5);
        CHECK(harness.log.synced() == 4);
        harness.log.append(std::string(5000, 'x'));
        harness.log.append("short");
        REQUIRE(harness.log.segments().size() == 4);
        CHECK(harness.log.segments()[2].first == 6);
        CHECK(harness.log.segments()[3].first == 7);
    }

    TEST_CASE("a long frame does not leave an empty segment before it") {
        Harness harness{{.segment_bytes = 200}};
        harness.log.append(std::string(1000, 'x'));
        CHECK(harness.log.segments().size() == 1);
    }

    TEST_CASE("all that was recovered is on stable storage") {
        Storage storage;
        Account account;
        {
            JournalProcess process{storage, account, {}};
            process.recover();
            process.append(5);
            process.flush();
        }
        JournalProcess process{storage, account, {}};
        process.recover();
        CHECK(process.log().last() == 2);  // recovery appended a mark that confirms the sync
        CHECK(process.log().synced() == 2);
    }

    TEST_CASE("a segment that is closed has no zeros behind its frames") {
        Harness harness{{.segment_bytes = 1000, .grow_bytes = 4096}};
        harness.log.append(std::string(800, 'x'));
        harness.log.sync();
        CHECK(harness.storage.files().at("log-0000000000000001.log")->content().size() == 4096);
        harness.log.append(std::string(800, 'x'));
        CHECK(harness.storage.files().at("log-0000000000000001.log")->content().size() == 64 + 32 + 800);
        CHECK(harness.log.segments()[0].bytes == 64 + 32 + 800);
        harness.log.flush();
        CHECK(harness.log.bytes() == 2 * (64 + 32 + 800));
    }

    TEST_CASE("segments that are wholly below a number are removed oldest first but not the present one") {
        Harness harness{{.segment_bytes = 200, .grow_bytes = 0}};
        for (int i = 0; i < 6; ++i) harness.log.append("two of these fill a segment");
        REQUIRE(harness.log.segments().size() == 3);
        harness.log.remove_before(4);
        CHECK(harness.log.first() == 3);
        harness.log.remove_before(5);
        CHECK(harness.log.first() == 5);
        harness.log.remove_before(100);
        CHECK(harness.log.first() == 5);
        CHECK(names(harness.storage) == std::vector<std::string>{"log-0000000000000003.log"});
    }

    TEST_CASE("numbers go on in the next life though all older segments are gone") {
        Storage storage;
        {
            Account account;
            JournalProcess process{storage, account, {.segment_bytes = 200}};
            process.recover();
            for (int i = 0; i < 6; ++i) process.append(20);
            process.checkpoint();
            process.remove_before(6);
        }
        sim::Disk disk{storage};
        SimLog log{disk, "log", 2};
        log.recover(no_visit);
        CHECK(log.first() > 1);
        CHECK(log.last() == 7);  // the mark's number is used again
        CHECK(log.append("eight") == 8);
    }

    TEST_CASE("a mark takes a number and is shown to nobody") {
        Storage storage;
        Account account;
        {
            JournalProcess process{storage, account, {}};
            process.recover();
            process.append(3);
            process.checkpoint();
            CHECK(process.log().last() == 2);
            CHECK(process.log().synced() == 2);
            process.append(3);
            CHECK(process.log().last() == 3);
            process.sync();
        }
        CHECK(recover(storage, {}) == account.appended);
    }

    TEST_CASE("a second mark with nothing before it is not written") {
        Harness harness;
        harness.log.checkpoint();
        CHECK(harness.log.last() == 0);
        harness.log.append("one");
        harness.log.checkpoint();
        const auto before = harness.storage.operations();
        harness.log.checkpoint();
        CHECK(harness.log.last() == 2);
        CHECK(harness.storage.operations() == before);
    }

    TEST_CASE("lives that append nothing leave no files behind") {
        Storage storage;
        Account account;
        for (int i = 0; i < 20; ++i) {
            JournalProcess process{storage, account, {}};
            process.recover();
            if (i == 0) process.append(5);
            const auto last = process.log().last();
            process.checkpoint();
            if (i > 0) CHECK(process.log().last() == last);
        }
        CHECK(storage.files().size() == 1);
        CHECK(recover(storage, {}).size() == 1);
    }

    /// The number of files and bytes after so many incarnations, each of which appends a frame and is killed.
    std::pair<std::size_t, std::size_t> after_kills(int processes, std::size_t frame) {
        Storage storage;
        Account account;
        std::size_t bytes = 0;
        for (int number = 0; number < processes; ++number) {
            JournalProcess process{storage, account, {}};
            const auto found = process.recover();
            CHECK(account.complaint(found, account.synced) == "");
            account.recovered(found);
            process.append(frame);
            process.sync();
            storage.crash_process();
        }
        for (const auto& [name, file] : storage.files()) bytes += file->content().size();
        return {storage.files().size(), bytes};
    }

    TEST_CASE("lives that are killed leave no file each and not what each has grown ahead") {
        const auto [files, bytes] = after_kills(300, 100);
        CHECK(files == 1);
        CHECK(bytes <= 256u << 10);
        const auto [more_files, more_bytes] = after_kills(100, 100'000);  // 10 MB
        CHECK(more_files <= 10);
        CHECK(more_bytes <= 11'000'000 + more_files * (256u << 10));
    }

    TEST_CASE("segments are merged so seldom that a frame is written a few times") {
        Storage storage;
        Account account;
        for (int number = 0; number < 200; ++number) {
            JournalProcess process{storage, account, {.grow_bytes = 50'000}};
            process.recover();
            process.append(10'000);
            process.sync();
        }
        CHECK(storage.files().size() <= 8);
        CHECK(storage.written() < 10 * 200 * 10'000);
    }

    TEST_CASE("damage to any byte that a start has copied is found out") {
        Storage storage;
        Account account;
        const auto all = [&] {
            for (int number = 0; number < 3; ++number) {
                JournalProcess process{storage, account, {.grow_bytes = 0}};
                process.recover();
                if (number < 2) process.append(600);
                process.sync();
            }
        };
        all();
        const auto size = storage.files().begin()->second->content().size();
        for (std::size_t offset = 0; offset + journal::frame_bytes(0) < size; ++offset) {  // the last frame is a mark
            CAPTURE(offset);
            storage.replace();
            account = {};
            all();
            const auto name = storage.files().begin()->first;
            storage.corrupt(name, offset, std::string(1, static_cast<char>(
                                                             ~storage.files().begin()->second->content()[offset])));
            CHECK_THROWS_AS(recover(storage, {}), std::runtime_error);
            const auto sector = offset / 512 * 512;
            if (sector + 512 >= size) continue;  // this sector includes the mark
            storage.replace();
            account = {};
            all();
            storage.corrupt(name, sector, std::string(512, '\0'));
            CHECK_THROWS_AS(recover(storage, {}), std::runtime_error);
        }
    }

    TEST_CASE("two logs with different prefixes share a directory") {
        Storage storage;
        sim::Disk disk{storage};
        SimLog one{disk, "one", 1};
        SimLog two{disk, "two", 2};
        one.recover(no_visit);
        two.recover(no_visit);
        one.append("of one");
        two.append("of two");
        one.sync();
        two.sync();
        SimLog again{disk, "two", 3};
        Frames found;
        again.recover([&](std::uint64_t number, std::string_view payload) { found.emplace(number, payload); });
        CHECK(found == Frames{{1, "of two"}});
    }

    TEST_CASE("files of other names are left alone and a segment that was being begun is removed") {
        Storage storage;
        {
            sim::Disk disk{storage};
            for (const auto* name : {"notes.txt", "log-17.log", "log-0000000000000001.log.new"})
                disk.create(name, 0).append("not of the log");
        }
        CHECK(recover(storage, {}).empty());
        CHECK(names(storage) == std::vector<std::string>{"log-0000000000000001.log", "log-17.log", "notes.txt"});
    }

    TEST_CASE("a payload that is too long is refused and the log goes on") {
        Harness harness{{.max_frame = 100}};
        CHECK(failure([&] { harness.log.append(std::string(101, 'x')); }) ==
              "a frame of 101 bytes exceeds the limit of 100 bytes of log");
        CHECK(harness.log.append(std::string(100, 'x')) == 1);
    }

    TEST_CASE("an error of the disk is the answer to all later calls") {
        Harness harness;
        std::string expected;
        SUBCASE("no space") {
            harness.storage.inject({.operation = DiskOperation::append, .cause = ENOSPC, .written = 7});
            expected = "write log-0000000000000001.log: No space left on device";
        }
        SUBCASE("a sync that fails once") {
            harness.storage.inject({.operation = DiskOperation::sync});
            expected = "sync log-0000000000000001.log: Input/output error";
        }
        SUBCASE("a disk that became read-only") {
            harness.storage.set_read_only(true);
            expected = "write log-0000000000000001.log: Read-only file system";
        }
        harness.log.append("lost");
        CHECK(failure([&] { harness.log.sync(); }) == expected);
        harness.storage.set_read_only(false);
        CHECK(harness.log.synced() == 0);
        CHECK(failure([&] { harness.log.sync(); }) == expected);
        CHECK(failure([&] { harness.log.append("more"); }) == expected);
        CHECK(failure([&] { harness.log.flush(); }) == expected);
        CHECK(failure([&] { harness.log.checkpoint(); }) == expected);
        CHECK(failure([&] { harness.log.remove_before(1); }) == expected);
    }

    TEST_CASE("a read error while recovering comes through") {
        Storage storage;
        Account account;
        live(storage, account, {});
        storage.inject({.operation = DiskOperation::read});
        CHECK(failure([&] { recover(storage, {}); }) == "read log-0000000000000001.log: Input/output error");
    }

    TEST_CASE("what the visitor throws comes through and the log is of no use") {
        Storage storage;
        Account account;
        live(storage, account, {});
        sim::Disk disk{storage};
        SimLog log{disk, "log", 1};
        const auto refuse = [](std::uint64_t, std::string_view) { throw std::runtime_error{"not mine"}; };
        CHECK(failure([&] { log.recover(refuse); }) == "not mine");
        CHECK(failure([&] { log.append("x"); }) == "not mine");
    }
}
