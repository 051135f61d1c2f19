// The lifecycle of the services: running, stopping, being cancelled, destroyed or moved, invalid options, a store that
// fails.
#include <algorithm>

#include <doctest/doctest.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/use_future.hpp>

#include <nlohmann/json.hpp>

#include <tests/support/service_world.hpp>
#include <understudy/sim/world/transport.hpp>
#include <understudy/sim/world/world.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace std::chrono_literals;
using test::ArchetypeTransport;
using test::Kept;
using test::MemoryNetwork;
using test::ServiceWorld;

TEST_SUITE("services") {
    namespace {

    // Violates a requirement of stores: throws for one command.
    struct Fragile {
        using Command = int;
        using Query = int;
        using Reply = int;
        Reply apply(Command command) { return command == 13 ? throw std::runtime_error{"unlucky"} : command; }
        Reply query(const Query& query) const { return query; }
        std::string snapshot() const { return "1"; }
        void restore(std::string_view) {}
    };

    std::error_code refusal(std::function<void()> construct) {
        try {
            construct();
            return {};
        } catch (const std::system_error& refused) {
            CHECK(std::string{refused.what()}.size() > 20);  // a whole sentence
            return refused.code();
        }
    }

    }  // namespace

    TEST_CASE("invalid options are refused by constructors") {
        ServiceWorld world;
        using T = ServiceWorld::T;
        ViewOptions hasty;
        hasty.dead_pings = 1;
        ReplicaOptions lonely, good;
        good.view_service = {"views"};
        CHECK(refusal([&] { ViewService<T>{T{world.network, "v"}, hasty}; }) == error::invalid_options);
        CHECK(refusal([&] { ViewService<T>{T{world.network}}; }) == error::invalid_options);
        using Replica = ServiceWorld::Replica;
        CHECK(refusal([&] { Replica{KvStore{}, T{world.network, "s"}, lonely}; }) == error::invalid_options);
        CHECK(refusal([&] { Replica{KvStore{}, T{world.network}, good}; }) == error::invalid_options);
        CHECK(!refusal([&] { Replica{KvStore{}, T{world.network, "s"}, good}; }));
    }

    TEST_CASE("a replica whose messages do not fit a frame of its transport is refused") {
        sim::World world{1};
        const auto wrong = [&](ReplicaOptions options) -> std::string {
            options.view_service = {"views"};
            TransportOptions transport;
            transport.listen = "s";
            transport.max_frame = 1u << 20;
            try {
                PBService replica{KvStore{}, sim::SimTransport{world.network(), transport}, options};
                return {};
            } catch (const std::system_error& refused) {
                CHECK(refused.code() == error::invalid_options);
                return refused.what();
            }
        };
        ReplicaOptions options;
        CHECK(wrong(options).find("max_command is 1048576: ") == 0);
        options.max_command = (1u << 20) - (64u << 10) + 1;
        CHECK(wrong(options) != "");
        --options.max_command;
        CHECK(wrong(options) == "");
        options.append_bytes = 500'000;
        CHECK(wrong(options).find("append_bytes is 500000: ") == 0);
        options.append_bytes = 1'000;
        options.chunk_bytes = 700'000;
        CHECK(wrong(options).find("chunk_bytes is 700000: ") == 0);
    }

    TEST_CASE("template arguments are deduced") {
        ServiceWorld world;
        ReplicaOptions options;
        options.view_service = {"views"};
        ViewService views{ArchetypeTransport{world.network, "v"}};
        PBService replica{KvStore{}, ArchetypeTransport{world.network, "s"}, options};
        Clerk clerk{ArchetypeTransport{world.network}, ClientOptions{.view_service = {"v"}}};
        CHECK(replica.local() == "s");
        CHECK(views.local() == "v");
        CHECK(views.view("main").view.number == 0);
        CHECK(replica.role() == Role::idle);
    }

    TEST_CASE("async_run completes without an error after stop and only one is under way") {
        ServiceWorld world;
        auto& a = world.start("a");
        Kept<void> second, third;
        a.async_run(second);
        world.network.settle();
        CHECK(second.ec() == asio::error::already_started);
        CHECK(world.ended.empty());
        a.stop();
        CHECK(world.ended.empty());
        world.network.settle();
        REQUIRE(world.ended.contains("a"));
        CHECK(!world.ended["a"]);
        a.async_run(third);
        world.network.settle();
        CHECK(third.ec() == error::closed);
    }

    TEST_CASE("a service that is destroyed completes its async_run") {
        ServiceWorld world;
        world.start("a");
        REQUIRE(world.ready(0));
        world.kill("a");
        world.network.settle();
        REQUIRE(world.ended.contains("a"));
        CHECK(!world.ended["a"]);
        CHECK(!world.network.find("a"));  // no node listens there any more
    }

    TEST_CASE("a run that is cancelled can be run again and has lost nothing") {
        ServiceWorld world;
        auto& a = world.start("a");
        REQUIRE(world.ready(0));
        a.stop();
        ReplicaOptions options;
        options.view_service = {"views"};
        options.group = "other";
        PBService replica{KvStore{}, ArchetypeTransport{world.network, "b"}, options};
        asio::cancellation_signal signal;
        Kept<void> first;
        replica.async_run(asio::bind_cancellation_slot(signal.slot(), first));
        Kept<KvStore::Reply> put;
        CHECK(world.network.until([&] { return replica.serving(); }, 2s));
        replica.async_execute(kv::Put{"k", "v"}, put);
        CHECK(world.network.until([&] { return put.done(); }, 1s));
        Kept<void> wait;
        replica.async_wait_not_primary(wait);
        signal.emit(asio::cancellation_type::terminal);
        world.network.settle();
        CHECK(first.ec() == asio::error::operation_aborted);
        CHECK(wait.ec() == asio::error::operation_aborted);
        Kept<void> again;
        Kept<KvStore::Reply> too_early, read;
        replica.async_query(kv::Get{"k"}, too_early);
        world.network.settle();
        CHECK(too_early.ec() == error::closed);
        replica.async_run(again);
        replica.async_query(kv::Get{"k"}, read);
        CHECK(world.network.until([&] { return read.done(); }, 1s));
        CHECK(read.value() == KvStore::Reply{std::string{"v"}});
        CHECK(!again.done());
    }

    TEST_CASE("calls inside a service end when it stops") {
        ServiceWorld world;
        auto& a = world.start("a");
        Kept<void> wait, leave;
        a.async_wait_primary(wait);
        a.stop();
        world.network.settle();
        CHECK(wait.ec() == asio::error::operation_aborted);
        a.async_leave(1s, leave);
        world.network.settle();
        CHECK(leave.ec() == error::closed);
    }

    TEST_CASE("a wait that is cancelled ends alone and a leave that is cancelled stays") {
        ServiceWorld world;
        auto& a = world.start("a");
        REQUIRE(world.ready(0));
        asio::cancellation_signal waiting, leaving;
        Kept<void> wait, leave;
        a.async_wait_not_primary(asio::bind_cancellation_slot(waiting.slot(), wait));
        a.async_leave(10s, asio::bind_cancellation_slot(leaving.slot(), leave));
        world.network.advance(300ms);
        // A wait has no effect, so the weakest kind of cancellation ends it. A leave has one.
        waiting.emit(asio::cancellation_type::total);
        leaving.emit(asio::cancellation_type::total);
        world.network.settle();
        CHECK(wait.ec() == asio::error::operation_aborted);
        CHECK(!leave.done());
        leaving.emit(asio::cancellation_type::terminal);
        world.network.settle();
        CHECK(leave.ec() == asio::error::operation_aborted);
        world.start("b");
        REQUIRE(world.ready(1));
        world.network.advance(1s);
        CHECK(world.primary() == "a");
    }

    TEST_CASE("a store that throws ends the service with store_failed and an event") {
        ServiceWorld world;
        ReplicaOptions options;
        options.view_service = {"views"};
        std::vector<std::string> emitted;
        PBService replica{Fragile{}, ArchetypeTransport{world.network, "f"}, options,
                          [&](const Event& event) { emitted.push_back(describe(event)); }};
        Kept<void> run;
        replica.async_run(run);
        CHECK(world.network.until([&] { return replica.serving(); }, 2s));
        Kept<int> lucky, unlucky;
        replica.async_execute(7, lucky);
        CHECK(world.network.until([&] { return lucky.done(); }, 1s));
        CHECK(lucky.value() == 7);
        replica.async_execute(13, unlucky);
        CHECK(world.network.until([&] { return run.done() && unlucky.done(); }, 1s));
        CHECK(run.ec() == error::store_failed);
        CHECK(unlucky.ec());
        CHECK(std::count(emitted.begin(), emitted.end(), "the store failed: the store threw: unlucky") == 1);
        CHECK(!world.network.find("f"));
    }

    TEST_CASE("an executor that ends under running services leaves nothing behind") {
        std::weak_ptr<int> watched;
        {
            ServiceWorld world;
            auto& a = world.start("a");
            REQUIRE(world.ready(0));
            auto token = std::make_shared<int>();
            watched = token;
            a.async_wait_not_primary([token](std::error_code) {});
            world.clerk();
            CHECK(!watched.expired());
        }
        CHECK(watched.expired());
    }

    TEST_CASE("a view service that is stopped closes and says so") {
        ServiceWorld world;
        auto run = ViewService{ArchetypeTransport{world.network, "v"}};
        auto future = run.async_run(asio::use_future);
        world.network.settle();
        auto moved = std::move(run);
        CHECK(moved.status().groups.empty());
        moved.stop();
        world.network.settle();
        REQUIRE(future.wait_for(0s) == std::future_status::ready);
        CHECK_NOTHROW(future.get());
        CHECK(!world.network.find("v"));
    }
}
