// What repeats is told once and then counted: the events of a service that refuses the same thing again and again.
#include <doctest/doctest.h>

#include <understudy/runtime/repeated_events.hpp>

using namespace understudy;
using namespace std::chrono_literals;

TEST_SUITE("repeated events") {
    namespace {

    struct Desk {
        detail::RepeatedEvents repeated;
        Time now{1h};
        std::vector<Event> told;

        void tell(Event event) {
            if (repeated.is_new(event, now)) told.push_back(event);
            repeated.tell_due(now, [&](const Event& one) { told.push_back(one); });
        }
        void refuse(const Address& peer, std::string what) {
            tell(Refused{peer, error::superseded, std::move(what)});
        }
    };

    }  // namespace

    TEST_CASE("a refusal ten times a second is told once and then once a minute with how often it came") {
        Desk desk;
        for (int i = 0; i < 1800; ++i, desk.now += 100ms) desk.refuse("conn" + std::to_string(i), "a later process");
        REQUIRE(desk.told.size() == 3);
        CHECK(std::get<Refused>(desk.told[0]).more == 0);
        CHECK(std::get<Refused>(desk.told[1]).more == 600);
        CHECK(describe(desk.told[1]) == "refused superseded from conn600: a later process (again 600 times)");
        CHECK(std::get<Refused>(desk.told[2]).more == 600);
    }

    TEST_CASE("another sentence is told at once and one that was quiet for a minute is new") {
        Desk desk;
        desk.refuse("a", "one");
        desk.refuse("a", "two");
        CHECK(desk.told.size() == 2);
        desk.now += 61s;
        desk.tell(ServerSeen{});
        CHECK(desk.told.size() == 3);
        desk.refuse("a", "one");
        CHECK(desk.told.size() == 4);
    }

    TEST_CASE("a flood of different sentences is bounded in lines and memory") {
        Desk desk;
        for (int i = 0; i < 100'000; ++i, desk.now += 1ms) {
            desk.refuse("a", "name " + std::to_string(i));
            desk.tell(Malformed{"a", error::parse_error, "text " + std::to_string(i)});
        }
        CHECK(desk.told.size() < 200);
        std::uint64_t counted = 0;
        desk.now += 1min;
        desk.tell(ServerSeen{});
        for (const auto& event : desk.told) {
            if (const auto* one = std::get_if<Refused>(&event)) counted += one->more + (one->more == 0);
            if (const auto* one = std::get_if<Malformed>(&event)) counted += one->more + (one->more == 0);
        }
        CHECK(counted == 200'000);
    }

    TEST_CASE("other events are told each time") {
        Desk desk;
        for (int i = 0; i < 3; ++i) desk.tell(CallFailed{error::overloaded, "the same"});
        CHECK(desk.told.size() == 3);
    }
}
