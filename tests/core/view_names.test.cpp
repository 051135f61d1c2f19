// Two processes under one name: a newcomer's claims must not replace a live server, and both processes are reported.
#include <doctest/doctest.h>

#include <tests/support/view_harness.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("core/view_names") {
    namespace {
    /// A second process under that name, which pings over a connection of its own.
    struct Second {
        ViewHarness& harness;
        Ping ping;
        Address peer = "conn:second";
        std::vector<Incarnation> recovered = {};

        Second(ViewHarness& on, const Address& name) : harness(on), ping(on.make_ping(name, 0)) {
            ping.incarnation = Incarnation{0x5ec0 + name.size()};
            ping.n = 0;
        }
        Message operator()() {
            ++ping.n;
            ping.recovered = recovered;
            return harness.call(peer, ping);
        }
        /// Both processes ping for `length`.
        void run(Duration length, const std::vector<Address>& others) {
            for (auto end = harness.now + length; harness.now < end;) {
                (*this)();
                harness.run(interval, others);
            }
        }
    };
    bool is_refused(const Message& answer, error code) {
        const auto* failure = std::get_if<Failure>(&answer);
        return failure && failure->code == code;
    }
    std::string trouble(const ViewHarness& harness, const Address& name) {
        for (const auto& server : harness.status().servers)
            if (server.name == name) return server.trouble;
        return {};
    }
    }  // namespace

    TEST_CASE("R1: a process that takes the name of a living primary is refused and nothing changes") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.act("a");
        const auto before = harness.view();
        Second second{harness, "a"};
        for (int i = 0; i < 30; ++i) {
            const auto answer = second();
            CHECK(is_refused(answer, error::name_in_use));
            CHECK(text_of(answer).find("conn:a") != std::string::npos);
            harness.run(interval, {"a"});
        }
        CHECK(harness.view() == before);
        CHECK(harness.status().waiting_for.empty());
        CHECK(harness.role("a") == "primary");
        CHECK(harness.emitted<ServerLost>().empty());
        REQUIRE(harness.emitted<NameShared>().size() == 1);
        CHECK(harness.emitted<NameShared>()[0].holder == "conn:a");
        CHECK(harness.emitted<NameShared>()[0].refused == "conn:second");
        CHECK(trouble(harness, "a").find("two processes under one name a") == 0);
        CHECK(trouble(harness, "a").find("conn:second") != std::string::npos);
        harness.run(2 * dead, {"a"});  // the other process is stopped
        CHECK(trouble(harness, "a").empty());
    }

    TEST_CASE("R4: force is refused while the primary of the view pings though another process took its name") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.ping("c", 1);
        harness.disconnected("conn:a");  // it breaks, and the other process pings before a has dialled again
        Second second{harness, "a"};
        CHECK(std::holds_alternative<PingResult>(second()));
        CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
        harness.connection = "again:";
        auto answer_of_force = [&] {
            auto answer = harness.call("operator", ViewForce{"main", "c"});
            auto id = harness.last_id();
            second.run(2 * dead, {"a", "c"});
            return harness.answer_to(id);
        };
        harness.act("a");  // one ping is enough
        CHECK(harness.status().waiting_for.empty());
        const auto answer = answer_of_force();
        CHECK(is_refused(answer, error::bad_request));
        CHECK(harness.view().primary.name == "a");
        CHECK(harness.view().primary.incarnation == harness.incarnation("a"));
        CHECK(harness.role("a") == "primary");
        CHECK(is_refused(second(), error::superseded));
        CHECK(harness.view().number == 2);  // c joined
    }

    TEST_CASE("R4: a late ping of a primary that is dead gives it the name back for D and not for longer") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        harness.act("a");
        auto late = harness.make_ping("a", 2);
        harness.disconnected("conn:b");
        harness.probed("b", ProbeResult::refused);
        REQUIRE(harness.shown() == "view 3: primary a, no backup");
        harness.disconnected("conn:a");
        harness.restart("a");
        harness.ping("a", 0);
        CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
        CHECK(is_refused(harness.call("conn:late", late), error::superseded));
        CHECK(harness.status().waiting_for.empty());
        harness.run(dead + interval, {"a"});
        CHECK(harness.status().waiting_for == std::vector<Address>{"a"});
        CHECK(harness.shown() == "view 3: primary a, no backup");
    }

    TEST_CASE("R5: a second process with a copy of the journal does not lead while the first one lives") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.act("a");
        Second second{harness, "a"};
        second.recovered = {harness.incarnation("a")};
        second.run(3 * dead, {"a"});
        CHECK(harness.view().primary.incarnation == harness.incarnation("a"));
        harness.disconnected("conn:a");  // it dials again at once, and the other process is seen to run beside it
        CHECK(is_refused(second(), error::name_in_use));
        harness.connection = "again:";
        second.run(3 * dead, {"a"});
        CHECK(harness.view().primary.incarnation == harness.incarnation("a"));
        CHECK(harness.view().number == 1);
        harness.disconnected("again:a");  // now it dies
        harness.probed("a", ProbeResult::refused);
        CHECK(std::holds_alternative<PingResult>(second()));
        CHECK(harness.why() == "R5: a is back with the state of its former incarnation");
    }

    TEST_CASE("R5: a killed server that is started at once leads with its first ping") {
        for (bool journal : {true, false}) {
            ViewHarness harness;
            harness.set_up({"a", "b"});
            for (const auto* name : {"b", "a"}) harness.act(name);
            if (journal) {
                harness.disconnected("conn:b");
                harness.probed("b", ProbeResult::refused);
            }
            const auto former = harness.incarnation("a");
            harness.disconnected("conn:a");
            harness.restart("a");
            const auto recovered = journal ? std::vector<Incarnation>{former} : std::vector<Incarnation>{};
            harness.ping("a", 0, {.recovered = recovered, .peer = "conn:new"});
            CHECK(harness.why().starts_with(journal ? "R5: a is back" : "R1: a has restarted, promoting b"));
            CHECK(harness.emitted<NameShared>().empty());
        }
    }

    TEST_CASE("R1: a server that starts before its predecessor is seen to end gets in with its next ping") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        for (const auto* name : {"b", "a"}) harness.act(name);
        Second second{harness, "a"};
        CHECK(is_refused(second(), error::name_in_use));
        harness.disconnected("conn:a");
        CHECK(std::holds_alternative<PingResult>(second()));
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R1: a machine that died without a word has its name back once it was silent for D") {
        ViewHarness harness;
        harness.set_up({"a", "b"});
        for (const auto* name : {"b", "a"}) harness.act(name);
        const auto died = harness.now;
        Second second{harness, "a"};
        while (!std::holds_alternative<PingResult>(second())) harness.run(interval, {"b"});
        CHECK(harness.now - died <= dead);
        CHECK(harness.view().primary.name == "b");
    }

    TEST_CASE("R2: a second process under the name of a backup or of an idle server replaces neither") {
        for (const auto* name : {"b", "c"}) {
            ViewHarness harness;
            harness.set_up({"a", "b", "c"});
            for (const auto* one : {"c", "b", "a"}) harness.act(one);
            const auto before = harness.view();
            const auto role = harness.role(name);
            Second second{harness, name};
            second.run(3 * dead, {"a", "b", "c"});
            CHECK(harness.view() == before);
            CHECK(harness.role(name) == role);
            REQUIRE(harness.emitted<NameShared>().size() == 1);
            CHECK(harness.emitted<NameShared>()[0].server == name);
            CHECK(trouble(harness, name).starts_with("two processes under one name"));
        }
    }

    TEST_CASE("R2: a replaced idle server that pings on is refused and told of") {
        ViewHarness harness;
        harness.set_up({"a", "b", "c"});
        for (const auto* one : {"c", "b", "a"}) harness.act(one);
        harness.disconnected("conn:c");
        Second second{harness, "c"};
        CHECK(std::holds_alternative<PingResult>(second()));
        for (int i = 0; i < 10; ++i) {
            second();
            CHECK(is_refused(harness.call("again:c", harness.make_ping("c", 2)), error::superseded));
            harness.run(interval, {"a", "b"});
        }
        REQUIRE(harness.emitted<NameShared>().size() == 1);
        CHECK(harness.emitted<NameShared>()[0].holder == "conn:second");
        CHECK(harness.emitted<NameShared>()[0].refused == "again:c");
    }

    TEST_CASE("R4: after a restart of the view service the primary of the view is not given up for its name's sake") {
        ViewHarness harness;
        harness.set_up({"a"});
        harness.act("a");
        const auto record = harness.machine.record();
        harness.machine = ViewStateMachine{ViewOptions{}, record, harness.now};
        Second second{harness, "a"};
        second();
        harness.connection = "again:";
        second.run(3 * dead, {"a"});
        CHECK(harness.view().primary.incarnation == harness.incarnation("a"));
        CHECK(harness.role("a") == "primary");
        CHECK(harness.status().waiting_for.empty());
        CHECK(!harness.emitted<NameShared>().empty());
    }
}
