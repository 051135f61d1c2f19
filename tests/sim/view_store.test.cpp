// A view service over a simulated disk: restarts under load, at any moment, and the loss of the disk.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <asio/redirect_error.hpp>

#include <understudy/clerk.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/sim/soak/cluster.hpp>
#include <understudy/sim/soak/stranger.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::sim;

TEST_SUITE("sim/view_store") {
    namespace {

    const Duration D = ViewOptions{}.dead_after();

    /// A disk with one caller, in a world of its own.
    struct Caller {
        World world{1};
        std::shared_ptr<ViewDisk> disk = std::make_shared<ViewDisk>();
        SimViewStore store{world, disk};
        std::optional<bool> stored;
        std::string failure;

        void set(std::uint64_t expected, std::uint64_t cluster) {
            world.spawn(run(expected, view_service::ViewChanges{ClusterId{cluster}, {}, {}, {}}));
        }
        asio::awaitable<void> run(std::uint64_t expected, view_service::ViewChanges changes) {
            try {
                stored = co_await store.async_compare_and_set(expected, std::move(changes));
            } catch (const std::system_error& thrown) {
                failure = thrown.what();
            }
        }
        std::uint64_t cluster() const { return static_cast<std::uint64_t>(disk->record().cluster); }
    };

    /// Three servers and a client that writes without pause.
    struct Loaded {
        World world;
        std::map<ViewNumber, View> announced;
        std::vector<std::string> wrong;
        int lost = 0;
        int shared = 0;  // events that a name is used by two processes
        Cluster<KvStore> cluster;
        std::optional<Clerk<SimTransport>> clerk;
        int written = 0;

        explicit Loaded(std::uint64_t seed, Duration latency = 20ms)
            : world{seed},
              cluster{world, KvStore{}, {.store_latency = latency}, [this](auto&, auto& event) { see(event); }} {
            REQUIRE(world.run_until([&] { return cluster.is_well("g1"); }, 60s));
            clerk.emplace(world.network().client("c"),
                          ClientOptions{.view_service = {Cluster<KvStore>::views_name}, .group = "g1"});
            world.spawn(write());
            lost = 0;
        }
        ~Loaded() {
            clerk->stop();
            world.run_for(1s);
        }

        asio::awaitable<void> write() {
            std::error_code ec;
            for (;;) {
                std::string value = std::to_string(written + 1);
                co_await clerk->async_put("k", value, asio::redirect_error(asio::use_awaitable, ec));
                if (ec) co_return;
                ++written;
            }
        }
        void see(const Event& event) {
            if (std::holds_alternative<ServerLost>(event)) ++lost;
            if (std::holds_alternative<NameShared>(event)) ++shared;
            const auto* decided = std::get_if<ViewDecided>(&event);
            if (!decided) return;
            const auto& view = decided->info.view;
            const auto [known, fresh] = announced.emplace(view.number, view);
            if (!fresh && known->second != view) wrong.push_back(describe(known->second) + " and " + describe(view));
            if (cluster.stored_view("g1").number < view.number) wrong.push_back("not stored: " + describe(view));
        }
        /// The number in the store of a server.
        int value(const std::string& name) {
            const auto reply = cluster.find(name)->store().query_text(R"({"op":"get","key":"k"})");
            return std::stoi(reply.substr(1));
        }
    };

    }  // namespace

    TEST_CASE("a simulated disk does a set in the middle of its latency and answers at the end") {
        Caller caller;
        caller.disk->set_latency(10ms);
        caller.set(0, 7);
        caller.world.run_for(4ms);
        CHECK(caller.disk->version() == 0);
        caller.world.run_for(2ms);
        CHECK(caller.disk->version() == 1);
        CHECK(caller.cluster() == 7);
        CHECK(!caller.stored);
        caller.world.run_for(5ms);
        CHECK(caller.stored == true);
    }
    TEST_CASE("a simulated disk refuses a set for another version and does nothing") {
        Caller caller;
        caller.set(0, 7);
        caller.world.run_for(1ms);
        caller.disk->write_elsewhere();
        caller.set(1, 8);
        caller.world.run_for(1ms);
        CHECK(caller.stored == false);
        CHECK(caller.cluster() == 7);
        CHECK(caller.disk->to_blame());
    }
    TEST_CASE("a simulated disk that fails has done the set or not as it was told") {
        for (const bool done : {true, false}) {
            Caller caller;
            caller.disk->set_health(done ? DiskHealth::fails_after : DiskHealth::fails_before);
            caller.set(0, 7);
            caller.world.run_for(1ms);
            CHECK(!caller.failure.empty());
            CHECK(caller.cluster() == (done ? 7 : 0));
        }
    }
    TEST_CASE("a set that was under way when the process died is done at once or never") {
        for (const bool done : {true, false}) {
            Caller caller;
            caller.disk->set_latency(10ms);
            caller.set(0, 7);
            caller.world.run_for(1ms);
            caller.disk->crash(done);
            CHECK(caller.cluster() == (done ? 7 : 0));
            caller.world.run_for(1s);
            CHECK(caller.cluster() == (done ? 7 : 0));
            CHECK(caller.disk->version() == (done ? 1 : 0));
        }
    }

    TEST_CASE("R1: restarts of the view service under load cause no failover") {
        for (std::uint64_t seed = 1; seed <= 10; ++seed) {
            CAPTURE(seed);
            Loaded group{seed};
            const auto before = group.cluster.view("g1");
            const auto written = group.written;
            for (int i = 0; i < 10; ++i) {
                group.cluster.crash_views();
                group.world.run_for(group.world.random().between(Duration{1ms}, 4 * D));
                group.cluster.start_views();
                group.world.run_for(group.world.random().between(Duration{1ms}, 2 * D));
            }
            group.world.run_for(4 * D);
            CHECK(group.cluster.view("g1") == before);
            CHECK(group.lost == 0);
            CHECK(group.written > written + 100);
            CHECK(group.cluster.failure() == "");
        }
    }

    TEST_CASE("whenever the view service dies no number stands for two views and none is announced unstored") {
        ViewNumber views = 0;
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            CAPTURE(seed);
            Loaded group{seed, 100ms};
            auto& random = group.world.random();
            for (int i = 0; i < 15; ++i) {
                const auto view = group.cluster.view("g1");
                const auto& victim = view.backups.empty() ? view.primary : view.backups.front();
                if (group.cluster.is_held("g1", {.processes = {victim.name}})) group.cluster.crash(victim.name);
                group.world.run_for(random.between(Duration{}, Duration{250ms}));  // a set takes 100 ms
                group.cluster.crash_views();
                group.world.run_for(random.between(Duration{}, D));
                group.cluster.start_views();
                group.world.run_for(random.between(Duration{}, 3 * D));
                for (const auto& name : group.cluster.servers()) group.cluster.start(name);
                group.world.run_until([&] { return group.cluster.is_well("g1"); }, 10s);
            }
            CHECK(group.cluster.is_well("g1"));
            for (const auto& wrong : group.wrong) CHECK(wrong == "");
            CHECK(group.cluster.failure() == "");
            views += group.cluster.view("g1").number;
        }
        CHECK(views > 20 * 15);  // otherwise nothing was tested
    }

    TEST_CASE("R1: a disk that takes several D gives nobody up") {
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            CAPTURE(seed);
            Loaded group{seed};
            group.cluster.disk().set_latency(8 * D);
            const auto view = group.cluster.view("g1");
            for (const auto& name : group.cluster.servers())
                if (!view.member(name)) group.cluster.crash(name);  // so that there is something to store
            group.world.run_for(20 * D);
            for (const auto& name : group.cluster.servers()) group.cluster.start(name);
            group.world.run_for(40 * D);
            CHECK(group.cluster.view("g1") == view);
            CHECK(group.lost <= 1);  // the idle server
        }
    }

    TEST_CASE("a group whose view service lost its disk is adopted with all that was written") {
        for (std::uint64_t seed = 1; seed <= 10; ++seed) {
            CAPTURE(seed);
            Loaded group{seed};
            const auto before = group.cluster.view("g1");
            const auto id = group.cluster.views().view("g1").cluster;
            group.world.run_for(1s);
            group.cluster.crash_views();
            group.cluster.disk().lose();
            group.world.run_for(group.world.random().between(Duration{1ms}, 4 * D));
            group.cluster.start_views();
            group.world.run_for(2 * D);
            CHECK(group.cluster.view("g1").number == 0);
            const auto answered = group.written;
            sim::Stranger oper{group.world, "operator"};
            oper.say(Cluster<KvStore>::views_name, ViewAdopt{"g1", id});
            REQUIRE(group.world.run_until([&] { return group.cluster.is_well("g1"); }, 10s));
            CHECK(group.cluster.view("g1").number == before.number + 1'000'000'000);
            CHECK(group.cluster.view("g1").primary == before.primary);
            CHECK(group.value(before.primary.name) >= answered);
            group.cluster.crash(before.primary.name);  // and it survives what any group survives
            REQUIRE(group.world.run_until([&] { return group.cluster.is_well("g1"); }, 10s));
            CHECK(group.value(group.cluster.view("g1").primary.name) >= answered);
        }
    }

    TEST_CASE("R1: a second process under the name of a primary or of a backup costs no view and no write") {
        for (const bool primary : {true, false}) {
            Loaded loaded{7};
            const auto before = loaded.cluster.view("g1");
            sim::Stranger second{loaded.world, "second"};
            Ping ping;
            ping.group = "g1";
            ping.server = primary ? before.primary.name : before.backups.front().name;
            ping.incarnation = Incarnation{0x5ec0};
            ping.recovered = {primary ? before.primary.incarnation : before.backups.front().incarnation};
            const auto written = loaded.written;
            for (ping.n = 1; ping.n <= 50; ++ping.n) {
                second.say(Cluster<KvStore>::views_name, ping);
                if (ping.n % 20 == 0)  // it has to dial again, while the other process pings
                    loaded.world.network().break_connections(ping.server, Cluster<KvStore>::views_name);
                loaded.world.run_for(100ms);
            }
            CHECK(loaded.cluster.view("g1") == before);
            CHECK(loaded.lost == 0);
            CHECK(loaded.shared == 1);
            CHECK(loaded.written > written + 100);
        }
    }
}
