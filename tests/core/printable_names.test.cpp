// Names that other nodes choose: which of them are accepted, and how they are shown to people.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;

TEST_SUITE("core/printable_names") {
    namespace {
    const std::string forged = "x\n2026-01-01T00:00:00Z main: view 7: forged";
    }

    TEST_CASE("text for people has no byte that ends a line or steers a terminal") {
        CHECK(printable("tcp://host:1, group näme") == "tcp://host:1, group näme");
        CHECK(printable("a\nb\x1b[31m\x7f") == R"(a\x0ab\x1b[31m\x7f)");
        CHECK(printable("a\nb\r", true) == "a\nb\\x0d");
        CHECK(printable("\xc2\x9b" "31m") == R"(\xc2\x9b31m)");          // CSI as one character
        CHECK(printable("\xe2\x80\xae" "txt") == R"(\xe2\x80\xaetxt)");  // right-to-left override
        CHECK(printable("\xe2\x80\xa8") == R"(\xe2\x80\xa8)");           // line separator
        CHECK(printable("\xe2\x82\xac") == "\xe2\x82\xac");
        CHECK(printable("\xc2") == "\xc2");
    }

    TEST_CASE("every event is one line whatever names are in it") {
        ViewInfo info{forged, our_cluster, interval, {1, {forged, Incarnation{1}, false}, {}, 0}};
        for (const Event& event : std::vector<Event>{
                 ViewDecided{info, forged}, ServerSeen{forged, forged, Incarnation{1}},
                 ServerLost{forged, forged, forged},
                 GroupWaits{forged, {forged}, forged}, Refused{forged, error::bad_request, forged},
                 Malformed{forged, error::parse_error, forged}, CallFailed{error::internal, forged},
                 BackupUnreachable{forged, 1}, ViewServiceSilent{forged}}) {
            const auto line = describe(event);
            CHECK(is_printable(line));
            CHECK(line.find("\\x0a2026") != std::string::npos);
        }
    }

    TEST_CASE("a group or server whose name could not be printed is not let in") {
        for (const auto& name : {forged, std::string{"a\x1b[2J"}, std::string{"\0", 1}, std::string{}}) {
            ViewHarness harness;
            auto ping = harness.make_ping("a", 0);
            ping.group = name;
            CHECK(code_of(harness.call("conn:a", ping)) == error::bad_request);
            CHECK(text_of(harness.call("conn:a", ViewWatch{name})).find("no control character") != std::string::npos);
            CHECK(code_of(harness.call("conn:a", ViewAdopt{name, ClusterId{5}})) == error::bad_request);
            ping.group = "main";
            ping.server = name;
            CHECK(code_of(harness.call("conn:a", ping)) == error::bad_request);
            // The name is refused also in a view of a former cluster, which an operator could adopt.
            auto stranger = harness.make_ping("a", 0, {.cluster = ClusterId{5}});
            stranger.known = ViewInfo{"main", ClusterId{5}, interval, {3, {"b", Incarnation{1}, false}, {}, 0}};
            stranger.known->view.backups.push_back({name, Incarnation{2}, true});
            CHECK(code_of(harness.call("conn:a", stranger)) == error::bad_request);
            CHECK(harness.machine.status({}, harness.now).groups.empty());
            CHECK(harness.machine.status({}, harness.now).events.empty());
        }
    }

    TEST_CASE("the status of one group has the events of that group only") {
        ViewHarness harness;
        harness.ping("a", 0);
        harness.group = "main: a";  // events of this group begin like those of `main`
        harness.ping("b", 0);
        const auto all = harness.machine.status({}, harness.now).events;
        const auto main = harness.machine.status("main", harness.now).events;
        const auto other = harness.machine.status("main: a", harness.now).events;
        CHECK(main.size() == 2);
        CHECK(main.size() + other.size() == all.size());
        for (const auto& event : main) CHECK(event.text.find("main: a") == std::string::npos);
        CHECK(harness.machine.status("nobody", harness.now).events.empty());
    }

    TEST_CASE("R4: a wait is told again when its reason changes") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.run(3 * dead, {});
        REQUIRE(harness.emitted<GroupWaits>().size() == 1);
        harness.pass(10 * dead);
        CHECK(harness.emitted<GroupWaits>().size() == 1);
        harness.restart("b");
        harness.ping("b", 0);
        REQUIRE(harness.emitted<GroupWaits>().size() == 2);
        CHECK(harness.emitted<GroupWaits>()[1].why == harness.status().waiting_why);
        harness.run(3 * dead, {"b"});
        CHECK(harness.emitted<GroupWaits>().size() == 2);
    }
}
