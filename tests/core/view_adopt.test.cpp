// A view service that lost its record continues a group of the former one, as the servers know it.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("core/view_adopt") {
    namespace {

    constexpr ClusterId former_cluster{0xf0};

    /// The last decision of the former view service, as far as the test says.
    struct Former : ViewHarness {
        ViewInfo known{"main", former_cluster, interval, {7, {"a", incarnation("a"), false}, {}, 0}};

        Former() : ViewHarness{ViewOptions{.return_time = {}}} {
            known.view.backups = {{"b", incarnation("b"), true}, {"c", incarnation("c"), false}};
            pass(dead);  // every former lease has run out
        }
        Message report(const Address& name) { return report(name, known); }
        Message report(const Address& name, const ViewInfo& info) {
            auto ping = make_ping(name, info.view.number, {.cluster = former_cluster});
            ping.known = info;
            return call(connection + name, ping);
        }
        Message adopt(ClusterId cluster = former_cluster) { return call("operator", ViewAdopt{"main", cluster}); }
        /// A ping of a server that has received no view since.
        Message ping_on(const Address& name) {
            return call(connection + name, make_ping(name, 7, {.cluster = former_cluster}));
        }
    };
    ViewForceResult result_of(const Message& answer) { return std::get<ViewForceResult>(answer); }

    }  // namespace

    TEST_CASE("a group of a former view service goes on with its members and its cluster and a number far above") {
        Former harness;
        CHECK(code_of(harness.report("a")) == error::wrong_cluster);
        CHECK(code_of(harness.report("b")) == error::wrong_cluster);
        const auto adopted = result_of(harness.adopt()).info;
        CHECK(adopted.cluster == former_cluster);
        CHECK(describe(adopted.view) == "view 1000000007: primary a, backup b (in sync)");
        CHECK(adopted.view.forced == adopted.view.number);
        CHECK(harness.why() == "adopt: an operator took over view 7 of a former view service");
        CHECK(std::get<PingResult>(harness.ping_on("a")).info == adopted);
        CHECK(std::get<PingResult>(harness.ping_on("b")).info == adopted);
        harness.run(5 * dead, {"a", "b"});
        CHECK(harness.emitted<ServerLost>().empty());
        CHECK(harness.view() == adopted.view);
    }
    TEST_CASE("an adopted group begins above every group that was removed") {
        Former harness;
        harness.machine = ViewStateMachine{{}, ViewRecord{our_cluster, dead, {}, 5'000'000'000}, harness.now};
        harness.pass(dead);
        harness.report("a");
        CHECK(result_of(harness.adopt()).info.view.number == 6'000'000'000);
    }
    TEST_CASE("a view of more members than max_servers is not adopted") {
        Former harness;
        harness.machine = ViewStateMachine{{.max_servers = 2, .return_time = {}}, our_cluster, harness.now};
        harness.pass(dead);
        harness.report("a");
        const auto failure = std::get<Failure>(harness.adopt());
        CHECK(failure.code == error::overloaded);
        CHECK(failure.text == "the view to go on from has 3 members: " + describe(harness.known.view) +
                                     "; max_servers is 2");
        harness.machine.deep_invariants();
    }
    TEST_CASE("an adopted group fails over and fills up as any other") {
        Former harness;
        harness.report("a");
        harness.report("b");
        harness.adopt();
        harness.run(interval, {"a", "b", "c"});
        harness.run(2 * dead, {"b", "c"});
        CHECK(harness.shown() == "view 1000000008: primary b, backup c (in sync)");
        CHECK(harness.view().forced == 1'000'000'007);
    }
    TEST_CASE("a member that pings no more after an adoption is lost after D and not before") {
        Former harness;
        harness.report("a");
        harness.report("b");
        harness.adopt();
        for (int i = 0; i < 5; ++i) {
            CHECK(harness.view().primary.name == "a");
            harness.act("b");
            harness.pass(interval);
        }
        harness.act("b");
        harness.pass(interval);
        CHECK(harness.view().primary.name == "b");
    }
    TEST_CASE("the newest view that anybody reports is adopted") {
        Former harness;
        auto newer = harness.known;
        newer.view = {9, {"b", harness.incarnation("b"), false}, {{"c", harness.incarnation("c"), true}}, 0};
        harness.report("b", newer);
        harness.report("a");
        harness.report("c");  // it has not received that view yet, though it is a member
        CHECK(describe(result_of(harness.adopt()).info.view) == "view 1000000009: primary b, no backup");
    }
    TEST_CASE("of one server the last report counts and one that was overtaken does not") {
        Former harness;
        auto newer = harness.known;
        newer.view.number = 8;
        auto late = harness.make_ping("a", 7, {.cluster = former_cluster});
        late.known = harness.known;
        harness.report("a", newer);
        harness.call("conn:a", late);
        harness.report("b", newer);
        CHECK(result_of(harness.adopt()).info.view.number == 1'000'000'008);
        CHECK(harness.view().primary.name == "a");
    }
    TEST_CASE("R1: an adoption without the primary makes a backup in sync primary") {
        Former harness;
        harness.report("c");
        harness.report("b");
        const auto answer = harness.adopt();
        CHECK(describe(result_of(answer).info.view) == "view 1000000007: primary b, no backup");
        CHECK(result_of(answer).may_be_lost.ends_with("; of view 7 these are c, a"));
    }
    TEST_CASE("R4: an adopted group none of whose members in sync is heard waits for one of them") {
        Former harness;
        harness.report("c");  // joining: it certainly does not have the state
        const auto answer = harness.adopt();
        CHECK(describe(result_of(answer).info.view) == "view 1000000007: primary a, backup b (in sync)");
        CHECK(result_of(answer).may_be_lost.find("No member that surely holds every answered write is heard") !=
              std::string::npos);
        harness.run(2 * dead, {"c"});
        CHECK(harness.status().waiting_for == std::vector<Address>{"a", "b"});
        SUBCASE("which comes") {
            harness.ping_on("b");
            CHECK(harness.view().primary.name == "b");
        }
        SUBCASE("or an operator forces another") {
            harness.call("operator", ViewForce{"main", "c"});
            CHECK(harness.shown() == "view 1000000008: primary c, no backup");
        }
    }
    TEST_CASE("R5: a server that continues the state of the adopted primary leads") {
        Former harness;
        const auto before = harness.incarnation("a");
        harness.restart("a");
        auto ping = harness.make_ping("a", 0, {.recovered = {before}, .cluster = former_cluster});
        ping.known = harness.known;
        harness.call("conn:a", ping);
        CHECK(describe(result_of(harness.adopt()).info.view) == "view 1000000007: primary a, no backup");
        CHECK(harness.view().primary.incarnation == before);
        harness.call("conn:a", harness.make_ping("a", 0, {.recovered = {before}, .cluster = former_cluster}));
        CHECK(harness.shown() == "view 1000000008: primary a, no backup");
        CHECK(harness.view().primary.incarnation == harness.incarnation("a"));
    }
    TEST_CASE("an adoption waits until every lease of the former view service has run out") {
        ViewHarness harness;
        ViewInfo known{"main", former_cluster, interval, {7, {"a", harness.incarnation("a"), false}, {}, 0}};
        for (int i = 0; i < 4; ++i) {
            auto ping = harness.make_ping("a", 7, {.cluster = former_cluster});
            ping.known = known;
            harness.call("conn:a", ping);
            if (i == 0) harness.call("operator", ViewAdopt{"main", former_cluster});
            harness.pass(interval);
            CHECK(harness.view().number == 0);
        }
        const auto id = std::to_string(2);
        CHECK(text_of(harness.answer_to(id)).empty());
        CHECK(code_of(harness.call("operator 2", ViewAdopt{"main", former_cluster})) == error::overloaded);
        SUBCASE("and is answered then") {
            harness.pass(interval);
            CHECK(result_of(harness.answer_to(id)).info.view.number == 1'000'000'007);
        }
        SUBCASE("or is dropped with the operator's connection") {
            harness.disconnected("operator");
            harness.pass(2 * interval);
            CHECK(harness.view().number == 0);
        }
    }
    TEST_CASE("an adoption of what nobody reports is refused") {
        Former harness;
        CHECK(text_of(harness.adopt()) == "no server has reported a view of this group and cluster 00000000000000f0; "
                                        "those that have one must run and ping");
        harness.ping_on("a");  // reports nothing of its view
        CHECK(code_of(harness.adopt()) == error::bad_request);
        harness.report("a");
        CHECK(code_of(harness.adopt(ClusterId{0xf1})) == error::bad_request);
        CHECK(code_of(harness.call("operator", ViewAdopt{"other", former_cluster})) == error::bad_request);
        CHECK(code_of(harness.call("operator", ViewAdopt{"", former_cluster})) == error::bad_request);
        CHECK(harness.emitted<ViewDecided>().empty());
    }
    TEST_CASE("a group that has a view is not adopted") {
        Former harness;
        harness.ping("d", 0);
        harness.report("a");
        const auto answer = harness.adopt();
        CHECK(text_of(answer) ==
              "the group has a view of cluster 00000000000000c1 already: view 1: primary d, no backup");
        CHECK(std::get<Failure>(answer).view->view == harness.view());
    }
    TEST_CASE("a second adoption of one group changes nothing") {
        Former harness;
        harness.report("a");
        harness.adopt();
        CHECK(code_of(harness.adopt()) == error::bad_request);
        CHECK(harness.view().number == 1'000'000'007);
    }
    TEST_CASE("adopted groups and others each keep their cluster") {
        Former harness;
        harness.report("a");
        harness.adopt();
        harness.group = "other";
        harness.ping("x", 0);
        CHECK(harness.machine.view("other")->cluster == our_cluster);
        CHECK(harness.machine.view("main")->cluster == former_cluster);
        auto wrong = harness.make_ping("y", 3, {.cluster = former_cluster});
        CHECK(code_of(harness.call("conn:y", wrong)) == error::wrong_cluster);
        harness.group = "main";
        CHECK(code_of(harness.call("conn:z", harness.make_ping("z", 3, {.cluster = our_cluster}))) ==
              error::wrong_cluster);
    }
    TEST_CASE("a view that contradicts the ping that brings it is refused and not remembered") {
        for (int wrong = 0; wrong < 3; ++wrong) {
            CAPTURE(wrong);
            Former harness;
            auto info = harness.known;
            if (wrong == 0) info.group = "other";
            if (wrong == 1) info.cluster = ClusterId{1};
            if (wrong == 2) info.view = {};
            CHECK(text_of(harness.report("a", info)) == "`known` must be a view of the ping's group and cluster");
            CHECK(code_of(harness.adopt()) == error::bad_request);
        }
    }
    TEST_CASE("an adopted group is stored and goes on after a restart") {
        Former harness;
        harness.machine.track_changes(harness.machine.record());
        harness.report("a");
        harness.report("b");
        CHECK(!harness.machine.has_changes());
        const auto view = result_of(harness.adopt()).info.view;
        REQUIRE(harness.machine.changes().groups.size() == 1);
        ViewRecord stored;
        apply(stored, harness.machine.changes());
        CHECK(stored == harness.machine.record());
        harness.machine = ViewStateMachine{{}, stored, harness.now};
        CHECK(harness.view() == view);
        CHECK(std::get<PingResult>(harness.ping_on("a")).info.cluster == former_cluster);
    }
    TEST_CASE("servers that want to leave a group without a view do not stand in the way of its adoption") {
        Former harness;
        harness.ping("x", 0, {.leaving = true});
        harness.report("a");
        CHECK(harness.view().number == 0);
        CHECK(result_of(harness.adopt()).info.view.primary.name == "a");
        harness.disconnected("conn:x");
        harness.pass(dead);
        harness.ping("x", 0);
        CHECK(harness.role("x") == "idle");
    }
    TEST_CASE("what strangers report is bounded and the newest stays") {
        Former harness;
        for (std::size_t i = 0; i < view_service::ForeignServers::max + 10; ++i) {
            auto ping = harness.make_ping("s" + std::to_string(i), 7, {.cluster = former_cluster});
            ping.known = harness.known;
            ping.group = ping.known->group = i < 10 ? "first" : "then";
            harness.call("conn:s", ping);
            harness.now += 1us;
            harness.clear();
        }
        harness.report("a");
        CHECK(code_of(harness.call("operator", ViewAdopt{"first", former_cluster})) == error::bad_request);
        CHECK(result_of(harness.adopt()).info.view.number == 1'000'000'007);
    }

    TEST_CASE("R0: an empty server founds no group over servers of a former view service that are heard") {
        Former harness;
        harness.report("a");
        harness.report("b");
        harness.ping("new", 0);
        for (int i = 0; i < 20; ++i) {
            harness.ping("new", 0);
            harness.report("b");
            harness.pass(interval);
        }
        CHECK(harness.view().number == 0);
        const auto emitted = std::get<ViewResult>(harness.call("x", ViewGet{"main"}));
        CHECK(emitted.trouble.find("a with view 7 of cluster 00000000000000f0") != emitted.trouble.npos);
        CHECK(emitted.trouble.find("`pbc VIEW_SERVICE adopt main 00000000000000f0`") != emitted.trouble.npos);
        const auto listed = harness.machine.status("main", harness.now).refused;
        REQUIRE(listed.size() == 2);
        CHECK(listed[1].name == "b");
        CHECK(listed[1].cluster == former_cluster);
        CHECK(listed[1].viewnum == 7);
        CHECK(harness.machine.status("other", harness.now).refused.empty());
        SUBCASE("and the group can be adopted") { CHECK(result_of(harness.adopt()).info.view.number == 1000000007); }
        SUBCASE("until these are silent for D") {
            harness.pass(dead);
            harness.ping("new", 0);
            CHECK(harness.shown() == "view 1: primary new, no backup");
            CHECK(std::get<ViewResult>(harness.call("x", ViewGet{"main"})).trouble.empty());
        }
    }
}
