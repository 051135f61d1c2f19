// Two processes under one name: who lives is not given up for what a newcomer says, and both are told of.
#include <doctest/doctest.h>

#include <tests/support/view_stage.hpp>

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::view_service;
using namespace understudy::test;

TEST_SUITE("core/view_names") {
    namespace {
    /// A second process under that name, which pings over a connection of its own.
    struct Second {
        ViewStage& stage;
        Ping ping;
        Address peer = "conn:second";
        std::vector<Incarnation> recovered = {};

        Second(ViewStage& on, const Address& name) : stage(on), ping(on.make_ping(name, 0)) {
            ping.incarnation = Incarnation{0x5ec0 + name.size()};
            ping.n = 0;
        }
        Message operator()() {
            ++ping.n;
            ping.recovered = recovered;
            return stage.call(peer, ping);
        }
        /// Both ping for so long.
        void run(Duration length, const std::vector<Address>& others) {
            for (auto end = stage.now + length; stage.now < end;) {
                (*this)();
                stage.run(interval, others);
            }
        }
    };
    bool is_refused(const Message& answer, error code) {
        const auto* failure = std::get_if<Failure>(&answer);
        return failure && failure->code == code;
    }
    std::string trouble(const ViewStage& stage, const Address& name) {
        for (const auto& server : stage.status().servers)
            if (server.name == name) return server.trouble;
        return {};
    }
    }  // namespace

    TEST_CASE("R1: a process that takes the name of a living primary is refused and nothing changes") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.act("a");
        const auto before = stage.view();
        Second second{stage, "a"};
        for (int i = 0; i < 30; ++i) {
            const auto answer = second();
            CHECK(is_refused(answer, error::name_in_use));
            CHECK(text_of(answer).find("conn:a") != std::string::npos);
            stage.run(interval, {"a"});
        }
        CHECK(stage.view() == before);
        CHECK(stage.status().waiting_for.empty());
        CHECK(stage.role("a") == "primary");
        CHECK(stage.told<ServerLost>().empty());
        REQUIRE(stage.told<NameShared>().size() == 1);
        CHECK(stage.told<NameShared>()[0].holder == "conn:a");
        CHECK(stage.told<NameShared>()[0].refused == "conn:second");
        CHECK(trouble(stage, "a").find("two processes under one name a") == 0);
        CHECK(trouble(stage, "a").find("conn:second") != std::string::npos);
        stage.run(2 * dead, {"a"});  // the other one is stopped
        CHECK(trouble(stage, "a").empty());
    }

    TEST_CASE("R4: force is refused while the primary of the view pings though another process took its name") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.ping("c", 1);
        stage.gone("conn:a");  // it breaks, and before a has dialled again the other is heard
        Second second{stage, "a"};
        CHECK(std::holds_alternative<PingResult>(second()));
        CHECK(stage.status().waiting_for == std::vector<Address>{"a"});
        stage.connection = "again:";
        auto answer_of_force = [&] {
            auto answer = stage.call("operator", ViewForce{"main", "c"});
            auto id = stage.last_id();
            second.run(2 * dead, {"a", "c"});
            return stage.answer_to(id);
        };
        stage.act("a");  // one ping is enough
        CHECK(stage.status().waiting_for.empty());
        const auto answer = answer_of_force();
        CHECK(is_refused(answer, error::bad_request));
        CHECK(stage.view().primary.name == "a");
        CHECK(stage.view().primary.incarnation == stage.life("a"));
        CHECK(stage.role("a") == "primary");
        CHECK(is_refused(second(), error::superseded));
        CHECK(stage.view().number == 2);  // c joined
    }

    TEST_CASE("R4: a late ping of a primary that is dead gives it the name back for D and not for longer") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        stage.act("a");
        auto late = stage.make_ping("a", 2);
        stage.gone("conn:b");
        stage.probed("b", ProbeResult::refused);
        REQUIRE(stage.shown() == "view 3: primary a, no backup");
        stage.gone("conn:a");
        stage.restart("a");
        stage.ping("a", 0);
        CHECK(stage.status().waiting_for == std::vector<Address>{"a"});
        CHECK(is_refused(stage.call("conn:late", late), error::superseded));
        CHECK(stage.status().waiting_for.empty());
        stage.run(dead + interval, {"a"});
        CHECK(stage.status().waiting_for == std::vector<Address>{"a"});
        CHECK(stage.shown() == "view 3: primary a, no backup");
    }

    TEST_CASE("R5: a second process with a copy of the journal does not lead while the first one lives") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.act("a");
        Second second{stage, "a"};
        second.recovered = {stage.life("a")};
        second.run(3 * dead, {"a"});
        CHECK(stage.view().primary.incarnation == stage.life("a"));
        stage.gone("conn:a");  // it dials again at once, and the other is seen to live beside it
        CHECK(is_refused(second(), error::name_in_use));
        stage.connection = "again:";
        second.run(3 * dead, {"a"});
        CHECK(stage.view().primary.incarnation == stage.life("a"));
        CHECK(stage.view().number == 1);
        stage.gone("again:a");  // now it dies
        stage.probed("a", ProbeResult::refused);
        CHECK(std::holds_alternative<PingResult>(second()));
        CHECK(stage.why() == "R5: a is back with the state of its former life");
    }

    TEST_CASE("R5: a killed server that is started at once leads with its first ping") {
        for (bool journal : {true, false}) {
            ViewStage stage;
            stage.set_up({"a", "b"});
            for (const auto* name : {"b", "a"}) stage.act(name);
            if (journal) {
                stage.gone("conn:b");
                stage.probed("b", ProbeResult::refused);
            }
            const auto former = stage.life("a");
            stage.gone("conn:a");
            stage.restart("a");
            const auto recovered = journal ? std::vector<Incarnation>{former} : std::vector<Incarnation>{};
            stage.ping("a", 0, {.recovered = recovered, .peer = "conn:new"});
            CHECK(stage.why().starts_with(journal ? "R5: a is back" : "R1: a has restarted, promoting b"));
            CHECK(stage.told<NameShared>().empty());
        }
    }

    TEST_CASE("R1: a server that starts before its predecessor is seen to end gets in with its next ping") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        for (const auto* name : {"b", "a"}) stage.act(name);
        Second second{stage, "a"};
        CHECK(is_refused(second(), error::name_in_use));
        stage.gone("conn:a");
        CHECK(std::holds_alternative<PingResult>(second()));
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R1: a machine that died without a word has its name back once it was silent for D") {
        ViewStage stage;
        stage.set_up({"a", "b"});
        for (const auto* name : {"b", "a"}) stage.act(name);
        const auto died = stage.now;
        Second second{stage, "a"};
        while (!std::holds_alternative<PingResult>(second())) stage.run(interval, {"b"});
        CHECK(stage.now - died <= dead);
        CHECK(stage.view().primary.name == "b");
    }

    TEST_CASE("R2: a second process under the name of a backup or of an idle server replaces neither") {
        for (const auto* name : {"b", "c"}) {
            ViewStage stage;
            stage.set_up({"a", "b", "c"});
            for (const auto* one : {"c", "b", "a"}) stage.act(one);
            const auto before = stage.view();
            const auto role = stage.role(name);
            Second second{stage, name};
            second.run(3 * dead, {"a", "b", "c"});
            CHECK(stage.view() == before);
            CHECK(stage.role(name) == role);
            REQUIRE(stage.told<NameShared>().size() == 1);
            CHECK(stage.told<NameShared>()[0].server == name);
            CHECK(trouble(stage, name).starts_with("two processes under one name"));
        }
    }

    TEST_CASE("R2: a replaced idle server that pings on is refused and told of") {
        ViewStage stage;
        stage.set_up({"a", "b", "c"});
        for (const auto* one : {"c", "b", "a"}) stage.act(one);
        stage.gone("conn:c");
        Second second{stage, "c"};
        CHECK(std::holds_alternative<PingResult>(second()));
        for (int i = 0; i < 10; ++i) {
            second();
            CHECK(is_refused(stage.call("again:c", stage.make_ping("c", 2)), error::superseded));
            stage.run(interval, {"a", "b"});
        }
        REQUIRE(stage.told<NameShared>().size() == 1);
        CHECK(stage.told<NameShared>()[0].holder == "conn:second");
        CHECK(stage.told<NameShared>()[0].refused == "again:c");
    }

    TEST_CASE("R4: after a restart of the view service the primary of the view is not given up for its name's sake") {
        ViewStage stage;
        stage.set_up({"a"});
        stage.act("a");
        const auto record = stage.rules.record();
        stage.rules = ViewRules{ViewOptions{}, record, stage.now};
        Second second{stage, "a"};
        second();
        stage.connection = "again:";
        second.run(3 * dead, {"a"});
        CHECK(stage.view().primary.incarnation == stage.life("a"));
        CHECK(stage.role("a") == "primary");
        CHECK(stage.status().waiting_for.empty());
        CHECK(!stage.told<NameShared>().empty());
    }
}
