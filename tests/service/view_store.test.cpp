// A view service with a store: no message or event that depends on a turn leaves before the store has the changes of
// that turn.
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <tests/support/held_store.hpp>
#include <tests/support/transport_archetype.hpp>
#include <understudy/protocol/call_id.hpp>
#include <understudy/view_service.hpp>
#include <understudy/wire/json.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace std::chrono_literals;
using test::ArchetypeTransport;
using test::HeldStore;
using test::MemoryNetwork;
using test::Shelf;

TEST_SUITE("view store") {
    namespace {

    using Views = ViewService<ArchetypeTransport, HeldStore>;

    struct World {
        asio::io_context io;
        MemoryNetwork network{io};
        std::shared_ptr<Shelf> shelf = std::make_shared<Shelf>(io.get_executor());
        std::vector<Event> events;
        std::optional<Views> views;
        std::optional<std::error_code> ended;
        asio::cancellation_signal cancel;
        ArchetypeTransport a{network, "a"};
        std::uint64_t pings = 0;

        World() { start(); }
        /// Starts the service as a new process: it knows only what is in the store.
        void start(ViewOptions options = {}) {
            views.reset();
            network.settle();
            views.emplace(ArchetypeTransport{network, "views"}, HeldStore{shelf}, options,
                          [this](const Event& event) { events.push_back(event); });
            run();
        }
        void run() {
            ended.reset();
            views->async_run(asio::bind_cancellation_slot(
                cancel.slot(), [this](std::error_code ec) { ended = ec; }));
            network.settle();
        }
        void ping(ViewNumber viewnum = 0) {
            Ping ping;
            ping.group = "main";
            ping.server = "a";
            ping.incarnation = Incarnation{1};
            ping.n = ++pings;
            ping.viewnum = viewnum;
            a.send("views", wire::encode(make_call_id(Method::view_ping, pings), ping));
            network.settle();
        }
        /// The numbers of the views that reached the server.
        std::vector<ViewNumber> heard() {
            std::vector<ViewNumber> numbers;
            for (auto& arrival : std::exchange(network.find("a")->arrived, {}))
                if (auto* message = std::get_if<Delivered>(&arrival)) {
                    const auto decoded = std::get<wire::Decoded>(wire::decode(message->payload));
                    if (auto* answer = std::get_if<PingResult>(&decoded.message))
                        numbers.push_back(answer->info.view.number);
                }
            return numbers;
        }
        template <typename E>
        std::vector<E> emitted() const {
            std::vector<E> found;
            for (const auto& event : events)
                if (auto* one = std::get_if<E>(&event)) found.push_back(*one);
            return found;
        }
    };

    }  // namespace

    TEST_CASE("with a store or without one the compiler finds the service's type") {
        World world;
        ViewService plain{ArchetypeTransport{world.network, "1"}};
        ViewService stored{ArchetypeTransport{world.network, "2"}, HeldStore{world.shelf}};
        ViewService restored{ArchetypeTransport{world.network, "3"}, ViewRecord{ClusterId{1}, {}, {}}};
        static_assert(std::is_same_v<decltype(plain), ViewService<ArchetypeTransport>>);
        static_assert(std::is_same_v<decltype(stored), Views>);
        static_assert(std::is_same_v<decltype(restored), ViewService<ArchetypeTransport>>);
    }

    TEST_CASE("a new cluster is stored before the first message is answered") {
        World world;
        CHECK(world.shelf->loads == 1);
        CHECK(world.shelf->version == 1);
        CHECK(world.shelf->record == world.views->record());
        CHECK(world.shelf->record.cluster != ClusterId::none);
    }

    TEST_CASE("no message is read before the store was loaded") {
        World world;
        world.shelf->held = true;
        world.start();
        REQUIRE(world.shelf->waits());
        world.ping();
        CHECK(world.heard().empty());
        world.shelf->answer();  // the load
        world.network.settle();
        CHECK(world.heard().empty());
        world.shelf->answer();  // the set by which this service takes the store over
        world.network.settle();
        world.shelf->answer();  // the first view
        world.network.settle();
        CHECK(world.heard() == std::vector<ViewNumber>{1});
    }

    TEST_CASE("neither an answer nor an event leaves before the store has the view that it depends on") {
        World world;
        world.shelf->held = true;
        world.ping();
        REQUIRE(world.shelf->waits());
        CHECK(world.heard().empty());
        CHECK(world.events.empty());
        world.ping();  // waits for a turn of its own
        CHECK(world.heard().empty());
        world.shelf->answer();
        world.network.settle();
        CHECK(world.shelf->record == world.views->record());
        CHECK(world.heard() == std::vector<ViewNumber>{1, 1});
        CHECK(world.emitted<ViewDecided>().size() == 1);
    }

    TEST_CASE("a ping that changes nothing is answered without the store") {
        World world;
        world.ping();
        world.heard();
        const auto sets = world.shelf->sets;
        for (int i = 0; i < 10; ++i) world.ping(1);
        CHECK(world.heard().size() == 10);
        CHECK(world.shelf->sets == sets);
    }

    TEST_CASE("no probe leaves before the store has what the same turn changed") {
        World world;
        world.ping();
        world.shelf->held = true;
        world.network.deliver("views", Disconnected{"a", "closed"});
        ArchetypeTransport b{world.network, "b"};
        Ping ping;
        ping.group = "main";
        ping.server = "b";
        ping.incarnation = Incarnation{2};
        ping.n = 1;
        b.send("views", wire::encode(make_call_id(Method::view_ping, 1), ping));
        world.network.settle();
        REQUIRE(world.shelf->waits());
        CHECK(world.network.find("views")->arrived.empty());  // where the result of a probe arrives at once
        world.a.close();                                      // so that a probe would be refused
        world.shelf->held = false;
        world.shelf->answer();
        world.network.settle();
        CHECK(world.emitted<ServerLost>().size() == 1);
    }

    TEST_CASE("a restart goes on with cluster and view and the servers are told no number twice") {
        World world;
        world.ping();
        const auto before = world.views->record();
        world.start();
        CHECK(world.views->record() == before);
        world.ping(1);
        CHECK(world.heard().back() == 1);
        CHECK(world.shelf->version == 3);  // the cluster, the view, and the new owner
    }

    TEST_CASE("a crash between the store and the announcement loses nothing and one before it leaves nothing") {
        for (const bool stored : {true, false}) {
            CAPTURE(stored);
            World world;
            world.shelf->held = true;
            world.ping();
            REQUIRE(world.shelf->waits());
            if (stored) world.shelf->do_late();
            const auto events = world.events.size();
            world.views.reset();
            world.network.settle();
            CHECK(!world.ended);  // the pending set delays the completion
            world.shelf->changes.reset();
            world.shelf->answer();
            world.network.settle();
            CHECK(world.ended == std::error_code{});
            CHECK(world.events.size() == events);  // no event is emitted, because the observer may be destroyed
            world.shelf->held = false;
            world.start();
            CHECK(world.views->view().view.number == (stored ? 1 : 0));
            CHECK(world.heard().empty());
            world.ping();
            CHECK(world.heard() == std::vector<ViewNumber>{1});
        }
    }

    TEST_CASE("a set that fails ends the run with an event and nothing of the turn is announced") {
        World world;
        world.shelf->held = true;
        world.ping();
        world.shelf->fail(false);
        world.network.settle();
        CHECK(world.ended == make_error_code(error::journal_failed));
        CHECK(world.heard().empty());
        REQUIRE(world.events.size() == 1);
        CHECK(world.emitted<ViewStoreFailed>().at(0).code == error::journal_failed);
        CHECK(describe(world.events[0]).find("a set failed: ") != std::string::npos);
    }

    TEST_CASE("a load that fails ends the run and can be repeated") {
        World world;
        world.shelf->held = true;
        world.start();
        world.shelf->fail(false);
        world.network.settle();
        CHECK(world.ended == make_error_code(error::journal_failed));
        world.shelf->held = false;
        world.run();
        CHECK(!world.ended);
        CHECK(world.views->record().cluster == world.shelf->record.cluster);
    }

    TEST_CASE("a store in which somebody else has written ends the run before anything is announced") {
        World world;
        ++world.shelf->version;
        world.ping();
        CHECK(world.ended == make_error_code(error::store_conflict));
        CHECK(world.heard().empty());
        CHECK(world.emitted<ViewStoreFailed>().at(0).code == error::store_conflict);
        world.run();  // the store does not become its own again
        CHECK(world.ended == make_error_code(error::store_conflict));
        CHECK(world.heard().empty());
    }

    TEST_CASE("a second view service over one store takes it from the first") {
        World world;
        ViewService second{ArchetypeTransport{world.network, "second"}, HeldStore{world.shelf}};
        second.async_run([](std::error_code) {});
        world.network.settle();
        CHECK(!world.ended);
        world.ping();
        CHECK(world.ended == make_error_code(error::store_conflict));
    }

    TEST_CASE("a run that is cancelled in a set and begun again knows whether it was done") {
        for (const bool done : {true, false}) {
            CAPTURE(done);
            World world;
            world.shelf->held = true;
            world.ping();
            REQUIRE(world.shelf->waits());
            world.cancel.emit(asio::cancellation_type::terminal);
            world.network.settle();
            CHECK(world.ended == make_error_code(asio::error::operation_aborted));
            CHECK(world.heard().empty());
            if (done) world.shelf->do_late();
            world.shelf->held = false;
            world.run();
            CHECK(!world.ended);
            CHECK(world.shelf->record == world.views->record());
            CHECK(world.shelf->version == 2);
            CHECK(world.heard() == std::vector<ViewNumber>{1});  // the answer of the cancelled turn
            CHECK(world.emitted<ViewDecided>().size() == 1);
            world.start();
            CHECK(world.views->view().view.number == 1);
        }
    }

    TEST_CASE("a run that is cancelled in its first set and begun again owns the store") {
        for (const bool done : {true, false}) {
            CAPTURE(done);
            World world;
            world.shelf->held = true;
            world.start();
            world.shelf->answer();  // the load
            world.network.settle();
            world.cancel.emit(asio::cancellation_type::terminal);
            world.network.settle();
            if (done) world.shelf->do_late();
            world.shelf->held = false;
            world.run();
            CHECK(!world.ended);
            CHECK(world.shelf->version == 2);
            world.ping();
            CHECK(world.heard() == std::vector<ViewNumber>{1});
        }
    }

    TEST_CASE("a run that is cancelled between turns and begun again does not load") {
        World world;
        world.ping();
        world.cancel.emit(asio::cancellation_type::terminal);
        world.network.settle();
        REQUIRE(world.ended);
        world.run();
        world.ping(1);
        CHECK(world.shelf->loads == 1);
        CHECK(!world.ended);
    }

    TEST_CASE("a set that failed though it was done is taken for done by the next run") {
        World world;
        world.shelf->held = true;
        world.ping();
        world.shelf->fail(true);
        world.network.settle();
        world.shelf->held = false;
        world.run();
        CHECK(!world.ended);
        CHECK(world.shelf->version == 2);
        CHECK(world.heard() == std::vector<ViewNumber>{1});
    }

    TEST_CASE("a store with more groups than max_groups is refused and stays as it is") {
        World world;
        world.shelf->record.groups = {GroupRecord{{"g1", world.shelf->record.cluster, 100ms, {}}, {}},
                                      GroupRecord{{"g2", world.shelf->record.cluster, 100ms, {}}, {}}};
        const auto before = world.shelf->record;
        world.start({.max_groups = 1});
        CHECK(world.ended == make_error_code(error::invalid_options));
        CHECK(world.emitted<ViewStoreFailed>().at(0).what ==
              "the record has 2 groups, more than max_groups, which is 1");
        CHECK(world.shelf->record == before);
    }

    TEST_CASE("stop while the store works ends the run once it has answered") {
        World world;
        world.shelf->held = true;
        world.ping();
        world.views->stop();
        world.network.settle();
        CHECK(!world.ended);
        world.shelf->answer();
        world.network.settle();
        CHECK(world.ended == std::error_code{});
        CHECK(world.events.empty());
    }

    TEST_CASE("a view service that dies with its executor in the middle of a set leaves nothing behind") {
        auto shelf = std::make_shared<Shelf>();
        {
            World world;
            world.shelf->held = true;
            world.ping();
            shelf = world.shelf;
            world.views.reset();
            auto dropped = std::exchange(shelf->pending, {});  // as a store does when its executor is destroyed
        }
        CHECK(shelf.use_count() == 1);
    }

    TEST_CASE("R1: a store that takes several D gives nobody up") {
        World world;
        ArchetypeTransport b{world.network, "b"};
        world.ping();
        world.shelf->held = true;
        std::uint64_t n = 0;
        const auto ping_b = [&] {
            Ping ping;
            ping.group = "main";
            ping.server = "b";
            ping.incarnation = Incarnation{2};
            ping.n = ++n;
            b.send("views", wire::encode(make_call_id(Method::view_ping, n), ping));
        };
        ping_b();  // an incarnation that has to be stored
        world.network.settle();
        REQUIRE(world.shelf->waits());
        world.network.advance(3s);  // no server pings meanwhile: the silence is as long as it can be
        world.shelf->held = false;
        world.shelf->answer();
        for (int i = 0; i < 20; ++i) {
            world.network.advance(100ms);
            world.ping(1);
            ping_b();
        }
        CHECK(world.emitted<ServerLost>().empty());
        world.network.advance(1s);
        CHECK(world.emitted<ServerLost>().size() == 2);  // as always, once they are silent while the service runs
    }
}
