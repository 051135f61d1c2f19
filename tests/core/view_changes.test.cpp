// What a view service tells a store: all that it has to remember, and no more than what changed.
// That nothing is ever left out is tried by chance in view_random.test.cpp.
#include <doctest/doctest.h>

#include <tests/support/view_stage.hpp>

using namespace understudy;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("view_service/changes") {
    namespace {

    /// A view service whose store has everything.
    struct Tracked : ViewStage {
        explicit Tracked(ViewOptions options = {}) : ViewStage{options} { rules.track_changes({}); }
        ViewRecord stored;

        ViewChanges store() {
            auto changes = rules.changes();
            apply(stored, changes);
            rules.changes_stored();
            return changes;
        }
    };
    /// a leads, b is in sync; everything is stored.
    Tracked pair() {
        Tracked stage;
        stage.set_up({"a", "b"});
        stage.store();
        return stage;
    }

    }  // namespace

    TEST_CASE("a new view service has its cluster to store before it has heard anybody") {
        Tracked stage;
        CHECK(stage.rules.has_changes());
        CHECK(stage.store() == ViewChanges{our_cluster, dead, {}, {}});
        CHECK(!stage.rules.has_changes());
    }
    TEST_CASE("nothing is noted for a view service that nobody asks for its changes") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        CHECK(!stage.rules.has_changes());
    }
    TEST_CASE("pings that bring no news and time that passes leave nothing to store") {
        auto stage = pair();
        stage.run(3 * dead, {"a", "b"});
        CHECK(!stage.rules.has_changes());
    }
    TEST_CASE("a new view and a backup that is in sync and a new life are changes") {
        auto stage = pair();
        stage.restart("b");
        stage.ping("b", 0);
        CHECK(stage.shown() == "view 3: primary a, backup b (joining)");
        CHECK(stage.rules.has_changes());
        stage.store();
        stage.ack();
        CHECK(stage.rules.has_changes());
        stage.store();
        stage.ping("c", 0);  // idle: its life has to be known all the same
        CHECK(stage.rules.has_changes());
        stage.store();
        CHECK(stage.stored == stage.rules.record());
    }
    TEST_CASE("a change of one group is stored without the others") {
        auto stage = pair();
        for (int i = 0; i < 100; ++i) {
            stage.group = "g" + std::to_string(i);
            stage.ping("a", 0);
        }
        stage.store();
        stage.group = "g7";
        stage.ping("c", 0);
        const auto changes = stage.store();
        REQUIRE(changes.groups.size() == 1);
        CHECK(changes.groups[0].info.group == "g7");
        CHECK(changes.gone.empty());
        CHECK(stage.stored == stage.rules.record());
    }
    TEST_CASE("a group without a view whose servers are all forgotten is gone from the store") {
        Tracked stage;
        stage.ping("a", 0, {.leaving = true});
        stage.store();
        REQUIRE(stage.stored.groups.size() == 1);
        stage.pass(200 * dead);
        CHECK(stage.store().gone == std::vector<std::string>{"main"});
        CHECK(stage.stored.groups.empty());
    }
    TEST_CASE("after a restart only what the new options change is left to store") {
        auto stage = pair();
        SUBCASE("nothing") {
            stage.rules = ViewRules{{}, stage.stored, stage.now};
            stage.rules.track_changes(stage.stored);
            CHECK(!stage.rules.has_changes());
        }
        SUBCASE("a longer D") {
            stage.rules = ViewRules{{.dead_pings = 7}, stage.stored, stage.now};
            stage.rules.track_changes(stage.stored);
            CHECK(stage.store() == ViewChanges{our_cluster, 7 * interval, {}, {}});
        }
        SUBCASE("another ping interval") {
            stage.rules = ViewRules{{.ping_interval = 50ms}, stage.stored, stage.now};
            stage.rules.track_changes(stage.stored);
            CHECK(stage.store().groups.size() == 1);
        }
        CHECK(stage.stored == stage.rules.record());
    }
}
