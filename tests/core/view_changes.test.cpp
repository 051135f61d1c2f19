// The changes that a view service gives a store: everything that it must remember, and no more than what changed.
// view_random.test.cpp checks with random events that nothing is left out.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("view_service/changes") {
    namespace {

    /// A view service whose store has everything.
    struct Tracked : ViewHarness {
        explicit Tracked(ViewOptions options = {}) : ViewHarness{options} { machine.track_changes({}); }
        ViewRecord stored;

        ViewChanges store() {
            auto changes = machine.changes();
            apply(stored, changes);
            machine.changes_stored();
            return changes;
        }
    };
    /// a leads, b is in sync; everything is stored.
    Tracked pair() {
        Tracked harness;
        harness.set_up({"a", "b"});
        harness.store();
        return harness;
    }

    }  // namespace

    TEST_CASE("a new view service has its cluster to store before it has heard anybody") {
        Tracked harness;
        CHECK(harness.machine.has_changes());
        CHECK(harness.store() == ViewChanges{our_cluster, dead, {}, {}});
        CHECK(!harness.machine.has_changes());
    }
    TEST_CASE("nothing is noted for a view service that nobody asks for its changes") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        CHECK(!harness.machine.has_changes());
    }
    TEST_CASE("pings that bring no news and time that passes leave nothing to store") {
        auto harness = pair();
        harness.run(3 * dead, {"a", "b"});
        CHECK(!harness.machine.has_changes());
    }
    TEST_CASE("a new view and a backup that is in sync and a new life are changes") {
        auto harness = pair();
        harness.restart("b");
        harness.ping("b", 0);
        CHECK(harness.shown() == "view 3: primary a, backup b (joining)");
        CHECK(harness.machine.has_changes());
        harness.store();
        harness.ack();
        CHECK(harness.machine.has_changes());
        harness.store();
        harness.ping("c", 0);  // idle, but its incarnation has to be stored all the same
        CHECK(harness.machine.has_changes());
        harness.store();
        CHECK(harness.stored == harness.machine.record());
    }
    TEST_CASE("a change of one group is stored without the others") {
        auto harness = pair();
        for (int i = 0; i < 100; ++i) {
            harness.group = "g" + std::to_string(i);
            harness.ping("a", 0);
        }
        harness.store();
        harness.group = "g7";
        harness.ping("c", 0);
        const auto changes = harness.store();
        REQUIRE(changes.groups.size() == 1);
        CHECK(changes.groups[0].info.group == "g7");
        CHECK(changes.gone.empty());
        CHECK(harness.stored == harness.machine.record());
    }
    TEST_CASE("a group without a view whose servers are all forgotten is gone from the store") {
        Tracked harness;
        harness.ping("a", 0, {.leaving = true});
        harness.store();
        REQUIRE(harness.stored.groups.size() == 1);
        harness.pass(200 * dead);
        CHECK(harness.store().gone == std::vector<std::string>{"main"});
        CHECK(harness.stored.groups.empty());
    }
    TEST_CASE("after a restart only what the new options change is left to store") {
        auto harness = pair();
        SUBCASE("nothing") {
            harness.machine = ViewStateMachine{{}, harness.stored, harness.now};
            harness.machine.track_changes(harness.stored);
            CHECK(!harness.machine.has_changes());
        }
        SUBCASE("a longer D") {
            harness.machine = ViewStateMachine{{.dead_pings = 7}, harness.stored, harness.now};
            harness.machine.track_changes(harness.stored);
            CHECK(harness.store() == ViewChanges{our_cluster, 7 * interval, {}, {}});
        }
        SUBCASE("another ping interval") {
            harness.machine = ViewStateMachine{{.ping_interval = 50ms}, harness.stored, harness.now};
            harness.machine.track_changes(harness.stored);
            CHECK(harness.store().groups.size() == 1);
        }
        CHECK(harness.stored == harness.machine.record());
    }
}
