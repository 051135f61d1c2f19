// A view service's store in a real directory, as its caller sees it.
#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <tests/support/temporary_folder.hpp>
#include <tests/support/transport_archetype.hpp>
#include <understudy/journal/view_file.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/view_service.hpp>
#include <understudy/wire/json.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace std::chrono_literals;
using journal::FileViewStore;
using test::TemporaryFolder;

TEST_SUITE("view file") {
    namespace {

    ViewChanges change(std::uint64_t cluster) { return {ClusterId{cluster}, 500ms, {}, {}}; }

    /// Calls of one store, each awaited.
    struct Caller {
        asio::io_context io;
        FileViewStore store;
        std::thread::id thread;

        explicit Caller(const TemporaryFolder& folder) : store{folder.file("views")} {}

        bool set(std::uint64_t expected, std::uint64_t cluster) {
            std::optional<bool> stored;
            asio::co_spawn(io, set_to(stored, expected, cluster), asio::detached);
            io.restart();
            io.run();
            return stored.value();
        }
        std::optional<StoredViews> load() {
            std::optional<StoredViews> found;
            asio::co_spawn(io, load_to(found), asio::detached);
            io.restart();
            io.run();
            return found;
        }

    private:
        asio::awaitable<void> set_to(std::optional<bool>& stored, std::uint64_t expected, std::uint64_t cluster) {
            auto changes = change(cluster);
            stored = co_await store.async_compare_and_set(expected, std::move(changes));
            thread = std::this_thread::get_id();
        }
        asio::awaitable<void> load_to(std::optional<StoredViews>& found) { found = co_await store.async_load(); }
    };

    asio::awaitable<void> set_once(FileViewStore& store) {
        auto changes = change(7);
        co_await store.async_compare_and_set(0, std::move(changes));
    }

    std::string failure_to_open(const std::string& directory) {
        try {
            FileViewStore store{directory};
        } catch (const std::exception& thrown) {
            return thrown.what();
        }
        return {};
    }

    /// A view service over a network in memory, with its store in a directory.
    struct World {
        asio::io_context io;
        test::MemoryNetwork network{io};
        std::optional<ViewService<test::ArchetypeTransport, FileViewStore>> views;
        std::optional<std::error_code> ended;

        explicit World(const TemporaryFolder& folder) {
            views.emplace(test::ArchetypeTransport{network, "views"}, FileViewStore{folder.file("views")});
            views->async_run([this](std::error_code ec) { ended = ec; });
        }
        /// Runs steps of the loop until the condition holds; there is no time limit on the disk.
        template <typename Condition>
        void run_until(Condition holds) {
            io.restart();
            while (!holds()) io.run_one();
        }
        void stop() {
            views->stop();
            run_until([&] { return ended.has_value(); });
        }
    };

    }  // namespace

    TEST_CASE("what was set in a directory is loaded by the next process") {
        TemporaryFolder folder;
        {
            Caller caller{folder};
            CHECK(!caller.load());
            CHECK(caller.set(0, 7));
            CHECK(caller.set(1, 8));
            CHECK(!caller.set(1, 9));
            CHECK(caller.load()->version == 2);
        }
        Caller next{folder};
        const auto found = next.load();
        REQUIRE(found);
        CHECK(found->version == 2);
        CHECK(found->record == ViewRecord{ClusterId{8}, 500ms, {}});
    }

    TEST_CASE("calls of a view store complete on the caller's executor") {
        TemporaryFolder folder;
        Caller caller{folder};
        CHECK(caller.set(0, 7));
        CHECK(caller.thread == std::this_thread::get_id());
    }

    TEST_CASE("a directory that another process uses is refused") {
        TemporaryFolder folder;
        Caller caller{folder};
        CHECK(failure_to_open(folder.file("views")).find("lock") != std::string::npos);
        CHECK(failure_to_open(folder.file("none/views")).starts_with("create directory "));
    }

    TEST_CASE("a view service goes on from its directory with its cluster and its views") {
        TemporaryFolder folder;
        ViewInfo before;
        {
            World world{folder};
            test::ArchetypeTransport a{world.network, "a"};
            Ping ping;
            ping.group = "main";
            ping.server = "a";
            ping.incarnation = Incarnation{1};
            ping.n = 1;
            a.send("views", wire::encode(make_call_id(Method::view_ping, 1), ping));
            world.run_until([&] { return !world.network.find("a")->arrived.empty(); });
            before = world.views->view();
            CHECK(before.view.number == 1);
            world.stop();
        }
        World world{folder};
        world.run_until([&] { return world.views->view().view.number != 0; });
        CHECK(world.views->view() == before);
        world.stop();
    }

    TEST_CASE("a run that is cancelled in the middle of a set and begun again loses nothing") {
        for (int steps = 1; steps < 12; ++steps) {
            CAPTURE(steps);
            TemporaryFolder folder;
            World world{folder};
            world.stop();  // the first run has no cancellation slot
            world.views.reset();
            world.views.emplace(test::ArchetypeTransport{world.network, "views"}, FileViewStore{folder.file("views")});
            asio::cancellation_signal cancel;
            world.ended.reset();
            world.views->async_run(
                asio::bind_cancellation_slot(cancel.slot(), [&](std::error_code ec) { world.ended = ec; }));
            for (int i = 0; i < steps; ++i) world.io.poll_one();
            cancel.emit(asio::cancellation_type::terminal);
            world.run_until([&] { return world.ended.has_value(); });
            CHECK(world.ended == make_error_code(asio::error::operation_aborted));
            world.ended.reset();
            world.views->async_run([&](std::error_code ec) { world.ended = ec; });
            test::ArchetypeTransport a{world.network, "a"};
            a.send("views", wire::encode(make_call_id(Method::view_get, 1), ViewGet{"main"}));
            world.run_until([&] { return world.ended || !world.network.find("a")->arrived.empty(); });
            CHECK(!world.ended);
            world.stop();
        }
    }

    TEST_CASE("a view service that dies with its executor in the middle of a set ends the work on its directory") {
        for (int steps = 0; steps < 6; ++steps) {
            CAPTURE(steps);
            TemporaryFolder folder;
            {
                World world{folder};
                for (int i = 0; i < steps; ++i) world.io.poll_one();
            }
            CHECK(failure_to_open(folder.file("views")) == "");
        }
    }

    TEST_CASE("an execution context may end in the middle of a set while the store lives") {
        for (int steps = 0; steps < 6; ++steps) {
            CAPTURE(steps);
            TemporaryFolder folder;
            Caller caller{folder};
            {
                asio::io_context io;
                asio::co_spawn(io, set_once(caller.store), asio::detached);
                for (int i = 0; i < steps; ++i) io.poll_one();
            }
            CHECK(caller.load().has_value() == (steps > 0));  // the load runs after the set
        }
    }
}
