// What a ping may contain and which peer may send it: numbers, incarnations, the ack, versions, clusters, limits.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;

TEST_SUITE("core/view_pings") {
    TEST_CASE("The answer carries the view after the ping and the cluster and the interval and D") {
        ViewHarness harness;
        auto first = harness.ping("a", 0);
        CHECK(first.info == ViewInfo{"main", our_cluster, interval, harness.view()});
        CHECK(first.info.view.number == 1);
        CHECK(first.lease == dead);
        CHECK(!first.stop);
        harness.ping("b", 0);
        CHECK(harness.ack().info.view.number == 2);
    }

    TEST_CASE("A ping that is a notification counts and gets no answer") {
        ViewHarness harness;
        harness.receive({"conn:a", "", harness.make_ping("a", 0)});
        CHECK(harness.view().number == 1);
        CHECK(harness.sent.size() == 1);  // the view is pushed to it as to everybody
        CHECK(harness.pushed() == std::vector<Address>{"conn:a"});
    }

    TEST_CASE("A repeated or overtaken ping changes nothing and is answered with the view") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        auto overtaken = harness.make_ping("a", 2, {.unreachable = {"b"}});
        harness.ack();
        auto before = harness.machine;
        auto answer = harness.call("conn:a", overtaken);
        CHECK(harness.machine == before);
        CHECK(std::get<PingResult>(answer).info.view == harness.view());
    }

    TEST_CASE("A repeated or overtaken ping does not keep a server alive") {
        for (bool repeated : {true, false}) {
            ViewHarness harness;
            harness.set_up({"a", "b"});
            auto old = harness.make_ping("a", 2);
            if (!repeated) harness.ack();
            for (int i = 0; i < 10; ++i) {
                harness.call("conn:a", old);
                harness.run(interval, {"b"});
            }
            CHECK(harness.view().primary.name == "b");
        }
    }

    TEST_CASE("A ping of a replaced incarnation is refused with superseded and changes nothing") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        auto late = harness.make_ping("a", 2, {.synced = {{"b"}}});
        harness.restart("a");
        harness.ping("a", 0);
        auto after_restart = harness.view();
        late.n += 100;
        auto answer = harness.call("conn:a", late);
        CHECK(code_of(answer) == error::superseded);
        CHECK(std::get<Failure>(answer).view->view == after_restart);
        CHECK(harness.view() == after_restart);
        CHECK(harness.emitted<Refused>().size() == 1);
    }

    TEST_CASE("The last 64 replaced incarnations of a name are remembered at any age and all younger than 10 D") {
        ViewHarness harness;
        harness.ping("x", 0);
        std::vector<Ping> incarnations;
        auto live = [&](int count) {
            for (int i = 0; i < count; ++i) {
                harness.restart("a");
                harness.ping("a", 0);
                incarnations.push_back(harness.make_ping("a", 0));
            }
        };
        auto refused = [&](std::size_t incarnation) {
            auto copy = harness.machine;
            view_service::Output effects;
            copy.receive({"conn:late", "1", incarnations[incarnation]}, harness.now, effects);
            auto* failure = std::get_if<Failure>(&effects.outbox.back().message);
            return failure && failure->code == error::superseded;
        };
        live(101);
        for (std::size_t i = 0; i < 100; ++i) CHECK(refused(i));  // recent ones
        harness.run(11 * dead, {"x", "a"});
        live(1);
        CHECK(!refused(36));
        for (std::size_t i = 37; i < 101; ++i) CHECK(refused(i));  // the last 64
    }

    TEST_CASE("Too many lives under one name in a short time are refused and the known one goes on") {
        ViewHarness harness;
        for (std::size_t i = 0; i <= view_service::replaced_max; ++i) {
            harness.restart("a");
            harness.ping("a", 0);
        }
        auto known = harness.make_ping("a", 0);
        harness.restart("a");
        CHECK(code_of(harness.call("conn:a", harness.make_ping("a", 0))) == error::overloaded);
        ++known.n;
        CHECK(std::holds_alternative<PingResult>(harness.call("conn:a", known)));
    }

    TEST_CASE("The ack needs the current view and every backup in sync and the primary's own mouth") {
        ViewHarness harness;
        harness.ping("a", 0);
        CHECK(!harness.status().acked);
        harness.ping("a", 0);
        CHECK(!harness.status().acked);  // it has not adopted view 1
        harness.ping("a", 1);
        CHECK(harness.status().acked);
        harness.ping("b", 0);
        CHECK(!harness.status().acked);
        harness.ping("a", 1, {.synced = {{"b"}}});  // for the previous view
        harness.ping("b", 2, {.synced = {{"b"}}});  // not the primary
        harness.ping("a", 2);
        harness.ping("a", 2, {.synced = {{"c"}}});
        CHECK(!harness.status().acked);
        CHECK(!harness.view().backup("b")->synced);
        harness.ping("a", 2, {.synced = {{"b"}}});
        CHECK(harness.status().acked);
        CHECK(harness.view().backup("b")->synced);
    }

    TEST_CASE("Within one view synced only grows") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.ping("a", 2, {.synced = std::vector<Address>{}});
        harness.ping("a", 2);
        CHECK(harness.view().backup("b")->synced);
        CHECK(harness.status().acked);
    }

    TEST_CASE("A flag that came from the view before is not an ack") {
        ViewHarness harness{ViewOptions{.backups = 2}};
        harness.set_up({"a", "b", "c"});
        harness.restart("a");
        harness.ping("a", 0);
        CHECK(harness.shown() == "view 4: primary b, backups c (in sync), a (joining)");
        harness.ping("b", 4, {.synced = {{"a"}}});
        CHECK(!harness.status().acked);
        harness.ping("b", 4, {.synced = {{"a", "c"}}});
        CHECK(harness.status().acked);
    }

    TEST_CASE("A server of another cluster is refused and nothing of it is kept") {
        ViewHarness harness;
        auto answer = harness.call("conn:a", harness.make_ping("a", 4, {.cluster = ClusterId{0xbad}}));
        CHECK(code_of(answer) == error::wrong_cluster);
        CHECK(text_of(answer).find(to_hex(our_cluster)) != std::string::npos);
        CHECK(!harness.machine.view("main"));
        CHECK(
            std::holds_alternative<PingResult>(harness.call("x", harness.make_ping("a", 0, {.cluster = our_cluster}))));
    }

    TEST_CASE("Another version of the protocol is refused and both are named") {
        ViewHarness harness;
        auto ping = harness.make_ping("a", 0);
        ping.protocol = 2;
        auto answer = harness.call("conn:a", ping);
        CHECK(code_of(answer) == error::unsupported_version);
        CHECK(text_of(answer) == "protocol version 2 was asked for, this view service speaks version 1");
        CHECK(code_of(harness.call("x", ViewGet{"main", 7})) == error::unsupported_version);
    }

    TEST_CASE("A ping without a usable name or incarnation is refused") {
        ViewHarness harness;
        auto good = harness.make_ping("a", 0);
        auto refused = [&](auto spoil) {
            auto bad = good;
            spoil(bad);
            return code_of(harness.call("conn", bad)) == error::bad_request;
        };
        CHECK(refused([](Ping& ping) { ping.group.clear(); }));
        CHECK(refused([](Ping& ping) { ping.group.assign(256, 'g'); }));
        CHECK(refused([](Ping& ping) { ping.server.clear(); }));
        CHECK(refused([](Ping& ping) { ping.server.assign(5000, 's'); }));
        CHECK(refused([](Ping& ping) { ping.incarnation = Incarnation::none; }));
        CHECK(refused([](Ping& ping) { ping.recovered.resize(1000, Incarnation{1}); }));
        CHECK(!harness.machine.view("main"));
    }

    TEST_CASE("Beyond max_servers and max_groups a ping is refused with overloaded and the known go on") {
        ViewHarness harness{ViewOptions{.max_groups = 1, .max_servers = 2}};
        harness.ping("a", 0);
        harness.ping("b", 0);
        CHECK(code_of(harness.call("conn:c", harness.make_ping("c", 0))) == error::overloaded);
        harness.group = "other";
        auto answer = harness.call("conn:d", harness.make_ping("d", 0));
        CHECK(code_of(answer) == error::overloaded);
        CHECK(text_of(answer) == "no further group is let in: the limit is 1");
        harness.group = "main";
        CHECK(harness.ack().info.view.number == 2);
    }

    TEST_CASE("Dead servers in no view are forgotten after 100 D and so are groups that never had a view") {
        ViewHarness harness{ViewOptions{.max_groups = 2, .max_servers = 2}};
        harness.ping("a", 0);
        harness.ping("b", 0);
        harness.group = "empty";
        harness.ping("x", 0, {.leaving = true});
        harness.group = "main";
        harness.run(99 * dead, {"a"});
        CHECK(harness.role("b") == "dead");
        CHECK(harness.machine.view("empty"));
        harness.run(3 * dead, {"a"});
        CHECK(harness.role("b") == "unknown");
        CHECK(!harness.machine.view("empty"));
        harness.ping("c", 0);
        CHECK(harness.view().backup("c"));
    }

    TEST_CASE("R4: members of the view are never forgotten") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.pass(300 * dead);
        CHECK(harness.role("a") == "dead");
        CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
    }

    TEST_CASE("Groups know nothing of each other though one process may serve in several") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.group = "other";
        auto b = harness.make_ping("b", 0);
        harness.call("conn:b", b);
        CHECK(harness.shown() == "view 1: primary b, no backup");
        harness.restart("b");
        harness.ping("b", 0);
        CHECK(harness.status().waiting_for == std::vector<Address>{"b"});
        harness.group = "main";
        CHECK(harness.shown() == "view 2: primary a, backup b (in sync)");
    }

    TEST_CASE("A ping without news costs no look at the group and sends nothing but its answer") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        harness.clear();
        harness.act("c");
        CHECK(harness.sent.size() == 1);
        CHECK(harness.events.empty());
    }

    TEST_CASE("R1: a life that was heard before its predecessor comes back once that one is lost") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.restart("b");
        auto late = harness.make_ping("b", 0);  // of an incarnation that ends before this ping is received
        harness.disconnected("conn:b");
        harness.restart("b");
        harness.ping("b", 0);
        harness.disconnected("conn:b");
        harness.call("conn:late", late);  // now that incarnation counts as the later one
        bool refused = false;
        int pings = 0;
        const auto living = [&] {
            const auto* backup = harness.view().backup("b");
            return backup && backup->incarnation == harness.incarnation("b");
        };
        for (; pings < 20 && !living(); ++pings) {
            harness.ack();
            auto answer = harness.call("conn:b", harness.make_ping("b", harness.view().number));
            refused = refused || (std::holds_alternative<Failure>(answer) && code_of(answer) == error::superseded);
            harness.ack();
            harness.pass(interval);
        }
        CHECK(refused);
        CHECK(pings > 5);  // D for the silence of the one, and meanwhile for the pings of the other
        CHECK(pings < 9);
        CHECK(living());
    }
    TEST_CASE("R1: a replaced incarnation does not come back by a late ping or while its successor lives") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        auto old = harness.make_ping("b", harness.view().number);
        harness.restart("b");
        harness.act("b");
        for (int i = 0; i < 30; ++i) {  // two processes under one name
            old.n += 1;
            CHECK(code_of(harness.call("conn:old", old)) == error::superseded);
            harness.act("a");
            harness.act("b");
            harness.pass(interval);
        }
        harness.run(2 * dead, {"a"});
        for (int i = 0; i < 3; ++i) {  // from time to time, a ping that was delayed for long
            old.n += 1;
            CHECK(code_of(harness.call("conn:old", old)) == error::superseded);
            harness.run(2 * dead, {"a"});
        }
    }
}
