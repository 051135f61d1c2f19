// A view service's record in files: however an incarnation ends, the next one has every set that was answered.
#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <understudy/journal/view_files.hpp>
#include <understudy/sim/disk/disk.hpp>
#include <understudy/sim/world/random.hpp>

#include "tests/support/setting.hpp"

using namespace understudy;
using namespace understudy::view_service;
using namespace std::chrono_literals;
using journal::ViewFiles;
using sim::Random;
using sim::Storage;

TEST_SUITE("view_files") {
    namespace {

    constexpr std::uint64_t sets = 40;
    /// So small that one incarnation rewrites everything several times.
    constexpr journal::ViewFilesOptions small{.small_bytes = 3000, .growth = 2};

    /// The n-th set: one of a few groups gets its n-th view, and sometimes a group is removed.
    ViewChanges change(std::uint64_t n) {
        const auto name = [](std::uint64_t number) { return "group " + std::to_string(number % 7); };
        const View view{n, {"tcp://a:1", Incarnation{n}, false}, {{"tcp://b:1", Incarnation{7}, n % 2 == 0}}, n / 2};
        GroupRecord group{{name(n), ClusterId{0xc1}, 100ms, view}, {{"tcp://a:1", {Incarnation{1}, Incarnation{n}}}}};
        ViewChanges changes{ClusterId{0xc1}, 500ms + Duration{static_cast<Duration::rep>(n)}, {std::move(group)}, {}};
        if (n % 11 == 0) changes.gone = {name(n + 3)};
        return changes;
    }
    ViewRecord after(std::uint64_t count) {
        ViewRecord record;
        for (std::uint64_t n = 1; n <= count; ++n) apply(record, change(n));
        return record;
    }

    struct Process {
        explicit Process(Storage& storage, journal::ViewFilesOptions options = small)
            : files{sim::Disk{storage}, 0x5a17 + storage.generation(), options} {
            files.read();
        }
        ViewFiles<sim::Disk> files;
        std::uint64_t version() const {
            const auto stored = files.stored();
            return stored ? stored->version : 0;
        }
    };

    /// One incarnation that sets until its disk fails; returns the last version that was answered.
    std::uint64_t run(Storage& storage, std::uint64_t from) {
        auto answered = from;
        try {
            Process process{storage};
            while (answered < from + sets && process.files.compare_and_set(answered, change(answered + 1))) {
                ++answered;
                if (answered % 5 == 0) process.files.checkpoint();
            }
        } catch (const std::system_error&) {
        }
        return answered;
    }
    /// Starts an incarnation and returns the version that it finds: every answered set, and at most one more.
    std::uint64_t survived(Storage& storage, std::uint64_t answered) {
        Process process{storage};
        const auto version = process.version();
        CHECK(version >= answered);
        CHECK(version <= answered + 1);
        CHECK((version == 0 ? ViewRecord{} : process.files.stored()->record) == after(version));
        return version;
    }
    std::uint64_t operations_of_a_run() {
        Storage storage;
        CHECK(run(storage, 0) == sets);
        return storage.operations();
    }

    /// Fails every operation from the n-th on, for every n; `crash` decides what the computer loses.
    template <typename Crash>
    void stop_everywhere(Crash crash) {
        const auto last = operations_of_a_run();
        const auto ways = test::setting("UNDERSTUDY_WAYS", 8);  // at each operation: the data lost differs
        for (std::uint64_t way = ways; way < (last + 1) * ways; ++way) {
            CAPTURE(way);
            Storage storage;
            Random random{way};
            storage.inject({.nth = way / ways, .written = random.below(500), .lasting = true});
            const auto answered = run(storage, 0);
            crash(storage, random);
            const auto found = survived(storage, answered);
            storage.inject({.nth = 1 + random.below(300), .written = random.below(500), .lasting = true});
            const auto more = run(storage, found);  // a second run, which may fail while it reads
            crash(storage, random);
            survived(storage, more);
        }
    }

    std::string refusal(Storage& storage) {
        try {
            Process process{storage};
        } catch (const std::system_error&) {
            throw;
        } catch (const std::runtime_error& thrown) {
            return thrown.what();
        }
        return {};
    }

    }  // namespace

    TEST_CASE("a view store that is new holds nothing") {
        Storage storage;
        Process process{storage};
        CHECK(!process.files.stored());
    }

    TEST_CASE("what was set is there in the next life and its versions go on") {
        Storage storage;
        CHECK(run(storage, 0) == sets);
        storage.crash_process();
        CHECK(survived(storage, sets) == sets);
        storage.crash_process();
        CHECK(run(storage, sets) == 2 * sets);
        storage.crash_process();
        CHECK(survived(storage, 2 * sets) == 2 * sets);
    }

    TEST_CASE("a set for another version is refused and changes nothing") {
        Storage storage;
        Process process{storage};
        CHECK(process.files.compare_and_set(0, change(1)));
        CHECK_FALSE(process.files.compare_and_set(0, change(2)));
        CHECK_FALSE(process.files.compare_and_set(2, change(2)));
        CHECK(process.files.stored()->record == after(1));
    }

    TEST_CASE("after a power cut at any operation every view that was stored is there") {
        stop_everywhere([](Storage& storage, Random& random) { storage.crash_power(random); });
    }

    TEST_CASE("after a kill at any operation every view that was stored is there") {
        stop_everywhere([](Storage& storage, Random&) { storage.crash_process(); });
    }

    TEST_CASE("after a disk has failed every set fails and the next life has what was answered") {
        for (const auto operation : {sim::DiskOperation::append, sim::DiskOperation::sync}) {
            Storage storage;
            {
                Process process{storage};
                CHECK(process.files.compare_and_set(0, change(1)));
                storage.inject({.operation = operation});
                CHECK_THROWS_AS(process.files.compare_and_set(1, change(2)), std::system_error);
                CHECK_THROWS_AS(process.files.compare_and_set(1, change(2)), std::system_error);
                CHECK(process.version() == 1);
            }
            storage.crash_process();
            survived(storage, 1);
        }
    }

    TEST_CASE("a log that has grown is written anew and stays within bounds") {
        Storage storage;
        Process process{storage};
        std::uint64_t most = 0;
        for (std::uint64_t n = 0; n < 1000; ++n) {
            CHECK(process.files.compare_and_set(n, change(n + 1)));
            most = std::max(most, process.files.bytes());
        }
        CHECK(most < 3 * small.small_bytes);
        CHECK(storage.files().size() < 5);
    }

    TEST_CASE("each life leaves a few files and not one for each life before") {
        Storage storage;
        for (std::uint64_t n = 0; n < 50; ++n) {
            CHECK(Process{storage}.files.compare_and_set(n, change(n + 1)));
            storage.crash_process();
        }
        CHECK(storage.files().size() < 5);
        CHECK(survived(storage, 50) == 50);
    }

    TEST_CASE("lives that store nothing leave a file at most") {
        Storage storage;
        CHECK(Process(storage, {}).files.compare_and_set(0, change(1)));
        for (std::uint64_t n = 0; n < 300; ++n) {
            Process{storage, {}};
            storage.crash_process();
        }
        CHECK(storage.files().size() == 1);
        std::size_t bytes = 0;
        for (const auto& [name, file] : storage.files()) bytes += file->content().size();
        CHECK(bytes <= 64u << 10);
        CHECK(survived(storage, 1) == 1);
    }

    TEST_CASE("of many groups a set writes one") {
        Storage storage;
        Process process{storage, {}};
        ViewChanges all{ClusterId{1}, 500ms, {}, {}};
        for (int n = 0; n < 2500; ++n) {
            const View view{1, {"tcp://a:1", Incarnation{1}, false}, {}, 0};
            all.groups.push_back({{"group " + std::to_string(10000 + n), ClusterId{1}, 100ms, view}, {}});
        }
        CHECK(process.files.compare_and_set(0, all));
        const auto before = process.files.bytes();
        CHECK(process.files.compare_and_set(1, {ClusterId{1}, 500ms, {all.groups[7]}, {}}));
        CHECK(process.files.bytes() - before < 600);
    }

    TEST_CASE("the files can be read by people") {
        Storage storage;
        Process process{storage};
        CHECK(process.files.compare_and_set(0, change(1)));
        std::string text;
        for (const auto& [name, file] : storage.files()) text += file->content();
        CHECK(text.find(R"({"version":1,"whole":true,"set":{"cluster":"00000000000000c1","dead_after_ms":500.000001,)"
                        R"("groups":[{"view":{"group":"group 1",)") != std::string::npos);
    }

    TEST_CASE("a damaged file is refused with the place and what to do") {
        Storage storage;
        {
            Process process{storage};
            for (std::uint64_t n = 0; n < 3; ++n) CHECK(process.files.compare_and_set(n, change(n + 1)));
            process.files.checkpoint();
        }
        storage.crash_process();
        const auto name = storage.files().begin()->first;
        const auto at = storage.files().begin()->second->content().find("tcp://b");
        storage.corrupt(name, at, "x");
        const auto text = refusal(storage);
        CHECK(text.starts_with(name + " is damaged at offset "));
        CHECK(text.find("adopt each group") != std::string::npos);
        CHECK(text.find("let this server join") == std::string::npos);
    }

    TEST_CASE("a log of something else is refused by what was found there") {
        const std::string set = R"("set":{"cluster":"00000000000000c1","dead_after_ms":1,"groups":[]}})";
        const std::vector<std::string> payloads{"{}", "no JSON", R"({"version":1,"whole":true,)" + set + "x",
                                                R"({"version":1,"whole":7,)" + set, R"({"version":2,)" + set};
        for (const auto& payload : payloads) {
            CAPTURE(payload);
            Storage storage;
            {
                sim::Disk disk{storage};
                journal::FrameLog<sim::Disk> log{disk, "views", 1};
                log.recover([](std::uint64_t, std::string_view) {});
                log.append(payload);
                log.sync();
            }
            storage.crash_process();
            CHECK(refusal(storage).starts_with("frame 1 of views-*.log cannot be used: "));
        }
    }

    TEST_CASE("a version that is missing is noticed") {
        Storage storage;
        {
            sim::Disk disk{storage};
            journal::FrameLog<sim::Disk> log{disk, "views", 1};
            log.recover([](std::uint64_t, std::string_view) {});
            for (const std::uint64_t version : {1u, 3u}) {
                std::string payload;
                wire::append_json(payload, journal::ViewFrame{version, version == 1, change(version)});
                log.append(payload);
            }
            log.sync();
        }
        storage.crash_process();
        CHECK(refusal(storage).starts_with("frame 2 of views-*.log cannot be used: version 3 follows version 1"));
    }
}
