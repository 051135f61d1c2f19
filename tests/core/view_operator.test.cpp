// Operators and watchers: promote, force, watch, get, status, events, and messages that belong elsewhere.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;

TEST_SUITE("view_service/operator") {
    namespace {
    /// Sends a call that may be answered later.
    CallId ask(ViewHarness& harness, Message message) {
        harness.call("operator", std::move(message));
        return harness.last_id();
    }
    bool answered(const ViewHarness& harness, const CallId& id) {
        return std::ranges::find(harness.sent, id, &Envelope::id) != harness.sent.end();
    }
    }  // namespace

    TEST_CASE("R6: a promotion stops the primary and is answered with the new view") {
        ViewHarness harness{ViewOptions{.backups = 2}};
        harness.set_up({"a", "b", "c"});
        auto id = ask(harness, ViewPromote{"main", "c"});
        CHECK(!answered(harness, id));
        CHECK(!harness.ping("b", 3).stop);
        CHECK(harness.ack().stop);
        CHECK(harness.view().number == 3);
        harness.ping("a", 3, {.stopped = true});
        CHECK(harness.shown() == "view 4: primary c, backup b (in sync)");
        CHECK(harness.why() == "R6: a has stopped serving, as it was to, promoting c");
        CHECK(std::get<ViewResult>(harness.answer_to(id)).info.view == harness.view());
        harness.run(interval, {"a", "b", "c"});
        CHECK(harness.view().backup("a"));  // R3: the old primary is idle and joins again
    }

    TEST_CASE("R6: promoting the primary itself is refused") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        const auto answer = harness.call("operator", ViewPromote{"main", "a"});
        CHECK(code_of(answer) == error::bad_request);
        CHECK(text_of(answer) == "a is the primary already, so nothing changes: " + harness.shown());
        CHECK(!harness.ack().stop);
    }

    TEST_CASE("R6: who is not a backup in sync cannot be promoted and the answer says why") {
        ViewHarness harness{ViewOptions{.backups = 2}};
        harness.set_up({"a", "b"});
        harness.ping("c", 0);
        harness.ping("d", 0);
        auto refusal = [&](const Address& name) {
            auto answer = harness.call("operator", ViewPromote{"main", name});
            CHECK(code_of(answer) == error::bad_request);
            return text_of(answer);
        };
        CHECK(refusal("c").starts_with("c is not in sync yet"));
        CHECK(refusal("d").starts_with("d is no backup of view 3"));
        CHECK(refusal("nobody").starts_with("nobody is no backup"));
        CHECK(code_of(harness.call("operator", ViewPromote{"other", "b"})) == error::bad_request);
        CHECK(!harness.ack().stop);
    }

    TEST_CASE("R6: a promotion fails when its target dies and the primary goes on") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        auto id = ask(harness, ViewPromote{"main", "b"});
        harness.restart("b");
        harness.ping("b", 0);
        CHECK(code_of(harness.answer_to(id)) == error::bad_request);
        CHECK(!harness.ack().stop);
    }

    TEST_CASE("R6: a primary that never says that it stopped ends the promotion after 10 D") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        auto id = ask(harness, ViewPromote{"main", "b"});
        harness.run(10 * dead - interval, {"a", "b"});
        CHECK(!answered(harness, id));
        harness.run(2 * interval, {"a", "b"});
        CHECK(text_of(harness.answer_to(id)) == "a has not said that it stopped; it goes on as primary");
        CHECK(!harness.ack().stop);
        harness.ping("a", 2, {.stopped = true});  // it has stopped after all
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R6: a promotion is done too when the primary dies on the way") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        auto id = ask(harness, ViewPromote{"main", "b"});
        harness.restart("a");
        harness.ping("a", 0);
        CHECK(std::get<ViewResult>(harness.answer_to(id)).info.view.primary.name == "b");
    }

    TEST_CASE("One wish at a time in a group and it goes with the operator's connection") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        auto id = ask(harness, ViewPromote{"main", "b"});
        CHECK(code_of(harness.call("second", ViewPromote{"main", "b"})) == error::overloaded);
        CHECK(code_of(harness.call("second", ViewForce{"main", "b"})) == error::overloaded);
        CHECK(harness.ack().stop);
        harness.disconnected("operator");
        CHECK(!harness.ack().stop);
        CHECK(!answered(harness, id));
    }

    TEST_CASE("R4: force waits D after the last ping of an old member and then makes the server primary") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.ack();
        harness.disconnected("conn:a");
        harness.probed("a", ProbeResult::refused);
        auto heard = harness.now;
        harness.ping("b", 0);
        auto id = ask(harness, ViewForce{"main", "b"});
        while (harness.now < heard + dead - interval) harness.run(interval, {"b"});
        CHECK(!answered(harness, id));
        CHECK(harness.view().number == 1);
        harness.run(2 * interval, {"b"});
        CHECK(harness.shown() == "view 2: primary b, no backup");
        CHECK(harness.view().forced == 2);
        auto result = std::get<ViewForceResult>(harness.answer_to(id));
        CHECK(result.info.view == harness.view());
        CHECK(result.may_be_lost.find("Every write answered up to view 1 that it lacks is lost") != std::string::npos);
        CHECK(result.may_be_lost.starts_with("b had no role in view 1"));
    }

    TEST_CASE("R4: a joining backup can be forced and later views remember which view was forced") {
        ViewHarness harness;
        harness.ping("a", 0);
        harness.ack();
        harness.ping("b", 0);
        auto id = ask(harness, ViewForce{"main", "b"});
        harness.run(2 * dead, {"b"});
        auto result = std::get<ViewForceResult>(harness.answer_to(id));
        CHECK(result.may_be_lost.starts_with("b was a backup not in sync yet"));
        CHECK(harness.shown() == "view 3: primary b, no backup");
        harness.act("a");  // the old primary is an ordinary server now
        CHECK(harness.shown() == "view 4: primary b, backup a (joining)");
        CHECK(harness.view().forced == 3);
    }

    TEST_CASE("R4: a member that is alive is not overridden by force") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        auto id = ask(harness, ViewForce{"main", "c"});
        harness.run(2 * interval, {"a", "b", "c"});
        CHECK(code_of(harness.answer_to(id)) == error::bad_request);
        CHECK(text_of(harness.answer_to(id)).find("alive") != std::string::npos);
        CHECK(harness.view().number == 2);
    }

    TEST_CASE("R4: a member that returns while force waits is better than force") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        harness.run(3 * interval, {"c"});
        auto id = ask(harness, ViewForce{"main", "c"});
        harness.run(dead / 2, {"c", "b"});
        harness.run(2 * dead, {"c", "b"});
        CHECK(harness.view().primary.name == "b");
        CHECK(code_of(harness.answer_to(id)) == error::bad_request);
    }

    TEST_CASE("R4: a server that is dead or unknown or restarts meanwhile is not forced") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.run(3 * dead, {"c"});
        CHECK(text_of(harness.call("operator", ViewForce{"main", "b"})) == "b is silent");
        CHECK(text_of(harness.call("operator", ViewForce{"main", "x"})).starts_with("x is not known"));
        ViewHarness fresh;
        fresh.set_up({"a"});
        fresh.ping("b", 0);
        fresh.restart("a");
        fresh.ping("a", 0);
        auto id = ask(fresh, ViewForce{"main", "b"});
        fresh.restart("b");
        fresh.ping("b", 0);
        CHECK(text_of(fresh.answer_to(id)) == "b has restarted; ask again");
        CHECK(fresh.view().number == 2);
    }

    TEST_CASE("R4: a first server that died alone is named in the status with the command that ends the wait") {
        ViewHarness harness;
        harness.set_up({"tcp://a:1"});
        harness.pass(2 * dead);
        harness.run(3 * dead, {"tcp://b:1"});
        auto status = harness.status();
        CHECK(status.waiting_for == std::vector<Address>{"tcp://a:1"});
        CHECK(status.waiting_why ==
              "R4: tcp://a:1 is silent; view 1 had no backup in sync, so no other server surely holds every answered "
              "write. The group waits until tcp://a:1 is heard again with its state; an operator can end the wait by "
              "making a live server primary with the command `force`, which may lose answered writes");
        REQUIRE(harness.emitted<GroupWaits>().size() == 1);
        CHECK(harness.emitted<GroupWaits>()[0].why == status.waiting_why);
    }

    TEST_CASE("R4: the status says of each member what became of it") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.run(3 * dead, {});
        harness.restart("b");
        harness.ping("b", 0);
        auto why = harness.status().waiting_why;
        CHECK(why.starts_with("R4: a is silent, b has restarted without its state; but for these no other server"));
        CHECK(why.find("until a is heard again with its state") != std::string::npos);
        harness.restart("a");
        harness.ping("a", 0);
        why = harness.status().waiting_why;
        CHECK(why.starts_with("R4: a has restarted without its state, b has restarted without its state; "));
    }

    TEST_CASE("R4: where a journal was kept the status says first that its server loses nothing") {
        for (const bool journal : {true, false}) {
            ViewHarness harness;
            harness.set_up({"a", "b"});
            auto last = harness.make_ping("b", harness.view().number);
            last.journal = journal;
            harness.call("conn:b", last);
            harness.pass(2 * dead);
            const auto why = harness.status().waiting_why;
            const auto directory = why.find("Nothing is lost if b goes on: start it again with its directory");
            CHECK((directory != why.npos) == journal);
            CHECK(why.find("`force`") != why.npos);
            if (journal) CHECK(directory < why.find("`force`"));
        }
    }

    TEST_CASE("R4: nobody is told to wait for a process that is gone") {
        for (bool restarted : {true, false}) {
            ViewHarness harness;
            harness.set_up({"a"});
            harness.ack();
            if (restarted) harness.restart("a");
            if (restarted) harness.ping("a", 0);
            harness.disconnected("conn:a");
            harness.probed("a", ProbeResult::refused);
            auto why = harness.status().waiting_why;
            CHECK(why.find("heard again") == std::string::npos);
            CHECK(why.find("only an operator can end the wait") != std::string::npos);
        }
    }

    TEST_CASE("R4: what a forced view may lose is told of the server as it was") {
        View old{4, {"a", Incarnation{1}, false}, {{"b", Incarnation{2}, true}, {"c", Incarnation{3}, false}}, 0};
        auto emitted = [&](const Address& name, std::uint64_t incarnation) {
            return may_be_lost(old, {name, Incarnation{incarnation}, false});
        };
        CHECK(emitted("a", 1).starts_with("a surely holds every answered write."));
        CHECK(emitted("b", 2).starts_with("b surely holds every answered write."));
        CHECK(emitted("c", 3).starts_with("c was a backup not in sync yet: it may hold a part"));
        CHECK(emitted("b", 9).starts_with("b is another process than in view 4: "));
        CHECK(emitted("d", 5).starts_with("d had no role in view 4: "));
        CHECK(emitted("d", 5).find("Until a has learned of view 5, clients that reach it") != std::string::npos);
        CHECK(emitted("a", 9).find("Until a") == std::string::npos);
    }

    TEST_CASE("R4: a wait is told once and again when it begins anew") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.pass(5 * dead);
        CHECK(harness.emitted<GroupWaits>().size() == 1);
        harness.act("a");
        harness.pass(5 * dead);
        CHECK(harness.emitted<GroupWaits>().size() == 2);
    }

    TEST_CASE("The status gives each server's role and the age of its last ping") {
        ViewHarness harness{ViewOptions{.backups = 2}};
        harness.set_up({"a", "b"});
        harness.ping("c", 0);
        harness.ping("d", 0);
        harness.ping("e", 0, {.leaving = true});
        harness.restart("d");
        harness.pass(50ms);
        CHECK(harness.role("a") == "primary");
        CHECK(harness.role("b") == "backup");
        CHECK(harness.role("c") == "joining");
        CHECK(harness.role("d") == "idle");
        CHECK(harness.role("e") == "leaving");
        CHECK(harness.status().servers[3].last_ping == 50ms);
        CHECK(harness.status().info.view == harness.view());
        CHECK(harness.status().waiting_why.empty());
    }

    TEST_CASE("C6: who asks for the status so often that answers take long is refused until the next turn") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        const auto ask = [&] {
            harness.receive({"operator", "1", ViewStatus{}});
            return std::holds_alternative<ViewStatusResult>(harness.answer_to("1"));
        };
        std::size_t answered = 0;
        for (harness.clear(); ask(); harness.clear()) REQUIRE(++answered < 20'000);
        CHECK(answered > 100);
        harness.wake();
        harness.clear();
        CHECK(ask());
    }

    TEST_CASE("The status keeps the last events with their ages") {
        ViewHarness harness{ViewOptions{.max_events = 3}};
        harness.set_up({"a", "b"});
        harness.pass(20ms);
        auto answer = std::get<ViewStatusResult>(harness.call("x", ViewStatus{}));
        REQUIRE(answer.events.size() == 3);
        CHECK(answer.events[2].text == "main: view 2: primary a, backup b (joining) (R3: adding b)");
        CHECK(answer.events[2].age > 20ms);
        CHECK(answer.groups.size() == 1);
        CHECK(std::get<ViewStatusResult>(harness.call("x", ViewStatus{"other"})).groups.empty());
    }

    TEST_CASE("A new view is pushed at once to every live server and watcher and not to the one who is answered") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c", "d"});
        harness.run(2 * dead, {"a", "b", "c"});  // d is dead
        CHECK(std::holds_alternative<ViewResult>(harness.call("watcher", ViewWatch{"main"})));
        harness.call("watcher", ViewWatch{"main"});
        harness.call("elsewhere", ViewWatch{"other"});
        harness.clear();
        harness.restart("b");
        harness.ping("b", 0);
        CHECK(harness.pushed() == std::vector<Address>{"conn:a", "conn:c", "watcher"});
        harness.clear();
        harness.disconnected("watcher");
        harness.disconnected("conn:a");
        harness.clear();
        harness.ack();
        CHECK(harness.pushed() == std::vector<Address>{"conn:b", "conn:c"});  // more backups are in sync
    }

    TEST_CASE("A view goes to many watchers in slices and what arrives is read between them") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        constexpr std::size_t many = 1000;
        for (std::size_t i = 0; i < many; ++i) harness.call("watcher" + std::to_string(i), ViewWatch{"main"});
        harness.clear();
        harness.disconnected("conn:b");
        harness.probed("b", ProbeResult::refused);  // one turn
        CHECK(harness.pushed().size() == view_service::max_pushed + 1);  // plus one: the primary
        std::set<Address> reached;
        std::size_t most = 0, turns = 1;
        while (harness.machine.deadline() <= harness.now) {
            std::ranges::copy(harness.pushed(), std::inserter(reached, reached.end()));
            harness.clear();
            harness.ack();  // between two slices
            CHECK(harness.sent.size() <= view_service::max_pushed + 1);
            most = std::max(most, harness.pushed().size());
            ++turns;
            if (turns == 4) harness.disconnected("watcher999");  // this watcher is not reached any more
        }
        std::ranges::copy(harness.pushed(), std::inserter(reached, reached.end()));
        CHECK(reached.size() == many);  // all watchers but one, plus the primary
        CHECK(!reached.contains("watcher999"));
        CHECK(most <= view_service::max_pushed);
        CHECK(turns >= many / view_service::max_pushed);
        CHECK(harness.machine.deadline() > harness.now);
    }

    TEST_CASE("A watcher that a view has not reached when the next one comes gets only that") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        for (std::size_t i = 0; i < 500; ++i) harness.call("watcher" + std::to_string(i), ViewWatch{"main"});
        harness.clear();
        for (const auto* name : {"b", "c"}) {
            harness.disconnected(std::string{"conn:"} + name);
            harness.probed(name, ProbeResult::refused);
        }
        harness.pass({});
        std::map<Address, std::vector<ViewNumber>> emitted;
        for (const auto& [peer, id, message] : harness.sent)
            if (const auto* news = std::get_if<ViewChanged>(&message)) emitted[peer].push_back(news->info.view.number);
        CHECK(emitted.erase("conn:c") == 1);  // it received the view without b before it was lost itself
        std::size_t once = 0;
        for (const auto& [peer, numbers] : emitted) {
            CHECK(std::ranges::is_sorted(numbers));
            CHECK(numbers.back() == harness.view().number);
            once += numbers.size() == 1;
        }
        CHECK(emitted.size() == 501);
        CHECK(once >= 500 - 4 * view_service::max_pushed);
    }

    TEST_CASE("A group may be watched before it exists") {
        ViewHarness harness;
        auto answer = std::get<ViewResult>(harness.call("watcher", ViewWatch{"main"}));
        CHECK(answer.info == ViewInfo{"main", our_cluster, interval, {}});
        harness.ping("a", 0);
        CHECK(harness.pushed() == std::vector<Address>{"watcher"});
        CHECK(std::get<ViewResult>(harness.call("x", ViewGet{"main"})).info.view.number == 1);
    }

    TEST_CASE("Beyond max_watchers a watch is refused and one that goes makes room") {
        ViewHarness harness{ViewOptions{.max_watchers = 1}};
        harness.call("one", ViewWatch{"main"});
        CHECK(code_of(harness.call("two", ViewWatch{"main"})) == error::overloaded);
        CHECK(code_of(harness.call("two", ViewWatch{""})) == error::bad_request);
        harness.disconnected("one");
        CHECK(std::holds_alternative<ViewResult>(harness.call("two", ViewWatch{"main"})));
    }

    TEST_CASE("A request for a server is answered with an error and an answer that nobody asked for never is") {
        ViewHarness harness;
        auto answer = harness.call("x", Execute{});
        CHECK(code_of(answer) == error::unknown_method);
        CHECK(std::get<Failure>(answer).to == "pb.execute");
        CHECK(harness.emitted<Refused>().size() == 1);
        harness.clear();
        harness.call("x", PingResult{});
        harness.call("x", Failure{});
        harness.call("x", ViewChanged{});
        CHECK(harness.sent.empty());
        CHECK(harness.emitted<Refused>().size() == 3);
    }
}
