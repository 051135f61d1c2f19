// Repeated events are reported once and then counted: those of a service that refuses the same message again and again.
#include <doctest/doctest.h>

#include <understudy/runtime/repeated_events.hpp>

using namespace understudy;
using namespace std::chrono_literals;

TEST_SUITE("repeated events") {
    namespace {

    struct Fixture {
        detail::RepeatedEvents repeated;
        Time now{1h};
        std::vector<Event> emitted;

        void emit(Event event) {
            if (repeated.is_new(event, now)) emitted.push_back(event);
            repeated.emit_due(now, [&](const Event& one) { emitted.push_back(one); });
        }
        void refuse(const Address& peer, std::string what) {
            emit(Refused{peer, error::superseded, std::move(what)});
        }
    };

    }  // namespace

    TEST_CASE("a refusal ten times a second is told once and then once a minute with how often it came") {
        Fixture fixture;
        for (int i = 0; i < 1800; ++i, fixture.now += 100ms)
            fixture.refuse("conn" + std::to_string(i), "a later process");
        REQUIRE(fixture.emitted.size() == 3);
        CHECK(std::get<Refused>(fixture.emitted[0]).more == 0);
        CHECK(std::get<Refused>(fixture.emitted[1]).more == 600);
        CHECK(describe(fixture.emitted[1]) == "refused superseded from conn600: a later process (again 600 times)");
        CHECK(std::get<Refused>(fixture.emitted[2]).more == 600);
    }

    TEST_CASE("another sentence is told at once and one that was quiet for a minute is new") {
        Fixture fixture;
        fixture.refuse("a", "one");
        fixture.refuse("a", "two");
        CHECK(fixture.emitted.size() == 2);
        fixture.now += 61s;
        fixture.emit(ServerSeen{});
        CHECK(fixture.emitted.size() == 3);
        fixture.refuse("a", "one");
        CHECK(fixture.emitted.size() == 4);
    }

    TEST_CASE("a flood of different sentences is bounded in lines and memory") {
        Fixture fixture;
        for (int i = 0; i < 100'000; ++i, fixture.now += 1ms) {
            fixture.refuse("a", "name " + std::to_string(i));
            fixture.emit(Malformed{"a", error::parse_error, "text " + std::to_string(i)});
        }
        CHECK(fixture.emitted.size() < 200);
        std::uint64_t counted = 0;
        fixture.now += 1min;
        fixture.emit(ServerSeen{});
        for (const auto& event : fixture.emitted) {
            if (const auto* one = std::get_if<Refused>(&event)) counted += one->more + (one->more == 0);
            if (const auto* one = std::get_if<Malformed>(&event)) counted += one->more + (one->more == 0);
        }
        CHECK(counted == 200'000);
    }

    TEST_CASE("other events are told each time") {
        Fixture fixture;
        for (int i = 0; i < 3; ++i) fixture.emit(CallFailed{error::overloaded, "the same"});
        CHECK(fixture.emitted.size() == 3);
    }
}
