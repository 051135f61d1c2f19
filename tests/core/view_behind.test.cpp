// A view service whose record was replaced by an older copy decides nothing (R7), and an operator ends that.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("view_service/behind") {
    namespace {
    /// The record is of view 4, in which `b` led alone. In the views after it `c` joined, and `c` leads in view 6.
    struct Behind : ViewHarness {
        ViewInfo real{"main", our_cluster, interval, {6, {"c", incarnation("c"), false}, {}, 0}};

        Behind() : ViewHarness{ViewOptions{}} {
            const ViewInfo old{"main", our_cluster, interval, {4, {"b", incarnation("b"), false}, {}, 0}};
            const ViewRecord record{our_cluster, dead, {{old, {{"b", {incarnation("b")}}}}}};
            machine = ViewStateMachine{{}, record, now};
            clear();
        }
        Message say(const Address& name, ViewNumber viewnum, ViewNumber knew = 0, const Said& said = {}) {
            auto ping = make_ping(name, viewnum, said);
            ping.cluster = our_cluster;
            ping.knew = knew;
            return call(connection + name, ping);
        }
        Message report(const Address& name, const ViewInfo& info) {
            auto ping = make_ping(name, info.view.number, {.cluster = our_cluster});
            ping.known = info;
            return call(connection + name, ping);
        }
        Message adopt() { return call("operator", ViewAdopt{"main", our_cluster}); }
        /// `b` reports view 4 in every interval.
        void loyal(Duration length) {
            for (auto end = now + length; now < end; pass(interval)) say("b", 4);
        }
        bool is_behind() { return std::holds_alternative<Failure>(call("anyone", ViewGet{"main"})); }
    };
    ViewForceResult result_of(const Message& answer) { return std::get<ViewForceResult>(answer); }
    }  // namespace

    TEST_CASE("R7: a ping that names a view above the record stops all decisions") {
        Behind harness;
        const auto answer = harness.say("c", 6);
        CHECK(code_of(answer) == error::behind);
        CHECK(!std::get<Failure>(answer).view);
        CHECK(
            text_of(answer) ==
            "R7: the record of this view service ends with view 4, and c named view 6: the record was put back to an "
            "older copy. So that nothing that was answered later is lost, nothing is decided in this group. Let all "
            "its servers run, and end this with `pbc VIEW_SERVICE adopt main 00000000000000c1`, which goes on from the "
            "newest view that they report");
        harness.restart("b");
        CHECK(code_of(harness.say("b", 0, 4, {.recovered = {Incarnation{2}}})) == error::behind);  // no R5
        CHECK(code_of(harness.call("x", harness.make_ping("x", 0))) == error::behind);               // no R3
        harness.pass(20 * dead);
        CHECK(harness.view().number == 4);
        CHECK(harness.emitted<ViewDecided>().empty());
        CHECK(harness.emitted<ServerLost>().empty());
        CHECK(harness.emitted<RecordBehind>().size() == 1);
    }
    TEST_CASE("R7: a server that goes on from a journal proves it with the view that this knew") {
        Behind harness;
        const auto before = harness.incarnation("b");
        harness.restart("b");
        CHECK(code_of(harness.say("b", 0, 5, {.recovered = {before}})) == error::behind);
        CHECK(harness.view().number == 4);
    }
    TEST_CASE("R7: another primary of a view of the record's number proves it too") {
        Behind harness;
        CHECK(std::holds_alternative<PingResult>(harness.say("d", 4)));
        CHECK(code_of(harness.say("c", 4, 0, {.synced = std::vector<Address>{}})) == error::behind);
        CHECK(harness.status().waiting_why.find("c named another view of that number") != std::string::npos);
    }
    TEST_CASE("R7: nobody is told the old view and nothing that an operator asks but an adoption is done") {
        Behind harness;
        harness.say("c", 6);
        const Message asked[] = {ViewGet{"main"}, ViewWatch{"main"}, ViewPromote{"main", "b"}, ViewForce{"main", "b"}};
        for (const auto& ask : asked) CHECK(code_of(harness.call("anyone", ask)) == error::behind);
        CHECK(std::holds_alternative<ViewResult>(harness.call("anyone", ViewGet{"other"})));
        CHECK(harness.status().waiting_for == std::vector<Address>{"c"});
    }
    TEST_CASE("R7: what an operator had asked is answered when it shows") {
        Behind harness;
        harness.loyal(interval);
        harness.receive({"operator", "77", ViewForce{"main", "x"}});
        harness.receive({"operator", "78", ViewPromote{"main", "x"}});
        harness.say("c", 6);
        for (const auto* id : {"77", "78"}) CHECK(!text_of(harness.answer_to(id)).empty());
    }
    TEST_CASE("R7: who names no cluster or another one proves nothing") {
        Behind harness;
        harness.call("conn:c", harness.make_ping("c", 6));
        CHECK(!harness.is_behind());
        const auto foreign = harness.make_ping("d", 9, {.cluster = ClusterId{1}});
        CHECK(code_of(harness.call("conn:d", foreign)) == error::wrong_cluster);
        CHECK(!harness.is_behind());
    }
    TEST_CASE("a view number that no view service can have reached is refused and proves nothing") {
        Behind harness;
        for (const ViewNumber number :
             {ViewNumber{5} + view_service::max_ahead, view_service::max_number, ~ViewNumber{0}}) {
            CHECK(code_of(harness.say("c", number)) == error::bad_request);
            CHECK(code_of(harness.say("c", 0, number)) == error::bad_request);
        }
        auto ping = harness.make_ping("y", 3, {.cluster = ClusterId{1}});
        ping.known = ViewInfo{"main", ClusterId{1}, interval, {~ViewNumber{0}, {"y", Incarnation{1}, false}, {}, 0}};
        CHECK(code_of(harness.call("conn:y", ping)) == error::bad_request);
        CHECK(!harness.is_behind());
    }
    TEST_CASE("R7: a record that is behind is behind after a restart too") {
        Behind harness;
        harness.machine.track_changes(harness.machine.record());
        harness.say("c", 6);
        REQUIRE(harness.machine.changes().groups.size() == 1);
        ViewRecord stored;
        apply(stored, harness.machine.changes());
        CHECK(stored == harness.machine.record());
        harness.machine = ViewStateMachine{{}, stored, harness.now};
        CHECK(harness.is_behind());
        CHECK(harness.status().waiting_for == std::vector<Address>{"c"});
        CHECK(harness.machine.record() == stored);
    }

    TEST_CASE("R7: an adoption goes on from the newest view that the servers report") {
        Behind harness;
        harness.say("c", 6);
        harness.restart("b");
        harness.say("b", 0, 4, {.recovered = {Incarnation{2}}});
        harness.pass(dead);
        CHECK(code_of(harness.report("c", harness.real)) == error::behind);
        const auto adopted = result_of(harness.adopt());
        CHECK(describe(adopted.info.view) == "view 1000000006: primary c, no backup");
        CHECK(adopted.info.view.forced == adopted.info.view.number);
        CHECK(adopted.may_be_lost.find("which nobody") == std::string::npos);
        CHECK(std::get<PingResult>(harness.say("c", 6)).info == adopted.info);
        harness.run(3 * dead, {"b", "c"});
        CHECK(harness.shown() == "view 1000000007: primary c, backup b (in sync)");
        CHECK(!harness.is_behind());
    }
    TEST_CASE("R7: an adoption waits until no lease runs that was given by the old record") {
        Behind harness;
        harness.leases = true;
        harness.loyal(20 * interval);
        harness.say("c", 6);
        harness.report("c", harness.real);
        harness.receive({"operator", "77", ViewAdopt{"main", our_cluster}});
        harness.pass(dead - 1ms);
        CHECK(text_of(harness.answer_to("77")).empty());
        harness.report("c", harness.real);
        harness.pass(1ms);
        CHECK(result_of(harness.answer_to("77")).info.view.primary.name == "c");
    }
    TEST_CASE("R7: an adoption waits for leases of a larger D that the view service had before its restart") {
        Behind harness;
        auto record = harness.machine.record();
        record.dead_after = 5 * dead;
        harness.machine = ViewStateMachine{{}, record, harness.now};
        harness.report("c", harness.real);
        harness.receive({"operator", "77", ViewAdopt{"main", our_cluster}});
        harness.pass(5 * dead - 1ms);
        CHECK(text_of(harness.answer_to("77")).empty());
        harness.report("c", harness.real);
        harness.pass(1ms);
        CHECK(result_of(harness.answer_to("77")).info.view.primary.name == "c");
    }
    TEST_CASE("R7: an adoption of the own cluster keeps which lives are over and what journals had noted") {
        Behind harness;
        const auto over = harness.make_ping("b", 0).incarnation;
        harness.restart("b");
        auto record = harness.machine.record();
        auto& kept = record.groups[0];
        kept.info.view.primary.incarnation = harness.incarnation("b");
        kept.incarnations = {{"b", {over, harness.incarnation("b")}}, {"idle", {Incarnation{77}}}};
        kept.noted = {{"b", 4}};
        harness.machine = ViewStateMachine{{}, record, harness.now};
        auto newer = harness.real;
        newer.view.backups = {{"b", harness.incarnation("b"), true}};
        harness.report("c", newer);
        harness.pass(dead);
        harness.report("c", newer);
        harness.report("b", newer);
        CHECK(describe(result_of(harness.adopt()).info.view) == "view 1000000006: primary c, backup b (in sync)");
        const auto after = harness.machine.record().groups[0];
        CHECK(after.noted == kept.noted);
        kept.incarnations["c"] = {harness.incarnation("c")};
        CHECK(after.incarnations == kept.incarnations);
    }
    TEST_CASE("R7: an adoption without who named the newest view says what is lost") {
        Behind harness;
        harness.say("c", 6);
        harness.pass(10 * dead);
        auto old = harness.real;
        old.view = harness.view();
        harness.report("b", old);
        const auto adopted = result_of(harness.adopt());
        CHECK(describe(adopted.info.view) == "view 1000000006: primary b, no backup");
        CHECK(
            adopted.may_be_lost.starts_with("c named view 6, which nobody who is heard can show: what was answered "
                                            "after view 4 is lost, unless that was forged. "));
        CHECK(std::get<PingResult>(harness.say("c", 6)).info.view == adopted.info.view);  // its number is higher
    }
    TEST_CASE("R7: an adoption is refused while a server that knows more is too old to say what") {
        Behind harness;
        harness.say("c", 6);
        harness.pass(dead);
        harness.say("c", 6);
        harness.say("b", 4);
        CHECK(text_of(harness.adopt()) ==
              "newer views than 4 are known to c. c: cannot say which, these programs are too old. Start them again in "
              "a version that can. To adopt without what one of them knows, let it be silent for 10 D");
        harness.pass(10 * dead - 1ms);
        CHECK(code_of(harness.adopt()) == error::bad_request);
        harness.pass(1ms);
        harness.say("b", 4);
        harness.say("b", 4);
        const auto adopted = result_of(harness.adopt());
        CHECK(describe(adopted.info.view) == "view 1000000006: primary b, no backup");
        CHECK(adopted.may_be_lost.find("Too old to say what they know, and not asked: b. ") != std::string::npos);
    }
    TEST_CASE("R7: an adoption is refused until a server that pings several addresses has said what it knows") {
        Behind harness;
        harness.say("c", 6);
        harness.say("b", 4);
        harness.pass(dead);
        harness.say("b", 4);
        CHECK(text_of(harness.adopt()) ==
              "newer views than 4 are known to c. c: will say which with the next ping; ask again in a moment. To "
              "adopt without what one of them knows, let it be silent for 10 D");
        harness.report("c", harness.real);
        CHECK(describe(result_of(harness.adopt()).info.view) == "view 1000000006: primary c, no backup");
    }
    TEST_CASE("R7: a record from before the group began is behind too") {
        Behind harness;
        harness.machine = ViewStateMachine{{}, ViewRecord{our_cluster, dead, {}}, harness.now};
        SUBCASE("and no new server founds another history once somebody has said so") {
            CHECK(code_of(harness.report("c", harness.real)) == error::behind);
            CHECK(code_of(harness.call("conn:x", harness.make_ping("x", 0))) == error::behind);
            harness.pass(dead);
            harness.report("c", harness.real);
            CHECK(describe(result_of(harness.adopt()).info.view) == "view 1000000006: primary c, no backup");
        }
        SUBCASE("which an operator can end once who named a view has restarted without it") {
            harness.say("c", 6);
            harness.restart("c");
            harness.ping("c", 0);
            harness.pass(dead);
            CHECK(result_of(harness.adopt()).info.view.number == 0);
            harness.ping("x", 0);
            CHECK(harness.view().primary.name == "x");
        }
        SUBCASE("and then no number that was named stands for a second view") {
            harness.machine.track_changes(harness.machine.record());
            harness.say("c", 6);
            harness.restart("c");
            harness.ping("c", 0);
            harness.pass(dead);
            result_of(harness.adopt());
            CHECK(harness.machine.changes().removed == 6);
            harness.ping("x", 0);
            CHECK(harness.view().number == 7);
            CHECK(harness.view().forced == 7);
            CHECK(std::holds_alternative<PingResult>(harness.say("c", 6)));
        }
        SUBCASE("also if one has founded it before") {
            harness.ping("x", 0);
            CHECK(code_of(harness.report("c", harness.real)) == error::behind);
            harness.pass(dead);
            harness.report("c", harness.real);
            CHECK(describe(result_of(harness.adopt()).info.view) == "view 1000000006: primary c, no backup");
        }
    }

    TEST_CASE("R7: a group without a view may begin when nobody has named a view of it for 10 D") {
        Behind harness;
        harness.machine = ViewStateMachine{{}, ViewRecord{our_cluster, dead, {}}, harness.now};
        for (int i = 0; i < 150; ++i, harness.pass(interval)) {
            CHECK(code_of(harness.say("c", 6)) == error::behind);  // a server that knows a view reports it
            CHECK(code_of(harness.call("conn:x", harness.make_ping("x", 0))) == error::behind);
        }
        harness.pass(10 * dead - interval - 1ms);
        CHECK(code_of(harness.call("conn:x", harness.make_ping("x", 0))) == error::behind);
        harness.pass(1ms);
        CHECK(!harness.machine.view("main"));
        CHECK(harness.emitted<RecordBehind>().back().what ==
              "R7: no server has named a view of this group for 10 D, and none is recorded: the server that named view "
              "6, c, is gone, "
              "and the group may begin anew");
        harness.ping("x", 0);
        CHECK(harness.shown() == "view 1: primary x, no backup");
        CHECK(code_of(harness.say("c", 6)) == error::behind);
    }
    TEST_CASE("R7: groups that refused pings make up count for their connection and are not stored and pass") {
        Behind harness;
        harness.machine = ViewStateMachine{ViewOptions{.max_groups_of_peer = 10}, our_cluster, harness.now};
        harness.machine.track_changes(harness.machine.record());
        for (int round = 0; round < 2; ++round) {
            for (int i = 0; i < 20; ++i) {
                harness.group = "x" + std::to_string(i);
                auto ping = harness.make_ping("f", 1, {.cluster = our_cluster});
                CHECK(code_of(harness.call("conn:f", ping)) == (i < 10 ? error::behind : error::overloaded));
                CHECK(!harness.machine.has_changes());
            }
            CHECK(harness.machine.record().groups.empty());
            CHECK(harness.machine.view("x0"));
            if (round == 0) harness.pass(10 * dead);
        }
        harness.disconnected("conn:f");
        harness.pass(10 * dead);
        CHECK(!harness.machine.view("x0"));
        CHECK(!harness.machine.has_changes());
    }
    TEST_CASE("R7: a group that wants no view yet counts for the connection that makes it behind") {
        Behind harness;
        harness.machine = ViewStateMachine{ViewOptions{.max_groups_of_peer = 1}, our_cluster, harness.now};
        harness.machine.track_changes(harness.machine.record());
        harness.group = "x";
        harness.call("conn:f", harness.make_ping("f", 0, {.leaving = true}));
        CHECK(code_of(harness.call("conn:f", harness.make_ping("f", 1, {.cluster = our_cluster}))) == error::behind);
        ViewRecord stored;
        apply(stored, harness.machine.changes());
        CHECK(stored == harness.machine.record());
        harness.group = "y";
        CHECK(code_of(harness.call("conn:f", harness.make_ping("f", 0))) == error::overloaded);
        harness.pass(10 * dead);
        CHECK(std::holds_alternative<PingResult>(harness.call("conn:f", harness.make_ping("f", 0))));
        harness.pass(100 * dead);
        CHECK(!harness.machine.view("x"));
        apply(stored, harness.machine.changes());
        CHECK(stored == harness.machine.record());
    }

    TEST_CASE("R7: one forged view number does not stop a group for ever whose members all know better") {
        Behind harness;
        harness.loyal(30 * interval);
        harness.say("forger", 99);
        CHECK(harness.is_behind());
        harness.loyal(10 * dead);
        CHECK(harness.is_behind());
        harness.say("b", 4);
        CHECK(!harness.is_behind());
        CHECK(harness.emitted<RecordBehind>().back().what ==
              "R7: every member of view 4 says that it knows no later one, so that nobody led one: what forger said of "
              "view 99 was forged, and the group goes on");
        CHECK(std::holds_alternative<PingResult>(harness.say("b", 4)));
        harness.ping("x", 0);
        harness.run(2 * dead, {"b", "x"});
        CHECK(harness.shown() == "view 5: primary b, backup x (in sync)");
    }
    TEST_CASE("R7: a forger that uses the name and the life of a member is found out as well") {
        Behind harness;
        harness.loyal(interval);
        harness.say("b", 99);
        harness.loyal(10 * dead + interval);
        CHECK(!harness.is_behind());
    }
    TEST_CASE("R7: what was named counts on while it may be true") {
        Behind harness;
        harness.say("c", 6);
        SUBCASE("as somebody names it again") {
            harness.loyal(10 * dead - interval);
            harness.say("c", 6);
            harness.loyal(10 * dead);
        }
        SUBCASE("as a member has restarted") {
            harness.restart("b");
            harness.loyal(20 * dead);
        }
        SUBCASE("as a member is silent") {
            harness.pass(20 * dead);
            harness.say("d", 4);
        }
        SUBCASE("as a member was not heard in between") {
            harness.loyal(5 * dead);
            harness.pass(6 * dead);
            harness.say("b", 4);
        }
        SUBCASE("as a member says that it knows it") {
            harness.loyal(10 * dead - interval);
            harness.say("b", 5);
            harness.loyal(interval);
        }
        CHECK(harness.is_behind());
    }
    TEST_CASE("R5: after a restart a server that continues the primary waits until a joining backup had its time") {
        Behind harness;
        auto record = harness.machine.record();
        record.groups[0].info.view.backups = {{"c", harness.incarnation("c"), false}};
        harness.machine = ViewStateMachine{{}, record, harness.now};
        const auto before = harness.incarnation("b");
        harness.restart("b");
        harness.say("b", 0, 4, {.recovered = {before}});
        CHECK(harness.view().number == 4);
        SUBCASE("it leads a later view") {
            CHECK(code_of(harness.say("c", 5, 0, {.synced = std::vector<Address>{}})) == error::behind);
            CHECK(harness.view().number == 4);
        }
        SUBCASE("it knows no later one") {
            for (int i = 0; i < 6; ++i) {  // a lease of the former incarnation may run for D
                harness.say("b", 0, 4, {.recovered = {before}});
                harness.say("c", 4);
                harness.pass(interval);
            }
            CHECK(harness.view().number == 5);
        }
        SUBCASE("it has restarted too") {
            harness.restart("c");
            for (int i = 0; i < 6; ++i) {
                harness.say("b", 0, 4, {.recovered = {before}});
                harness.say("c", 0);
                harness.pass(interval);
            }
            CHECK(harness.view().number == 5);
        }
        SUBCASE("it is silent") {
            for (int i = 0; i < 30; ++i) {
                harness.say("b", 0, 4, {.recovered = {before}});
                harness.pass(interval);
            }
            CHECK(harness.view().number == 5);
        }
    }
    TEST_CASE("R5: a server with an older copy of what its former life had stored does not lead") {
        ViewHarness harness;
        ViewNumber state_view = 2;
        const auto say = [&](const Address& name, ViewNumber viewnum, ViewNumber knew, const Said& said = {}) {
            auto ping = harness.make_ping(name, viewnum, said);
            ping.cluster = our_cluster;
            ping.journal = true;
            ping.knew = knew;
            ping.state_view = said.recovered.empty() ? knew : state_view;
            return harness.call("conn:" + name, ping);
        };
        harness.set_up({"a", "b"});
        say("a", 2, 2);
        harness.run(2 * dead, {"a"});
        REQUIRE(harness.shown() == "view 3: primary a, no backup");
        harness.machine.track_changes(harness.machine.record());
        bool emitted = true;  // whether it has reported that it stored the view
        SUBCASE("as it said that it had stored a newer view") { say("a", 3, 3); }
        SUBCASE("though the view service was restarted since") {
            say("a", 3, 3);
            CHECK(harness.machine.changes().groups.size() == 1);
            harness.machine = ViewStateMachine{{}, harness.machine.record(), harness.now};
        }
        SUBCASE("but it may die before it has stored the view") { emitted = false; }
        const auto before = harness.incarnation("a");
        harness.restart("a");
        for (int i = 0; i < 8; ++i) {
            say("a", i == 0 ? 0 : 3, i < 2 ? 2 : 3, {.recovered = {before}});  // it receives the view, and stores it
            harness.pass(interval);
        }
        CHECK(harness.view().number == (emitted ? 3 : 4));
        if (!emitted) return;
        CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
        CHECK(harness.status().waiting_why.find(
                  "a has restarted with an older copy of its state, which ends with view 2 and had noted view 3 "
                  "before; with its newest directory it would lead") != std::string::npos);
        const auto copy = harness.incarnation("a");
        harness.restart("a");
        say("a", 0, 3, {.recovered = {before, copy}});
        CHECK(harness.view().number == 3);
        harness.restart("a");
        state_view = 3;
        say("a", 0, 3, {.recovered = {before}});
        CHECK(harness.shown() == "view 4: primary a, no backup");
    }
}
