// Servers that keep their state in directories, over sockets: every answered write is there when all of them come back.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/io_context.hpp>

#include <tests/support/abrupt_host.hpp>
#include <tests/support/net.hpp>
#include <tests/support/service_world.hpp>
#include <understudy/journal/file_journal.hpp>
#include <understudy/net/any.hpp>

using namespace understudy;
using namespace understudy::view_service;
using namespace std::chrono_literals;
using test::Kept;
using test::TemporaryFolder;
using net::AnyTransport;
using journal::FileJournal;
using journal::FileJournalOptions;
using journal::SyncPolicy;

TEST_SUITE("journal") {
    namespace {

    using Server = PBService<KvStore, AnyTransport, FileJournal>;

    // A view service that keeps running, and servers with disks.
    struct World {
        TemporaryFolder folder;
        asio::io_context io{1};
        std::vector<Event> events;
        AnyTransport listen(const std::string& name) {
            TransportOptions options;
            options.listen = folder.address(name);
            return AnyTransport{io, options};
        }
        ViewService<AnyTransport> views{listen("views"),
                                        ViewOptions{.ping_interval = 20ms, .dead_pings = 5}};
        Kept<void> views_ended;

        World() { views.async_run(views_ended); }

        Server start(const std::string& name, FileJournalOptions options = {}) {
            return Server{KvStore{}, listen(name),
                    FileJournal{folder.file(name + ".data"), options},
                    ReplicaOptions{.view_service = {folder.address("views")}, .journal_bytes = 20000},
                    [this](const Event& event) { events.push_back(event); }};
        }
        Clerk<AnyTransport> clerk() {
            return Clerk{AnyTransport{io}, ClientOptions{.view_service = {folder.address("views")}}};
        }
        /// Stops the server and waits for its loop to end: until then the loop holds the server's directory.
        void end(Server server, Kept<void>& ended) {
            server.stop();
            REQUIRE(until([&] { return ended.done(); }));
        }
        bool until(const std::function<bool()>& condition) { return test::run_until(io, condition); }
        void put(Clerk<AnyTransport>& clerk, const std::string& key, const std::string& value) {
            Kept<void> done;
            clerk.async_put(key, value, done);
            REQUIRE(until([&] { return done.done(); }));
            REQUIRE(!done.ec());
        }
        std::string get(Clerk<AnyTransport>& clerk, const std::string& key) {
            Kept<std::string> done;
            clerk.async_get(key, done);
            REQUIRE(until([&] { return done.done(); }));
            CHECK(!done.ec());
            return done.value();
        }
    };

    }  // namespace

    TEST_CASE("R5: a group whose members all died goes on from their disks") {
        World world;
        auto clerk = world.clerk();
        {
            Kept<void> ended[2];
            auto one = world.start("one");
            one.async_run(ended[0]);
            REQUIRE(world.until([&] { return one.serving(); }));
            auto two = world.start("two");
            two.async_run(ended[1]);
            REQUIRE(world.until([&] { return world.views.view().view.synced_count() == 1; }));
            for (int n = 0; n < 300; ++n) world.put(clerk, std::to_string(n), std::string(200, 'v'));
            world.end(std::move(one), ended[0]);
            world.end(std::move(two), ended[1]);
        }
        const auto view = world.views.view().view.number;
        Kept<void> ended[2];
        auto two = world.start("two");
        auto one = world.start("one");
        one.async_run(ended[0]);
        two.async_run(ended[1]);
        for (int n = 0; n < 300; ++n) CHECK(world.get(clerk, std::to_string(n)).size() == 200);
        CHECK(world.views.view().view.number > view);
        CHECK(world.until([&] { return world.views.view().view.synced_count() == 1; }));
        world.put(clerk, "more", "of it");
    }

    TEST_CASE("S9: a journal that promises nothing leaves a group that died as a whole to its operator") {
        World world;
        const FileJournalOptions never{.sync = SyncPolicy::never()};
        auto clerk = world.clerk();
        {
            Kept<void> ended;
            auto one = world.start("one", never);
            one.async_run(ended);
            world.put(clerk, "k", "v");
            world.end(std::move(one), ended);
        }
        Kept<void> ended;
        auto one = world.start("one", never);
        CHECK(one.status().last == 2);  // the entry is there, but the server cannot be sure that it is the last one
        one.async_run(ended);
        REQUIRE(world.until([&] { return !world.views.status().groups.at(0).waiting_for.empty(); }));
        CHECK(!one.serving());
    }

    TEST_CASE("two servers cannot have one directory and a server of another name is refused") {
        World world;
        auto one = world.start("one");
        CHECK_THROWS_WITH_AS(FileJournal{world.folder.file("one.data")}, doctest::Contains("another server"),
                             std::system_error);
        Kept<void> ended;
        one.async_run(ended);
        REQUIRE(world.until([&] { return one.serving(); }));
        world.end(std::move(one), ended);
        std::filesystem::rename(world.folder.file("one.data"), world.folder.file("two.data"));
        CHECK_THROWS_WITH_AS(world.start("two"), doctest::Contains("start it as that"), std::system_error);
    }

    TEST_CASE("S9: a server whose directory can no longer be written ends with journal_failed") {
        World world;
        Kept<void> ended;
        auto one = world.start("one", {.segment_bytes = 1});  // a file for each batch
        one.async_run(ended);
        REQUIRE(world.until([&] { return one.serving(); }));
        REQUIRE(world.until([&] {  // repeated, because the server may be creating another file
            std::error_code ec;
            std::filesystem::remove_all(world.folder.file("one.data"), ec);
            return !ec;
        }));
        auto clerk = world.clerk();
        Kept<void> put;
        clerk.async_put("k", "v", put);
        REQUIRE(world.until([&] { return ended.done(); }));
        CHECK(ended.ec() == error::journal_failed);
        CHECK(!put.done());
        CHECK(std::ranges::any_of(world.events, [](const Event& event) {
            return std::holds_alternative<JournalFailed>(event);
        }));
    }

    TEST_CASE("files that are damaged are refused with the place and what to do") {
        World world;
        {
            Kept<void> ended;
            auto one = world.start("one");
            one.async_run(ended);
            auto clerk = world.clerk();
            world.put(clerk, "k", "v");
            world.end(std::move(one), ended);
        }
        std::string file;
        for (const auto& entry : std::filesystem::directory_iterator{world.folder.file("one.data")})
            if (entry.path().extension() == ".log") file = entry.path().string();
        {
            std::fstream damaged{file, std::ios::in | std::ios::out | std::ios::binary};
            damaged.seekp(80);
            damaged.put('#');
        }
        CHECK_THROWS_WITH_AS(world.start("one"), doctest::Contains(file.c_str()), journal::Damaged);
    }

    TEST_CASE("services and their execution context may end while disks are at work and leave the directories free") {
        for (int steps = 0; steps < 20; ++steps) {
            CAPTURE(steps);
            TemporaryFolder folder;
            test::end_abruptly(folder, steps);
            CHECK_NOTHROW(FileJournal{folder.file("server")});
            CHECK_NOTHROW(journal::FileViewStore{folder.file("views")});
        }
    }
}
