// A simulated group whose servers have disks: which state survives power cuts, and what a failing disk stops.
#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <understudy/clerk.hpp>
#include <understudy/kv_store.hpp>
#include <understudy/sim/soak/cluster.hpp>
#include <understudy/sim/soak/stranger.hpp>

using namespace understudy;
using namespace understudy::protocol;
using journal::SyncPolicy;
using namespace std::chrono_literals;

TEST_SUITE("cluster_disks") {
    namespace {

    /// Two servers and a clerk that appends to one key.
    struct Town {
        explicit Town(std::uint64_t seed, SyncPolicy sync = SyncPolicy::always(), ReplicaOptions replica = {})
            : world{seed},
              cluster{world, KvStore{}, options(sync, std::move(replica)),
                      [this](const std::string& who, const Event& event) { events.emplace_back(who, event); }},
              clerk{world.network().client("clerk"), clerk_options()} {
            REQUIRE(well());
        }
        static sim::ClusterOptions options(SyncPolicy sync, ReplicaOptions replica) {
            sim::ClusterOptions options{.servers = 2, .replica = std::move(replica)};
            options.disks.assign(2, sim::ServerDiskOptions{.sync = sync});
            return options;
        }
        static ClientOptions clerk_options() {
            ClientOptions options{.view_service = {"views"}, .group = "g1"};
            options.resend_after = 100ms;
            return options;
        }

        bool until(const std::function<bool()>& holds, Duration limit = 10s) { return world.run_until(holds, limit); }
        bool well() {
            return until([this] { return cluster.is_well("g1"); });
        }
        std::string primary() const { return cluster.view("g1").primary.name; }
        std::string backup() const { return cluster.view("g1").backups.at(0).name; }

        /// Sends the append; once it is answered, `answered` includes it.
        void begin_append() {
            const auto text = std::to_string(++appended) + ";";
            clerk.async_append("k", text, [this, text](std::error_code ec, std::uint64_t) {
                if (!ec) answered += text;
                ended += 1;
            });
        }
        void append(int count) {
            for (int n = 0; n < count; ++n) {
                begin_append();
                REQUIRE(until([this] { return ended == appended; }));
            }
        }
        std::string read() {
            std::string found;
            bool done = false;
            clerk.async_get("k", [&](std::error_code ec, std::string value) {
                found = ec ? ec.message() : std::move(value);
                done = true;
            });
            until([&] { return done; });
            return found;
        }
        template <typename E>
        int count(const std::string& who) const {
            int count = 0;
            for (const auto& [node, event] : events) count += node == who && std::holds_alternative<E>(event);
            return count;
        }

        sim::World world;
        std::vector<std::pair<std::string, Event>> events;
        sim::Cluster<KvStore> cluster;
        Clerk<sim::SimTransport> clerk;
        std::string answered;
        int appended = 0, ended = 0;
    };

    void on_seeds(void (*body)(std::uint64_t seed), std::uint64_t seeds = 10) {
        for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
            CAPTURE(seed);
            body(seed);
        }
    }

    }  // namespace

    TEST_CASE("R5: everything loses its power at once and every answered write is there") {
        on_seeds([](std::uint64_t seed) {
            Town town{seed};
            town.append(20);
            town.begin_append();  // in flight
            town.world.run_for(Duration{1ms} * (seed % 7));
            town.cluster.crash_views();
            for (const auto* name : {"g1.a", "g1.b"}) town.cluster.power_off(name);
            town.world.run_for(2s);
            town.cluster.start_views();
            for (const auto* name : {"g1.b", "g1.a"}) town.cluster.start(name);
            REQUIRE(town.well());
            CHECK(town.cluster.view("g1").forced == 0);
            REQUIRE(town.until([&] { return town.ended == town.appended; }));
            CHECK(town.read() == town.answered);
        });
    }

    TEST_CASE("R5: a backup that comes back first leads with every answered write") {
        on_seeds([](std::uint64_t seed) {
            Town town{seed};
            town.append(5);
            const auto leader = town.primary(), other = town.backup();
            for (const auto& name : {leader, other}) town.cluster.power_off(name);
            town.world.run_for(2s);
            town.cluster.start(other);
            REQUIRE(town.until([&] { return town.primary() == other && town.cluster.find(other)->serving(); }));
            CHECK(town.read() == town.answered);
            town.cluster.start(leader);
            CHECK(town.well());
        });
    }

    TEST_CASE("S3: an old primary that comes back gives up what it alone had on its disk") {
        on_seeds([](std::uint64_t seed) {
            Town town{seed};
            town.append(5);
            const auto leader = town.primary(), successor = town.backup();
            town.world.links().cut_both(leader, successor);
            town.begin_append();
            town.world.run_for(100ms);  // it is on the old primary's disk, and nowhere else
            town.cluster.power_off(leader);
            town.world.links().heal_all();
            town.append(5);
            REQUIRE(town.primary() == successor);
            town.cluster.start(leader);
            CHECK(town.cluster.find(leader)->state_machine().state().log.last().view == 2);
            REQUIRE(town.well());
            CHECK(town.count<LogTruncated>(leader) == 1);
            CHECK(town.read() == town.answered);
            const auto& log = town.cluster.find(leader)->state_machine().state().log;
            REQUIRE(town.until(
                [&] { return log.last() == town.cluster.find(successor)->state_machine().state().log.last(); }));
            town.cluster.power_off(leader);  // the entries that it truncated do not come back
            town.cluster.start(leader);
            CHECK(town.cluster.find(leader)->state_machine().state().log.has(
                town.cluster.find(successor)->state_machine().state().log.last()));
        });
    }

    TEST_CASE("S9: a primary whose disk fails steps down and its backup takes over with every answered write") {
        using enum sim::ServerDiskFault;
        for (const auto fault : {write, room, sync, read_only, power}) {
            CAPTURE(static_cast<int>(fault));
            Town town{7};
            town.append(5);
            const auto leader = town.primary(), successor = town.backup();
            town.cluster.disk_of(leader)->begin(fault, 1);
            town.append(5);
            CHECK(town.primary() == successor);
            CHECK(!town.cluster.find(leader));
            CHECK(town.count<JournalFailed>(leader) == 1);
            CHECK(town.cluster.failure().empty());
            town.cluster.disk_of(leader)->end_fault();
            town.cluster.start(leader);
            REQUIRE(town.well());
            CHECK(town.read() == town.answered);
        }
    }

    TEST_CASE("R4: a group whose disks promise nothing waits for an operator after a power cut") {
        Town town{3, SyncPolicy::never()};
        town.append(5);
        for (const auto* name : {"g1.a", "g1.b"}) town.cluster.power_off(name);
        CHECK(!town.cluster.is_held("g1"));
        for (const auto* name : {"g1.a", "g1.b"}) town.cluster.start(name);
        CHECK(!town.well());
        CHECK(town.cluster.waits("g1"));
        sim::Stranger oper{town.world, "operator"};
        oper.say("views", ViewForce{"g1", "g1.a"});
        CHECK(town.well());
        CHECK(town.cluster.view("g1").forced != 0);
    }

    TEST_CASE("S9: a server that lost its disk joins empty and is brought up") {
        Town town{5};
        town.append(5);
        const auto joiner = town.backup();
        town.cluster.lose_machine(joiner);
        CHECK(town.cluster.is_held("g1"));
        town.append(5);
        town.cluster.start(joiner);
        CHECK(town.cluster.find(joiner)->state_machine().state().log.last() == Position{});
        REQUIRE(town.well());
        CHECK(town.read() == town.answered);
    }

    TEST_CASE("S9: a life that did not wait for the disk ends the claim to all before it") {
        on_seeds([](std::uint64_t seed) {
            Town town{seed};
            town.append(5);
            for (const auto* name : {"g1.a", "g1.b"}) town.cluster.power_off(name);
            CHECK(town.cluster.is_held("g1"));
            for (const auto* name : {"g1.a", "g1.b"}) town.cluster.disk_of(name)->set_policy(SyncPolicy::never());
            CHECK(!town.cluster.is_held("g1"));
            for (const auto* name : {"g1.a", "g1.b"}) town.cluster.start(name);
            town.world.run_for(2s);  // their hard state is stable
            CHECK(town.cluster.waits("g1"));
            for (const auto* name : {"g1.a", "g1.b"}) {
                town.cluster.power_off(name);
                town.cluster.disk_of(name)->set_policy(SyncPolicy::always());
                town.cluster.start(name);
            }
            CHECK(!town.well());
            CHECK(town.cluster.waits("g1"));
            CHECK(!town.cluster.is_held("g1"));
        });
    }

    TEST_CASE("S9: where a power cut takes back such a life those before it are continued with all that they held") {
        bool continued = false, waited = false;
        for (std::uint64_t seed = 1; seed <= 30; ++seed) {
            CAPTURE(seed);
            Town town{seed};
            town.append(5);
            for (const auto* name : {"g1.a", "g1.b"}) {
                town.cluster.power_off(name);
                town.cluster.disk_of(name)->set_policy(SyncPolicy::never());
            }
            for (const auto* name : {"g1.a", "g1.b"}) town.cluster.start(name);
            town.world.run_for(100ms);  // they ping, and nothing is synced
            for (const auto* name : {"g1.a", "g1.b"}) {
                town.cluster.power_off(name);
                town.cluster.disk_of(name)->set_policy(SyncPolicy::always());
                town.cluster.start(name);
            }
            if (!town.well()) {
                waited = true;
                CHECK(town.cluster.waits("g1"));
                continue;
            }
            continued = true;
            CHECK(town.read() == town.answered);
        }
        CHECK(continued);
        CHECK(waited);
    }

    TEST_CASE("a machine whose clock has leapt goes on from its disk") {
        on_seeds([](std::uint64_t seed) {
            Town town{seed};
            town.append(5);
            for (const auto* name : {"g1.a", "g1.b"}) town.world.set_clock(name, 1, 1h);  // while they run
            town.append(5);
            town.cluster.crash_views();
            for (const auto* name : {"g1.a", "g1.b"}) town.cluster.power_off(name);
            town.world.run_for(2s);
            for (const auto* name : {"views", "g1.a"}) town.world.set_clock(name, 1, 24h);  // while nothing runs there
            town.cluster.start_views();
            for (const auto* name : {"g1.b", "g1.a"}) town.cluster.start(name);
            REQUIRE(town.well());
            CHECK(town.cluster.view("g1").forced == 0);
            town.append(5);
            CHECK(town.read() == town.answered);
        });
    }

    TEST_CASE("S8: a backup whose disk is slow gets in sync from a snapshot of many chunks and is never unreachable") {
        on_seeds([](std::uint64_t seed) {
            ReplicaOptions replica;
            replica.log_bytes = 0;
            replica.chunk_bytes = 2000;
            replica.chunk_window = 2;
            Town town{seed, SyncPolicy::always(), replica};
            bool written = false;
            town.clerk.async_put("large", std::string(200u << 10, 'x'), [&](std::error_code ec) { written = !ec; });
            REQUIRE(town.until([&] { return written; }));
            const auto joiner = town.backup();
            town.cluster.lose_machine(joiner);
            auto* disk = town.cluster.disk_of(joiner);
            disk->calm_down();
            // longer than D for the whole snapshot, but shorter than D/2 for what may wait at once
            disk->slow_down(10ms, 10ms);
            town.world.run_for(2s);  // its death is known
            town.events.clear();
            const auto begin = town.world.now();
            town.cluster.start(joiner);
            REQUIRE(town.well());
            CHECK(town.world.now() - begin > 2s);
            CHECK(town.count<SnapshotInstalled>(joiner) == 1);
            CHECK(town.count<BackupUnreachable>(town.primary()) == 0);
        });
    }
}
