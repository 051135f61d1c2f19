// The work that a view service does for each server does not depend on the number of servers.
#include <doctest/doctest.h>

#include <understudy/protocol/coverage.hpp>

#include "tests/support/fleet_machine.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::replica;
using namespace understudy::test;

TEST_SUITE("core/view_scale") {
    namespace {
    /// Counts how often a group was evaluated as a whole, since this object was made.
    class Looks {
    public:
        Looks() : before_{set_coverage_observer(&note)} { count_ = 0; }
        ~Looks() { set_coverage_observer(before_); }
        Looks(const Looks&) = delete;
        Looks& operator=(const Looks&) = delete;
        std::size_t count() const { return count_; }

    private:
        static void note(std::string_view place) { count_ += place == "R0 to R6: a group is looked at as a whole"; }
        inline static std::size_t count_ = 0;
        CoverageObserver before_;
    };

    struct Work {
        std::size_t looks = 0, pings = 0;
    };
    /// The work during a time in which nothing happens, and while one primary dies.
    std::pair<Work, Work> work(std::size_t servers) {
        const ViewOptions options;
        FleetMachine fleet{servers, options};
        form(fleet);
        fleet.run_for(2 * options.dead_after());
        const auto observe = [&](auto happens) {
            const Looks looks;
            fleet.measure();
            happens();
            return Work{looks.count(), fleet.pings};
        };
        const auto quiet = observe([&] { fleet.run_for(10 * options.dead_after()); });
        CHECK(fleet.lost == 0);
        const auto death = observe([&] {
            fleet.silence(fleet.fleet().some_primaries(1).front());
            fleet.run_for(2 * options.dead_after());
        });
        CHECK(fleet.lost == 1);
        return {quiet, death};
    }
    }  // namespace

    TEST_CASE("R1: a ping without news is a look-up and time brings up each group once in about D") {
        const auto [few, few_dying] = work(100);
        const auto [many, many_dying] = work(2000);
        CHECK(few.pings == 100 * 50);
        CHECK(many.pings == 2000 * 50);
        CHECK(few.looks >= 50 * 10);
        CHECK(few.looks <= 50 * 11);
        CHECK(many.looks <= 1000 * 11);
        // In 2 D; the group of the dead server is evaluated when the server is suspected and when it is given up.
        CHECK(few_dying.looks <= 50 * 2 + 2);
        CHECK(many_dying.looks <= 1000 * 2 + 2);
    }

    TEST_CASE("R2: many primaries that fall silent at once are replaced within D and a grace and nobody else is") {
        const ViewOptions options;
        FleetMachine fleet{4000, options};
        form(fleet);
        fleet.run_for(2 * options.dead_after());
        REQUIRE(fleet.lost == 0);
        const auto [emitted, took] =
            fail_primaries(fleet, 1000, options.dead_after(), [&](auto server) { fleet.silence(server); });
        CHECK(emitted == 1000);
        CHECK(fleet.lost == 1000);
        CHECK(took >= options.dead_after() - options.ping_interval);
        CHECK(took <= options.dead_after() + options.ping_interval / 10 + 2ms);
        std::size_t changed = 0;
        for (std::size_t group = 0; group < fleet.fleet().groups(); ++group) changed += !fleet.fleet().formed(group);
        CHECK(changed == 1000);
    }
}
