// A view service that did not run for a while, or is behind with reading, must not declare a server dead whose pings
// are still unread.
#include <optional>

#include <doctest/doctest.h>

#include <understudy/kv_store.hpp>
#include <understudy/pb_service.hpp>
#include <understudy/sim/soak/stranger.hpp>
#include <understudy/sim/world/world.hpp>
#include <understudy/view_service.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace std::chrono_literals;

TEST_SUITE("view stall") {
    namespace {

    /// A group of two; counts the servers that its view service declares lost.
    struct Stalled {
        explicit Stalled(std::uint64_t seed, std::size_t max_turn = 1u << 20) : world{seed} {
            TransportOptions options;
            options.listen = "views";
            options.max_turn = max_turn;
            views.emplace(sim::SimTransport{world, options}, ViewOptions{}, note);
            views->async_run([](std::error_code) {});
            for (auto* server : {&a, &b}) server->async_run([](std::error_code) {});
            REQUIRE(world.run_until([&] { return views->view().view.synced_count() == 1; }, 10s));
            lost = 0;
        }

        sim::World world;
        int lost = 0;
        Observer note = [this](const Event& event) { lost += std::holds_alternative<ServerLost>(event); };
        std::optional<ViewService<sim::SimTransport>> views;
        PBService<KvStore, sim::SimTransport> a{KvStore{}, world.network().transport("a"),
                                                ReplicaOptions{.view_service = {"views"}}};
        PBService<KvStore, sim::SimTransport> b{KvStore{}, world.network().transport("b"),
                                                ReplicaOptions{.view_service = {"views"}}};
    };

    }  // namespace

    TEST_CASE("R1: a view service that was stopped gives nobody up when it goes on") {
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            CAPTURE(seed);
            Stalled stalled{seed};
            const auto before = stalled.views->view().view;
            stalled.world.pause("views");
            stalled.world.run_for(5s);
            stalled.world.unpause("views");
            stalled.world.run_for(3s);
            CHECK(stalled.lost == 0);
            CHECK(stalled.views->view().view == before);
        }
    }

    TEST_CASE("R1: a view service that has to read for long after a stop gives nobody up") {
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            CAPTURE(seed);
            Stalled stalled{seed, 2'000};
            const auto before = stalled.views->view().view;
            stalled.world.pause("views");
            sim::Stranger talker{stalled.world, "talker"};
            for (int i = 0; i < 1'000; ++i) talker.say("views", ViewGet{});
            stalled.world.run_for(5s);
            stalled.world.slow_down("views", 3ms);  // one turn for each 2000 bytes
            stalled.world.unpause("views");
            stalled.world.run_for(3s);
            CHECK(stalled.lost == 0);
            CHECK(stalled.views->view().view == before);
        }
    }
}
