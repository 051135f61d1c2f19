// A real directory as a journal's disk.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <tests/support/temporary_folder.hpp>
#include <tests/support/failure.hpp>
#include <tests/support/few_descriptors.hpp>
#include <understudy/journal/file_journal.hpp>
#include <understudy/journal/frame_log.hpp>
#include <understudy/journal/posix_disk.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using journal::PosixDisk;
using test::failure;
using test::TemporaryFolder;

TEST_SUITE("posix disk") {
    namespace {

    std::string failure_to_open(const std::string& directory) {
        return failure([&] { PosixDisk{directory}; });
    }

    void write(PosixDisk& disk, const std::string& name, std::string_view bytes) {
        auto file = disk.create(name, 0);
        file.append(bytes);
        file.sync();
        file.close();
    }

    mode_t mode_of(const std::string& path) {
        struct stat found {};
        REQUIRE(::stat(path.c_str(), &found) == 0);
        return found.st_mode & 07777;
    }

    }  // namespace

    TEST_CASE("the directory is made for its owner alone and found again") {
        const TemporaryFolder folder;
        for (int number = 0; number < 2; ++number) {
            const PosixDisk disk{folder.file("data")};
            CHECK(mode_of(folder.file("data")) == 0700);
            CHECK(disk.list().empty());
        }
    }

    TEST_CASE("a directory cannot be opened twice in a process") {
        const TemporaryFolder folder;
        std::optional<PosixDisk> disk{folder.path()};
        CHECK(failure_to_open(folder.path()) == "lock (is another server using the directory?) " +
                                                    folder.file("lock") + ": Device or resource busy");
        disk.reset();
        CHECK(failure_to_open(folder.path()) == "");
    }

    TEST_CASE("a directory that another process holds cannot be opened until that one dies") {
        const TemporaryFolder folder;
        int ready[2];
        int hold[2];
        REQUIRE(::pipe(ready) == 0);
        REQUIRE(::pipe(hold) == 0);
        char byte = 0;
        const auto be_the_holder = [&]() noexcept {
            const PosixDisk disk{folder.path()};
            ::close(hold[1]);
            ::_exit(::write(ready[1], "x", 1) == 1 && ::read(hold[0], &byte, 1) == 0 ? 0 : 1);
        };
        const auto child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) be_the_holder();
        ::close(ready[1]);
        REQUIRE(::read(ready[0], &byte, 1) == 1);
        CHECK(failure_to_open(folder.path()) != "");
        ::close(hold[1]);
        int status = 1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        CHECK(failure_to_open(folder.path()) == "");
        for (const auto descriptor : {ready[0], hold[0]}) ::close(descriptor);
    }

    TEST_CASE("no descriptor is inherited by programs that are started") {
        const TemporaryFolder folder;
        PosixDisk disk{folder.path()};
        const auto file = disk.create("x", 0);
        std::size_t ours = 0;
        for (int descriptor = 0; descriptor < 256; ++descriptor) {
            const auto link = "/proc/self/fd/" + std::to_string(descriptor);
            std::error_code none;
            if (std::filesystem::read_symlink(link, none).string().starts_with(folder.path())) {
                ++ours;
                CHECK((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
            }
        }
        CHECK(ours == 3);  // the directory, the lock and the file
    }

    TEST_CASE("a file is read in parts as it was appended") {
        const TemporaryFolder folder;
        PosixDisk disk{folder.path()};
        auto file = disk.create("x", 0);
        file.append("hello ");
        file.append("world");
        file.sync();
        CHECK(disk.size("x") == 11);
        CHECK(disk.read("x", 0, 100) == "hello world");
        CHECK(disk.read("x", 4, 3) == "o w");
        CHECK(disk.read("x", 11, 5) == "");
        CHECK(disk.read("x", 50, 5) == "");
        CHECK(mode_of(folder.file("x")) == 0600);
    }

    TEST_CASE("a file that grows ahead ends with zeros until it is closed") {
        const TemporaryFolder folder;
        PosixDisk disk{folder.path()};
        auto file = disk.create("x", 4096);
        file.append("hello");
        CHECK(disk.size("x") == 4096);
        CHECK(disk.read("x", 0, 7) == std::string{"hello\0\0", 7});
        file.append(std::string(5000, 'x'));
        CHECK(disk.size("x") == 8192);
        file.append("!");
        CHECK(disk.read("x", 5000, 10) == std::string{"xxxxx!\0\0\0\0", 10});
        file.close();
        CHECK(disk.size("x") == 5006);
    }

    TEST_CASE("files are listed by name and renamed and removed") {
        const TemporaryFolder folder;
        PosixDisk disk{folder.path()};
        for (const auto* name : {"b", "c", "a"}) write(disk, name, name);
        CHECK(disk.list() == std::vector<std::string>{"a", "b", "c"});
        disk.rename("a", "c");
        disk.remove("b");
        disk.sync_directory();
        CHECK(disk.list() == std::vector<std::string>{"c"});
        CHECK(disk.read("c", 0, 9) == "a");
    }

    TEST_CASE("errors name the operation and the file and the cause") {
        const TemporaryFolder folder;
        PosixDisk disk{folder.file("data")};
        const auto in = [&](const char* name) { return folder.file("data/") + name; };
        write(disk, "x", "x");
        CHECK(failure([&] { disk.create("x", 0); }) == "create " + in("x") + ": File exists");
        CHECK(failure([&] { disk.read("y", 0, 1); }) == "open " + in("y") + ": No such file or directory");
        CHECK(failure([&] { disk.size("y"); }) == "examine " + in("y") + ": No such file or directory");
        CHECK(failure([&] { disk.remove("y"); }) == "remove " + in("y") + ": No such file or directory");
        CHECK(failure([&] { disk.rename("y", "z"); }) == "rename to z " + in("y") + ": No such file or directory");
        CHECK(failure_to_open(folder.file("no/data")) ==
              "create directory " + folder.file("no/data") + ": No such file or directory");
        CHECK(failure_to_open(in("x")) == "open directory " + in("x") + ": Not a directory");
    }

    TEST_CASE("a disk that is full is named") {
        if (::access("/dev/full", W_OK) != 0) return;  // only some systems have one
        journal::PosixFile file{journal::detail::Descriptor{::open("/dev/full", O_WRONLY | O_CLOEXEC)}, "/dev/full", 0};
        CHECK(failure([&] { file.append("x"); }) == "write /dev/full: No space left on device");
    }

    TEST_CASE("a directory without permission is refused with its cause") {
        if (::geteuid() == 0) return;  // permissions do not stop root
        const TemporaryFolder folder;
        std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_read);
        CHECK(failure_to_open(folder.file("data")) ==
              "create directory " + folder.file("data") + ": Permission denied");
        CHECK(failure_to_open(folder.path()) == "open " + folder.file("lock") + ": Permission denied");
        std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_all);
    }

    TEST_CASE("a log goes on where its last life ended") {
        const TemporaryFolder folder;
        std::vector<std::pair<std::uint64_t, std::string>> appended;
        for (int start = 0; start < 4; ++start) {
            PosixDisk disk{folder.file("data")};
            journal::FrameLog log{disk, "log", 1, {.segment_bytes = 2000}};
            std::vector<std::pair<std::uint64_t, std::string>> found;
            log.recover([&](std::uint64_t number, std::string_view payload) { found.emplace_back(number, payload); });
            REQUIRE(found == appended);
            for (int i = 0; i < 10; ++i) {
                const auto payload = std::string(300, static_cast<char>('a' + i));
                appended.emplace_back(log.append(payload), payload);
            }
            start % 2 == 0 ? log.checkpoint() : log.flush();
        }
    }

    TEST_CASE("a file that cannot be opened for want of descriptors is tried again and nothing else is") {
        TemporaryFolder folder;
        std::vector<std::string> asked;
        std::optional<test::FewDescriptors> none;
        bool gives_up = false;
        PosixDisk disk{folder.file("d"), [&](const std::string& what, int tries) {
                           asked.push_back(what);
                           if (tries == 2) none.reset();
                           return !gives_up;
                       }};
        write(disk, "a", "x");
        CHECK(asked.empty());
        none.emplace(0);
        write(disk, "b", "x");
        CHECK(asked.size() == 4);  // three attempts, and that the wait is over
        CHECK(asked.front() == "create " + folder.file("d") + "/b");
        CHECK(asked.back().empty());
        asked.clear();
        CHECK(failure([&] { disk.create("b", 0); }).find("File exists") != std::string::npos);
        CHECK(asked.empty());
        none.emplace(0);
        gives_up = true;
        CHECK(failure([&] { disk.read("a", 0, 1); }).find("Too many open files") != std::string::npos);
    }

    TEST_CASE("a journal that lacks a descriptor says so and goes on when it has one") {
        TemporaryFolder folder;
        struct Nothing final : JournalReader {
            std::string snapshot(const SnapshotPiece&) override { return {}; }
            void hard_state(HardState) override {}
            std::string batch(const JournalBatch&, std::span<const EntryView>) override { return {}; }
            void to_come(std::uint64_t) override {}
            std::string complete() override { return {}; }
        } nothing;
        std::mutex mutex;
        std::condition_variable progress;
        journal::FileJournal journal{folder.file("j")};
        journal.read(nothing);
        journal.start([&] {
            const std::lock_guard lock{mutex};
            progress.notify_all();
        });
        const auto wait_until = [&](auto holds) {
            std::unique_lock lock{mutex};
            return progress.wait_for(lock, std::chrono::seconds{30}, holds);
        };
        const Log log;
        constexpr std::uint64_t most = 20'000;
        JournalBatch batch;
        batch.number = 1;
        batch.pieces.push_back({.at = {}, .n = 0, .data = "a", .last = false, .replaces = false});  // needs a new file
        {
            const test::FewDescriptors none{0};
            journal.write(batch, log);
            CHECK(wait_until([&] { return !journal.waiting().empty(); }));
            CHECK(journal.persisted() == 0);
            // further batches must not shorten the time until it gives up
            for (; batch.number < most; std::this_thread::yield()) {
                ++batch.number;
                journal.write(batch, log);
                if (!journal.failure().empty()) break;
            }
            CHECK(journal.failure().empty());
        }
        CHECK(wait_until([&] { return journal.persisted() == batch.number; }));
        CHECK(journal.waiting().empty());
        CHECK(journal.failure().empty());
    }
}
