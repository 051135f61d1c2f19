// What a replica does with views: S1, S5, S6, S9 and the pings of R6.
#include <doctest/doctest.h>

#include "../support/replica_group.hpp"

using namespace understudy;
using namespace understudy::protocol;
using namespace understudy::test;

TEST_SUITE("replica_views") {
    namespace {
    const Failure& failure(const ReplicaGroup& group, const CallId& id) { return std::get<Failure>(*group.answer(id)); }
    std::vector<LogTruncated> cuts(const ReplicaGroup& group) {
        std::vector<LogTruncated> found;
        for (const auto& event : group.events)
            if (const auto* cut = std::get_if<LogTruncated>(&event)) found.push_back(*cut);
        return found;
    }
    }  // namespace

    TEST_CASE("S9: a server starts empty with viewnum 0 and without a cluster") {
        ReplicaGroup group;
        group.start("a", 1);
        CHECK(group.pings["a"].viewnum == 0);
        CHECK_FALSE(group.pings["a"].cluster.has_value());
        CHECK(group.pings["a"].recovered.empty());
        CHECK(group["a"].role() == Role::idle);
    }

    TEST_CASE("S1: a higher view is adopted and a lower one changes nothing") {
        auto group = pair_in_sync();
        group.decide(group.member("b"), {}, {"b"});
        CHECK(group["b"].role() == Role::primary);
        auto old = group.info();
        old.view = View{1, group.member("a"), {group.member("b", true)}};
        group.give("b", ReplicaGroup::views, {}, ViewChanged{old});
        CHECK(group["b"].view().view.number == 2);
        CHECK(group["b"].role() == Role::primary);
    }

    TEST_CASE("S1: the same view with more backups in sync is adopted") {
        ReplicaGroup group;
        group.start("a", 1);
        group.start("b", 2);
        group.decide(group.member("a"), {group.member("b")});
        group.view.backups[0].synced = true;
        group.give("b", ReplicaGroup::views, {}, ViewChanged{group.info()});
        CHECK(group["b"].view().view.backups[0].synced);
    }

    TEST_CASE("S1: a view that names another incarnation of me gives me no role") {
        ReplicaGroup group;
        group.start("a", 1);
        group.decide(Member{"a", Incarnation{99}, false});
        CHECK(group["a"].role() == Role::idle);
        CHECK(group.outcome(group.put("a", "x")) == "not_primary");
    }

    TEST_CASE("S6: a primary whose name a later process has learns the newer view from the refusal of its ping") {
        ReplicaGroup group;
        group.start("a", 1);
        group.start("c", 3);
        group.decide(group.member("a"));
        REQUIRE(group.outcome(group.put("a", "x")) == "2");
        auto info = group.info();
        info.view = View{2, group.member("c"), {}, 2};
        const Failure superseded{"view.ping", error::superseded, "a later process took the name a", info, {}, {}};
        SUBCASE("if it is the view service that refuses") {
            group.give("a", ReplicaGroup::views, make_call_id(Method::view_ping, 1), superseded);
            CHECK_FALSE(group["a"].serving());
            CHECK(group.count<SteppedDown>() == 1);
            CHECK(group.outcome(group.put("a", "y")) == "not_primary");
        }
        SUBCASE("and not from anybody else") {
            group.give("a", "stranger", make_call_id(Method::view_ping, 1), superseded);
            CHECK(group["a"].serving());
        }
    }

    TEST_CASE("S1: an append of a lower view is refused with stale_view and my view") {
        auto group = pair_in_sync();
        group.decide(group.member("b"), {}, {"b"});
        auto id = group.ask("b", Append{ReplicaGroup::cluster, "main", {1, {}}, {}, {}, 0, 0});
        CHECK(failure(group, id).code == error::stale_view);
        CHECK(failure(group, id).view->view.number == 2);
    }

    TEST_CASE("S1: only as backup of my own view do I take an append") {
        auto group = pair_in_sync();
        auto id = group.ask("a", Append{ReplicaGroup::cluster, "main", {1, {}}, {}, {}, 0, 0});
        CHECK(group.outcome(id) == "bad_request");
    }

    TEST_CASE("S1: a message of a higher view is adopted and then handled") {
        auto group = pair_in_sync();
        group.start("c", 3);
        group.decide(group.member("a"), {group.member("b", true), group.member("c")}, {"a"});
        group.settle();
        CHECK(group["c"].role() == Role::backup);
        CHECK(group["c"].view().view.number == 2);
    }

    TEST_CASE("S1: a view of another cluster or another group is not adopted") {
        auto group = pair_in_sync();
        auto other = group.info();
        other.view.number = 9;
        other.cluster = ClusterId{5};
        group.give("a", ReplicaGroup::views, {}, ViewChanged{other});
        CHECK(group["a"].view().view.number == 1);
        other.cluster = ReplicaGroup::cluster;
        other.group = "other";
        group.give("a", ReplicaGroup::views, {}, ViewChanged{other});
        CHECK(group["a"].view().view.number == 1);
        CHECK(group.count<Refused>() == 2);
    }

    TEST_CASE("S5: a new primary keeps its log and answers reads once what it inherited is committed") {
        auto group = pair_in_sync();
        group.start("c", 3);
        group.decide(group.member("a"), {group.member("b", true), group.member("c", true)});
        group.settle();
        // a receives no acknowledgement
        group.lost = [](auto& from, auto&, auto&) { return from == "b" || from == "c"; };
        group.put("a", "x");
        group.settle();
        CHECK(group["b"].state().commit == 0);
        group.lost = [](auto&, auto& to, auto&) { return to == "c"; };
        group.decide(group.member("b"), {group.member("c", true)}, {"b"});
        group.settle();
        auto read = group.query("b");
        group.settle();
        CHECK(group.outcome(read) == "none");
        group.lost = nullptr;
        group.pass(std::chrono::milliseconds{600});
        CHECK(group.outcome(read) == "x;");
    }

    TEST_CASE("S6: a primary that learns of a view with another primary ends its calls with not_primary") {
        auto group = pair_in_sync();
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        auto write = group.put("a", "x");
        auto read = group.query("a");
        group.decide(group.member("b"), {}, {"a"});
        CHECK(group.outcome(write) == "not_primary");
        CHECK(group.outcome(read) == "not_primary");
        CHECK(failure(group, write).view->view.primary.name == "b");
        CHECK(group.count<SteppedDown>() == 1);
    }

    TEST_CASE("S6: a primary learns by stale_view of its backup that it is none any more") {
        auto group = pair_in_sync();
        group.decide(group.member("b"), {}, {"b"});
        auto write = group.put("a", "x");
        group.settle();
        CHECK(group.outcome(write) == "not_primary");
        CHECK(group["a"].view().view.number == 2);
        CHECK(group["a"].role() == Role::idle);
    }

    TEST_CASE("S6: a primary that leads the higher view too goes on with its calls") {
        auto group = pair_in_sync();
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        auto write = group.put("a", "x");
        auto read = group.query("a");
        group.decide(group.member("a"), {}, {"a"});
        CHECK(group.outcome(write) == "2");
        CHECK(group.outcome(read) == "x;");
    }

    TEST_CASE("S6: told to stop it serves no more in its view and says stopped at once") {
        auto group = pair_in_sync();
        group.lost = [](auto&, auto& to, auto&) { return to == "b"; };
        auto write = group.put("a", "x");
        group.give("a", ReplicaGroup::views, "33", PingResult{group.info(), std::chrono::milliseconds{500}, true});
        CHECK(group.outcome(write) == "not_primary");
        CHECK(group.pings["a"].stopped);
        CHECK(group.outcome(group.put("a", "y")) == "not_primary");
        group.decide(group.member("a"), {}, {"a"});
        CHECK(group.outcome(group.put("a", "z")) != "not_primary");
        CHECK_FALSE(group.pings["a"].stopped);
    }

    TEST_CASE("S6: one that was told to stop stays so whatever it hears until a new view names it") {
        ReplicaGroup group;
        group.start("a", 1);
        group.start("b", 2);
        group.decide(group.member("a"), {group.member("b")});
        group.settle();
        REQUIRE(group.pings["a"].synced == std::vector<Address>{"b"});
        const auto write = group.put("a", "x");
        const auto answer = [&](bool stop) {
            group.give("a", ReplicaGroup::views, "33", PingResult{group.info(), std::chrono::milliseconds{500}, stop});
        };
        answer(true);
        int pings = 0;
        group.lost = [&](auto& from, auto&, auto& message) {
            const auto* ping = std::get_if<Ping>(&message);
            if (!ping || from != "a") return false;
            ++pings;
            CHECK(ping->stopped);
            CHECK(ping->synced.value_or(std::vector<Address>{}).empty());
            return false;
        };
        const auto expect_stopped = [&](const char* after) {
            CAPTURE(after);
            CHECK_FALSE(group["a"].serving());
            CHECK(group.outcome(group.put("a", "y")) == "not_primary");
            CHECK(group.outcome(group.query("a")) == "not_primary");
        };
        expect_stopped("being told to stop");
        answer(false);
        expect_stopped("an answer to a ping without stop");
        group.view.backups[0].synced = true;
        group.give("a", ReplicaGroup::views, {}, ViewChanged{group.info()});
        CHECK(group["a"].view().view.backups[0].synced);
        expect_stopped("the same view with more in sync");
        replica::Output effects;
        group["a"].leave(group.now, effects);
        group.turn("a");
        expect_stopped("leave");
        group["a"].stay(group.now, effects);
        group.turn("a");
        expect_stopped("stay");
        group.settle();
        group.give("a", "b", make_call_id(Method::replica_append, 2), AppendResult{1, 1, 1});
        expect_stopped("late acknowledgements");
        group.pass(std::chrono::milliseconds{300});
        expect_stopped("a while");
        CHECK(pings >= 3);
        CHECK(group.outcome(write) == "not_primary");
        CHECK(group["a"].state().commit == 0);
        CHECK(group.count<SteppedDown>() == 1);
        group.lost = nullptr;
        group.decide(group.member("a"), {group.member("b", true)});
        group.settle();
        CHECK(group["a"].serving());
        CHECK_FALSE(group.pings["a"].stopped);
        CHECK(group["a"].store().all == "x;");
    }

    TEST_CASE("R6: a leaving primary serves on until it is told to stop and a leaving backup is stopped at once") {
        auto group = pair_in_sync();
        for (const auto* name : {"a", "b"}) {
            replica::Output effects;
            group[name].leave(group.now, effects);
            group.turn(name);
        }
        CHECK(group.pings["a"].leaving);
        CHECK_FALSE(group.pings["a"].stopped);
        CHECK(group.pings["b"].leaving);
        CHECK(group.pings["b"].stopped);
        CHECK_FALSE(group["b"].left());
        group.decide(group.member("a"), {});
        group.give("b", ReplicaGroup::views, "33", PingResult{group.info(), std::chrono::milliseconds{500}, false});
        CHECK(group["b"].left());
        CHECK(group.outcome(group.put("a", "x")) == "2");
        replica::Output effects;
        group["a"].stay(group.now, effects);
        group.turn("a");
        CHECK_FALSE(group.pings["a"].leaving);
    }

    TEST_CASE("S3: a server that holds state from before a forced view drops it and says what was committed") {
        auto group = pair_in_sync();
        group.put("a", "x");
        group.settle();
        group.start("c", 3);
        group.view.forced = 2;
        group.decide(group.member("c"), {group.member("a")});
        CHECK(group["a"].state().log.last().index == 0);
        CHECK(group["a"].store().all.empty());
        const auto cut = cuts(group);
        REQUIRE(cut.size() == 2);
        for (const auto& one : cut) {
            CHECK(one.from == 1);
            CHECK(one.entries == 1);
        }
        CHECK(cut[0].committed);        // a had answered it
        CHECK_FALSE(cut[1].committed);  // b did not know that it was committed
        group.settle();
        group.put("c", "y");
        group.settle();
        group.pass(std::chrono::milliseconds{300});
        CHECK(group["a"].store().all == "y;");
    }

    TEST_CASE(
        "S3: an old primary that lives on during a forced view serves until it hears of that and then joins empty") {
        auto group = alone();
        CHECK(group.outcome(group.put("a", "x")) == "2");
        group.start("c", 3);
        group.view.forced = 2;
        group.decide(group.member("c"), {}, {"c"});
        CHECK(group.outcome(group.put("c", "new")) == "4");
        CHECK(group.outcome(group.put("a", "y")) == "4");
        CHECK(cuts(group).empty());
        group.decide(group.member("c"), {group.member("a")});
        const auto cut = cuts(group);
        REQUIRE(cut.size() == 1);
        CHECK(cut[0].from == 1);
        CHECK(cut[0].entries == 2);
        CHECK(cut[0].committed);
        CHECK(group.count<SteppedDown>() == 1);
        CHECK(group.outcome(group.put("a", "z")) == "not_primary");
        group.pass(std::chrono::milliseconds{300});
        CHECK(group["c"].store().all == "new;");
        CHECK(group["a"].store() == group["c"].store());
        CHECK(group.count<BackupInSync>() == 1);
        CHECK(cuts(group).size() == 1);
    }

    TEST_CASE("S3: a primary counts on nothing that a backup held before a forced view") {
        auto group = pair_in_sync();
        group.start("c", 3);
        group.put("a", "x");
        group.settle();
        auto in_sync = group.count<BackupInSync>();
        group.view.forced = group.view.number + 1;
        group.decide(group.member("c"), {}, {"b"});  // b drops its state
        group.view.forced = group.view.number + 1;
        group.decide(group.member("a"), {}, {});
        group.decide(group.member("a"), {group.member("b")}, {"a"});
        CHECK(group.count<BackupInSync>() == in_sync);
        group.give("b", ReplicaGroup::views, {}, ViewChanged{group.info()});
        group.settle();
        CHECK(group.count<BackupInSync>() == in_sync + 1);
        CHECK(group["b"].store() == group["a"].store());
    }

    TEST_CASE("S8: a snapshot of a state that a forced view has dropped is sent to nobody") {
        ReplicaGroup group;
        group.options.log_bytes = 400;
        group.options.chunk_bytes = 16;
        group.start("a", 1);
        group.start("b", 2);
        group.start("c", 3);
        group.decide(group.member("a"));
        for (int i = 0; i < 20; ++i) group.put("a", "old" + std::to_string(i));
        group.lost = [](auto& from, auto&, auto& message) {
            return from == "c" && std::holds_alternative<InstallResult>(message);
        };
        group.decide(group.member("a"), {group.member("c")}, {"a"});
        group.settle();  // a retains its transfer to c
        group.lost = nullptr;
        group.view.forced = group.view.number + 1;
        group.decide(group.member("b"), {}, {"a", "b"});
        for (int i = 0; i < 20; ++i) group.put("b", "new" + std::to_string(i));
        group.decide(group.member("b"), {group.member("a")}, {"a", "b"});
        group.settle();
        group.pass(110ms);
        group.decide(group.member("a", true), {group.member("c")});
        group.settle();
        group.pass(110ms);
        CHECK(group["a"].store().all.starts_with("new0;"));
        CHECK(group["c"].store() == group["a"].store());
    }

    TEST_CASE("a silent view service is told of after D and the next address is tried") {
        ReplicaGroup group;
        group.options.view_service = {"views", "views2"};
        group.start("a", 1);
        group.pass(std::chrono::milliseconds{650});
        CHECK(group.count<ViewServiceSilent>() == 1);
    }

    TEST_CASE("a view service that is away for long is told of once for each address and again when it answers") {
        ReplicaGroup group;
        group.options.view_service = {"views", "views2"};
        group.start("a", 1);
        for (int outage = 1; outage <= 2; ++outage) {
            group.pass(std::chrono::minutes{1});
            CHECK(group.count<ViewServiceSilent>() == 2 * outage);
            for (int i = 0; i < 2; ++i) group.give("a", "views2", "1", PingResult{group.info(), {}, false});
            CHECK(group.count<ViewServiceAnswers>() == outage);
        }
    }

    namespace {

    // A server that has these view services, and the addresses that it pinged, in order.
    struct Pinging {
        explicit Pinging(std::vector<Address> views) {
            group.options.view_service = std::move(views);
            group.lost = [this](const Address&, const Address& to, const Message&) {
                asked.push_back(to);
                return true;
            };
            group.start("a", 1);
        }
        void refuse(error code) {
            Failure failure;
            failure.to = "view.ping";
            failure.code = code;
            group.give("a", asked.back(), make_call_id(Method::view_ping, asked.size()), std::move(failure));
        }
        void next_interval() { group.pass(std::chrono::milliseconds{100}); }

        ReplicaGroup group;
        std::vector<Address> asked;
    };

    }  // namespace

    TEST_CASE("S12: a server whose connection to the view service broke tries the next address in its next ping") {
        Pinging server{{"views", "views2", "views3"}};
        server.group.lose("a", "views");
        server.group.lose("a", "views");
        CHECK(server.asked == std::vector<Address>{"views"});  // not before an interval has passed
        server.next_interval();
        CHECK(server.asked == std::vector<Address>{"views", "views2"});
        CHECK(server.group.count<ViewServiceSilent>() == 1);
        server.group.lose("a", "views");  // the connection to a former address
        server.next_interval();
        CHECK(server.asked.back() == "views2");
        server.group.give("a", "views2", make_call_id(Method::view_ping, 3),
                          PingResult{server.group.info(), {}, false});
        server.next_interval();
        CHECK(server.asked.back() == "views2");
        CHECK(server.group.count<ViewServiceAnswers>() == 1);
    }

    TEST_CASE("S12: a server that is refused tries the next address in its next ping and tells each refusal once") {
        Pinging server{{"views", "views2", "views3"}};
        for (int round = 0; round < 10; ++round) {
            for (const auto* address : {"views", "views2", "views3"}) {
                CHECK(server.asked.back() == address);
                server.refuse(round == 9 ? error::wrong_cluster : error::internal);
                server.refuse(round == 9 ? error::wrong_cluster : error::internal);
                server.next_interval();
            }
        }
        CHECK(server.asked.size() == 31);
        CHECK(server.group.count<Refused>() == 6);
        CHECK(server.group.count<ViewServiceSilent>() == 0);
    }

    TEST_CASE("S12: a server whose name is taken goes on pinging who said so") {
        Pinging server{{"views", "views2"}};
        for (const auto code : {error::superseded, error::name_in_use}) {
            server.refuse(code);
            server.next_interval();
        }
        CHECK(server.asked == std::vector<Address>(3, "views"));
    }

    TEST_CASE("a server with one view service stays with it whatever happens") {
        Pinging server{{"views"}};
        for (int round = 0; round < 3; ++round) {
            server.group.lose("a", "views");
            server.next_interval();
            server.refuse(error::internal);
            server.next_interval();
        }
        CHECK(server.asked == std::vector<Address>(7, "views"));
        CHECK(server.group.count<ViewServiceSilent>() == 0);
        CHECK(server.group.count<Refused>() == 1);
    }

    TEST_CASE("a server that is idle in its first view says so") {
        auto group = pair_in_sync();
        auto emitted = group.count<RoleChanged>();
        group.start("c", 9);
        for (int i = 0; i < 2; ++i) group.give("c", ReplicaGroup::views, {}, ViewChanged{group.info()});
        CHECK(group.count<RoleChanged>() == emitted + 1);
        CHECK(std::get<RoleChanged>(group.events.back()).role == Role::idle);
    }

    TEST_CASE("an answer that nobody asked for is refused with an event and changes nothing") {
        auto group = pair_in_sync();
        group.give("a", "stranger", "5", AppendResult{1, 50, 1});
        group.give("a", "stranger", "6", PingResult{});
        group.give("a", "b", "7", AppendResult{1, 50, 1});
        CHECK(group.count<Refused>() == 3);
        CHECK(group["a"].state().commit == 0);
    }

    TEST_CASE("a message of another cluster or group or version is refused and says what was expected") {
        auto group = pair_in_sync();
        CHECK(group.outcome(group.ask("a", Execute{ClusterId{5}, "main", {}, 0, 0, "x"})) == "wrong_cluster");
        CHECK(group.outcome(group.ask("a", Execute{ReplicaGroup::cluster, "else", {}, 0, 0, "x"})) == "wrong_group");
        CHECK(group.outcome(group.ask("a", Open{ReplicaGroup::cluster, "main", 9})) == "unsupported_version");
        CHECK(group.outcome(group.ask("a", ViewPromote{"main", "b"})) == "unknown_method");
        CHECK(group.count<Refused>() == 4);
    }

    TEST_CASE("who asks a replica for the view learns it from a refusal that is no event") {
        auto group = pair_in_sync();
        for (const auto& id : {group.ask("b", ViewGet{"main"}), group.ask("b", ViewWatch{"main"})}) {
            CHECK(group.outcome(id) == "unknown_method");
            CHECK(std::get<Failure>(*group.answer(id)).view->view.primary.name == "a");
        }
        CHECK(group.count<Refused>() == 0);
    }

    TEST_CASE("a store that breaks its laws ends the replica with an event") {
        auto group = pair_in_sync();
        group.put("a", "explode");
        group.settle();
        CHECK(group["a"].failed());
        CHECK(group.count<StoreFailed>() >= 1);
    }
}
