// A log after crashes at every point of a script, with every kind of loss: everything that was synced is there, and
// nothing that was not appended.
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

#include <tests/support/journal_process.hpp>

using namespace understudy;
using namespace understudy::test;
using sim::DiskFault;
using sim::DiskOperation;
using sim::Random;
using sim::Storage;

TEST_SUITE("crashes") {
    namespace {

    constexpr std::size_t subsets = 100;
    constexpr std::array<std::size_t, 2> sector_sizes{512, 4096};
    constexpr std::array<std::size_t, 2> grow_sizes{0, 1024};
    constexpr std::array<std::uint64_t, 3> merge_sizes{0, 700, 4 << 20};

    // The process dies before that operation; a part of an append may have taken effect.
    DiskFault death_before(std::uint64_t operation, std::size_t written = 0) {
        return {.nth = operation, .written = written, .lasting = true};
    }

    // The number of disk operations of an incarnation without faults.
    std::uint64_t operations_of_a_process(journal::FrameLogOptions options) {
        Storage storage;
        Account account;
        live(storage, account, options);
        return storage.operations();
    }

    // Random steps of any kind in any order.
    void play_by_chance(JournalProcess& process, Random& random) {
        for (auto steps = random.below(40); steps > 0; --steps) {
            const auto kind = random.below(10);
            if (kind < 5)
                process.append(random.below(random.chance(0.2) ? 3000 : 200));
            else if (kind < 7)
                process.sync();
            else if (kind < 8)
                process.flush();
            else if (kind < 9)
                process.checkpoint();
            else
                process.remove_before(random.below(process.log().last() + 2));
        }
    }

    // Calls the body with every kind of disk.
    template <typename Body>
    void for_each_disk(Body body) {
        for (const auto sector_bytes : sector_sizes)
            for (const auto grow : grow_sizes) {
                CAPTURE(sector_bytes);
                CAPTURE(grow);
                body(sector_bytes, small_segments(grow));
            }
    }

    }  // namespace

    TEST_CASE("the script has several segments and removes one") {
        Storage storage;
        Account account;
        live(storage, account, small_segments(0));
        CHECK(account.synced == account.appended.rbegin()->first);
        CHECK(storage.files().size() >= 3);
        CHECK_FALSE(storage.files().contains("log-0000000000000001.log"));
    }

    TEST_CASE("a power cut before any operation leaves what was synced and a part of what was appended") {
        for_each_disk([](std::size_t sector_bytes, journal::FrameLogOptions options) {
            const auto operations = operations_of_a_process(options);
            for (std::uint64_t operation = 1; operation <= operations + 1; ++operation)
                for (std::uint64_t subset = 0; subset < subsets; ++subset) {
                    CAPTURE(operation);
                    CAPTURE(subset);
                    auto random = Random{operation}.split("subset", subset);
                    Storage storage{sector_bytes};
                    Account account;
                    storage.inject(death_before(operation, random.below(900)));
                    live(storage, account, options);
                    storage.crash_power(random);
                    const auto found = recover(storage, options);
                    REQUIRE(account.complaint(found, account.synced) == "");
                    storage.crash_power(random);
                    REQUIRE(recover(storage, options) == found);
                }
        });
    }

    TEST_CASE("a power cut before any operation of a recovery loses nothing that was synced") {
        for_each_disk([](std::size_t sector_bytes, journal::FrameLogOptions options) {
            const auto operations = operations_of_a_process(options);
            for (std::uint64_t operation = 1; operation <= operations + 1; ++operation)
                for (std::uint64_t second = 1, survived = 0; survived < 4; ++second) {
                    CAPTURE(operation);
                    CAPTURE(second);
                    auto first_random = Random{operation}.split("first");
                    auto random = Random{operation}.split("second", second);
                    Storage storage{sector_bytes};
                    Account account;
                    storage.inject(death_before(operation, first_random.below(900)));
                    live(storage, account, options);
                    first_random.chance(0.3) ? storage.crash_process() : storage.crash_power(first_random);
                    storage.inject(death_before(second, random.below(900)));
                    try {
                        account.recovered(recover(storage, options));
                        ++survived;
                    } catch (const std::system_error&) {
                        REQUIRE(survived == 0);
                    }
                    storage.crash_power(random);
                    REQUIRE(account.complaint(recover(storage, options), account.synced) == "");
                }
        });
    }

    TEST_CASE("a process that is killed before any operation loses nothing that it had flushed") {
        for_each_disk([](std::size_t sector_bytes, journal::FrameLogOptions options) {
            const auto operations = operations_of_a_process(options);
            for (std::uint64_t operation = 1; operation <= operations + 1; ++operation)
                for (const std::size_t written : {0u, 32u, 512u, 1024u}) {
                    CAPTURE(operation);
                    CAPTURE(written);
                    Storage storage{sector_bytes};
                    Account account;
                    storage.inject(death_before(operation, written));
                    live(storage, account, options);
                    storage.crash_process();
                    REQUIRE(account.complaint(recover(storage, options), account.flushed) == "");
                }
        });
    }

    TEST_CASE("what a recovery gives after a sync that failed stays") {
        for_each_disk([](std::size_t sector_bytes, journal::FrameLogOptions options) {
            bool failed = true;
            for (std::uint64_t nth = 1; failed; ++nth)
                for (std::uint64_t subset = 0; subset < subsets; ++subset) {
                    CAPTURE(nth);
                    CAPTURE(subset);
                    auto random = Random{nth}.split("subset", subset);
                    Storage storage{sector_bytes};
                    Account account;
                    storage.inject({.operation = DiskOperation::sync, .nth = nth});
                    failed = !live(storage, account, options);
                    storage.crash_process();  // the kernel still shows data that it will never write
                    const auto found = recover(storage, options);
                    REQUIRE(account.complaint(found, account.flushed) == "");
                    storage.crash_power(random);
                    REQUIRE(recover(storage, options) == found);
                }
        });
    }

    namespace {

    // Leaves the files of incarnations that never merge segments, as former versions left them: several segments, the
    // first one removed.
    void leave_segments(Storage& storage, Account& account, journal::FrameLogOptions options, Random& random) {
        options.merge_bytes = 0;
        for (int number = 0; number < 4; ++number) {
            JournalProcess process{storage, account, options};
            account.recovered(process.recover());
            for (int n = 0; n < 3; ++n) process.append(1 + random.below(200));
            process.sync();
            if (number == 2) process.checkpoint();
            if (number == 1) process.remove_before(process.log().segments().back().first);
            process.append(70);
            process.flush();
            number < 2 ? storage.crash_process() : storage.crash_power(random);
        }
    }

    }  // namespace

    TEST_CASE("a crash at any operation of a merge leaves a log that former versions read too") {
        for_each_disk([](std::size_t sector_bytes, journal::FrameLogOptions options) {
            options.segment_bytes = 64 << 10;
            auto former = options;
            former.merge_bytes = 0;
            int merged = 0;
            for (std::uint64_t subset = 0; subset < 12; ++subset) {
                bool failed = true;
                for (std::uint64_t nth = 1; failed; ++nth) {
                    CAPTURE(subset);
                    CAPTURE(nth);
                    auto random = Random{subset}.split("segments");
                    auto crash = Random{nth}.split("crash", subset);
                    Storage storage{sector_bytes};
                    Account account;
                    leave_segments(storage, account, options, random);
                    CHECK(storage.files().size() >= 3);
                    storage.inject(death_before(nth, crash.below(900)));
                    failed = false;
                    try {
                        account.recovered(recover(storage, options));
                        merged += storage.files().size() == 1;
                    } catch (const std::system_error&) {
                        failed = true;
                    }
                    crash.chance(0.3) ? storage.crash_process() : storage.crash_power(crash);
                    for (const auto& reader : {nth % 2 == 0 ? former : options, former, options}) {
                        JournalProcess process{storage, account, reader};
                        const auto found = process.recover();
                        REQUIRE(account.complaint(found, account.synced) == "");
                        account.recovered(found);
                        process.append(40);
                        process.sync();
                        process.append(30);
                        process.flush();
                        crash.chance(0.3) ? storage.crash_process() : storage.crash_power(crash);
                    }
                }
            }
            CHECK(merged >= 4);
        });
    }

    TEST_CASE("many lives that end in any way lose nothing that one of them synced") {
        for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
            CAPTURE(seed);
            Random random{seed};
            Storage storage{random.pick(sector_sizes)};
            Account account;
            for (int number = 0; number < 8; ++number) {
                CAPTURE(number);
                auto options = small_segments(random.pick(grow_sizes));
                options.merge_bytes = random.pick(merge_sizes);
                if (random.chance(0.2)) options.segment_bytes = 20'000;
                if (random.chance(0.7)) storage.inject(death_before(1 + random.below(50), random.below(900)));
                if (random.chance(0.3))
                    storage.inject({.operation = DiskOperation::sync, .nth = 1 + random.below(12)});
                try {
                    JournalProcess process{storage, account, options};
                    const auto found = process.recover();
                    REQUIRE(account.complaint(found, account.synced) == "");
                    account.recovered(found);
                    play_by_chance(process, random);
                } catch (const std::system_error&) {
                    // the next incarnation starts from what is there
                }
                random.chance(0.5) ? storage.crash_process() : storage.crash_power(random);
            }
        }
    }
}
