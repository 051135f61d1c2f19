// A view service that lost its record goes on with a group of the former one, as the servers know it.
#include <doctest/doctest.h>

#include <tests/support/view_stage.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("core/view_adopt") {
    namespace {

    constexpr ClusterId former_cluster{0xf0};

    /// What the former view service decided last, as far as the test says.
    struct Former : ViewStage {
        ViewInfo known{"main", former_cluster, interval, {7, {"a", life("a"), false}, {}, 0}};

        Former() : ViewStage{ViewOptions{.return_time = {}}} {
            known.view.backups = {{"b", life("b"), true}, {"c", life("c"), false}};
            pass(dead);  // every lease of before has run out
        }
        Message report(const Address& name) { return report(name, known); }
        Message report(const Address& name, const ViewInfo& info) {
            auto ping = make_ping(name, info.view.number, {.cluster = former_cluster});
            ping.known = info;
            return call(connection + name, ping);
        }
        Message adopt(ClusterId cluster = former_cluster) { return call("operator", ViewAdopt{"main", cluster}); }
        /// A ping of a server that has heard of nothing since.
        Message ping_on(const Address& name) {
            return call(connection + name, make_ping(name, 7, {.cluster = former_cluster}));
        }
    };
    ViewForceResult result_of(const Message& answer) { return std::get<ViewForceResult>(answer); }

    }  // namespace

    TEST_CASE("a group of a former view service goes on with its members and its cluster and a number far above") {
        Former stage;
        CHECK(code_of(stage.report("a")) == error::wrong_cluster);
        CHECK(code_of(stage.report("b")) == error::wrong_cluster);
        const auto adopted = result_of(stage.adopt()).info;
        CHECK(adopted.cluster == former_cluster);
        CHECK(describe(adopted.view) == "view 1000000007: primary a, backup b (in sync)");
        CHECK(adopted.view.forced == adopted.view.number);
        CHECK(stage.why() == "adopt: an operator took over view 7 of a former view service");
        CHECK(std::get<PingResult>(stage.ping_on("a")).info == adopted);
        CHECK(std::get<PingResult>(stage.ping_on("b")).info == adopted);
        stage.run(5 * dead, {"a", "b"});
        CHECK(stage.told<ServerLost>().empty());
        CHECK(stage.view() == adopted.view);
    }
    TEST_CASE("an adopted group begins above every group that was removed") {
        Former stage;
        stage.rules = ViewRules{{}, ViewRecord{our_cluster, dead, {}, 5'000'000'000}, stage.now};
        stage.pass(dead);
        stage.report("a");
        CHECK(result_of(stage.adopt()).info.view.number == 6'000'000'000);
    }
    TEST_CASE("a view of more members than max_servers is not adopted") {
        Former stage;
        stage.rules = ViewRules{{.max_servers = 2, .return_time = {}}, our_cluster, stage.now};
        stage.pass(dead);
        stage.report("a");
        const auto failure = std::get<Failure>(stage.adopt());
        CHECK(failure.code == error::overloaded);
        CHECK(failure.text == "the view to go on from has 3 members: " + describe(stage.known.view) +
                                     "; max_servers is 2");
        stage.rules.deep_invariants();
    }
    TEST_CASE("an adopted group fails over and fills up as any other") {
        Former stage;
        stage.report("a");
        stage.report("b");
        stage.adopt();
        stage.run(interval, {"a", "b", "c"});
        stage.run(2 * dead, {"b", "c"});
        CHECK(stage.shown() == "view 1000000008: primary b, backup c (in sync)");
        CHECK(stage.view().forced == 1'000'000'007);
    }
    TEST_CASE("a member that pings no more after an adoption is lost after D and not before") {
        Former stage;
        stage.report("a");
        stage.report("b");
        stage.adopt();
        for (int i = 0; i < 5; ++i) {
            CHECK(stage.view().primary.name == "a");
            stage.act("b");
            stage.pass(interval);
        }
        stage.act("b");
        stage.pass(interval);
        CHECK(stage.view().primary.name == "b");
    }
    TEST_CASE("the newest view that anybody reports is adopted") {
        Former stage;
        auto newer = stage.known;
        newer.view = {9, {"b", stage.life("b"), false}, {{"c", stage.life("c"), true}}, 0};
        stage.report("b", newer);
        stage.report("a");
        stage.report("c");  // has not heard of it yet, though it is a member
        CHECK(describe(result_of(stage.adopt()).info.view) == "view 1000000009: primary b, no backup");
    }
    TEST_CASE("of one server the last report counts and one that was overtaken does not") {
        Former stage;
        auto newer = stage.known;
        newer.view.number = 8;
        auto late = stage.make_ping("a", 7, {.cluster = former_cluster});
        late.known = stage.known;
        stage.report("a", newer);
        stage.call("conn:a", late);
        stage.report("b", newer);
        CHECK(result_of(stage.adopt()).info.view.number == 1'000'000'008);
        CHECK(stage.view().primary.name == "a");
    }
    TEST_CASE("R1: an adoption without the primary makes a backup in sync primary") {
        Former stage;
        stage.report("c");
        stage.report("b");
        const auto answer = stage.adopt();
        CHECK(describe(result_of(answer).info.view) == "view 1000000007: primary b, no backup");
        CHECK(result_of(answer).may_be_lost.ends_with("; of view 7 these are c, a"));
    }
    TEST_CASE("R4: an adopted group none of whose members in sync is heard waits for one of them") {
        Former stage;
        stage.report("c");  // joining: it surely holds nothing
        const auto answer = stage.adopt();
        CHECK(describe(result_of(answer).info.view) == "view 1000000007: primary a, backup b (in sync)");
        CHECK(result_of(answer).may_be_lost.find("No member that surely holds every answered write is heard") !=
              std::string::npos);
        stage.run(2 * dead, {"c"});
        CHECK(stage.status().waiting_for == std::vector<Address>{"a", "b"});
        SUBCASE("which comes") {
            stage.ping_on("b");
            CHECK(stage.view().primary.name == "b");
        }
        SUBCASE("or an operator forces another") {
            stage.call("operator", ViewForce{"main", "c"});
            CHECK(stage.shown() == "view 1000000008: primary c, no backup");
        }
    }
    TEST_CASE("R5: a server that continues the state of the adopted primary leads") {
        Former stage;
        const auto before = stage.life("a");
        stage.restart("a");
        auto ping = stage.make_ping("a", 0, {.recovered = {before}, .cluster = former_cluster});
        ping.known = stage.known;
        stage.call("conn:a", ping);
        CHECK(describe(result_of(stage.adopt()).info.view) == "view 1000000007: primary a, no backup");
        CHECK(stage.view().primary.incarnation == before);
        stage.call("conn:a", stage.make_ping("a", 0, {.recovered = {before}, .cluster = former_cluster}));
        CHECK(stage.shown() == "view 1000000008: primary a, no backup");
        CHECK(stage.view().primary.incarnation == stage.life("a"));
    }
    TEST_CASE("an adoption waits until every lease of the former view service has run out") {
        ViewStage stage;
        ViewInfo known{"main", former_cluster, interval, {7, {"a", stage.life("a"), false}, {}, 0}};
        for (int i = 0; i < 4; ++i) {
            auto ping = stage.make_ping("a", 7, {.cluster = former_cluster});
            ping.known = known;
            stage.call("conn:a", ping);
            if (i == 0) stage.call("operator", ViewAdopt{"main", former_cluster});
            stage.pass(interval);
            CHECK(stage.view().number == 0);
        }
        const auto id = std::to_string(2);
        CHECK(text_of(stage.answer_to(id)).empty());
        CHECK(code_of(stage.call("operator 2", ViewAdopt{"main", former_cluster})) == error::overloaded);
        SUBCASE("and is answered then") {
            stage.pass(interval);
            CHECK(result_of(stage.answer_to(id)).info.view.number == 1'000'000'007);
        }
        SUBCASE("or is dropped with the operator's connection") {
            stage.gone("operator");
            stage.pass(2 * interval);
            CHECK(stage.view().number == 0);
        }
    }
    TEST_CASE("an adoption of what nobody reports is refused") {
        Former stage;
        CHECK(text_of(stage.adopt()) == "no server has reported a view of this group and cluster 00000000000000f0; "
                                        "those that have one must run and ping");
        stage.ping_on("a");  // says nothing of its view
        CHECK(code_of(stage.adopt()) == error::bad_request);
        stage.report("a");
        CHECK(code_of(stage.adopt(ClusterId{0xf1})) == error::bad_request);
        CHECK(code_of(stage.call("operator", ViewAdopt{"other", former_cluster})) == error::bad_request);
        CHECK(code_of(stage.call("operator", ViewAdopt{"", former_cluster})) == error::bad_request);
        CHECK(stage.told<ViewDecided>().empty());
    }
    TEST_CASE("a group that has a view is not adopted") {
        Former stage;
        stage.ping("d", 0);
        stage.report("a");
        const auto answer = stage.adopt();
        CHECK(text_of(answer) ==
              "the group has a view of cluster 00000000000000c1 already: view 1: primary d, no backup");
        CHECK(std::get<Failure>(answer).view->view == stage.view());
    }
    TEST_CASE("a second adoption of one group changes nothing") {
        Former stage;
        stage.report("a");
        stage.adopt();
        CHECK(code_of(stage.adopt()) == error::bad_request);
        CHECK(stage.view().number == 1'000'000'007);
    }
    TEST_CASE("adopted groups and others each keep their cluster") {
        Former stage;
        stage.report("a");
        stage.adopt();
        stage.group = "other";
        stage.ping("x", 0);
        CHECK(stage.rules.view("other")->cluster == our_cluster);
        CHECK(stage.rules.view("main")->cluster == former_cluster);
        auto wrong = stage.make_ping("y", 3, {.cluster = former_cluster});
        CHECK(code_of(stage.call("conn:y", wrong)) == error::wrong_cluster);
        stage.group = "main";
        CHECK(code_of(stage.call("conn:z", stage.make_ping("z", 3, {.cluster = our_cluster}))) == error::wrong_cluster);
    }
    TEST_CASE("a view that contradicts the ping that brings it is refused and not remembered") {
        for (int wrong = 0; wrong < 3; ++wrong) {
            CAPTURE(wrong);
            Former stage;
            auto info = stage.known;
            if (wrong == 0) info.group = "other";
            if (wrong == 1) info.cluster = ClusterId{1};
            if (wrong == 2) info.view = {};
            CHECK(text_of(stage.report("a", info)) == "`known` must be a view of the ping's group and cluster");
            CHECK(code_of(stage.adopt()) == error::bad_request);
        }
    }
    TEST_CASE("an adopted group is stored and goes on after a restart") {
        Former stage;
        stage.rules.track_changes(stage.rules.record());
        stage.report("a");
        stage.report("b");
        CHECK(!stage.rules.has_changes());
        const auto view = result_of(stage.adopt()).info.view;
        REQUIRE(stage.rules.changes().groups.size() == 1);
        ViewRecord stored;
        apply(stored, stage.rules.changes());
        CHECK(stored == stage.rules.record());
        stage.rules = ViewRules{{}, stored, stage.now};
        CHECK(stage.view() == view);
        CHECK(std::get<PingResult>(stage.ping_on("a")).info.cluster == former_cluster);
    }
    TEST_CASE("servers that want to leave a group without a view do not stand in the way of its adoption") {
        Former stage;
        stage.ping("x", 0, {.leaving = true});
        stage.report("a");
        CHECK(stage.view().number == 0);
        CHECK(result_of(stage.adopt()).info.view.primary.name == "a");
        stage.gone("conn:x");
        stage.pass(dead);
        stage.ping("x", 0);
        CHECK(stage.role("x") == "idle");
    }
    TEST_CASE("what strangers report is bounded and the newest stays") {
        Former stage;
        for (std::size_t i = 0; i < view_service::Strangers::max + 10; ++i) {
            auto ping = stage.make_ping("s" + std::to_string(i), 7, {.cluster = former_cluster});
            ping.known = stage.known;
            ping.group = ping.known->group = i < 10 ? "first" : "then";
            stage.call("conn:s", ping);
            stage.now += 1us;
            stage.clear();
        }
        stage.report("a");
        CHECK(code_of(stage.call("operator", ViewAdopt{"first", former_cluster})) == error::bad_request);
        CHECK(result_of(stage.adopt()).info.view.number == 1'000'000'007);
    }

    TEST_CASE("R0: an empty server founds no group over servers of a former view service that are heard") {
        Former stage;
        stage.report("a");
        stage.report("b");
        stage.ping("new", 0);
        for (int i = 0; i < 20; ++i) {
            stage.ping("new", 0);
            stage.report("b");
            stage.pass(interval);
        }
        CHECK(stage.view().number == 0);
        const auto told = std::get<ViewResult>(stage.call("x", ViewGet{"main"}));
        CHECK(told.trouble.find("a with view 7 of cluster 00000000000000f0") != told.trouble.npos);
        CHECK(told.trouble.find("`pbc VIEW_SERVICE adopt main 00000000000000f0`") != told.trouble.npos);
        const auto listed = stage.rules.status("main", stage.now).refused;
        REQUIRE(listed.size() == 2);
        CHECK(listed[1].name == "b");
        CHECK(listed[1].cluster == former_cluster);
        CHECK(listed[1].viewnum == 7);
        CHECK(stage.rules.status("other", stage.now).refused.empty());
        SUBCASE("and the group can be adopted") { CHECK(result_of(stage.adopt()).info.view.number == 1000000007); }
        SUBCASE("until these are silent for D") {
            stage.pass(dead);
            stage.ping("new", 0);
            CHECK(stage.shown() == "view 1: primary new, no backup");
            CHECK(std::get<ViewResult>(stage.call("x", ViewGet{"main"})).trouble.empty());
        }
    }
}
