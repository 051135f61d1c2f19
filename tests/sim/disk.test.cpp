// The simulated disk loses everything that a real one may lose, and nothing else.
#include <doctest/doctest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <tests/support/failure.hpp>
#include <understudy/sim/disk/disk.hpp>

using namespace understudy::sim;
using understudy::test::failure;

TEST_SUITE("simulated disk") {
    namespace {

    // The content of a file, or a text that says that there is none.
    std::string content(const Storage& storage, const std::string& name) {
        const auto found = storage.files().find(name);
        return found == storage.files().end() ? "(none)" : found->second->content();
    }

    // All contents that a file may have after a power cut; `write` makes the storage as it is before the cut.
    template <typename Write>
    std::set<std::string> outcomes(Write write, const std::string& name = "x") {
        std::set<std::string> all;
        for (std::uint64_t seed = 0; seed < 300; ++seed) {
            Storage storage{4};
            write(storage);
            Random random{seed};
            storage.crash_power(random);
            all.insert(content(storage, name));
        }
        return all;
    }

    // A file whose name and first content are on stable storage.
    Disk::File stable_file(Disk& disk, std::string_view bytes) {
        auto file = disk.create("x", 0);
        file.append(bytes);
        file.sync();
        disk.sync_directory();
        return file;
    }

    using Texts = std::set<std::string>;
    const std::string none4(4, '\0');

    }  // namespace

    TEST_CASE("what was synced survives a power cut as it is") {
        CHECK(outcomes([](Storage& storage) {
                  Disk disk{storage};
                  stable_file(disk, "abcdefghij");
              }) == Texts{"abcdefghij"});
    }

    TEST_CASE("unsynced sectors are kept or lost one by one and the size with them") {
        CHECK(outcomes([](Storage& storage) {
                  Disk disk{storage};
                  auto file = stable_file(disk, "1111");
                  file.append("2222");
                  file.append("3333");
              }) == Texts{"1111", "11112222", "111122223333", "1111" + none4, "1111" + none4 + "3333",
                          "1111" + none4 + none4, "11112222" + none4});
    }

    TEST_CASE("a sector is as after any of its writes") {
        CHECK(outcomes([](Storage& storage) {
                  Disk disk{storage};
                  auto file = stable_file(disk, "a");
                  file.append("b");
                  file.append("c");
              }) == Texts{"a", std::string{"a\0", 2}, std::string{"a\0\0", 3}, "ab", std::string{"ab\0", 3}, "abc"});
    }

    TEST_CASE("a name is there only if the directory was synced") {
        CHECK(outcomes([](Storage& storage) {
                  Disk disk{storage};
                  auto file = disk.create("x", 0);
                  file.append("1");
                  file.sync();
              }) == Texts{"(none)", "1"});
    }

    TEST_CASE("changes of the directory are kept in any combination") {
        std::set<std::vector<std::string>> all;
        for (std::uint64_t seed = 0; seed < 200; ++seed) {
            Storage storage;
            {
                Disk disk{storage};
                disk.create("a", 0);
                disk.create("b", 0);
                disk.sync_directory();
                disk.remove("a");
                disk.rename("b", "c");
            }
            Random random{seed};
            storage.crash_power(random);
            std::vector<std::string> names;
            for (const auto& [name, file] : storage.files()) names.push_back(name);
            all.insert(names);
        }
        CHECK(all == std::set<std::vector<std::string>>{{"a", "b"}, {"a", "c"}, {"b"}, {"c"}});
    }

    TEST_CASE("a rename over a file gives the one or the other") {
        CHECK(outcomes([](Storage& storage) {
                  Disk disk{storage};
                  stable_file(disk, "old");
                  auto file = disk.create("y", 0);
                  file.append("new");
                  file.sync();
                  disk.rename("y", "x");
              }) == Texts{"old", "new"});
    }

    TEST_CASE("a process that dies loses nothing but a power cut after it may") {
        Storage storage;
        std::optional<Disk> disk{storage};
        disk->create("x", 0).append("1");
        storage.crash_process();
        CHECK(content(storage, "x") == "1");
        CHECK(outcomes([](Storage& other) {
                  Disk first{other};
                  auto file = stable_file(first, "1111");
                  file.append("2222");
                  other.crash_process();
              }) == Texts{"1111", "11112222", "1111" + none4});
    }

    TEST_CASE("what a failed sync has lost is not there after a later one") {
        const auto all = outcomes([](Storage& storage) {
            Disk disk{storage};
            auto file = stable_file(disk, "1111");
            file.append("2222");
            storage.inject({.operation = DiskOperation::sync});
            CHECK(failure([&] { file.sync(); }) == "sync x: Input/output error");
            CHECK(content(storage, "x") == "11112222");
            file.append("3333");
            file.sync();
        });
        CHECK(all == Texts{"1111" + none4 + "3333", "111122223333"});
    }

    TEST_CASE("what was lost is written if its sector changes again") {
        CHECK(outcomes([](Storage& storage) {
                  Disk disk{storage};
                  auto file = stable_file(disk, "1");
                  file.append("2");
                  storage.inject({.operation = DiskOperation::sync});
                  CHECK(failure([&] { file.sync(); }) != "");
                  file.append("3");
                  file.sync();
              }) == Texts{"123"});
    }

    TEST_CASE("the operation that is asked for fails and only that one") {
        Storage storage;
        Disk disk{storage};
        storage.inject({.operation = DiskOperation::create, .nth = 2, .cause = ENOSPC});
        disk.create("a", 0);
        CHECK(disk.list().size() == 1);
        CHECK(failure([&] { disk.create("b", 0); }) == "create b: No space left on device");
        disk.create("c", 0);
        CHECK(disk.list() == std::vector<std::string>{"a", "c"});
    }

    TEST_CASE("a fault that lasts stops everything") {
        Storage storage;
        Disk disk{storage};
        auto file = disk.create("a", 0);
        storage.inject({.nth = 2, .lasting = true});
        file.append("1");
        CHECK(failure([&] { file.append("2"); }) == "write a: Input/output error");
        CHECK(failure([&] { file.sync(); }) == "sync a: Input/output error");
        CHECK(failure([&] { disk.list(); }) != "");
        CHECK(content(storage, "a") == "1");
    }

    TEST_CASE("a short write leaves its first bytes") {
        Storage storage;
        Disk disk{storage};
        auto file = disk.create("a", 0);
        storage.inject({.operation = DiskOperation::append, .cause = ENOSPC, .written = 3});
        CHECK(failure([&] { file.append("hello"); }) == "write a: No space left on device");
        CHECK(content(storage, "a") == "hel");
    }

    TEST_CASE("a read-only disk reads") {
        Storage storage;
        Disk disk{storage};
        auto file = disk.create("a", 0);
        storage.set_read_only(true);
        CHECK(failure([&] { file.append("1"); }) == "write a: Read-only file system");
        CHECK(failure([&] { disk.create("b", 0); }) == "create b: Read-only file system");
        CHECK(failure([&] { disk.remove("a"); }) == "remove a: Read-only file system");
        CHECK(failure([&] { disk.rename("a", "b"); }) == "rename to b a: Read-only file system");
        CHECK(disk.read("a", 0, 1) == "");
    }

    TEST_CASE("files that are missing or in the way are named") {
        Storage storage;
        Disk disk{storage};
        disk.create("a", 0);
        CHECK(failure([&] { disk.create("a", 0); }) == "create a: File exists");
        CHECK(failure([&] { disk.read("b", 0, 1); }) == "open b: No such file or directory");
        CHECK(failure([&] { disk.size("b"); }) == "examine b: No such file or directory");
        CHECK(failure([&] { disk.remove("b"); }) == "remove b: No such file or directory");
    }

    TEST_CASE("one process at a time has the disk and a crash releases it") {
        Storage storage;
        std::optional<Disk> disk{storage};
        const std::optional<Disk> copy = disk;
        disk.reset();
        CHECK(failure([&] { Disk{storage}; }) == "lock (is another server using the directory?) lock: Device or "
                                                 "resource busy");
        storage.crash_process();
        const Disk next{storage};
        CHECK(next.list().empty());
    }

    TEST_CASE("the remains of a dead process change nothing") {
        Storage storage;
        Disk dead{storage};
        auto file = dead.create("a", 0);
        storage.crash_process();
        CHECK(failure([&] { file.append("1"); }) == "write a: Bad file descriptor");
        CHECK(failure([&] { dead.list(); }) != "");
        CHECK(content(storage, "a") == "");
        {
            const Disk next{storage};
            { const Disk other = std::move(dead); }  // a dead disk must not release the lock that the next one holds
            CHECK(failure([&] { Disk{storage}; }) != "");
        }
        CHECK(failure([&] { Disk{storage}; }) == "");
    }

    TEST_CASE("a simulated file grows ahead with zeros and ends with its data when it is closed") {
        Storage storage;
        Disk disk{storage};
        auto file = disk.create("a", 8);
        file.append("12345");
        CHECK(content(storage, "a") == std::string{"12345\0\0\0", 8});
        file.append("6789");
        CHECK(content(storage, "a") == std::string{"123456789\0\0\0\0\0\0\0", 16});
        file.close();
        CHECK(content(storage, "a") == "123456789");
    }

    TEST_CASE("a corrupted byte stays after a power cut") {
        CHECK(outcomes([](Storage& storage) {
                  Disk disk{storage};
                  stable_file(disk, "abcd");
                  storage.corrupt("x", 1, "X");
              }) == Texts{"aXcd"});
    }
}
