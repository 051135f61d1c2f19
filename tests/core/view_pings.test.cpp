// What a ping may say and who may say it: numbers, lives, the ack, versions, clusters, limits.
#include <doctest/doctest.h>

#include <tests/support/view_stage.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;

TEST_SUITE("core/view_pings") {
    TEST_CASE("The answer carries the view after the ping and the cluster and the interval and D") {
        ViewStage stage;
        auto first = stage.ping("a", 0);
        CHECK(first.info == ViewInfo{"main", our_cluster, interval, stage.view()});
        CHECK(first.info.view.number == 1);
        CHECK(first.lease == dead);
        CHECK(!first.stop);
        stage.ping("b", 0);
        CHECK(stage.ack().info.view.number == 2);
    }

    TEST_CASE("A ping that is a notification counts and gets no answer") {
        ViewStage stage;
        stage.receive({"conn:a", "", stage.make_ping("a", 0)});
        CHECK(stage.view().number == 1);
        CHECK(stage.sent.size() == 1);  // the view is pushed like to everybody
        CHECK(stage.pushed() == std::vector<Address>{"conn:a"});
    }

    TEST_CASE("A repeated or overtaken ping changes nothing and is answered with the view") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        auto overtaken = stage.make_ping("a", 2, {.unreachable = {"b"}});
        stage.ack();
        auto before = stage.rules;
        auto answer = stage.call("conn:a", overtaken);
        CHECK(stage.rules == before);
        CHECK(std::get<PingResult>(answer).info.view == stage.view());
    }

    TEST_CASE("A repeated or overtaken ping does not keep a server alive") {
        for (bool repeated : {true, false}) {
            ViewStage stage;
            stage.set_up({"a", "b"});
            auto old = stage.make_ping("a", 2);
            if (!repeated) stage.ack();
            for (int i = 0; i < 10; ++i) {
                stage.call("conn:a", old);
                stage.run(interval, {"b"});
            }
            CHECK(stage.view().primary.name == "b");
        }
    }

    TEST_CASE("A ping of a replaced incarnation is refused with superseded and changes nothing") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        auto late = stage.make_ping("a", 2, {.synced = {{"b"}}});
        stage.restart("a");
        stage.ping("a", 0);
        auto after_restart = stage.view();
        late.n += 100;
        auto answer = stage.call("conn:a", late);
        CHECK(code_of(answer) == error::superseded);
        CHECK(std::get<Failure>(answer).view->view == after_restart);
        CHECK(stage.view() == after_restart);
        CHECK(stage.told<Refused>().size() == 1);
    }

    TEST_CASE("The last 64 replaced incarnations of a name are remembered at any age and all younger than 10 D") {
        ViewStage stage;
        stage.ping("x", 0);
        std::vector<Ping> lives;
        auto live = [&](int count) {
            for (int i = 0; i < count; ++i) {
                stage.restart("a");
                stage.ping("a", 0);
                lives.push_back(stage.make_ping("a", 0));
            }
        };
        auto refused = [&](std::size_t life) {
            auto copy = stage.rules;
            Effects effects;
            copy.receive({"conn:late", "1", lives[life]}, stage.now, effects);
            auto* failure = std::get_if<Failure>(&effects.outbox.back().message);
            return failure && failure->code == error::superseded;
        };
        live(101);
        for (std::size_t i = 0; i < 100; ++i) CHECK(refused(i));  // young
        stage.run(11 * dead, {"x", "a"});
        live(1);
        CHECK(!refused(36));
        for (std::size_t i = 37; i < 101; ++i) CHECK(refused(i));  // the last 64
    }

    TEST_CASE("Too many lives under one name in a short time are refused and the known one goes on") {
        ViewStage stage;
        for (std::size_t i = 0; i <= view_service::replaced_max; ++i) {
            stage.restart("a");
            stage.ping("a", 0);
        }
        auto known = stage.make_ping("a", 0);
        stage.restart("a");
        CHECK(code_of(stage.call("conn:a", stage.make_ping("a", 0))) == error::overloaded);
        ++known.n;
        CHECK(std::holds_alternative<PingResult>(stage.call("conn:a", known)));
    }

    TEST_CASE("The ack needs the current view and every backup in sync and the primary's own mouth") {
        ViewStage stage;
        stage.ping("a", 0);
        CHECK(!stage.status().acked);
        stage.ping("a", 0);
        CHECK(!stage.status().acked);  // it has not adopted view 1
        stage.ping("a", 1);
        CHECK(stage.status().acked);
        stage.ping("b", 0);
        CHECK(!stage.status().acked);
        stage.ping("a", 1, {.synced = {{"b"}}});  // of the view before
        stage.ping("b", 2, {.synced = {{"b"}}});  // not the primary
        stage.ping("a", 2);
        stage.ping("a", 2, {.synced = {{"c"}}});
        CHECK(!stage.status().acked);
        CHECK(!stage.view().backup("b")->synced);
        stage.ping("a", 2, {.synced = {{"b"}}});
        CHECK(stage.status().acked);
        CHECK(stage.view().backup("b")->synced);
    }

    TEST_CASE("Within one view synced only grows") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.ping("a", 2, {.synced = std::vector<Address>{}});
        stage.ping("a", 2);
        CHECK(stage.view().backup("b")->synced);
        CHECK(stage.status().acked);
    }

    TEST_CASE("A flag that came from the view before is not an ack") {
        ViewStage stage{ViewOptions{.backups = 2}};
        stage.set_up({"a", "b", "c"});
        stage.restart("a");
        stage.ping("a", 0);
        CHECK(stage.shown() == "view 4: primary b, backups c (in sync), a (joining)");
        stage.ping("b", 4, {.synced = {{"a"}}});
        CHECK(!stage.status().acked);
        stage.ping("b", 4, {.synced = {{"a", "c"}}});
        CHECK(stage.status().acked);
    }

    TEST_CASE("A server of another cluster is refused and nothing of it is kept") {
        ViewStage stage;
        auto answer = stage.call("conn:a", stage.make_ping("a", 4, {.cluster = ClusterId{0xbad}}));
        CHECK(code_of(answer) == error::wrong_cluster);
        CHECK(text_of(answer).find(to_hex(our_cluster)) != std::string::npos);
        CHECK(!stage.rules.view("main"));
        CHECK(std::holds_alternative<PingResult>(stage.call("x", stage.make_ping("a", 0, {.cluster = our_cluster}))));
    }

    TEST_CASE("Another version of the protocol is refused and both are named") {
        ViewStage stage;
        auto ping = stage.make_ping("a", 0);
        ping.protocol = 2;
        auto answer = stage.call("conn:a", ping);
        CHECK(code_of(answer) == error::unsupported_version);
        CHECK(text_of(answer) == "protocol version 2 was asked for, this view service speaks version 1");
        CHECK(code_of(stage.call("x", ViewGet{"main", 7})) == error::unsupported_version);
    }

    TEST_CASE("A ping without a usable name or incarnation is refused") {
        ViewStage stage;
        auto good = stage.make_ping("a", 0);
        auto refused = [&](auto spoil) {
            auto bad = good;
            spoil(bad);
            return code_of(stage.call("conn", bad)) == error::bad_request;
        };
        CHECK(refused([](Ping& ping) { ping.group.clear(); }));
        CHECK(refused([](Ping& ping) { ping.group.assign(256, 'g'); }));
        CHECK(refused([](Ping& ping) { ping.server.clear(); }));
        CHECK(refused([](Ping& ping) { ping.server.assign(5000, 's'); }));
        CHECK(refused([](Ping& ping) { ping.incarnation = Incarnation::none; }));
        CHECK(refused([](Ping& ping) { ping.recovered.resize(1000, Incarnation{1}); }));
        CHECK(!stage.rules.view("main"));
    }

    TEST_CASE("Beyond max_servers and max_groups a ping is refused with overloaded and the known go on") {
        ViewStage stage{ViewOptions{.max_groups = 1, .max_servers = 2}};
        stage.ping("a", 0);
        stage.ping("b", 0);
        CHECK(code_of(stage.call("conn:c", stage.make_ping("c", 0))) == error::overloaded);
        stage.group = "other";
        auto answer = stage.call("conn:d", stage.make_ping("d", 0));
        CHECK(code_of(answer) == error::overloaded);
        CHECK(text_of(answer) == "no further group is let in: the limit is 1");
        stage.group = "main";
        CHECK(stage.ack().info.view.number == 2);
    }

    TEST_CASE("Dead servers in no view are forgotten after 100 D and so are groups that never had a view") {
        ViewStage stage{ViewOptions{.max_groups = 2, .max_servers = 2}};
        stage.ping("a", 0);
        stage.ping("b", 0);
        stage.group = "empty";
        stage.ping("x", 0, {.leaving = true});
        stage.group = "main";
        stage.run(99 * dead, {"a"});
        CHECK(stage.role("b") == "dead");
        CHECK(stage.rules.view("empty"));
        stage.run(3 * dead, {"a"});
        CHECK(stage.role("b") == "unknown");
        CHECK(!stage.rules.view("empty"));
        stage.ping("c", 0);
        CHECK(stage.view().backup("c"));
    }

    TEST_CASE("R4: members of the view are never forgotten") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.pass(300 * dead);
        CHECK(stage.role("a") == "dead");
        CHECK(stage.status().waiting_for == std::vector<Address>{"a"});
    }

    TEST_CASE("Groups know nothing of each other though one process may serve in several") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.group = "other";
        auto b = stage.make_ping("b", 0);
        stage.call("conn:b", b);
        CHECK(stage.shown() == "view 1: primary b, no backup");
        stage.restart("b");
        stage.ping("b", 0);
        CHECK(stage.status().waiting_for == std::vector<Address>{"b"});
        stage.group = "main";
        CHECK(stage.shown() == "view 2: primary a, backup b (in sync)");
    }

    TEST_CASE("A ping without news costs no look at the group and sends nothing but its answer") {
        ViewStage stage;
        stage.set_up({"a", "b", "c"});
        stage.clear();
        stage.act("c");
        CHECK(stage.sent.size() == 1);
        CHECK(stage.events.empty());
    }

    TEST_CASE("R1: a life that was heard before its predecessor comes back once that one is lost") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.restart("b");
        auto late = stage.make_ping("b", 0);  // of a life that ends before it is heard
        stage.gone("conn:b");
        stage.restart("b");
        stage.ping("b", 0);
        stage.gone("conn:b");
        stage.call("conn:late", late);  // now that one counts as the later
        bool refused = false;
        int pings = 0;
        const auto living = [&] {
            const auto* backup = stage.view().backup("b");
            return backup && backup->incarnation == stage.life("b");
        };
        for (; pings < 20 && !living(); ++pings) {
            stage.ack();
            auto answer = stage.call("conn:b", stage.make_ping("b", stage.view().number));
            refused = refused || (std::holds_alternative<Failure>(answer) && code_of(answer) == error::superseded);
            stage.ack();
            stage.pass(interval);
        }
        CHECK(refused);
        CHECK(pings > 5);  // D for the silence of the one, and meanwhile for the pings of the other
        CHECK(pings < 9);
        CHECK(living());
    }
    TEST_CASE("R1: a replaced incarnation does not come back by a late ping or while its successor lives") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        auto old = stage.make_ping("b", stage.view().number);
        stage.restart("b");
        stage.act("b");
        for (int i = 0; i < 30; ++i) {  // two processes under one name
            old.n += 1;
            CHECK(code_of(stage.call("conn:old", old)) == error::superseded);
            stage.act("a");
            stage.act("b");
            stage.pass(interval);
        }
        stage.run(2 * dead, {"a"});
        for (int i = 0; i < 3; ++i) {  // now and then one that was long under way
            old.n += 1;
            CHECK(code_of(stage.call("conn:old", old)) == error::superseded);
            stage.run(2 * dead, {"a"});
        }
    }
}
