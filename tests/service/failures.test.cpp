// What a host reads when a call fails: which group, which server, and why.
#include <future>
#include <stdexcept>
#include <thread>

#include <doctest/doctest.h>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>

#include <nlohmann/json.hpp>

#include <tests/support/service_world.hpp>
#include <understudy/admin.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace std::chrono_literals;
using test::Kept;
using test::ServiceWorld;

TEST_SUITE("failures") {
    namespace {

    using T = test::ArchetypeTransport;

    struct Caught {
        std::string what;
        std::error_code code;
    };
    asio::awaitable<void> catch_it(asio::awaitable<void> step, Caught & caught) {
        try {
            co_await std::move(step);
        } catch (const std::system_error& failure) {
            caught = {failure.what(), failure.code()};
        }
    }
    asio::awaitable<void> get(Clerk<T> & clerk) { co_await clerk.async_get("colour"); }
    asio::awaitable<void> put(Clerk<T> & clerk) { co_await clerk.async_put("colour", "blue"); }
    asio::awaitable<void> put_quietly(Clerk<T> & clerk, std::error_code & ec) {
        co_await clerk.async_put("colour", "blue", asio::redirect_error(asio::use_awaitable, ec));
    }
    asio::awaitable<void> dump(Clerk<T> & clerk) {
        std::function<void(std::string_view)> sink = [](std::string_view) {};
        co_await clerk.async_dump(std::move(sink));
    }
    asio::awaitable<void> promote(Admin<T> & admin) { co_await admin.async_promote("views", "main", "nobody"); }
    asio::awaitable<void> ask_nobody(Admin<T> & admin) { co_await admin.async_view("nowhere", "main"); }
    asio::awaitable<void> execute(ServiceWorld::Replica & replica) {
        const kv::Command command = kv::Put{"colour", "blue"};
        co_await replica.async_execute(command);
    }

    struct Fixture : ServiceWorld {
        Caught caught;
        void run(asio::awaitable<void> step) {
            bool done = false;
            asio::co_spawn(io, catch_it(std::move(step), caught), [&](std::exception_ptr) { done = true; });
            REQUIRE(network.until([&] { return done; }, 60s));
        }
        bool says(const char* part) const {
            INFO(caught.what);
            CHECK_MESSAGE(caught.what.find(part) != std::string::npos, part);
            return true;
        }
    };
    ClientOptions hasty() {
        ClientOptions options;
        options.give_up_after = 2s;
        return options;
    }

    // A store that throws for one command.
    struct Moody {
        using Command = std::string;
        using Query = std::string;
        using Reply = std::string;
        Reply apply(const Command& command) {
            if (command == "bad") throw std::runtime_error{"no room on the shelf"};
            return command;
        }
        Reply query(const Query& query) const { return query; }
        std::string snapshot() const { return {}; }
        void restore(std::string_view) {}
    };

    }  // namespace

    TEST_CASE("an exception names the group and what is known while there is no server") {
        Fixture fixture;
        auto clerk = fixture.clerk(hasty());
        fixture.run(get(clerk));
        CHECK(fixture.caught.code == error::deadline_passed);
        fixture.says("group main");
        fixture.says("no view of group main is known");
        fixture.says("the deadline passed");
    }

    TEST_CASE("an exception names the server that did not answer") {
        Fixture fixture;
        fixture.start("a");
        REQUIRE(fixture.ready(0));
        auto clerk = fixture.clerk(hasty());
        fixture.run(put(clerk));
        CHECK(fixture.caught.code == std::error_code{});
        fixture.kill("a");
        fixture.run(get(clerk));
        CHECK(fixture.caught.code == error::deadline_passed);
        fixture.says("group main");
        fixture.says(" a");
    }

    TEST_CASE("an exception names the server that refused and its reason") {
        Fixture fixture;
        ReplicaOptions options;
        options.min_in_sync = 1;
        fixture.start("a", options);
        REQUIRE(fixture.ready(0));
        auto clerk = fixture.clerk(hasty());
        fixture.run(put(clerk));
        CHECK(fixture.caught.code == error::deadline_passed);
        fixture.says("group main: no session could be opened: a: 0 backups are in sync, min_in_sync is 1");
    }

    TEST_CASE("other tokens get the code as before") {
        Fixture fixture;
        auto clerk = fixture.clerk(hasty());
        std::error_code ec;
        fixture.run(put_quietly(clerk, ec));
        CHECK(ec == error::deadline_passed);
        CHECK(fixture.caught.what.empty());
        Kept<std::string> got;
        clerk.async_get("colour", got);
        CHECK(fixture.network.until([&] { return got.done(); }, 60s));
        CHECK(got.ec() == error::deadline_passed);
    }

    TEST_CASE("a dump's exception says the same") {
        Fixture fixture;
        auto clerk = fixture.clerk(hasty());
        fixture.run(dump(clerk));
        CHECK(fixture.caught.code == error::deadline_passed);
        fixture.says("no view of group main is known");
    }

    TEST_CASE("an operator's exception names whom it asked") {
        Fixture fixture;
        fixture.start("a");
        REQUIRE(fixture.ready(0));
        Admin<T> admin{T{fixture.network}, 1s};
        fixture.run(promote(admin));
        CHECK(fixture.caught.code == error::bad_request);
        fixture.says("views: ");
        fixture.run(ask_nobody(admin));
        CHECK(fixture.caught.code == error::deadline_passed);
        fixture.says("no answer from nowhere");
    }

    TEST_CASE("a host's own call on a server that does not lead says so") {
        Fixture fixture;
        fixture.start("a");
        auto& b = fixture.start("b");
        REQUIRE(fixture.ready(1));
        auto& backup = fixture.primary() == "b" ? *fixture.replicas.at("a") : b;
        fixture.run(execute(backup));
        CHECK(fixture.caught.code == error::not_primary);
        fixture.says("group main, this server: this server is backup");
    }

#ifndef NDEBUG
    TEST_CASE("a call from a thread that does not run the executor is named as such") {
        std::promise<void> ready, called;
        std::optional<ServiceWorld> world;
        std::string emitted;
        std::thread runner{[&] {
            world.emplace();
            world->start("a");
            const bool serves = world->ready(0);
            ready.set_value();
            called.get_future().wait();
            try {
                if (serves) world->network.until([] { return false; }, 1s);
            } catch (const std::logic_error& reported) {
                emitted = reported.what();
            }
        }};
        const auto before = set_check_handler([](const char* what, const char*, int) { throw std::logic_error{what}; });
        ready.get_future().wait();
        const kv::Command command = kv::Put{"colour", "blue"};
        world->replicas.at("a")->async_execute(command, [](std::error_code, kv::Reply) {});
        called.set_value();
        runner.join();
        set_check_handler(before);
        world.reset();
        INFO(emitted);
        CHECK(emitted.find("from another thread than the one that runs the executor") != std::string::npos);
    }
#endif

    TEST_CASE("calls from outside are no fault while nobody runs the executor") {
        ServiceWorld world;
        world.start("a");
        std::thread{[&] { world.ready(0); }}.join();
        Kept<kv::Reply> kept;
        const kv::Command command = kv::Put{"colour", "blue"};
        world.replicas.at("a")->async_execute(command, kept);
        CHECK(world.network.until([&] { return kept.done(); }, 10s));
        CHECK(!kept.ec());
    }

    TEST_CASE("a server whose store throws ends with an error of its own") {
        asio::io_context io;
        test::MemoryNetwork network{io};
        ViewService<T> views{T{network, "views"}};
        views.async_run(asio::detached);
        ReplicaOptions options;
        options.view_service = {"views"};
        std::vector<Event> events;
        PBService<Moody, T> server{Moody{}, T{network, "a"}, options,
                                   [&](const Event& event) { events.push_back(event); }};
        std::optional<std::error_code> ended;
        server.async_run([&](std::error_code ec) { ended = ec; });
        REQUIRE(network.until([&] { return server.serving(); }));
        const std::string command = "bad";
        server.async_execute(command, [](std::error_code, std::string) {});
        REQUIRE(network.until([&] { return ended.has_value(); }));
        CHECK(*ended == error::store_failed);
        CHECK(ended->message() == "the store failed");
        CHECK(std::ranges::any_of(events, [](const Event& event) {
            return describe(event).find("no room on the shelf") != std::string::npos;
        }));
    }
}
