// The decision points of the state machines: an installed observer is called at each.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>
#include <understudy/protocol/coverage.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;

TEST_SUITE("protocol/coverage") {
    namespace {
    std::vector<std::string> places;
    void note(std::string_view place) { places.emplace_back(place); }

    bool was_reached(std::string_view place) { return std::ranges::find(places, place) != places.end(); }
    }  // namespace

    TEST_CASE("an observer is told of each rule that decides and of each refusal and nobody is without one") {
        places.clear();
        auto before = set_coverage_observer(&note);
        ViewHarness harness;
        harness.ping("a", 0);
        harness.call("conn:b", harness.make_ping("b", 0, {.cluster = ClusterId{5}}));
        CHECK((set_coverage_observer(before) == &note));
        CHECK(was_reached("R0: the first server without state leads view 1"));
        CHECK(was_reached("wrong_cluster"));
        CHECK(!was_reached("R1: a backup in sync is promoted"));
        auto count = places.size();
        harness.restart("a");
        harness.ping("a", 0);
        CHECK(places.size() == count);
    }
}
