// Slow stores and disks in simulated groups: no server is declared dead while it works.
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <asio/detached.hpp>

#include <understudy/clerk.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/sim/soak/cluster.hpp>

using namespace understudy;
using namespace understudy::view_service;
using namespace std::chrono_literals;

TEST_SUITE("slow_store") {
    namespace {

    /// A key/value store that needs its server's time for each command, and nearly D for a key named `slow`.
    struct SlowKv : KvStore {
        SlowKv(sim::World& in, std::string of) : world{&in}, server{std::move(of)} {}
        Reply apply(const Command& command) {
            const auto* put = std::get_if<kv::Put>(&command);
            world->work(server, put && put->key == "slow" ? 400ms : *each);
            return KvStore::apply(command);
        }
        sim::World* world;
        std::string server;
        std::shared_ptr<Duration> each = std::make_shared<Duration>();
    };

    struct Town {
        using Server = PBService<SlowKv, SimTransport>;

        Town() {
            views.async_run(asio::detached);
            start("a");
            start("b");
            REQUIRE(until([this] { return in_sync(); }));
        }
        void start(const std::string& name, Duration each = {}) {
            auto& server = name == "a" ? a : b;
            SlowKv store{world, name};
            *store.each = each;
            times[name == "a" ? 0 : 1] = store.each;
            server.emplace(std::move(store), world.network().transport(name), ReplicaOptions{.view_service = {"views"}},
                           [this](const Event& event) { events.push_back(event); });
            server->async_run(asio::detached);
        }
        template <typename Holds>
        bool until(Holds holds, Duration limit = 10s) {
            return world.run_until(holds, limit);
        }
        bool in_sync() { return views.view().view.synced_count() == 1; }
        ViewNumber view() { return views.view().view.number; }
        void put(const std::string& key, std::string value = "v") {
            ++begun;
            clerk.async_put(key, std::move(value), [this](std::error_code ec) { ++(ec ? failed : answered); });
        }
        bool idle() const { return answered + failed == begun; }
        void put_all(int count) {
            for (int n = 0; n < count; ++n) put("k" + std::to_string(n % 1000));
            REQUIRE(until([this] { return idle(); }));
        }
        /// From now on each command takes that long at both stores.
        void take(Duration each) {
            for (auto& time : times) *time = each;
        }
        template <typename E>
        int count() const {
            int found = 0;
            for (const auto& event : events) found += std::holds_alternative<E>(event);
            return found;
        }
        /// Writes for `length`, with that many concurrent callers, each as fast as it gets answers.
        void write_for(Duration length, int callers) {
            const auto end = world.now() + length;
            for (int n = 0; n < callers; ++n) write_until(end, n);
        }
        void write_until(Time end, int caller) {
            if (world.now() >= end) return;
            ++begun;
            clerk.async_put("w" + std::to_string(caller), "v", [this, end, caller](std::error_code ec) {
                ++(ec ? failed : answered);
                write_until(end, caller);
            });
        }

        sim::World world{7};
        ViewService<SimTransport> views{world.network().transport("views")};
        std::shared_ptr<Duration> times[2];
        std::vector<Event> events;
        std::optional<Server> a, b;
        Clerk<SimTransport> clerk{world.network().client("clerk"), ClientOptions{.view_service = {"views"}}};
        int begun = 0, answered = 0, failed = 0;
    };

    }  // namespace

    TEST_CASE("S7: many commands at once to a slow store change no view") {
        Town town;
        town.put_all(2);
        const auto view = town.view();
        town.take(1ms);
        const auto begin = town.world.now();
        for (int n = 0; n < 1000; ++n) town.put("k" + std::to_string(n));
        REQUIRE(town.until([&] { return town.idle(); }));
        CHECK(town.world.now() - begin >= 1s);  // twice D
        CHECK(town.failed == 0);
        CHECK(town.view() == view);
        CHECK(town.in_sync());
    }

    TEST_CASE("S7: commands of which each takes nearly D/2 change no view") {
        Town town;
        town.put_all(2);
        const auto view = town.view();
        town.take(200ms);
        for (int n = 0; n < 20; ++n) town.put("k" + std::to_string(n));
        REQUIRE(town.until([&] { return town.idle(); }, 20s));
        CHECK(town.failed == 0);
        CHECK(town.view() == view);
    }

    TEST_CASE("S4: a joiner with a slow store gets in at once") {
        Town town;
        town.world.crash("b");
        town.b.reset();
        REQUIRE(town.until([&] { return town.views.view().view.backups.empty(); }));
        Duration each{};
        SUBCASE("4000 entries at 50 us each") {
            town.put_all(4000);
            each = 50us;
        }
        SUBCASE("10000 entries at 300 us each while writes go on") {
            town.put_all(10'000);
            each = 300us;
        }
        const auto view = town.view();
        town.take(each);
        if (each == 300us) town.write_for(20s, 8);
        town.start("b", each);
        REQUIRE(town.until([&] { return town.in_sync(); }, 20s));
        CHECK(town.view() == view + 1);
        CHECK(town.count<BackupUnreachable>() == 0);
        REQUIRE(town.until([&] { return town.idle(); }, 60s));
        CHECK(town.failed == 0);
        CHECK(town.view() == view + 1);
        REQUIRE(town.until(
            [&] { return town.b->state_machine().state().applied == town.a->state_machine().state().applied; }));
        CHECK(town.b->store() == town.a->store());
    }

    TEST_CASE("S7: a joiner that meets commands of nearly D gets in at once") {
        Town town;
        town.world.crash("b");
        town.b.reset();
        REQUIRE(town.until([&] { return town.views.view().view.backups.empty(); }));
        for (int n = 0; n < 3; ++n) {
            town.put_all(500);
            town.put("slow");
        }
        town.put_all(500);  // the slow ones are long ago
        const auto view = town.view();
        town.start("b");
        REQUIRE(town.until([&] { return town.in_sync(); }));
        CHECK(town.view() == view + 1);
        CHECK(town.count<BackupUnreachable>() == 0);
    }

    TEST_CASE("S7: servers whose disks are equally slow get a backup in sync and keep it") {
        sim::World world{3};
        int unreachable = 0;
        sim::ClusterOptions options{.servers = 2};
        options.disks.assign(2, sim::ServerDiskOptions{.latency_least = 300ms, .latency_most = 300ms, .stalls = 0});
        sim::Cluster<KvStore> cluster{world, KvStore{}, options, [&](const std::string&, const Event& event) {
                                          unreachable += std::holds_alternative<BackupUnreachable>(event);
                                      }};
        REQUIRE(world.run_until([&] { return cluster.is_well("g1"); }, 20s));
        CHECK(cluster.view("g1").number == 2);
        Clerk clerk{world.network().client("clerk"), ClientOptions{.view_service = {"views"}, .group = "g1"}};
        int answered = 0;
        for (int round = 1; round <= 20; ++round) {
            for (int n = 0; n < round; ++n) clerk.async_put("k", "v", [&](std::error_code ec) { answered += !ec; });
            world.run_for(Duration{70ms} * round);
        }
        world.run_for(3s);
        CHECK(answered == 210);
        CHECK(unreachable == 0);
        CHECK(cluster.view("g1").number == 2);
        const auto backup = cluster.view("g1").backups.at(0).name;
        cluster.disk_of(backup)->slow_down(1h);  // it hangs
        clerk.async_put("k", "v", [&](std::error_code ec) { answered += !ec; });
        CHECK(world.run_until([&] { return cluster.view("g1").number == 3; }, 2s));
        CHECK(world.run_until([&] { return answered == 211; }, 2s));
    }
}
